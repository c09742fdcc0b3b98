"""What commands write: data to standard output, everything else to standard error."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import msgspec
import typer
from rich.console import Console
from rich.text import Text

from nadows.cli.options import LogLevel
from nadows.errors import NadowsError

__all__ = ["Output", "set_up_logging"]

_ENCODER: Final = msgspec.json.Encoder()


def set_up_logging(level: LogLevel, *, quiet: bool = False) -> None:
    """Log to standard error; errors alone, if it shall be quiet."""
    logging.basicConfig(
        stream=sys.stderr,
        level="ERROR" if quiet else level.upper(),
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )


class Output:
    """Where a command's data and its remarks go.

    Args:
        as_json: Print JSON also on a terminal; elsewhere it is JSON anyhow.
        quiet: Make no remarks.
    """

    def __init__(self, *, as_json: bool = False, quiet: bool = False) -> None:
        self.as_json = as_json or not sys.stdout.isatty()
        """Whether standard output gets newline-delimited JSON."""
        self.quiet = quiet
        self._console: Console | None = None

    def raw(self, line: bytes) -> None:
        """Write one JSON text as a line. Buffered; see `flush`."""
        with _readable_failure():
            sys.stdout.buffer.write(line + b"\n")

    def json(self, value: Any) -> None:
        """Write a value as one line of JSON."""
        self.raw(_ENCODER.encode(value))

    def text(self, text: Text | str) -> None:
        """Write styled text for a person, never wrapped."""
        with _readable_failure():
            self.console.print(text, soft_wrap=True, highlight=False, markup=False)

    @property
    def console(self) -> Console:
        """The terminal; honours ``NO_COLOR``."""
        if self._console is None:
            self._console = Console(file=sys.stdout)
        return self._console

    def flush(self) -> None:
        """Let readers have what was written."""
        with _readable_failure():
            sys.stdout.flush()

    def say(self, remark: str) -> None:
        """Tell the person at the terminal, on standard error, unless they asked for quiet."""
        if not self.quiet:
            typer.echo(remark, err=True)


@contextmanager
def _readable_failure() -> Iterator[None]:
    """Turn a full disk behind standard output into an error for people; a closed pipe is none."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise NadowsError(f"cannot write the output: {error.strerror or error}") from error
