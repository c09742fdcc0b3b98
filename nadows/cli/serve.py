"""``nadows serve``: the simulated venue in a process of its own."""

from __future__ import annotations

import asyncio
import os
import sys
from enum import StrEnum
from fractions import Fraction
from pathlib import Path
from typing import Annotated

import typer

from nadows.cli.options import LogLevel, LogLevelOption, Quiet, parse_speed
from nadows.cli.output import Output, set_up_logging
from nadows.cli.run import run
from nadows.errors import UsageError
from nadows.network import TESTNET
from nadows.venue.exchange import ExchangeOptions
from nadows.venue.flow import FlowPreset
from nadows.venue.server import VenueOptions, calm_collector
from nadows.venue.server import serve as serve_venue
from nadows.venue.switches import Switches, list_switches, read_profile

__all__ = ["app"]

app = typer.Typer(rich_markup_mode=None, add_completion=False)


class _Switch(StrEnum):
    ON = "on"
    OFF = "off"


def _switches_help() -> str:
    """List the switches for ``--help``, as a block that is not wrapped."""
    rows = [f"  {each.name} = {_as_toml(each.default)}\n      {each.doc}" for each in list_switches()]
    return "\b\nWhat nobody knows of the real venue, for --profile (name = default):\n" + "\n".join(rows)


def _as_toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(list(value)) if isinstance(value, tuple) else str(value)


@app.command(epilog=_switches_help())
def serve(
    port: Annotated[int, typer.Option("--port", "-p", min=0, max=65535, help="0 for any that is free.")] = 0,
    host: Annotated[str, typer.Option("--host", help="Address of this machine to listen on.")] = "127.0.0.1",
    seed: Annotated[int, typer.Option("--seed", help="Of the background flow.")] = 0,
    flow: Annotated[
        FlowPreset, typer.Option("--flow", help="How busy the house is; off: quotes that stand still.")
    ] = FlowPreset.BUSY,
    limits: Annotated[_Switch, typer.Option("--limits", help="Whether rates are limited.")] = _Switch.ON,
    chain_id: Annotated[
        int, typer.Option("--chain-id", min=1, help="Chain that signatures name.")
    ] = TESTNET.chain_id,
    replay: Annotated[
        Path | None, typer.Option("--replay", help="Market data to play in place of its product's flow.")
    ] = None,
    speed: Annotated[str, typer.Option("--speed", help="How fast to play it: 1 is as recorded.")] = "1",
    profile: Annotated[
        Path | None, typer.Option("--profile", help="TOML file that sets switches; they are listed below.")
    ] = None,
    until_eof: Annotated[
        bool, typer.Option("--until-eof", hidden=True, help="End when standard input closes: for parents.")
    ] = False,
    quiet: Quiet = False,
    log_level: LogLevelOption = LogLevel.WARNING,
) -> None:
    """Run the simulated venue.

    Run until SIGTERM or Ctrl-C; the first line on standard output, once it listens, says where.
    """
    set_up_logging(log_level, quiet=quiet)
    options = VenueOptions(
        host=host,
        port=port,
        seed=seed,
        exchange=ExchangeOptions(
            flow=flow, limits=limits is _Switch.ON, chain_id=chain_id, switches=_switches(profile)
        ),
        replay=replay,
        speed=_pace(speed),
    )
    run(_serve(options, until_eof, Output(as_json=True, quiet=quiet)), until_stopped=True)


def _switches(profile: Path | None) -> Switches:
    if profile is None:
        return Switches()
    try:
        return read_profile(profile.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read the profile {profile}: {error}") from None


def _pace(text: str) -> Fraction:
    speed = parse_speed(text)
    if speed is None:
        raise UsageError("a venue plays to live clients, so it needs a speed, such as 1 or 10, and not max")
    return speed


async def _serve(options: VenueOptions, until_eof: bool, output: Output) -> None:
    async with serve_venue(options) as venue:
        output.json(venue.ready_line())
        output.flush()
        output.say(f"the venue listens on {venue.network.gateway}; Ctrl-C ends it")
        with calm_collector():
            async with asyncio.TaskGroup() as tasks:
                # It never ends by itself, unless a file that is played turns out to be damaged.
                failing = tasks.create_task(venue.failed(), name="nadows venue")
                if until_eof:
                    await _end_of_input()
                    failing.cancel()


async def _end_of_input() -> None:
    """Wait until the other end of standard input is closed, as happens when the parent process ends."""
    loop, stdin = asyncio.get_running_loop(), sys.stdin.fileno()
    ended = loop.create_future()

    def read() -> None:
        if not os.read(stdin, 4096) and not ended.done():
            ended.set_result(None)

    loop.add_reader(stdin, read)
    try:
        await ended
    finally:
        loop.remove_reader(stdin)
