"""A terminal taken over for a live picture, and given back as it was."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from logging.handlers import MemoryHandler
from types import TracebackType
from typing import Any, Final, Self

from rich.color import ColorSystem
from rich.console import Console
from rich.text import Text

__all__ = ["Screen", "ansi"]

_ENTER: Final = "\x1b[?1049h\x1b[?25l"
"""To the alternate screen, without a cursor."""
_LEAVE: Final = "\x1b[?25h\x1b[?1049l"
_BEGIN: Final = "\x1b[?2026h\x1b[H"
"""Terminals that know it show what follows at once when it ends; others ignore it."""
_END: Final = "\x1b[J\x1b[?2026l"
_LOG_LINES: Final = 10_000


_SYSTEMS: Final = {
    "standard": ColorSystem.STANDARD,
    "256": ColorSystem.EIGHT_BIT,
    "truecolor": ColorSystem.TRUECOLOR,
    "windows": ColorSystem.WINDOWS,
}


def ansi(picture: Text, console: Console) -> str:
    """Write a picture, whose lines fit already, with the escapes of a terminal.

    Printing it on the console would measure and wrap each line first, which costs four times as much.
    """
    system = None if console.color_system is None else _SYSTEMS[console.color_system]
    parts = []
    for text, style, _ in picture.render(console):
        if style is None:
            parts.append(text)
        else:
            shown = style.without_color if console.no_color else style
            parts.append(shown.render(text, color_system=system))
    return "".join(parts)


class Screen:
    """The alternate screen of a terminal, for the length of a ``with`` block.

    Each picture is one write, so that no half of one is ever seen. What is logged meanwhile is held
    back and comes out afterwards.
    """

    def __init__(self) -> None:
        self.draws = 0
        """Pictures drawn."""
        self._console = Console(file=sys.stdout)
        self._saved: list[Any] | None = None
        self._logs = _held_back_logs()

    def __enter__(self) -> Self:
        self._logs.__enter__()
        # It is None if it was closed.
        if sys.stdin is not None and sys.stdin.isatty():
            self._saved = termios.tcgetattr(sys.stdin)
            tty.setcbreak(sys.stdin)
        self._write(_ENTER)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._write(_LEAVE)
        finally:
            if self._saved is not None:
                termios.tcsetattr(sys.stdin, termios.TCSADRAIN, self._saved)
            self._logs.__exit__(kind, error, trace)

    @property
    def size(self) -> tuple[int, int]:
        """Columns and lines, as they are now."""
        size = os.get_terminal_size(sys.stdout.fileno())
        # A terminal that does not know says 0.
        return size.columns or 80, size.lines or 24

    def draw(self, picture: Text) -> None:
        """Show a picture in place of the one before."""
        # Each line clears what is left of the old one; the end clears the old lines below.
        self._write(_BEGIN + ansi(picture, self._console).replace("\n", "\x1b[K\n") + "\x1b[K" + _END)
        self.draws += 1

    @contextmanager
    def keys(self) -> Iterator[list[str]]:
        """Collect what is typed while the block runs, in a list to take it out of; needs an event loop."""
        typed: list[str] = []
        if self._saved is None:
            yield typed
            return
        loop, stdin = asyncio.get_running_loop(), sys.stdin.fileno()

        def read() -> None:
            typed.extend(os.read(stdin, 64).decode(errors="ignore"))

        loop.add_reader(stdin, read)
        try:
            yield typed
        finally:
            loop.remove_reader(stdin)

    @staticmethod
    def _write(text: str) -> None:
        sys.stdout.flush()
        # Past Python's own buffers: when a signal cut their write short, the rest was seen to be lost.
        data = text.encode(sys.stdout.encoding, errors="replace")
        while data:
            data = data[os.write(sys.stdout.fileno(), data) :]


@contextmanager
def _held_back_logs() -> Iterator[None]:
    """Keep log lines off the screen until the end."""
    root = logging.getLogger()
    handlers = root.handlers[:]
    holders = [
        MemoryHandler(_LOG_LINES, flushLevel=logging.CRITICAL + 1, target=handler) for handler in handlers
    ]
    root.handlers[:] = holders
    try:
        yield
    finally:
        root.handlers[:] = handlers
        for holder in holders:
            holder.close()
