import copy
import pickle
import traceback
from typing import Any

import pytest
from eth_account import Account
from hypothesis import given
from hypothesis import strategies as st

from nadows.errors import UsageError
from nadows.signing import (
    BadSignature,
    BadSignatureLength,
    BadSignatureV,
    Signer,
    UnrecoverableSignature,
    checksum_address,
    recover,
)
from tests.signing.vectors import ADDRESS_A, KEY_A, VECTORS, name_of

CURVE_ORDER = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141
DIGEST = bytes(range(32))
KEYS = st.integers(1, CURVE_ORDER - 1).map(lambda number: number.to_bytes(32, "big"))
DIGESTS = st.binary(min_size=32, max_size=32)


@pytest.mark.parametrize("vector", VECTORS, ids=name_of)
def test_vector(vector: dict[str, Any]) -> None:
    """The signature is the official SDK's, byte by byte, and tells its signer."""
    digest = bytes.fromhex(vector["digest"][2:])
    signer = Signer(vector["private_key"])

    assert vector["signer_address"] == signer.checksum_address
    assert vector["signature"] == signer.sign(digest)
    assert vector["signer_address"].lower() == recover(digest, vector["signature"])


@pytest.mark.oracle
@given(key=KEYS, digest=DIGESTS)
def test_eth_account_agrees(key: bytes, digest: bytes) -> None:
    """Address and signature of any key equal eth_account's."""
    account = Account.from_key(key)
    expected = account.unsafe_sign_hash(digest)

    signer = Signer(key)

    assert account.address == signer.checksum_address
    assert "0x" + bytes(expected.signature).hex() == signer.sign(digest)


@given(key=KEYS, digest=DIGESTS)
def test_signature_is_low_and_recovers(key: bytes, digest: bytes) -> None:
    """S is the low one, v is 27 or 28, and the signer is found again."""
    signer = Signer(key)

    signature = signer.sign(digest)

    assert int(signature[66:130], 16) <= CURVE_ORDER // 2
    assert signature[130:] in ("1b", "1c")
    assert signer.address == recover(digest, signature)


@pytest.mark.parametrize(
    "key",
    [
        bytes([1]) * 32,
        "01" * 32,
        "0x" + "01" * 32,
        "0X" + "01" * 32,
        "  0x" + "01" * 32 + "\n",
        bytearray(b"\1" * 32),
    ],
)
def test_spellings_of_a_key(key: bytes | str) -> None:
    """Bytes and hex, with the blanks that files and terminals add, make the same signer."""
    assert ADDRESS_A == Signer(key).checksum_address
    assert ADDRESS_A.lower() == Signer(key).address


# Each must not turn up in what a user sees of the failure.
BAD_KEYS = [
    (bytes(32), "zero or too large"),
    ("0x" + "00" * 32, "zero or too large"),
    (CURVE_ORDER.to_bytes(32, "big"), "zero or too large"),
    ("ff" * 32, "zero or too large"),
    (b"\x17" * 31, "32 bytes, got 31"),
    (b"\x17" * 33, "32 bytes, got 33"),
    ("17" * 31, "this text is not"),
    ("0x" + "17" * 33, "this text is not"),
    ("17" * 31 + "1g", "this text is not"),
    ("", "this text is not"),
    ("correct horse battery staple", "this text is not"),
]


@pytest.mark.parametrize(("key", "words"), BAD_KEYS, ids=[str(number) for number in range(len(BAD_KEYS))])
def test_bad_key_refused_without_repeating_it(key: bytes | str, words: str) -> None:
    """The error says what is wrong, and neither it nor its causes contain the key."""
    with pytest.raises(UsageError, match=words) as raised:
        Signer(key)

    shown = "".join(traceback.format_exception_only(raised.value))
    secret = key.hex() if isinstance(key, bytes) else key.removeprefix("0x")
    assert not secret or secret not in shown
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__ or raised.value.__context__ is None


def test_key_is_not_shown() -> None:
    """Every usual way to look at an object shows the address at most."""
    secret = "5e" * 32
    signer = Signer(secret)

    for shown in (repr(signer), str(signer), f"{signer}", f"{[signer]}", f"{signer!a}"):
        assert f"Signer({signer.checksum_address})" in shown
        assert secret not in shown
    assert not hasattr(signer, "__dict__")
    assert str(int(secret, 16)) not in repr([getattr(signer, name) for name in Signer.__slots__])
    assert secret not in repr([getattr(signer, name) for name in Signer.__slots__])


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_signer_is_not_pickled(protocol: int) -> None:
    """A pickle would be a copy of the key, in a file or on a wire."""
    with pytest.raises(UsageError, match="not pickled"):
        pickle.dumps(Signer(KEY_A), protocol)


def test_copies_share_the_key() -> None:
    """Copying a structure that holds a signer does not copy the key."""
    signer = Signer(KEY_A)

    assert copy.copy(signer) is signer
    assert copy.deepcopy({"signer": signer})["signer"] is signer


@pytest.mark.parametrize("length", [0, 31, 33])
def test_digest_of_wrong_length_refused(length: int) -> None:
    """Only 32 bytes are signed or recovered from."""
    signature = Signer(KEY_A).sign(DIGEST)

    with pytest.raises(UsageError, match="digest has 32 bytes"):
        Signer(KEY_A).sign(bytes(length))
    with pytest.raises(UsageError, match="digest has 32 bytes"):
        recover(bytes(length), signature)


@pytest.mark.parametrize("prefix", ["0x", "0X", ""])
@pytest.mark.parametrize("offset", [0, 27])
def test_spellings_of_a_signature(prefix: str, offset: int) -> None:
    """The prefix may be missing, v may count from 0 or 27, and hex may be upper case."""
    signer = Signer(KEY_A)
    signature = signer.sign(DIGEST)
    last = int(signature[-2:], 16) - 27 + offset

    spelled = prefix + signature[2:-2].upper() + f"{last:02x}"

    assert signer.address == recover(DIGEST, spelled)


@pytest.mark.parametrize(
    ("signature", "error"),
    [
        ("", BadSignatureLength),
        ("0x", BadSignatureLength),
        ("0x" + "11" * 64, BadSignatureLength),
        ("0x" + "11" * 66, BadSignatureLength),
        ("0x" + "zz" * 65, BadSignatureLength),
        ("0x" + "11" * 64 + "02", BadSignatureV),
        ("0x" + "11" * 64 + "1a", BadSignatureV),
        ("0x" + "11" * 64 + "1d", BadSignatureV),
        ("0x" + "00" * 64 + "1b", UnrecoverableSignature),
        ("0x" + "ff" * 64 + "1b", UnrecoverableSignature),
        # r = 5 is the x of no point of the curve.
        ("0x" + f"{5:064x}" + "11" * 32 + "1b", UnrecoverableSignature),
    ],
)
def test_bad_signature(signature: str, error: type[BadSignature]) -> None:
    """Length, v and an impossible point are told apart: the venue answers each with its own code."""
    with pytest.raises(BadSignature) as raised:
        recover(DIGEST, signature)

    assert error is type(raised.value)


@pytest.mark.parametrize(
    "address",
    [
        # From the text of EIP-55.
        "0x52908400098527886E0F7030069857D2E4169EE7",
        "0xde709f2102306220921060314715629080e2fb77",
        "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
        "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
    ],
)
def test_checksum_address(address: str) -> None:
    """Capitals follow EIP-55, whatever the case given."""
    assert address == checksum_address(address.lower())
    assert address == checksum_address("0x" + address[2:].upper())
