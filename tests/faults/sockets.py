"""The same faults on real sockets: a client and a venue in one loop, a proxy before each of its addresses.

    python -m tests.faults.sockets                  some minutes of every fault at random, under load
    python -m tests.faults.sockets --faults 50 --kinds cut reset

Exits 1 if anything was lost, doubled or left behind. Times depend on the machine here, so a seed repeats what
is done, and not what comes of it; `tests.faults.campaign` is the one that repeats.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import sys
import threading
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from nadows.account import OrderStatus
from nadows.book import Book
from nadows.client import Client, Tap, connect
from nadows.desk import ARCHIVE, GATEWAY, STREAMS, Reconnected
from nadows.errors import NadowsError
from nadows.lifecycle import LifeOptions, LifeState
from nadows.messages import Fill
from nadows.signing import OrderType, Signer
from nadows.units import from_x18
from nadows.venue.exchange import ExchangeOptions
from nadows.venue.flow import FlowPreset
from nadows.venue.server import VenueOptions, VenueServer, serve
from tests.faults.proxy import Proxy, Way, http_answer, proxy
from tests.faults.truth import check_fills, check_orders, true_fills
from tests.faults.world import TIMINGS

__all__ = [
    "KINDS",
    "LIFE",
    "Lag",
    "Left",
    "Outcome",
    "Stage",
    "lag",
    "left",
    "port_of",
    "stage",
    "storm",
    "until",
]

MS: Final = 1_000_000
PRODUCT: Final = 4
OWN, OTHER = Signer(b"\x07" * 32), Signer(b"\x09" * 32)
LIFE: Final = LifeOptions(
    base_ns=50 * MS,
    cap_ns=500 * MS,
    quiet_ns=400 * MS,
    probe_ns=400 * MS,
    proven_ns=100 * MS,
    # The proxies end what they hold; a place at the venue is not taken for long.
    ghost_ns=1_000 * MS,
)
CONNECT_NS: Final = 500 * MS
PING_NS: Final = 300 * MS
PONG_NS: Final = 400 * MS
SETTLE_S: Final = 30
"""How long everything may take to be in order again."""


async def until(condition: Callable[[], bool], within_s: float = SETTLE_S) -> None:
    """Wait for a condition. Raises TimeoutError."""
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


class Lag:
    """How long the loop did not get to run: the machine's part of any delay that is measured."""

    def __init__(self) -> None:
        self.lost_s = 0.0


@asynccontextmanager
async def lag() -> AsyncIterator[Lag]:
    """Measure the loop's pauses for as long as the block lasts."""
    measured, clock = Lag(), asyncio.get_running_loop().time

    async def watch() -> None:
        while True:
            began = clock()
            await asyncio.sleep(0.01)
            measured.lost_s += max(clock() - began - 0.015, 0)

    task = asyncio.create_task(watch(), name="lag")
    try:
        yield measured
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class Left(NamedTuple):
    """What a client could leave behind."""

    tasks: frozenset[str]
    descriptors: int
    threads: int


def left() -> Left:
    """Look at this process now."""
    tasks = frozenset(task.get_name() for task in asyncio.all_tasks())
    return Left(tasks, len(os.listdir("/proc/self/fd")), threading.active_count())


# -- the stage -----------------------------------------------------------------------------------


@dataclass
class Stage:
    """A venue, and a client whose every address leads through a proxy of its own."""

    server: VenueServer
    relays: dict[str, Proxy]
    """By line."""
    client: Client
    fills: list[Fill] = field(default_factory=list)
    """Everything delivered, in order."""

    @property
    def is_live(self) -> bool:
        """Whether both lines and the book are there."""
        lines = all(state in (LifeState.LIVE, LifeState.DEGRADED) for state in self.client.lines.values())
        return lines and all(book.is_live for book in self.client.desk.books.values())

    async def heal(self) -> None:
        """End every fault."""
        for relay in self.relays.values():
            await relay.heal()

    def problems(self) -> list[str]:
        """Name what is not in order, all the client's knowledge held against the venue's."""
        account, exchange = self.client.account, self.server.exchange
        problems = check_fills(self.fills, true_fills(exchange, account.subaccount))
        problems += check_orders(account, exchange)
        problems += [] if self.is_live else [f"not live: {self.client.lines}"]
        problems += [
            f"book {book.product_id} is wrong"
            for book in self.client.desk.books.values()
            if self._differs(book)
        ]
        if self.client.desk.recovery is not None and self.client.desk.recovery.in_doubt:
            problems.append("orders are in doubt")
        return problems

    def _differs(self, book: Book) -> bool:
        market = self.server.exchange.engine.markets[book.product_id]
        sides = ((book.bids, market.book.bids), (book.asks, market.book.asks))
        return book.max_timestamp != market.changed_ns or any(
            ours.top(20) != theirs.depth(20) for ours, theirs in sides
        )


