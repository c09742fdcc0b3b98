"""The command line: ``nadows COMMAND``.

A command parses, calls the library, and prints; errors become exit codes here. Each is a module of its own
with a Typer application called ``app``, imported when it is run: ``nadows --help`` loads none of them.
"""

from __future__ import annotations

import os
import signal
import sys
from importlib import import_module
from types import FrameType
from typing import Annotated, Any, Final, NamedTuple, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup

from nadows import __version__
from nadows.errors import NadowsError, UsageError, VenueError

__all__ = ["COMMANDS", "app", "exit_code", "main"]


class _Entry(NamedTuple):
    module: str
    help: str
    """First line of the command's own help; a test holds them equal."""


COMMANDS: Final = {
    "auth": _Entry("nadows.cli.auth", "Authenticate, and say what the venue makes of the key."),
    "tail": _Entry("nadows.cli.tail", "Print events as they come, and record them."),
    "book": _Entry("nadows.cli.book", "Show the live order book of a product."),
    "watch": _Entry("nadows.cli.watch", "Watch one's own orders, fills, positions and PnL."),
    "symbols": _Entry(
        "nadows.cli.symbols", "List the products of the venue, with their increments and limits."
    ),
    "replay": _Entry("nadows.cli.replay", "Play a capture or market data through the client's own machines."),
    "bench": _Entry("nadows.cli.bench", "Measure orders a second, and the latency of each."),
    "serve": _Entry("nadows.cli.serve", "Run the simulated venue."),
    "doctor": _Entry("nadows.cli.doctor", "Check what works from here, and say what to do about the rest."),
    "config": _Entry("nadows.cli.config", "Show which settings count, and where each comes from."),
}


class _Commands(TyperGroup):
    """A group that knows its commands by name and imports the one that is called."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        for name, entry in COMMANDS.items():
            self.add_command(TyperCommand(name, help=entry.help), name)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Put the real command in the place of its name."""
        entry = COMMANDS.get(args[0])
        if entry is not None:
            command = typer.main.get_command(import_module(entry.module).app)
            command.name = args[0]
            self.add_command(command, args[0])
        return super().resolve_command(ctx, args)

    def make_context(self, *args: Any, **settings: Any) -> Any:
        """Parse the command line; the help that is printed here may meet a closed pipe."""
        try:
            return super().make_context(*args, **settings)
        except BrokenPipeError:
            raise _PipeClosed from None

    def invoke(self, ctx: Any) -> Any:
        """Run the command, and turn what it raises into a message and an exit code."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise _PipeClosed from None
        except (NadowsError, ExceptionGroup) as error:
            raise typer.Exit(_report(error)) from error


class _PipeClosed(Exception):
    """Whoever read the output has had enough."""


def exit_code(error: NadowsError) -> int:
    """Say how a command ends that raised *error*: see the table in docs/usage.md."""
    if isinstance(error, UsageError):
        return 2
    return 3 if isinstance(error, VenueError) else 1


def _report(error: NadowsError | ExceptionGroup) -> int:
    """Print an error as a sentence. What is not ours is a defect, and keeps its traceback."""
    while isinstance(error, ExceptionGroup):
        first = error.exceptions[0]
        if not isinstance(first, NadowsError | ExceptionGroup):
            raise error
        error = first
    prefix = "the venue refused: " if isinstance(error, VenueError) else ""
    typer.echo(f"nadows: {prefix}{error}", err=True)
    return exit_code(error)


app = typer.Typer(
    cls=_Commands,
    # Plain help: rich's costs more to draw than all the rest of `nadows --help` together.
    rich_markup_mode=None,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"nadows {__version__}")
        raise typer.Exit


@app.callback(
    epilog="Without --network or --url, commands run against a venue of their own with paper money."
)
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version and exit."),
    ] = False,
) -> None:
    """Client, benchmark and simulated venue for the WebSocket API of Nado."""


def main() -> NoReturn:
    """Run the command line and exit with its code."""
    signal.signal(signal.SIGTERM, _terminated)
    code: int | str | None = 0
    try:
        app(prog_name="nadows")
    except SystemExit as end:
        code = end.code
    except KeyboardInterrupt:
        code = 130
    except _PipeClosed:
        pass
    except OSError as error:
        typer.echo(f"nadows: {error}", err=True)
        code = 1
    sys.exit(_flushed(code))


def _flushed(code: int | str | None) -> int | str | None:
    """Write out what is buffered while a failure can still be handled; return how to exit."""
    try:
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # Whoever read the output has had enough.
        pass
    except OSError as error:
        typer.echo(f"nadows: cannot write the output: {error.strerror}", err=True)
        code = code or 1
    # The interpreter would try once more, and complain.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return code


def _terminated(number: int, frame: FrameType | None) -> NoReturn:
    # Unwinds what is in progress; commands that run an event loop take the signal over.
    sys.exit(130)
