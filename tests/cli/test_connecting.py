"""From options to a key and a venue."""

from __future__ import annotations

import errno
import io
import sys
from pathlib import Path

import pytest

from nadows import cli
from nadows.cli import exit_code
from nadows.cli.connecting import Keys, reach, signer_or_new
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
from nadows.signing import Signer

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


def test_the_password_is_in_a_file(keystore: Path, asked: list[str], tmp_path: Path) -> None:
    """A newline at its end is not part of it, blanks are."""
    file = tmp_path / "password"
    file.write_text(" hunter2\n")
    signer = Keys(keystore=keystore, password_file=file).load()
    assert signer is not None
    assert (SIGNER.address, [" hunter2"]) == (signer.address, asked)


def test_the_password_is_asked_for_on_a_terminal(
    keystore: Path, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unseen; and entering none is an answer too."""
    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setattr("getpass.getpass", lambda _: "hunter2")
    Keys(keystore=keystore).load()
    assert ["hunter2"] == asked

    def end_of_file(_: str) -> str:
        raise EOFError

    monkeypatch.setattr("getpass.getpass", end_of_file)
    with pytest.raises(UsageError, match="no password was entered"):
        Keys(keystore=keystore).load()


@pytest.mark.parametrize("stdin", [None, io.StringIO("hunter2\n")])
def test_a_pipe_is_not_asked(
    keystore: Path, asked: list[str], monkeypatch: pytest.MonkeyPatch, stdin: io.StringIO | None
) -> None:
    """What is on standard input may be meant for somebody else."""
    monkeypatch.setattr(sys, "stdin", stdin)
    with pytest.raises(UsageError, match=r"there is no terminal .*: give --password-file"):
        Keys(keystore=keystore).load()
    assert [] == asked


def test_a_password_file_that_is_not_there_is_named(keystore: Path, tmp_path: Path) -> None:
    """As every file is."""
    with pytest.raises(UsageError, match=r"cannot read the password file .*gone"):
        Keys(keystore=keystore, password_file=tmp_path / "gone").load()


def test_a_wallet_is_made_only_where_money_is_paper() -> None:
    """On this machine any wallet will do; elsewhere it must be the user's."""
    output = Output(quiet=True)
    assert SIGNER is signer_or_new(SIGNER, MAINNET, output)
    made = {signer_or_new(None, here, output).address for here in THIS_MACHINE}
    assert 3 == len(made)
    for network in (TESTNET, MAINNET, Network.from_url("http://127.0.0.1.example.org")):
        with pytest.raises(UsageError, match=f"needs a private key for {network.name}"):
            signer_or_new(None, network, output)


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
    given = Given(resolve(Configuration(), {}, {"network": name}), Output())
    async with reach(given) as reached:
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
