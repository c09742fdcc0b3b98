"""Keys come from a keystore, a file, standard input or the environment, and never go anywhere."""

from __future__ import annotations

import json
import os
import traceback
from pathlib import Path
from typing import Any, NoReturn

import pytest

from nadows.errors import UsageError
from nadows.keys import KeySource, Secret, load_signer, secret_key, throw_away_signer, without_keys
from nadows.signing import AUTHENTICATION, TRADING, Signer, SigningPolicy

KEY = "5c" * 32
ADDRESS = Signer(KEY).address
OWNER = "0x1a642f0e3c3af545e7acbd38b07251b3990914f1"


def never() -> NoReturn:
    raise AssertionError("nobody needs that here")


def load(
    source: KeySource,
    *,
    password: str | None = None,
    stdin: str | None = None,
    owner: str | None = None,
    policy: SigningPolicy = AUTHENTICATION,
) -> Signer:
    signer = load_signer(
        source,
        password=never if password is None else lambda: Secret(password),
        standard_input=never if stdin is None else lambda: Secret(stdin),
        owner=owner,
        policy=policy,
    )
    assert signer is not None
    return signer


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


@pytest.mark.parametrize("text", [KEY, "0x" + KEY, f" {KEY}\n"])
def test_the_environment_may_hold_the_key(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """In the variable that was found to count."""
    monkeypatch.setenv("NADO_PRIVATE_KEY", text)
    assert ADDRESS == load(KeySource(variable="NADO_PRIVATE_KEY")).address


def test_standard_input_may_hold_the_key() -> None:
    """Only if it was named."""
    assert ADDRESS == load(KeySource(standard_input=True), stdin=KEY).address


def test_no_key_is_no_error() -> None:
    """Looking at the market needs none."""
    assert load_signer(KeySource(), password=never, standard_input=never) is None
    assert not KeySource()
    assert KeySource(variable="X")


def test_a_key_signs_what_it_is_loaded_for(tmp_path: Path) -> None:
    """Stream authentication unless more is asked for; for its own wallet unless it is linked to another."""
    source = KeySource(key_file=private(tmp_path / "key", KEY))
    assert AUTHENTICATION is load(source).policy
    linked = load(source, owner=OWNER, policy=TRADING)
    assert (TRADING, OWNER, ADDRESS) == (linked.policy, linked.address, linked.key_address)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (KeySource(keystore=Path("/k")), "keystore /k"),
        (KeySource(key_file=Path("/k")), "key file /k"),
        (KeySource(standard_input=True), "standard input"),
        (KeySource(variable="NADO_PRIVATE_KEY"), "NADO_PRIVATE_KEY"),
        (KeySource(), "no key"),
    ],
)
def test_a_source_is_named(source: KeySource, text: str) -> None:
    """By where the key is, never by what it is."""
    assert text == str(source)


def test_a_secret_does_not_show_itself() -> None:
    """In no representation."""
    secret = Secret(KEY)
    assert "Secret(***)" == repr(secret) == f"{secret}"
    assert KEY == secret.reveal()
    assert not hasattr(secret, "__dict__")


def test_an_environment_without_its_keys() -> None:
    """That there is one is seen, which one is not."""
    environment = {"NADO_PRIVATE_KEY": KEY, "NADOWS_PRIVATE_KEY": "", "HOME": "/root"}
    stars = {"NADO_PRIVATE_KEY": "***", "NADOWS_PRIVATE_KEY": "", "HOME": "/root"}
    assert stars == without_keys(environment)


