"""Another library in a process and environment of its own, asked in JSON lines.

What it runs is a script that imports nothing of nadows, such as `nadows.bench.fills_peer`; each line that it
reads is one request, and each that it writes is the answer. The process gets no keys or tokens of whoever
runs it, and ends when its input does.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from nadows.errors import NadowsError, UsageError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    class Verdict(DataclassInstance, Protocol):
        """A result that says whether what is demanded was reached."""

        @property
        def passed(self) -> bool:
            """Whether it was."""

    _ResultT = TypeVar("_ResultT", bound=Verdict)

__all__ = ["PEER_OPTIONS", "Peer", "PeerFailed", "peer_process", "run_beside"]

PEER_OPTIONS: Final = ("-I", "-W", "ignore")
"""Isolated, for the script's folder holds modules of ours; and without the complaints of old libraries."""
_ANSWER_S: Final = 60.0
_EXIT_S: Final = 10.0


class PeerFailed(NadowsError):
    """The other library ended, did not answer, or answered something else than JSON."""


class Peer:
    """A running peer; made by `peer_process`."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self.name = name
        self._process = process

    async def ask(self, **request: Any) -> dict[str, Any]:
        """Send one request and wait for its answer; one at a time.

        Raises:
            PeerFailed: If there is none, or it is an ``error``.
        """
        assert self._process.stdin is not None  # Pipes were asked for.
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            await self._process.stdin.drain()
            async with asyncio.timeout(_ANSWER_S):
                answer = json.loads(await self._process.stdout.readline())
        except (ConnectionError, ValueError, TimeoutError) as error:
            raise PeerFailed(f"{self.name} ended, or does not answer; its own words are above") from error
        if "error" in answer:
            raise PeerFailed(f"{self.name}: {answer['error']}")
        return dict(answer)


@asynccontextmanager
async def peer_process(name: str, python: str | Path, script: str | Path) -> AsyncIterator[Peer]:
    """Run a script with an interpreter of another environment, and end it with the block.

    Raises:
        UsageError: If it cannot be started.
    """
    environment = {key: os.environ[key] for key in ("PATH", "HOME", "LANG") if key in os.environ}
    command: Sequence[str | Path] = (python, *PEER_OPTIONS, script)
    try:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=PIPE, stdout=PIPE, env=environment, process_group=0
        )
    except OSError as error:
        raise UsageError(f"cannot start {python}: {error.strerror}; make makes that environment") from error
    try:
        yield Peer(name, process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        try:
            async with asyncio.timeout(_EXIT_S):
                await process.wait()
        except TimeoutError:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()


def run_beside(
    arguments: Sequence[str] | None,
    *,
    program: str,
    description: str,
    rounds: tuple[int, str],
    measure: Callable[[str, int], Coroutine[Any, Any, _ResultT]],
    render: Callable[[_ResultT], str],
) -> int:
    """Run a benchmark beside the official SDK from the command line.

    The table goes to stderr and the result, as JSON, to stdout.

    Args:
        arguments: Of the command line; ``None`` for the process's own.
        program: How it was called.
        description: What it measures.
        rounds: How many by default, and of what.
        measure: Takes the SDK's interpreter and the number of rounds.
        render: Writes the table.

    Returns:
        The exit code: 0 done, 1 less than demanded or a failure, 2 wrong usage.
    """
    default, unit = rounds
    parser = argparse.ArgumentParser(prog=program, description=description)
    parser.add_argument(
        "--sdk-python",
        required=True,
        metavar="PATH",
        help="interpreter of the environment that holds the SDK",
    )
    parser.add_argument("--rounds", type=int, default=default, help=f"{unit} (default {default})")
    options = parser.parse_args(arguments)
    if options.rounds < 1:
        parser.error(f"--rounds must be at least 1, got {options.rounds}")
    try:
        result = asyncio.run(measure(options.sdk_python, options.rounds))
    except NadowsError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2 if isinstance(error, UsageError) else 1
    sys.stderr.write(render(result) + "\n")
    sys.stdout.write(json.dumps(asdict(result) | {"passed": result.passed}, indent=2) + "\n")
    return 0 if result.passed else 1
