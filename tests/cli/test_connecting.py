"""From options to a key and a venue."""

from __future__ import annotations

import errno
import io
import sys
from pathlib import Path

import pytest

from nadows import cli
from nadows.cli import exit_code
from nadows.cli.connecting import key_source, load_key, reach, signer_or_new
from nadows.cli.given import Given
from nadows.cli.output import Output
from nadows.configuration import Configuration, resolve
from nadows.errors import (
    CaptureError,
    ConnectFailed,
    MalformedFrame,
    NadowsError,
    OrderUnknown,
    Rejected,
    Unauthorized,
    UsageError,
)
from nadows.network import MAINNET, TESTNET, Network
from nadows.signing import AUTHENTICATION, TRADING, Signer

THIS_MACHINE = (
    Network.local(8080),
    Network.from_url("http://localhost:1"),
    Network.from_url("http://[::1]:1"),
)
SIGNER = Signer(b"\x0e" * 32)


class Terminal(io.StringIO):
    """A standard input with somebody behind it."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def keystore(tmp_path: Path) -> Path:
    """A keystore that any password opens; it is the asking that is tested."""
    path = tmp_path / "keystore"
    path.write_text('{"crypto":{}}')
    path.chmod(0o600)
    return path


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What passwords keystores were opened with."""
    passwords: list[str] = []

    def decrypt(_: object, password: str) -> bytes:
        passwords.append(password)
        return b"\x0e" * 32

    monkeypatch.setattr("eth_account.Account.decrypt", decrypt)
    return passwords


def given(**typed: str | Path) -> Given:
    """What a command is given that these options are typed for."""
    texts = {name: str(value) for name, value in typed.items()}
    return Given(resolve(Configuration(), {}, texts), Output(quiet=True))


def test_the_password_is_in_a_file(keystore: Path, asked: list[str], tmp_path: Path) -> None:
    """A newline at its end is not part of it, blanks are; nobody else can read it."""
    file = tmp_path / "password"
    file.write_text(" hunter2\n")
    file.chmod(0o600)
    signer = load_key(given(keystore=keystore, password_file=file))
    assert signer is not None
    assert (SIGNER.address, [" hunter2"]) == (signer.address, asked)
    file.chmod(0o640)
    with pytest.raises(UsageError, match=r"password file .*password can be read by others"):
        load_key(given(keystore=keystore, password_file=file))


