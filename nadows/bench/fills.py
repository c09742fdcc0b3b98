"""Measure how soon a fill is noticed: by events, beside polling with the official SDK, in the same run.

``make bench-fills`` installs the SDK in an environment of its own and runs this module. On an embedded venue
whose quotes stand still, each contender in turn rests an order, a counterparty matches it at a random moment,
and the time from that moment until the contender knows of the fill is taken. All clocks are CLOCK_MONOTONIC.
The match counts from just before the counterparty sends its order, so its way to the venue is in all times
alike; that brings the ratio nearer to one.

The table goes to stderr and the result, as JSON, to stdout. Exit codes: 0 done, 1 a ratio is less than
demanded or a peer failed, 2 wrong usage.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from itertools import cycle
from typing import Any, Final

from nadows import __version__
from nadows.bench import fills_peer
from nadows.bench.environment import describe
from nadows.bench.peer import Peer, PeerFailed, peer_process, run_beside
from nadows.client import Client, connect
from nadows.embedded import embedded_venue
from nadows.messages import Fill
from nadows.network import Network
from nadows.products import Product
from nadows.signing import OrderType, Signer
from nadows.units import from_x18

__all__ = ["DEMANDED_RATIO", "Contender", "Result", "main", "measure", "render"]

DEMANDED_RATIO: Final = 10.0
"""How many times sooner than by polling a fill must be noticed, at the median."""
ROUNDS: Final = 100
INTERVALS_S: Final = (0.5, 0.1)
"""Between two polls: as the strategies of perp-dex-tools poll, and ten times a second.

