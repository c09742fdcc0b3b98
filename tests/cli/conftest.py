"""A venue for all tests of commands, and how to run them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from nadows.cli import main

NADOWS: Final = (sys.executable, "-m", "nadows")
NO_FOLDER: Final = str(Path(tempfile.gettempdir()) / "nadows-tests" / "no-such-folder")
CLEAN: Final = {
    name: value for name, value in os.environ.items() if not name.startswith(("NADOWS_", "NADO_", "NO_COLOR"))
} | {"XDG_CONFIG_HOME": NO_FOLDER, "XDG_CACHE_HOME": NO_FOLDER}
"""The environment without settings of whoever runs the tests."""

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def serve() -> Iterator[Callable[..., dict[str, Any]]]:
    """Start venues: call it with arguments of ``nadows serve`` to get the ready line."""
    processes: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> dict[str, Any]:
        process = subprocess.Popen(
            # Its input ends with us, so that a run which is killed leaves no venue behind.
            [*NADOWS, "serve", "--until-eof", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=CLEAN,
            text=True,
        )
        processes.append(process)
        assert process.stdout is not None
        line: dict[str, Any] = json.loads(process.stdout.readline())
        return line

    yield start
    for process in processes:
        process.terminate()
        process.wait(timeout=10)
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        process.stdout.close()


@pytest.fixture(scope="session")
def url(serve: Callable[..., dict[str, Any]]) -> str:
    """Base address of a busy venue that all tests share."""
    return str(serve("--limits", "off")["gateway"])


@pytest.fixture
def here(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Run a command in this process, for those that end before they connect."""
    for name in os.environ.keys() - CLEAN.keys():
        monkeypatch.delenv(name)
    for name, value in CLEAN.items():
        monkeypatch.setenv(name, value)
    terminate = signal.getsignal(signal.SIGTERM)

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        monkeypatch.setattr(sys, "argv", ["nadows", *arguments])
        with pytest.raises(SystemExit) as end:
            main()
        shown = capsys.readouterr()
        code = end.value.code
        assert isinstance(code, int)
        return subprocess.CompletedProcess(arguments, code, shown.out, shown.err)

    yield run
    signal.signal(signal.SIGTERM, terminate)


@pytest.fixture
def nadows() -> Run:
    """Run a command to its end, in a process of its own."""

    def run(
        *arguments: str, env: dict[str, str] | None = None, stdin: str | None = None, timeout: float = 60
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*NADOWS, *arguments],
            input=stdin or "",
            capture_output=True,
            env=CLEAN | (env or {}),
            text=True,
            timeout=timeout,
            check=False,
        )

    return run
