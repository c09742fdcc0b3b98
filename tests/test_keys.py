"""Keys come from the environment, a file or a keystore, and never go anywhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NoReturn

import pytest

from nadows.errors import UsageError
from nadows.keys import load_signer, throw_away_signer
from nadows.signing import Signer

KEY = "5c" * 32
ADDRESS = Signer(KEY).address


def never() -> NoReturn:
    raise AssertionError("nobody needs a password here")


def private(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    path.chmod(0o600)
    return path


@pytest.fixture(scope="module")
def keystore() -> dict[str, Any]:
    """A keystore as Foundry makes them, with the password "hunter2"."""
    from eth_account import Account  # noqa: PLC0415 - takes a second

    made: dict[str, Any] = Account.encrypt(bytes.fromhex(KEY), "hunter2", kdf="scrypt", iterations=2)
    return made


@pytest.mark.parametrize(
    "environment",
    [
        {"NADOWS_PRIVATE_KEY": KEY},
        {"NADO_PRIVATE_KEY": "0x" + KEY},
        {"NADOWS_PRIVATE_KEY": KEY, "NADO_PRIVATE_KEY": "5d" * 32},
        {"NADOWS_PRIVATE_KEY": "", "NADO_PRIVATE_KEY": KEY},
    ],
)
def test_the_environment_may_hold_the_key(environment: dict[str, str]) -> None:
    """Our own variable counts for more than the one that strategies set; an empty one is none."""
    signer = load_signer(environment, password=never)
    assert signer is not None
    assert ADDRESS == signer.address


def test_no_key_is_no_error() -> None:
    """Looking at the market needs none."""
    assert load_signer({}, password=never) is None


def test_a_file_counts_for_more_than_the_environment(tmp_path: Path) -> None:
    """It was named just now."""
    path = private(tmp_path / "key", f"0x{KEY}\n")
    signer = load_signer({"NADOWS_PRIVATE_KEY": "5d" * 32}, key_file=path, password=never)
    assert signer is not None
    assert ADDRESS == signer.address


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660])
def test_a_file_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    """The remedy is in the message."""
    path = private(tmp_path / "key", KEY)
    path.chmod(mode)
    with pytest.raises(UsageError, match=f"can be read by others \\(mode {mode:03o}\\): chmod 600"):
        load_signer({}, key_file=path, password=never)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "key file .*key: a private key is 32 bytes"),
        (KEY[:-1], "key file .*key: a private key is 32 bytes"),
        ("0" * 64, "key file .*key: the private key is zero"),
        (b"\xff" * 32, "is not text; it should hold 64 hex digits"),
    ],
)
def test_a_file_without_a_key_is_refused_and_not_quoted(
    tmp_path: Path, content: str | bytes, message: str
) -> None:
    """What looks like a key with a digit missing is still a secret."""
    path = private(tmp_path / "key", content)
    with pytest.raises(UsageError, match=message) as caught:
        load_signer({}, key_file=path, password=never)
    assert KEY[:16] not in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """Whichever it was to be."""
    with pytest.raises(UsageError, match=r"cannot read keystore .*gone: No such file or directory"):
        load_signer({}, keystore=tmp_path / "gone", password=never)


def test_a_wrong_variable_is_named_and_not_quoted() -> None:
    """The name is the remedy, the value is nobody's business."""
    with pytest.raises(UsageError, match="NADO_PRIVATE_KEY: a private key is 32 bytes") as caught:
        load_signer({"NADO_PRIVATE_KEY": KEY + "ff"}, password=never)
    assert KEY not in str(caught.value)
    assert caught.value.__suppress_context__


def test_a_keystore_opens_with_its_password(tmp_path: Path, keystore: dict[str, Any]) -> None:
    """And counts for more than any other source."""
    path = private(tmp_path / "keystore", json.dumps(keystore))
    other = private(tmp_path / "key", "5d" * 32)
    signer = load_signer({}, key_file=other, keystore=path, password=lambda: "hunter2")
    assert signer is not None
    assert ADDRESS == signer.address


def test_a_wrong_password_is_told(tmp_path: Path, keystore: dict[str, Any]) -> None:
    """And neither it nor anything of the keystore is repeated."""
    path = private(tmp_path / "keystore", json.dumps(keystore))
    with pytest.raises(UsageError, match="cannot be opened: the password is wrong") as caught:
        load_signer({}, keystore=path, password=lambda: "letmein")
    assert "letmein" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("not json", "is not JSON: is it a Web3 V3 keystore"),
        ("[]", 'has no "crypto" part'),
        ("{}", 'has no "crypto" part'),
        ('{"crypto":{}, "version":3}', "it is damaged or of an unknown kind"),
        ('{"crypto":{}, "version":9}', "it is damaged or of an unknown kind"),
        ('{"Crypto":7}', "it is damaged or of an unknown kind"),
    ],
)
def test_a_file_that_is_no_keystore_is_told(tmp_path: Path, content: str, message: str) -> None:
    """With what is missing."""
    path = private(tmp_path / "keystore", content)
    with pytest.raises(UsageError, match=message):
        load_signer({}, keystore=path, password=lambda: "hunter2")


def test_a_throw_away_key_is_new_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A number that is no key is drawn again."""
    assert throw_away_signer().address != throw_away_signer().address
    draws = iter([bytes(32), b"\xff" * 32, bytes.fromhex(KEY)])
    monkeypatch.setattr("nadows.keys.secrets.token_bytes", lambda _: next(draws))
    assert ADDRESS == throw_away_signer().address
