"""The embedded venue: ``nadows serve`` as a child that lives as long as somebody needs it.

The child has a process group of its own, so that Ctrl-C reaches the parent alone, which then ends things in
order. Its standard input is a pipe from the parent: when the parent is gone, however it went, the pipe closes
and the child ends too (``--until-eof``).
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import IO, Any, Final

import msgspec

from nadows.errors import ConnectFailed, UsageError
from nadows.keys import KEY_VARIABLES
from nadows.network import Network

__all__ = ["EmbeddedVenue", "embedded_venue"]

_READY_S: Final = 30.0
"""How long a child may take to be ready: mostly imports, on a machine that is busy with other things."""
_END_S: Final = 5.0
"""How long a child may take to end by itself."""
_TOLD: Final = 2_000
"""How much of what a failed child wrote is shown (bytes)."""


class EmbeddedVenue:
    """A running venue; made by `embedded_venue`."""

    def __init__(self, network: Network, process: Process, errors: IO[bytes]) -> None:
        self.network = network
        self.pid = process.pid
        self._process = process
        self._errors = errors

    async def died(self) -> str:
        """Wait until the child ends, which it should not do by itself; return what it said."""
        code = await self._process.wait()
        return f"the embedded venue ended with code {code}{_said(self._errors)}"


@asynccontextmanager
async def embedded_venue(
    *, flow: str | None = None, seed: int | None = None, limits: str | None = None, extra: Sequence[str] = ()
) -> AsyncIterator[EmbeddedVenue]:
    """Start a venue on a free port of this machine, and end it with the block.

    Args:
        flow: How busy its background flow is; see ``nadows serve --flow``.
        seed: Of the flow.
        limits: ``on`` or ``off``: whether it limits rates.
        extra: Further arguments of ``nadows serve``.

    Raises:
        ConnectFailed: If it ends, or is not ready in time; with what it wrote.
    """
    options = {"--flow": flow, "--seed": seed, "--limits": limits}
    arguments = [text for name, value in options.items() if value is not None for text in (name, str(value))]
    with tempfile.TemporaryFile() as errors:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "nadows", "serve", "--port", "0", "--until-eof", "--quiet", *arguments, *extra),
            stdin=PIPE,
            stdout=PIPE,
            stderr=errors,
            # It signs nothing, so it gets no key.
            env={name: value for name, value in os.environ.items() if name not in KEY_VARIABLES},
            process_group=0,
        )
        try:
            yield EmbeddedVenue(await _ready(process, errors), process, errors)
        finally:
            await _end(process)


async def _ready(process: Process, errors: IO[bytes]) -> Network:
    assert process.stdout is not None
    try:
        async with asyncio.timeout(_READY_S):
            line = await process.stdout.readline()
            if not line:
                await process.wait()
    except TimeoutError:
        raise ConnectFailed(
            f"the embedded venue was not ready within {_READY_S:.0f} s{_said(errors)}; "
            "try again, or start `nadows serve` yourself and use --url"
        ) from None
    if not line:
        raise ConnectFailed(f"the embedded venue ended with code {process.returncode}{_said(errors)}")
    try:
        return Network.from_ready_line(msgspec.json.decode(line, type=dict[str, Any]))
    except (msgspec.MsgspecError, UsageError) as error:
        raise ConnectFailed(f"the embedded venue says {line[:200]!r}: {error}") from error


async def _end(process: Process) -> None:
    """Close the child's standard input, which ends it; insist if it does not."""
    assert process.stdin is not None
    process.stdin.close()
    for insist in (process.terminate, process.kill):
        try:
            async with asyncio.timeout(_END_S):
                await process.wait()
                return
        except TimeoutError:
            insist()
    await process.wait()


def _said(errors: IO[bytes]) -> str:
    """Quote the last words of a child's standard error."""
    size = errors.seek(0, 2)
    errors.seek(max(0, size - _TOLD))
    text = errors.read().decode(errors="replace").strip()
    return f": {text}" if text else ""