An address may ask 40 such questions a second, but all its orders, books and positions share them.
"""
_PRODUCT: Final = "BTC"
_SIZE: Final = 10**16
_SETTLE_S: Final = 0.05
"""Before an order may be matched, so that its watch has begun."""
_TIMEOUT_S: Final = 30.0

Watch = Callable[[], Awaitable[int]]
"""Waits until the fill is noticed; returns when that was (ns, monotonic)."""


@dataclass(frozen=True, slots=True)
class Contender:
    """One way to learn of fills, and how long it took, ns."""

    name: str
    noticed_ns: tuple[int, ...]

    def percentile(self, percent: int) -> float:
        """Return a percentile (ms), by the nearest rank."""
        return sorted(self.noticed_ns)[-(-percent * len(self.noticed_ns) // 100) - 1] / 1e6

    @property
    def median_ms(self) -> float:
        """The median, ms."""
        return statistics.median(self.noticed_ns) / 1e6


@dataclass(frozen=True, slots=True)
class Result:
    """A whole benchmark; the first contender is ours."""

    contenders: tuple[Contender, ...]
    demanded_ratio: float
    versions: dict[str, Any]
    machine: dict[str, Any]

    def ratio(self, contender: Contender) -> float:
        """How many times later it notices a fill, at the median, than ours."""
        return contender.median_ms / self.contenders[0].median_ms

    @property
    def passed(self) -> bool:
        """Whether each ratio reaches what is demanded."""
        return all(self.ratio(each) >= self.demanded_ratio for each in self.contenders[1:])


async def measure(
    network: Network, python: str, *, rounds: int = ROUNDS, intervals_s: Sequence[float] = INTERVALS_S
) -> Result:
    """Let every contender notice *rounds* fills, in turns.

    Raises:
        PeerFailed: If the SDK's process ends, or says that something failed.
        NadowsError: If the venue cannot be reached, or refuses.
    """
    rng = random.Random(0)
    async with AsyncExitStack() as stack:
        counterparty = await stack.enter_async_context(connect(network, Signer(b"\x41" * 32)))
        product = counterparty.products.find(_PRODUCT)
        ours = await stack.enter_async_context(connect(network, Signer(b"\x42" * 32)))
        book = await counterparty.book(product.product_id)
        names = ["nadows, fill event", *(f"SDK, polling every {every:g} s" for every in intervals_s)]
        peers: list[Peer] = []
        versions: dict[str, Any] = {"nadows": __version__}
        for number, name in enumerate(names[1:]):
            peer = await stack.enter_async_context(peer_process(name, python, fills_peer.__file__))
            versions["sdk"] = (await peer.ask(set_up=_setup(network, 0x43 + number)))["versions"]
            peers.append(peer)
        taken: dict[str, list[int]] = {name: [] for name in names}
        sides = cycle((1, -1))
        for _ in range(rounds):
            side = next(sides)
            assert book.best_bid is not None  # The house quotes both sides.
            assert book.best_ask is not None
            price = (book.best_bid if side > 0 else book.best_ask).price + side * product.tick
            for number, name in enumerate(names):
                wait_s = _SETTLE_S + rng.random() * max(intervals_s)
                if number == 0:
                    rested = _by_event(ours, product, price, side)
                else:
                    rested = _by_polling(peers[number - 1], product, price, side, intervals_s[number - 1])
                async with rested as watch:
                    taken[name].append(await _match(counterparty, product, price, side, watch, wait_s))
    contenders = tuple(Contender(name, tuple(each)) for name, each in taken.items())
    return Result(contenders, DEMANDED_RATIO, versions, describe())


async def _match(
    counterparty: Client, product: Product, price: int, side: int, watch: Watch, wait_s: float
) -> int:
    """Match the order that rests, and return how long it took until that was noticed (ns)."""
    noticing = asyncio.ensure_future(watch())
    try:
        await asyncio.sleep(wait_s)
        order = counterparty.limit_order(
            product.product_id, from_x18(-side * _SIZE), from_x18(price), order_type=OrderType.IOC
        )
        matched_ns = time.monotonic_ns()
        await counterparty.place_order(order)
        async with asyncio.timeout(_TIMEOUT_S):
            return await noticing - matched_ns
    except TimeoutError as error:
        raise PeerFailed(f"a fill was not noticed within {_TIMEOUT_S:g} s") from error
    finally:
        noticing.cancel()


@asynccontextmanager
async def _by_event(client: Client, product: Product, price: int, side: int) -> AsyncIterator[Watch]:
    """Rest an order of ours; its fill is noticed when a callback has the event."""
    order = client.limit_order(
        product.product_id, from_x18(side * _SIZE), from_x18(price), order_type=OrderType.POST_ONLY
    )
    noticed: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def on_fill(event: object) -> None:
        now_ns = time.monotonic_ns()
        if isinstance(event, Fill) and event.order_digest == order.digest and not noticed.done():
            noticed.set_result(now_ns)

    async def watch() -> int:
        return await noticed

    stop = client.on(on_fill, types=(Fill,))
    try:
        await client.place_order(order)
        yield watch
    finally:
        stop()


@asynccontextmanager
async def _by_polling(
    peer: Peer, product: Product, price: int, side: int, every_s: float
) -> AsyncIterator[Watch]:
    """Rest an order of the SDK's; its fill is noticed by polling."""
    placed = await peer.ask(
        place={"product_id": product.product_id, "price_x18": str(price), "amount": str(side * _SIZE)}
    )

    async def watch() -> int:
        asked = {"product_id": product.product_id, "digest": placed["digest"], "every_s": every_s}
        return int((await peer.ask(watch=asked))["noticed_ns"])

    yield watch


def _setup(network: Network, key: int) -> dict[str, str]:
    return {
        "key": "0x" + bytes([key] * 32).hex(),
        "gateway": network.gateway,
        "archive": network.archive,
        "trigger": network.trigger,
    }


def render(result: Result) -> str:
    """Write the table that people read, as Markdown, for docs/benchmarks.md."""
    lines = [
        "| a fill is noticed by | median | p99 | slowest | fills | times later |",
        "|---|---|---|---|---|---|",
    ]
    for each in result.contenders:
        later = "" if each is result.contenders[0] else f"{result.ratio(each):.0f}"
        lines.append(
            f"| {each.name} | {each.median_ms:.1f} ms | {each.percentile(99):.1f} ms "
            f"| {each.percentile(100):.1f} ms | {len(each.noticed_ns)} | {later} |"
        )
    verdict = "reached" if result.passed else "NOT REACHED"
    lines += ["", f"demanded: {result.demanded_ratio:g} times sooner at the median; {verdict}"]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark from the command line and return the exit code."""
    return run_beside(
        arguments,
        program="python -m nadows.bench.fills",
        description="Measure how soon a fill is noticed: by events, beside polling with the official SDK.",
        rounds=(ROUNDS, "fills of each"),
        measure=_run,
        render=render,
    )


async def _run(python: str, rounds: int) -> Result:
    async with embedded_venue(flow="off") as venue:
        return await measure(venue.network, python, rounds=rounds)


if __name__ == "__main__":
    sys.exit(main())
