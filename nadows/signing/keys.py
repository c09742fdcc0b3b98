"""Who signs: private keys, signatures, and the address a signature came from.

Keys never leave a `Signer`: its representation is the address, it cannot be pickled, and no error
message repeats what it was made from.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final, NoReturn

from coincurve import PrivateKey, PublicKey

from nadows.errors import UsageError
from nadows.signing.hashing import ENCODED_TYPES, TYPE_HASHES, Domain, keccak256, parse_address

__all__ = [
    "AUTHENTICATION",
    "TRADING",
    "UNRESTRICTED",
    "BadSignature",
    "BadSignatureLength",
    "BadSignatureV",
    "Signer",
    "SigningPolicy",
    "SigningRefused",
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


class SigningRefused(UsageError):
    """The key's policy does not allow to sign this; nothing was signed."""


class SigningPolicy:
    """Which kinds of requests a key signs.

    The venue's linked signers have no scopes of their own: whoever holds one may withdraw. So what a key is
    not needed for, it is kept from here.

    Args:
        name: What to call the policy.
        types: EIP-712 types, of those in `ENCODED_TYPES`.
    """

    __slots__ = ("_hashes", "name", "types")

    def __init__(self, name: str, types: Iterable[str]) -> None:
        self.name: Final = name
        self.types: Final = frozenset(types)
        self._hashes: Final = frozenset(TYPE_HASHES[each] for each in self.types)

    def __repr__(self) -> str:
        return f"SigningPolicy({self.name})"

    def check(self, struct: bytes) -> None:
        """Raise `SigningRefused` unless the type of an encoded struct is allowed."""
        if struct[:32] in self._hashes:
            return
        kind = next((name for name, hashed in TYPE_HASHES.items() if hashed == struct[:32]), "unknown types")
        remedy = "set orders = true in the profile, or NADOWS_ORDERS=1, if it shall trade"
        if kind not in TRADING.types:
            remedy = "withdrawals, transfers and links are made elsewhere"
        raise SigningRefused(f"this key signs for {self.name}, not {kind}: {remedy}")


AUTHENTICATION: Final = SigningPolicy("stream authentication", ("StreamAuthentication",))
"""Prove who one is to the subscription socket, and nothing else."""
TRADING: Final = SigningPolicy(
    "trading", (*AUTHENTICATION.types, "Order", "Cancellation", "CancellationProducts", "ListTriggerOrders")
)
"""Orders and cancellations, too. Nothing that moves money out or gives rights away."""
UNRESTRICTED: Final = SigningPolicy("everything", ENCODED_TYPES)
"""Whatever the program asks for."""


class Signer:
    """A private key that signs what its policy allows and tells its address, and nothing else."""

    __slots__ = ("_key", "address", "checksum_address", "key_address", "policy")

    address: str
    """The wallet it signs for, lower-case hex with ``0x``: its own, or the one that linked it."""
    checksum_address: str
    """The same with the capitals of EIP-55, as wallets show it."""
    key_address: str
    """The key's own address, lower-case hex with ``0x``."""
    policy: SigningPolicy

    def __init__(
        self, key: bytes | str, *, owner: str | None = None, policy: SigningPolicy = UNRESTRICTED
    ) -> None:
        """Take a private key.

        Args:
            key: 32 bytes, or their hex with or without ``0x``; blanks around it are ignored.
            owner: The wallet that made this key its linked signer; without it, the key's own.
            policy: What it signs.

        Raises:
            UsageError: If it is not 32 bytes, or not a number from 1 to the order of secp256k1 minus 1, or
                *owner* is no address. The message never repeats the key.
        """
        try:
            self._key = PrivateKey(_key_bytes(key))
        except ValueError:
            # "from None", for the foreign message and its frame might hold the key.
            raise UsageError(
                "the private key is zero or too large for secp256k1; check that it was copied whole"
            ) from None
        self.key_address = _address(self._key.public_key)
        self.address = self.key_address if owner is None else "0x" + parse_address(owner, "owner").hex()
        self.checksum_address = checksum_address(self.address)
        self.policy = policy

    @property
    def is_linked(self) -> bool:
        """Whether it signs for a wallet that is not its own."""
        return self.address != self.key_address

    def sign_struct(self, domain: Domain, struct: bytes, product_id: int | None = None) -> tuple[bytes, str]:
        """Sign an encoded struct; return the digest, and the signature as `sign` does.

        The digest is worked out here, so that nothing is signed of which the type has not been seen.

        Args:
            domain: Chain and contracts.
            struct: As the ``encode_`` functions make it.
            product_id: Of an order, whose contract is the product; ``None`` for the endpoint's.

        Raises:
            SigningRefused: If the policy does not allow its type.
            UsageError: If *product_id* leaves its range.
        """
        self.policy.check(struct)
        struct_hash = keccak256(struct)
        digest = (
            domain.digest(struct_hash) if product_id is None else domain.order_digest(product_id, struct_hash)
        )
        return digest, self._sign(digest)

    def sign(self, digest: bytes) -> str:
        """Sign 32 bytes, whatever they stand for; return ``0x`` and 65 bytes r, s, v in hex.

        v is 27 or 28, s the low one of two, and the nonce follows RFC 6979: a digest has one signature.

        Raises:
            SigningRefused: If the key has a policy, for a digest does not tell what it stands for.
            UsageError: If *digest* is not 32 bytes.
        """
        if self.policy is not UNRESTRICTED:
            raise SigningRefused(
                f"this key signs for {self.policy.name}, and a digest does not tell what it stands for: "
                "use the functions of nadows.signing"
            )
        if len(digest) != 32:
            raise UsageError(f"a digest has 32 bytes, got {len(digest)}")
        return self._sign(digest)

    def _sign(self, digest: bytes) -> str:
        signature = self._key.sign_recoverable(digest, hasher=None)
        return f"0x{signature[:64].hex()}{signature[64] + 27:02x}"

    def __repr__(self) -> str:
        return f"Signer({self.checksum_address}{', linked' if self.is_linked else ''})"

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