def test_the_password_is_asked_for_on_a_terminal(
    keystore: Path, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unseen; and entering none is an answer too."""
    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setattr("getpass.getpass", lambda _: "hunter2")
    load_key(given(keystore=keystore))
    assert ["hunter2"] == asked

    def end_of_file(_: str) -> str:
        raise EOFError

    monkeypatch.setattr("getpass.getpass", end_of_file)
    with pytest.raises(UsageError, match="nothing was entered"):
        load_key(given(keystore=keystore))


@pytest.mark.parametrize("stdin", [None, io.StringIO("hunter2\n")])
def test_a_pipe_is_not_asked(
    keystore: Path, asked: list[str], monkeypatch: pytest.MonkeyPatch, stdin: io.StringIO | None
) -> None:
    """What is on standard input may be meant for somebody else."""
    monkeypatch.setattr(sys, "stdin", stdin)
    with pytest.raises(UsageError, match=r"there is no terminal .*: give --password-file"):
        load_key(given(keystore=keystore))
    assert [] == asked


def test_a_pipe_is_read_if_it_is_named(
    keystore: Path, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A minus in the place of the file: the key, or the keystore's password, one line each."""
    monkeypatch.setattr(sys, "stdin", io.StringIO("hunter2\n" + "0e" * 32 + "\n"))
    load_key(given(keystore=keystore, password_file="-"))
    assert ["hunter2"] == asked
    signer = load_key(given(key_file="-"))
    assert signer is not None
    assert SIGNER.address == signer.address
    with pytest.raises(UsageError, match="standard input is empty, where a secret should come from"):
        load_key(given(key_file="-"))


def test_a_password_file_that_is_not_there_is_named(keystore: Path, tmp_path: Path) -> None:
    """As every file is."""
    with pytest.raises(UsageError, match=r"cannot read password file .*gone"):
        load_key(given(keystore=keystore, password_file=tmp_path / "gone"))


def test_a_keystore_has_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Found among those of nadows and Foundry's."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    store = tmp_path / ".foundry" / "keystores" / "trader"
    store.parent.mkdir(parents=True)
    store.write_text("{}")
    assert store == key_source(given(account="trader").settings).keystore
    with pytest.raises(UsageError, match="no keystore is called 'tradre': did you mean trader"):
        load_key(given(account="tradre"))


def test_what_the_key_may_sign_is_what_the_profile_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """Orders only if it allows them; for the owner, if it names one."""
    monkeypatch.setenv("NADO_PRIVATE_KEY", "0e" * 32)
    owner = "0x" + "1a" * 20
    for orders, policy in (("true", TRADING), ("false", AUTHENTICATION)):
        environment = {"NADO_PRIVATE_KEY": "***", "NADOWS_ORDERS": orders, "NADOWS_OWNER": owner}
        signer = load_key(Given(resolve(Configuration(), environment, {}), Output(quiet=True)))
        assert signer is not None
        assert (policy, owner, SIGNER.address) == (signer.policy, signer.address, signer.key_address)


def test_a_wallet_is_made_only_where_money_is_paper() -> None:
    """On this machine any wallet will do; elsewhere it must be the user's."""
    output = Output(quiet=True)
    assert SIGNER is signer_or_new(SIGNER, MAINNET, output)
    made = {signer_or_new(None, here, output).address for here in THIS_MACHINE}
    assert 3 == len(made)
    for network in (TESTNET, MAINNET, Network.from_url("http://127.0.0.1.example.org")):
        with pytest.raises(UsageError, match=f"needs a private key for {network.name}"):
            signer_or_new(None, network, output)


def test_a_wallets_own_key_is_warned_about_where_there_is_money(capsys: pytest.CaptureFixture[str]) -> None:
    """It can withdraw; a linked signer can be taken back, and paper money need not be."""
    signer_or_new(SIGNER, MAINNET, Output())
    assert "this key is the wallet's own and can withdraw" in capsys.readouterr().err
    signer_or_new(Signer(b"\x0e" * 32, owner="0x" + "1a" * 20), MAINNET, Output())
    signer_or_new(SIGNER, TESTNET, Output())
    assert "" == capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "network", "says"),
    [
        ("testnet", TESTNET, "testnet: the exchange itself\n"),
        ("mainnet", MAINNET, "mainnet: the exchange itself, real money\n"),
    ],
)
async def test_it_is_said_plainly_which_venue_it_is(
    name: str, network: Network, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """On standard error, before anything happens there."""
    async with reach(Given(resolve(Configuration(), {}, {"network": name}), Output())) as reached:
        assert network is reached
        assert says == capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("x"), 2),
        (CaptureError("x"), 2),
        (Rejected("x", code=2020), 3),
        (Unauthorized("x", code=2028), 3),
        (ConnectFailed("x"), 1),
        (MalformedFrame("x"), 1),
        (OrderUnknown("x"), 1),
        (NadowsError("x"), 1),
    ],
)
def test_every_error_has_its_exit_code(error: NadowsError, code: int) -> None:
    """2 for what the user can mend, 3 for what the venue refused, 1 for the rest."""
    assert code == exit_code(error)


def test_an_error_in_a_group_of_tasks_is_told_like_any_other(capsys: pytest.CaptureFixture[str]) -> None:
    """The first one is the reason."""
    group = ExceptionGroup("tasks", [ExceptionGroup("inner", [Rejected("no", code=2020)]), UsageError("x")])
    assert 3 == cli._report(group)
    assert "nadows: the venue refused: 2020" in capsys.readouterr().err


def test_a_defect_keeps_its_traceback() -> None:
    """What is not ours is not dressed up as the user's mistake."""
    with pytest.raises(ExceptionGroup):
        cli._report(ExceptionGroup("tasks", [KeyError("bug")]))


class _Full(io.StringIO):
    """An output that fails when it is flushed."""

    def __init__(self, error: OSError, descriptor: int) -> None:
        super().__init__()
        self._error = error
        self._descriptor = descriptor

    def flush(self) -> None:
        raise self._error

    def fileno(self) -> int:
        return self._descriptor


@pytest.mark.parametrize(
    ("error", "before", "after"),
    [
        (BrokenPipeError(), 0, 0),
        (BrokenPipeError(), 130, 130),
        (OSError(errno.ENOSPC, "No space left on device"), 0, 1),
        (OSError(errno.ENOSPC, "No space left on device"), 2, 2),
    ],
)
def test_what_is_left_in_the_buffer_at_the_end(
    error: OSError, before: int, after: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A closed pipe changes nothing, a full disk is a failure; neither is tried again by the interpreter."""
    with (tmp_path / "out").open("w") as file:
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", _Full(error, file.fileno()))
            assert after == cli._flushed(before)
        file.write("into the void")
    assert "" == (tmp_path / "out").read_text()
