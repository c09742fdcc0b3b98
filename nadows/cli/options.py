"""Options that several commands share, and how their texts are read."""

from __future__ import annotations

import enum
import re
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Annotated, Final

import typer

from nadows.errors import UsageError

__all__ = [
    "AsJson",
    "LogLevel",
    "LogLevelOption",
    "NetworkName",
    "NetworkOption",
    "Quiet",
    "UrlOption",
    "parse_duration",
    "parse_speed",
]


class LogLevel(enum.StrEnum):
    """How much is logged on standard error."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class NetworkName(enum.StrEnum):
    """Which venue to talk to; of `nadows bench` alone, which knows no profiles and loads no exchange."""

    SIM = "sim"
    TESTNET = "testnet"
    MAINNET = "mainnet"


AsJson = Annotated[
    bool, typer.Option("--json", help="Print newline-delimited JSON, as in a pipe, also on a terminal.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing on standard error but errors.")]
LogLevelOption = Annotated[
    LogLevel, typer.Option("--log-level", envvar="NADOWS_LOG_LEVEL", help="What to log on standard error.")
]


def _network_given(ctx: typer.Context, value: NetworkName) -> NetworkName:
    if {"COMMANDLINE"} == {_source(ctx, "network"), _source(ctx, "url")}:
        raise UsageError("--network and --url both name a venue: give one of them")
    return value


def _url_given(ctx: typer.Context, value: str | None) -> str | None:
    _network_given(ctx, NetworkName.SIM)
    # What is typed now outweighs what was set some time ago.
    is_outweighed = _source(ctx, "network") == "COMMANDLINE" and _source(ctx, "url") == "ENVIRONMENT"
    return None if is_outweighed else value


def _source(ctx: typer.Context, parameter: str) -> str | None:
    source = ctx.get_parameter_source(parameter)
    return source.name if source is not None else None


NetworkOption = Annotated[
    NetworkName,
    typer.Option(
        "--network",
        envvar=["NADOWS_NETWORK", "NADO_MODE"],
        callback=_network_given,
        help="sim: a venue of this command's own, paper money; or an exchange.",
    ),
]
UrlOption = Annotated[
    str | None,
    typer.Option(
        "--url",
        envvar="NADOWS_URL",
        callback=_url_given,
        help="A venue such as http://127.0.0.1:8080, as `nadows serve` runs it.",
    ),
]
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)?", re.ASCII).fullmatch
_SECONDS: Final = {
    "ms": Decimal("0.001"),
    "s": Decimal(1),
    "m": Decimal(60),
    "h": Decimal(3600),
    None: Decimal(1),
}


def parse_duration(text: str) -> float:
    """Read a time such as ``10s``, ``500ms``, ``2m``, ``1.5h`` or ``30`` as seconds.

    Raises:
        UsageError: If it is none, or not more than nothing.
    """
    found = _DURATION(text.strip())
    seconds = Decimal(found[1]) * _SECONDS[found[2]] if found else Decimal(0)
    if not seconds:
        raise UsageError(f"a duration is a number with ms, s, m or h, such as 10s or 500ms, got {text!r}")
    return float(seconds)


def parse_speed(text: str) -> Fraction | None:
    """Read how many times faster than recorded: a positive number, or ``max`` (``None``: without waiting).

    Raises:
        UsageError: If it is neither.
    """
    if text.strip().lower() == "max":
        return None
    try:
        speed = Fraction(Decimal(text))
    except (InvalidOperation, ValueError, OverflowError):
        speed = Fraction(0)
    if speed <= 0:
        raise UsageError(f"a speed is a positive number, such as 1 or 10, or max, got {text!r}")
    return speed
