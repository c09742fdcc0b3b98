"""Kill a trading client again and again, and see whether its journal keeps its promise.

    python -m tests.journal.crashes --kills 50

A venue runs in one process, a client with a journal trades in another, and this one kills that at random
moments (SIGKILL) and starts it again, while another session of the same wallet goes on trading. The client's
application notes each fill it is told in a file of its own and then confirms it. In the end:

* the journal holds every fill that the venue's archive has, each once;
* the application was told every one of them, and none twice without being warned (`JournaledFill`);
* of those it was told with a warning, it knew at most one in each life: the one that it had noted and not
  confirmed when it was killed;
* every order of the journal that the venue has filled is known as filled.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

from nadows.client import Client, connect
from nadows.embedded import embedded_venue
from nadows.errors import NadowsError
from nadows.journal.file import JournalFile, read_journal
from nadows.journal.journal import Sync
from nadows.journal.records import FillRecord, Watermark
from nadows.messages import Fill, SymbolsQuery
from nadows.messages.archive import Matches, MatchesQuery, decode_archive_answer, encode_archive_request
from nadows.network import Network
from nadows.rest import Rest
from nadows.signing import OrderType, Signer, Subaccount

__all__ = ["Outcome", "crash_again_and_again"]

SIGNER: Final = Signer(b"\x0b" * 32)
OWN: Final = Subaccount.of(SIGNER.address).hex
LIFE: Final = "life"
"""Line of the notes that begins a life."""
_PAGE: Final = 400
_STARTS_IN_S: Final = 60
_PAUSE_S: Final = 0.004
_SETTLE_S: Final = 0.5


class Outcome(NamedTuple):
    """What a run showed."""

    kills: int
    fills: int
    repeated: int
    """Fills that were told again, with a warning, to an application that knew them."""
    torn: int
    """Kills that left a line cut short."""
    problems: tuple[str, ...]


# -- the client that is killed -------------------------------------------------------------------


async def live(url: str, folder: Path, sync: Sync, until: int | None) -> None:
    """Trade until killed; or, with *until*, only listen until the journal holds so many fills."""
    notes = os.open(folder / "notes", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(notes, f"{LIFE}\n".encode())
    file = JournalFile(path=folder / "journal", sync=sync, compact_bytes=2**30)
    async with connect(Network.from_url(url), SIGNER, journal=file) as client:
        os.write(notes, f"torn {client.journal.torn_bytes}\n".encode())

        def told(fill: Any) -> None:
            os.write(notes, f"{fill.source} {fill.index} {fill.order_digest}\n".encode())
            client.journal.confirm(fill)

        client.on(told, types=[Fill])
        client.redeliver()
        print("ready", flush=True)
        if until is None:
            await trade(client, random.Random())
            return
        async with asyncio.timeout(_STARTS_IN_S):
            while client.journal.fill_count < until or is_unsettled(client):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        orders = {order.digest: order.status.value for order in client.account.orders.values()}
        (folder / "orders").write_text(json.dumps(orders))


def is_unsettled(client: Client) -> bool:
    """Tell whether an order that was filled is not known to be; what the venue never had may stay unknown."""
    return any(order.cum_qty and not order.is_done for order in client.account.orders.values())


async def trade(client: Client, rng: random.Random) -> None:
    """Place orders that are filled at once, for ever."""
    while True:
        buy = rng.random() < 0.5
        amount, price = ("0.05", "4000") if buy else ("-0.05", "2000")
        order = client.limit_order("ETH", amount, price, order_type=OrderType.IOC)
        with suppress(NadowsError):
            await client.place_order(order)
        await asyncio.sleep(rng.random() * _PAUSE_S)


# -- the process that kills it -------------------------------------------------------------------


async def crash_again_and_again(folder: Path, kills: int, rng: random.Random, sync: Sync) -> Outcome:
    """Let a client live and die *kills* times in an empty *folder*, then look at what is left."""
    async with embedded_venue(flow="off", limits="off") as venue:
        url = venue.network.gateway
        async with connect(venue.network, SIGNER) as other:
            trading = asyncio.create_task(trade(other, rng))
            for _ in range(kills):
                child = await start(url, folder, sync)
                await asyncio.sleep(rng.random() * 0.4)
                os.kill(child.pid, signal.SIGKILL)
                await child.wait()
            trading.cancel()
            with suppress(asyncio.CancelledError):
                await trading
            # Requests of the last life may still be on their way.
            await other.query(SymbolsQuery())
            await asyncio.sleep(_SETTLE_S)
        expected = await record_of(venue.network)
        # What the other session traded before the first life is history to the client.
        records = read_journal(folder / "journal").records
        began = next(record.index for record in records if isinstance(record, Watermark))
        expected = {key for key in expected if key[0] > began}
        child = await start(url, folder, sync, until=len(expected))
        await child.wait()
    return judge(folder, kills, expected)


async def start(url: str, folder: Path, sync: Sync, until: int | None = None) -> asyncio.subprocess.Process:
    """Start a life, and wait until it trades."""
    arguments = ["--live", url, "--folder", str(folder), "--sync", sync.value]
    if until is not None:
        arguments += ["--until", str(until)]
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.journal.crashes", *arguments, stdout=asyncio.subprocess.PIPE
    )
    assert child.stdout is not None
    async with asyncio.timeout(_STARTS_IN_S):
        line = await child.stdout.readline()
    if line != b"ready\n":
        raise AssertionError(f"a life did not begin: {line!r}")
    return child


async def record_of(network: Network) -> set[tuple[int, str]]:
    """Ask the venue's archive for every own fill."""
    rest = Rest(10**10)
    found: set[tuple[int, str]] = set()
    query = MatchesQuery(subaccounts=(OWN,), limit=_PAGE)
    try:
        while True:
            answer: Matches = decode_archive_answer(
                await rest.post(network.archive, encode_archive_request(query)), query
            )
            found |= {match.key for match in answer.matches}
            if len(answer.matches) < _PAGE:
                return found
            query = MatchesQuery(
                subaccounts=(OWN,), limit=_PAGE, idx=min(each.submission_idx for each in answer.matches)
            )
    finally:
        await rest.close()