@asynccontextmanager
async def stage(
    flow: FlowPreset = FlowPreset.OFF,
    *,
    keyed: bool = True,
    seed: int = 0,
    client_of: AsyncExitStack | None = None,
    tap: Tap | None = None,
) -> AsyncIterator[Stage]:
    """Set the stage; the client has a live book and is subscribed to its own events.

    Args:
        flow: Of the venue.
        keyed: Whether the client has a key.
        seed: Of the venue's flow and the client's jitter.
        client_of: Ends the client before everything else, if given.
        tap: Records the client.
    """
    async with AsyncExitStack() as stack:
        options = VenueOptions(exchange=ExchangeOptions(flow=flow), seed=seed)
        server = await stack.enter_async_context(serve(options))
        port = port_of(server.network.subscribe)
        relays = {name: await stack.enter_async_context(proxy(port)) for name in (STREAMS, GATEWAY, ARCHIVE)}
        network = replace(
            server.network,
            subscribe=server.network.subscribe.replace(str(port), str(relays[STREAMS].port)),
            ws_v2=server.network.ws_v2.replace(str(port), str(relays[GATEWAY].port)),
            archive=server.network.archive.replace(str(port), str(relays[ARCHIVE].port)),
        )
        connecting = connect(
            network,
            OWN if keyed else None,
            life=LIFE,
            timings=TIMINGS,
            connect_timeout_ns=CONNECT_NS,
            ping_interval_ns=PING_NS,
            pong_timeout_ns=PONG_NS,
            seed=seed,
            tap=tap,
        )
        client = await (client_of or stack).enter_async_context(connecting)
        set_up = Stage(server, relays, client)
        client.on(lambda event: set_up.fills.append(event) if isinstance(event, Fill) else None)
        await client.book(PRODUCT)
        yield set_up


def port_of(url: str) -> int:
    """Read the port of a URL."""
    return urlsplit(url).port or 0


# -- faults --------------------------------------------------------------------------------------


async def _cut(relay: Proxy, rng: random.Random) -> None:
    relay.cut()


async def _reset(relay: Proxy, rng: random.Random) -> None:
    relay.reset()


async def _reset_in_frame(relay: Proxy, rng: random.Random) -> None:
    relay.reset_in_frame()


async def _half_open(relay: Proxy, rng: random.Random) -> None:
    relay.half_open()


async def _for_a_while(relay: Proxy, rng: random.Random) -> None:
    await asyncio.sleep(rng.uniform(0.1, 1.5))
    await relay.heal()


async def _stall_down(relay: Proxy, rng: random.Random) -> None:
    relay.stall(Way.DOWN)
    await _for_a_while(relay, rng)


async def _stall_up(relay: Proxy, rng: random.Random) -> None:
    relay.stall(Way.UP)
    await _for_a_while(relay, rng)


async def _stall_both(relay: Proxy, rng: random.Random) -> None:
    relay.stall(*Way)
    await _for_a_while(relay, rng)


async def _slow(relay: Proxy, rng: random.Random) -> None:
    relay.rate = rng.choice([500, 5_000])
    await _for_a_while(relay, rng)


async def _refuse(relay: Proxy, rng: random.Random) -> None:
    relay.refuse()
    relay.cut()
    await _for_a_while(relay, rng)


async def _hang(relay: Proxy, rng: random.Random) -> None:
    relay.hangs = True
    relay.reset()
    await _for_a_while(relay, rng)


async def _answer_otherwise(relay: Proxy, rng: random.Random) -> None:
    status = rng.choice([200, 403, 429, 503])
    relay.answer = http_answer(status, retry_after_s=rng.choice([None, 1]))
    relay.cut()
    await _for_a_while(relay, rng)


KINDS: Final[dict[str, Callable[[Proxy, random.Random], Awaitable[None]]]] = {
    "cut": _cut,
    "reset": _reset,
    "reset_in_frame": _reset_in_frame,
    "half_open": _half_open,
    "stall_down": _stall_down,
    "stall_up": _stall_up,
    "stall_both": _stall_both,
    "slow": _slow,
    "refuse": _refuse,
    "hang": _hang,
    "answer_otherwise": _answer_otherwise,
}


# -- the storm -----------------------------------------------------------------------------------


