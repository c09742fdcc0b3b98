"""Start a venue, run the SDK's checks against it, collect what they found."""

from __future__ import annotations

import asyncio
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Final

import msgspec

from nadows.embedded import embedded_venue
from nadows.errors import NadowsError
from nadows.network import Network
from nadows.venue.exchange import ExchangeOptions
from nadows.venue.flow import FlowPreset
from nadows.venue.server import VenueOptions, serve
from nadows.venue.switches import Switches

ROOT: Final = Path(__file__).resolve().parents[2]
DEFAULT_PYTHON: Final = ROOT / ".venv-sdk" / "bin" / "python"
TIMEOUT_S: Final = 60.0

OTHER_READING: Final = Switches(
    speed_bump_ms=30,
    batch_penalty_ms=50,
    place_orders_bare_list=False,
    submission_idx_as_string=True,
    fill_fields_in_order_update=False,
    signed_quantities=True,
    numeric_candle_time=True,
    funding_as_strings=True,
    failures_echo_id=False,
    v1_cancels_echo_id=False,
    cancel_and_place_echoes_id=False,
    one_unknown_digest_fails_all=False,
    evict_newest_session=False,
    list_names_default=False,
    funded_on_query=False,
)
"""Everything that nobody knows of the real venue, the other way round than by default."""


class Check(msgspec.Struct, frozen=True):
    """One line of `tests.interop.sdk_200`."""

    check: int
    of: int
    title: str
    ok: bool
    detail: str
    ms: int


class InteropFailed(NadowsError):
    """The checks did not run to their end."""


@asynccontextmanager
async def served() -> AsyncIterator[Network]:
    """`nadows serve` with its defaults, in a process of its own."""
    async with embedded_venue() as venue:
        died = asyncio.ensure_future(venue.died())
        try:
            yield venue.network
            if died.done():
                raise InteropFailed(died.result())
        finally:
            died.cancel()


@asynccontextmanager
async def other_reading() -> AsyncIterator[Network]:
    """The same venue as a library, quiet, and with all its `Switches` the other way round."""
    options = VenueOptions(exchange=ExchangeOptions(flow=FlowPreset.OFF, switches=OTHER_READING))
    async with serve(options) as venue:
        yield venue.network


VENUES: Final[dict[str, Callable[[], AbstractAsyncContextManager[Network]]]] = {
    "nadows serve": served,
    "the other reading of everything unknown": other_reading,
}


async def run_checks(sdk_python: Path, network: Network) -> list[Check]:
    """Run all checks with the SDK's Python against *network*.

    Raises:
        InteropFailed: If they end early or do not end at all; with what they wrote.
    """
    ready = msgspec.json.encode(network.ready_line()).decode()
    process = await asyncio.create_subprocess_exec(
        sdk_python,
        *("-W", "ignore", "-m", "tests.interop.sdk_200", ready),
        cwd=ROOT,
        stdout=PIPE,
        stderr=PIPE,
    )
    try:
        async with asyncio.timeout(TIMEOUT_S):
            output, errors = await process.communicate()
    except TimeoutError:
        process.kill()
        output, errors = await process.communicate()
        last = f"{_last(output)}\n{_last(errors)}"
        raise InteropFailed(
            f"the checks did not end within {TIMEOUT_S:.0f} s; the last lines:\n{last}"
        ) from None
    try:
        checks = [msgspec.json.decode(line, type=Check) for line in output.splitlines()]
    except msgspec.MsgspecError as error:
        raise InteropFailed(f"a line is no check ({error}); the last lines:\n{_last(output)}") from None
    numbers = [check.check for check in checks]
    if not checks or numbers != list(range(1, checks[0].of + 1)):
        raise InteropFailed(f"the checks ended early, after {numbers[-1:]}:\n{_last(errors)}")
    return checks


def _last(output: bytes) -> str:
    return "\n".join(output.decode(errors="replace").splitlines()[-10:])
