"""Who signs: private keys, signatures, and the address a signature came from.

Keys never leave a `Signer`: its representation is the address, it cannot be pickled, and no error
message repeats what it was made from.
"""

from __future__ import annotations

import re
from typing import Any, Final, NoReturn

from coincurve import PrivateKey, PublicKey

from nadows.errors import UsageError
from nadows.signing.hashing import keccak256

__all__ = [
    "BadSignature",
    "BadSignatureLength",
    "BadSignatureV",
    "Signer",
    "UnrecoverableSignature",
    "checksum_address",
    "recover",
]

_KEY: Final = re.compile(r"(?:0[xX])?([0-9a-fA-F]{64})", re.ASCII).fullmatch
_SIGNATURE: Final = re.compile(r"(?:0[xX])?([0-9a-fA-F]{130})", re.ASCII).fullmatch

_RECOVERY_IDS: Final = {0: 0, 1: 1, 27: 0, 28: 1}
"""Parity by the signature's last byte: Ethereum counts from 27, some libraries from 0."""


class BadSignature(UsageError):
    """A text that is no signature of anybody."""


class BadSignatureLength(BadSignature):
    """Not 65 bytes of hex (the venue's code 2027)."""


class BadSignatureV(BadSignature):
    """The last byte is none of 0, 1, 27, 28 (the venue's code 2034)."""


class UnrecoverableSignature(BadSignature):
    """No public key fits the signature (the venue's code 2035)."""


class Signer:
    """A private key that signs digests and tells its address, and nothing else."""

    __slots__ = ("_key", "address", "checksum_address")

    address: str
    """The wallet's address, lower-case hex with ``0x``."""
    checksum_address: str
    """The same with the capitals of EIP-55, as wallets show it."""

    def __init__(self, key: bytes | str) -> None:
        """Take a private key.

        Args:
            key: 32 bytes, or their hex with or without ``0x``; blanks around it are ignored.

        Raises:
            UsageError: If it is not 32 bytes, or not a number from 1 to the order of secp256k1 minus 1.
                The message never repeats the key.
        """
        try:
            self._key = PrivateKey(_key_bytes(key))
        except ValueError:
            # "from None", for the foreign message and its frame might hold the key.
            raise UsageError(
                "the private key is zero or too large for secp256k1; check that it was copied whole"
            ) from None
        self.address = _address(self._key.public_key)
        self.checksum_address = checksum_address(self.address)

    def sign(self, digest: bytes) -> str:
        """Sign 32 bytes; return ``0x`` and 65 bytes r, s, v in hex.

        v is 27 or 28, s the low one of two, and the nonce follows RFC 6979: a digest has one signature.

        Raises:
            UsageError: If *digest* is not 32 bytes.
        """
        if len(digest) != 32:
            raise UsageError(f"a digest has 32 bytes, got {len(digest)}")
        signature = self._key.sign_recoverable(digest, hasher=None)
        return f"0x{signature[:64].hex()}{signature[64] + 27:02x}"

    def __repr__(self) -> str:
        return f"Signer({self.checksum_address})"

    def __copy__(self) -> Signer:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Signer:
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise UsageError(
            "a Signer is not pickled, for that would write its key out; make one where it is needed"
        )


def recover(digest: bytes, signature: str) -> str:
    """Return the address (lower-case hex with ``0x``) whose key signed *digest*.

    Args:
        digest: The 32 bytes signed.
        signature: 65 bytes r, s, v in hex; v may be 0, 1, 27 or 28. ``0x`` may be missing: the SDK sends it
            so with hexbytes 1.x (integration.md 1.6).

    Raises:
        BadSignatureLength: If *signature* is not 65 bytes of hex.
        BadSignatureV: If v is another number.
        UnrecoverableSignature: If no key can have made it.
        UsageError: If *digest* is not 32 bytes.
    """
    if len(digest) != 32:
        raise UsageError(f"a digest has 32 bytes, got {len(digest)}")
    match = _SIGNATURE(signature)
    if match is None:
        raise BadSignatureLength(f"a signature is 65 bytes of hex, got {len(signature)} characters")
    raw = bytes.fromhex(match[1])
    recovery_id = _RECOVERY_IDS.get(raw[64])
    if recovery_id is None:
        raise BadSignatureV(f"a signature ends in 27 or 28 (hex 1b or 1c), got {raw[64]}")
    try:
        key = PublicKey.from_signature_and_message(raw[:64] + bytes([recovery_id]), digest, hasher=None)
    except ValueError:
        raise UnrecoverableSignature("no key can have made this signature; sign the digest again") from None
    return _address(key)


def checksum_address(address: str) -> str:
    """Write an address (hex with ``0x``) with the capitals of EIP-55."""
    digits = address[2:].lower()
    nibbles = keccak256(digits.encode()).hex()
    return "0x" + "".join(
        digit.upper() if nibble > "7" else digit for digit, nibble in zip(digits, nibbles, strict=False)
    )


def _key_bytes(key: bytes | str) -> bytes:
    if isinstance(key, str):
        match = _KEY(key.strip())
        if match is None:
            raise UsageError(
                "a private key is 32 bytes of hex (64 digits, with or without 0x); this text is not"
            )
        return bytes.fromhex(match[1])
    if len(key) != 32:
        raise UsageError(f"a private key has 32 bytes, got {len(key)}")
    return bytes(key)


def _address(key: PublicKey) -> str:
    return "0x" + keccak256(key.format(compressed=False)[1:])[12:].hex()