class Outcome(NamedTuple):
    """What a storm showed."""

    faults: Counter[str]
    reconnects: int
    fills: int
    late: int
    orders: int
    problems: list[str]


async def storm(faults: int, kinds: tuple[str, ...], seed: int = 0) -> Outcome:
    """Trade on both sides while one fault follows the other."""
    rng, done = random.Random(seed), Counter[str]()
    async with stage(FlowPreset.CALM, seed=seed) as on, connect(on.server.network, OTHER) as other:
        back: list[Any] = []
        on.client.on(back.append, types=[Reconnected])
        await other.book(PRODUCT)
        async with asyncio.TaskGroup() as tasks:
            work = [
                tasks.create_task(_trade(on, random.Random(seed + 1))),
                tasks.create_task(_counter(on, other, random.Random(seed + 2))),
            ]
            for _ in range(faults):
                await asyncio.sleep(rng.uniform(0, 0.3))
                kind, line = rng.choice(kinds), rng.choice((STREAMS, GATEWAY, STREAMS, GATEWAY, ARCHIVE))
                done[f"{kind} {line}"] += 1
                await KINDS[kind](on.relays[line], rng)
                await until(lambda: on.is_live)
            for each in work:
                each.cancel()
        await on.heal()
        # The house goes home, so that the book can be compared level by level.
        on.server.exchange._flow = None
        with suppress(TimeoutError):
            await until(lambda: not on.problems())
        recovery = on.client.desk.recovery
        return Outcome(
            faults=done,
            reconnects=len(back),
            fills=len(on.fills),
            late=recovery.late_fills if recovery is not None else 0,
            orders=len(on.client.account.orders),
            problems=on.problems(),
        )


async def _trade(on: Stage, rng: random.Random) -> None:
    """Place and cancel orders of one's own near the touch."""
    while True:
        await asyncio.sleep(rng.expovariate(8))
        top = on.server.exchange.engine.markets[PRODUCT].top()
        buy = rng.random() < 0.5
        price = (top.bid_price if buy else top.ask_price) + rng.randint(-3, 3) * 10**17
        kind = rng.choices([OrderType.DEFAULT, OrderType.POST_ONLY, OrderType.IOC], [5, 3, 3])[0]
        order = on.client.limit_order(
            PRODUCT,
            from_x18(rng.randint(40, 400) * 10**15 * (1 if buy else -1)),
            from_x18(price),
            order_type=kind,
        )
        # While the gateway is away nothing is sent, and whoever asks is told.
        with suppress(NadowsError):
            on.client.submit(order, lambda reply: None)
        resting = [
            each for each in on.client.account.open_orders() if each.status is not OrderStatus.PENDING_NEW
        ]
        if len(resting) > 10 or (resting and rng.random() < 0.2):
            chosen = rng.choice(resting)
            with suppress(NadowsError, TimeoutError):
                async with asyncio.timeout(0.05):
                    await on.client.cancel_orders([(PRODUCT, chosen.digest)])


async def _counter(on: Stage, other: Client, rng: random.Random) -> None:
    """Trade with the client's resting orders, over a connection that nothing happens to."""
    while True:
        await asyncio.sleep(rng.expovariate(8))
        exchange = on.server.exchange
        own = on.client.account.subaccount
        resting = [each for each in exchange.engine.orders.values() if each.account.subaccount == own]
        if resting:
            chosen = rng.choice(resting)
            qty = rng.randint(30, 300) * 10**15 * (-1 if chosen.is_bid else 1)
            order = other.limit_order(
                PRODUCT, from_x18(qty), from_x18(chosen.price), order_type=OrderType.IOC
            )
            other.submit(order, lambda reply: None)


def main() -> int:
    """Run a long storm; 0 if all was in order and nothing was left."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.sockets")
    parser.add_argument("--faults", type=int, default=300, help="how many, one after the other")
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()

    async def run() -> tuple[Outcome, Left, Left]:
        before = left()
        outcome = await storm(asked.faults, tuple(asked.kinds), asked.seed)
        return outcome, before, left()

    outcome, before, after = asyncio.run(run())
    for name, count in sorted(outcome.faults.items()):
        print(f"{count:6} {name}")
    print(
        f"{outcome.faults.total()} faults, {outcome.reconnects} reconnects, {outcome.orders} orders, "
        f"{outcome.fills} fills ({outcome.late} of them late)"
    )
    for problem in outcome.problems:
        print(f"    {problem}")
    if after != before:
        print(f"    left behind: {after}, before: {before}")
    return 1 if outcome.problems or after != before else 0


if __name__ == "__main__":
    sys.exit(main())