@pytest.mark.parametrize("kind", ["variable", "file", "stdin", "keystore"])
def test_tracebacks_with_all_their_variables_do_not_show_a_key(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As some tools print them, also of what is nearly a key."""
    canary = KEY + "5"
    monkeypatch.setenv("NADO_PRIVATE_KEY", canary)
    sources = {
        "variable": KeySource(variable="NADO_PRIVATE_KEY"),
        "file": KeySource(key_file=private(tmp_path / "key", canary)),
        "stdin": KeySource(standard_input=True),
        "keystore": KeySource(keystore=private(tmp_path / "store", json.dumps(canary))),
    }
    with pytest.raises(UsageError) as caught:
        load_signer(sources[kind], password=never, standard_input=lambda: Secret(canary))
    # From the first frame that is not this test's.
    assert caught.value.__traceback__ is not None
    error = caught.value.with_traceback(caught.value.__traceback__.tb_next)
    shown = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    assert "load_signer" in shown
    assert KEY not in shown


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660])
def test_a_file_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    """The remedy is in the message."""
    path = private(tmp_path / "key", KEY)
    path.chmod(mode)
    with pytest.raises(UsageError, match=f"can be read by others \\(mode {mode:03o}\\): chmod 600"):
        load(KeySource(key_file=path))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "key file .*key: a private key is 32 bytes"),
        (KEY[:-1], "key file .*key: a private key is 32 bytes"),
        ("0" * 64, "key file .*key: the private key is zero"),
        (b"\xff" * 32, "is not text"),
    ],
)
def test_a_file_without_a_key_is_refused_and_not_quoted(
    tmp_path: Path, content: str | bytes, message: str
) -> None:
    """What looks like a key with a digit missing is still a secret."""
    path = private(tmp_path / "key", content)
    with pytest.raises(UsageError, match=message) as caught:
        load(KeySource(key_file=path))
    assert KEY[:16] not in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """Whichever it was to be."""
    with pytest.raises(UsageError, match=r"cannot read keystore .*gone: No such file or directory"):
        load(KeySource(keystore=tmp_path / "gone"))


def test_a_wrong_variable_is_named_and_not_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The name is the remedy, the value is nobody's business."""
    monkeypatch.setenv("NADO_PRIVATE_KEY", KEY + "ff")
    with pytest.raises(UsageError, match="NADO_PRIVATE_KEY: a private key is 32 bytes") as caught:
        load(KeySource(variable="NADO_PRIVATE_KEY"))
    assert KEY not in str(caught.value)
    assert caught.value.__context__ is None


def test_a_keystore_opens_with_its_password(tmp_path: Path, keystore: dict[str, Any]) -> None:
    """Whoever made it."""
    path = private(tmp_path / "keystore", json.dumps(keystore))
    assert ADDRESS == load(KeySource(keystore=path), password="hunter2").address


def test_a_wrong_password_is_told(tmp_path: Path, keystore: dict[str, Any]) -> None:
    """And neither it nor anything of the keystore is repeated."""
    path = private(tmp_path / "keystore", json.dumps(keystore))
    with pytest.raises(UsageError, match="cannot be opened: the password is wrong") as caught:
        load(KeySource(keystore=path), password="letmein")
    assert "letmein" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("not json", 'is no JSON with a "crypto" part: is it a Web3 V3 keystore'),
        ("[]", 'is no JSON with a "crypto" part'),
        ("{}", 'is no JSON with a "crypto" part'),
        ('{"crypto":{}, "version":3}', "it is damaged or of an unknown kind"),
        ('{"crypto":{}, "version":9}', "it is damaged or of an unknown kind"),
        ('{"Crypto":7}', "it is damaged or of an unknown kind"),
    ],
)
def test_a_file_that_is_no_keystore_is_told(tmp_path: Path, content: str, message: str) -> None:
    """With what is missing."""
    path = private(tmp_path / "keystore", content)
    with pytest.raises(UsageError, match=message):
        load(KeySource(keystore=path), password="hunter2")


def test_a_file_behind_a_link_is_refused(tmp_path: Path) -> None:
    """Somebody else may have made the link; the file itself is named."""
    path = private(tmp_path / "key", KEY)
    (tmp_path / "link").symlink_to(path)
    with pytest.raises(UsageError, match=rf"link is a symbolic link: name {path} itself"):
        load(KeySource(key_file=tmp_path / "link"))


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    """Without waiting for somebody to write into it."""
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(UsageError, match="is no regular file; use - to read standard input"):
        load(KeySource(key_file=tmp_path / "pipe"))
    with pytest.raises(UsageError, match="is no regular file"):
        load(KeySource(key_file=tmp_path))


def test_a_folder_that_others_can_write_is_refused(tmp_path: Path) -> None:
    """They could put another key in the place of this one; not in a sticky folder, such as /tmp."""
    folder = tmp_path / "open"
    folder.mkdir()
    path = private(folder / "key", KEY)
    folder.chmod(0o777)
    with pytest.raises(
        UsageError, match=r"the folder .*open can be written by others \(mode 777\): chmod go-w"
    ):
        load(KeySource(key_file=path))
    folder.chmod(0o1777)
    assert ADDRESS == load(KeySource(key_file=path)).address


def test_a_throw_away_key_is_new_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A number that is no key is drawn again."""
    assert throw_away_signer().address != throw_away_signer().address
    assert 64 == len(secret_key().reveal())
    draws = iter([bytes(32), b"\xff" * 32, bytes.fromhex(KEY)])
    monkeypatch.setattr("nadows.keys.secrets.token_bytes", lambda _: next(draws))
    assert ADDRESS == throw_away_signer().address


def test_a_file_that_stops_reading_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a disk that fails."""
    path = private(tmp_path / "key", KEY)

    def fail(*_: int) -> bytes:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("nadows.keys.os.read", fail)
    with pytest.raises(UsageError, match=r"cannot read key file .*: Input/output error"):
        load(KeySource(key_file=path))
