"""Keystores by name: kept so that nobody else can read them, and Foundry's left as they are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from eth_account import Account

from nadows.errors import UsageError
from nadows.keys import KeySource, Secret, load_signer
from nadows.keystores import StoredKey, find_keystore, list_keystores, remove_keystore, save_keystore
from nadows.signing import Signer

KEY = "5c" * 32
ADDRESS = Signer(KEY).checksum_address


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user who has nothing yet."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Encryption that does not take its second."""
    encrypt = Account.encrypt
    monkeypatch.setattr(
        "eth_account.Account.encrypt", lambda key, password: encrypt(key, password, "scrypt", 2)
    )


def foundry(home: Path, name: str, content: str) -> Path:
    path = home / ".foundry" / "keystores" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    path.chmod(0o600)
    return path


def foundry_format(password: str) -> str:
    """A keystore in Foundry's form: our own numbers in it, made with its parameters."""
    made = Account.encrypt(bytes.fromhex(KEY), password, kdf="scrypt", iterations=8192)
    crypto = made["crypto"]
    assert isinstance(crypto, dict)
    return json.dumps({"crypto": crypto, "id": made["id"], "version": 3})


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("text", [KEY, f"0x{KEY}\n"])
def test_a_key_that_is_kept_can_be_used(home: Path, text: str) -> None:
    """By its name and password; file and folder are private, and the key is not in it."""
    stored = save_keystore("trader", Secret(text), Secret("hunter2"))

    path = home / "config" / "nadows" / "keystores" / "trader"
    assert StoredKey("trader", path, "nadows", ADDRESS) == stored
    assert [stored] == list_keystores()
    assert path == find_keystore("trader")
    assert (0o600, 0o700) == (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777)
    assert KEY not in path.read_text()
    signer = load_signer(
        KeySource(keystore=path), password=lambda: Secret("hunter2"), standard_input=lambda: Secret("")
    )
    assert signer is not None
    assert ADDRESS == signer.checksum_address


def test_a_keystore_of_foundrys_form_opens(home: Path) -> None:
    """From its own folder, with its own parameters; it tells no address."""
    path = foundry(home, "deployer", foundry_format("hunter2"))
    assert [StoredKey("deployer", path, "foundry")] == list_keystores()
    signer = load_signer(
        KeySource(keystore=find_keystore("deployer")),
        password=lambda: Secret("hunter2"),
        standard_input=lambda: Secret(""),
    )
    assert signer is not None
    assert ADDRESS == signer.checksum_address


@pytest.mark.usefixtures("quick")
def test_ours_come_before_foundrys(home: Path) -> None:
    """Of two with one name."""
    foundry(home, "trader", "{}")
    assert save_keystore("trader", Secret(KEY), Secret("x")).path == find_keystore("trader")


@pytest.mark.usefixtures("quick")
def test_a_name_is_taken_once() -> None:
    """A key is not replaced; and a name is no path."""
    save_keystore("trader", Secret(KEY), Secret("x"))
    with pytest.raises(
        UsageError, match="exists already: choose another name, or remove it with `nadows auth"
    ):
        save_keystore("trader", Secret("5d" * 32), Secret("x"))
    for name in ("", "../x", "a/b", ".hidden", "x" * 65):
        with pytest.raises(UsageError, match="a keystore's name has letters, digits"):
            save_keystore(name, Secret(KEY), Secret("x"))


@pytest.mark.parametrize(
    ("content", "mode", "problem"),
    [
        ("{", 0o600, "is no Web3 V3 keystore"),
        ("[]", 0o600, "is no Web3 V3 keystore"),
        ("{}", 0o600, "is no Web3 V3 keystore"),
        ('{"crypto":{},"address":"0x12"}', 0o600, "address must be 20 bytes of hex"),
        ('{"crypto":{}}', 0o644, "can be read by others (mode 644): chmod 600"),
    ],
)
def test_what_cannot_be_opened_is_listed_with_its_problem(
    home: Path, content: str, mode: int, problem: str
) -> None:
    """Nothing is hidden, and the remedy is beside it; hidden files are none."""
    foundry(home, "x", content).chmod(mode)
    foundry(home, ".lock", "")
    [stored] = list_keystores()
    assert stored.problem is not None
    assert problem in stored.problem


@pytest.mark.usefixtures("quick")
def test_only_our_own_are_removed(home: Path) -> None:
    """Foundry's are removed with Foundry's tool."""
    path = save_keystore("trader", Secret(KEY), Secret("x")).path
    assert path == remove_keystore("trader")
    assert not path.exists()
    kept = foundry(home, "deployer", "{}")
    with pytest.raises(UsageError, match="deployer is Foundry's and left alone: cast wallet remove"):
        remove_keystore("deployer")
    assert kept.exists()


def test_a_name_that_is_not_there_is_told_with_those_that_are(home: Path) -> None:
    """The nearest one, or all of them, or how to make one."""
    with pytest.raises(UsageError, match="there is none; make one with `nadows auth new`"):
        find_keystore("trader")
    foundry(home, "trader", "{}")
    with pytest.raises(UsageError, match="'tradre': did you mean trader"):
        remove_keystore("tradre")
    with pytest.raises(UsageError, match="'qq': there are trader"):
        find_keystore("qq")


@pytest.mark.usefixtures("quick")
def test_a_keystore_that_cannot_be_removed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the reason."""
    save_keystore("trader", Secret(KEY), Secret("x"))

    def refuse(_: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(UsageError, match=r"cannot remove .*trader: Permission denied"):
        remove_keystore("trader")