def journaled(folder: Path) -> list[Fill]:
    """Read the fills of the journal."""
    records = read_journal(folder / "journal").records
    return [record.told() for record in records if isinstance(record, FillRecord)]


def judge(folder: Path, kills: int, expected: set[tuple[int, str]]) -> Outcome:
    """Compare what the journal holds and what the application was told with the venue's record."""
    problems = []
    held = [fill.key for fill in journaled(folder)]
    if len(held) != len(set(held)) or set(held) != expected:
        problems.append(
            f"the journal holds {len(held)} fills, {len(set(held))} of them different, not {len(expected)}"
        )
    told: set[tuple[int, str]] = set()
    repeated, in_this_life, torn = 0, 0, 0
    for line in (folder / "notes").read_text().splitlines():
        source, *rest = line.split()
        if source == LIFE:
            in_this_life = 0
        elif source == "torn":
            torn += rest[0] != "0"
        else:
            key = (int(rest[0]), rest[1])
            if key in told:
                repeated, in_this_life = repeated + 1, in_this_life + 1
                if source != "journal":
                    problems.append(f"{key} was told twice, the second time as {source}")
                if in_this_life > 1:
                    problems.append(f"{key} was confirmed and told again")
            told.add(key)
    if told != expected:
        problems.append(f"{len(expected - told)} fills were not told, {len(told - expected)} did not happen")
    if not (folder / "orders").exists():
        return Outcome(
            kills, len(expected), repeated, torn, (*problems, "the last life did not find everything")
        )
    filled = {digest for _, digest in expected}
    orders = json.loads((folder / "orders").read_text())
    problems += [
        f"order {digest[:10]} is {status}"
        for digest, status in orders.items()
        if (status == "filled") != (digest in filled)
    ]
    return Outcome(kills, len(expected), repeated, torn, tuple(problems))


def main() -> int:
    """Live a life, or kill many; 0 if nothing was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.journal.crashes")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0, help="of when they fall")
    parser.add_argument("--sync", type=Sync, default=Sync.NEVER, help="always, interval or never")
    parser.add_argument("--live", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--until", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.live is not None:
        asyncio.run(live(asked.live, asked.folder, asked.sync, asked.until))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        outcome = asyncio.run(
            crash_again_and_again(Path(folder), asked.kills, random.Random(asked.seed), asked.sync)
        )
    print(
        f"{outcome.kills} kills, {outcome.fills} fills, {outcome.repeated} told again with a warning, "
        f"{outcome.torn} lines cut short; {len(outcome.problems)} problems"
    )
    for problem in outcome.problems[:20]:
        print(f"    {problem}")
    return 1 if outcome.problems else 0


if __name__ == "__main__":
    sys.exit(main())
