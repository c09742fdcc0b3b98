"""The faults: each draws what it does from its own generator, acts on a `World`, and says when it is over.

A fault is a function of (world, rng, when it begins in ns) that arranges what goes wrong and returns when
everything it does has healed. Names and order are fixed, so that a seed means the same for ever.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from typing import Final

from nadows.desk import GATEWAY, STREAMS
from tests.faults.wire import MS, SECOND, Delivery, Message, Tamper
from tests.faults.world import World

__all__ = ["FAULTS", "Fault"]

Fault = Callable[[World, random.Random, int], int]
LINES: Final = (STREAMS, GATEWAY)
PRIVATE: Final = (b'"type":"fill"', b'"type":"order_update"', b'"type":"position_change"')


def span(rng: random.Random, least_ms: int, most_ms: int) -> int:
    """Draw a length of time in ns, from ms."""
    return rng.randrange(least_ms * MS, most_ms * MS)


def while_active(world: World, begin: int, end: int, tamper: Tamper) -> None:
    """Let *tamper* look at messages from *begin* to *end*."""
    world.wires.at(begin, lambda: world.wires.tampers.append(tamper))
    world.wires.at(end, lambda: world.wires.tampers.remove(tamper))


# -- connections ---------------------------------------------------------------------------------


def cut_streams(world: World, rng: random.Random, begin: int) -> int:
    """The subscription socket breaks."""
    world.wires.at(begin, lambda: world.wires.cut(STREAMS))
    return begin


def cut_gateway(world: World, rng: random.Random, begin: int) -> int:
    """The gateway socket breaks."""
    world.wires.at(begin, lambda: world.wires.cut(GATEWAY))
    return begin


def cut_both_again_and_again(world: World, rng: random.Random, begin: int) -> int:
    """Everything breaks, several times in a row."""
    at = begin
    for _ in range(rng.randint(2, 4)):
        for line in LINES:
            world.wires.at(at + rng.randrange(20 * MS), partial(world.wires.cut, line))
        at += span(rng, 20, 400)
    return at


def half_open(world: World, rng: random.Random, begin: int) -> int:
    """A line falls silent for good, both ways, and the venue does not know."""
    line = rng.choice(LINES)
    world.wires.at(begin, lambda: world.wires.stall(line, 2**62))
    # To be found out first: silence, then a probe.
    return begin + 2 * SECOND


def stall(world: World, rng: random.Random, begin: int) -> int:
    """A line stands still for a while; then everything comes at once."""
    line, end = rng.choice(LINES), begin + span(rng, 100, 1_800)
    world.wires.at(begin, lambda: world.wires.stall(line, end))
    return end


def refuse(world: World, rng: random.Random, begin: int) -> int:
    """The venue refuses connections for a while, sometimes saying for how long."""
    end = begin + span(rng, 200, 2_000)
    retry_after = rng.choice([0, SECOND])

    def start() -> None:
        world.wires.retry_after_ns = retry_after
        for line in LINES:
            world.wires.refused_until[line] = end
            world.wires.cut(line)

    world.wires.at(begin, start)
    return end + retry_after


def hang(world: World, rng: random.Random, begin: int) -> int:
    """Handshakes get no answer."""
    line, end = rng.choice(LINES), begin + span(rng, 200, 900)

    def start() -> None:
        world.wires.hanging_until[line] = end
        world.wires.cut(line)

    world.wires.at(begin, start)
    return end + SECOND


def restart(world: World, rng: random.Random, begin: int) -> int:
    """The venue restarts: all sockets close, nothing connects for a moment; orders stay on the books."""
    end = begin + span(rng, 50, 800)

    def start() -> None:
        for line in LINES:
            world.wires.refused_until[line] = end
            world.wires.cut(line)

    world.wires.at(begin, start)
    return end


# -- events --------------------------------------------------------------------------------------


def _events(
    kinds: tuple[bytes, ...], rng: random.Random, share: float, then: Callable[[bytes], list[Delivery]]
) -> Tamper:
    def tamper(message: Message) -> list[Delivery] | None:
        if message.line != STREAMS or not message.to_desk or not any(kind in message.frame for kind in kinds):
            return None
        return then(message.frame) if rng.random() < share else None

    return tamper


def drop_private(world: World, rng: random.Random, begin: int) -> int:
    """Fills and order updates vanish from a healthy stream."""
    end = begin + span(rng, 300, 1_500)
    while_active(world, begin, end, _events(PRIVATE, rng, 0.5, lambda frame: []))
    return end


def drop_fills(world: World, rng: random.Random, begin: int) -> int:
    """Fills alone vanish; everything else looks well."""
    end = begin + span(rng, 300, 2_000)
    while_active(world, begin, end, _events(PRIVATE[:1], rng, 0.9, lambda frame: []))
    return end


def repeat_private(world: World, rng: random.Random, begin: int) -> int:
    """Private events come twice, the second time later."""
    end = begin + span(rng, 300, 2_000)

    def twice(frame: bytes) -> list[Delivery]:
        return [Delivery(frame), Delivery(frame, span(rng, 0, 700), in_order=False)]

    while_active(world, begin, end, _events(PRIVATE, rng, 0.7, twice))
    return end + SECOND


def delay_private(world: World, rng: random.Random, begin: int) -> int:
    """Private events come late and out of order."""
    end = begin + span(rng, 300, 2_000)

    def late(frame: bytes) -> list[Delivery]:
        return [Delivery(frame, span(rng, 1, 900), in_order=False)]

    while_active(world, begin, end, _events(PRIVATE, rng, 0.6, late))
    return end + SECOND


def drop_depth(world: World, rng: random.Random, begin: int) -> int:
    """A batch of depth is lost."""
    end = begin + span(rng, 60, 400)
    while_active(world, begin, end, _events((b'"type":"book_depth"',), rng, 0.5, lambda frame: []))
    return end


def shuffle_depth(world: World, rng: random.Random, begin: int) -> int:
    """Batches of depth are repeated and overtake each other."""
    end = begin + span(rng, 60, 500)

    def shuffled(frame: bytes) -> list[Delivery]:
        extra = [Delivery(frame)] if rng.random() < 0.4 else []
        return [Delivery(frame, span(rng, 0, 150), in_order=False), *extra]

    while_active(world, begin, end, _events((b'"type":"book_depth"',), rng, 0.5, shuffled))
    return end + SECOND // 5


def garble(world: World, rng: random.Random, begin: int) -> int:
    """Frames arrive cut short, in the wrong encoding, or with junk between them."""
    end = begin + span(rng, 100, 800)
    junk = [
        b"",
        b"{",
        b"null",
        b"[]",
        b'{"type":"fill"}',
        b'\xff\xfe{"id":1}',
        b'{"id":99999999,"result":null}',
    ]

    def tamper(message: Message) -> list[Delivery] | None:
        if not message.to_desk or rng.random() < 0.8:
            return None
        if rng.random() < 0.5:
            return [Delivery(rng.choice(junk)), Delivery(message.frame)]
        return [Delivery(message.frame[: rng.randrange(len(message.frame))])]

    while_active(world, begin, end, tamper)
    # What was garbled may be an answer that is waited for.
    return end + 2 * SECOND


# -- answers -------------------------------------------------------------------------------------


def mute_acks(world: World, rng: random.Random, begin: int) -> int:
    """After a reconnect the venue does not acknowledge, or late."""
    end = begin + span(rng, 200, 1_200)
    late = rng.random() < 0.5

    def tamper(message: Message) -> list[Delivery] | None:
        if message.line != STREAMS or not message.to_desk or b'"result"' not in message.frame:
            return None
        return [Delivery(message.frame, span(rng, 100, 1_200), in_order=False)] if late else []

    while_active(world, begin, end, tamper)
    world.wires.at(begin, lambda: world.wires.cut(STREAMS))
    return end + 2 * SECOND


def mute_gateway(world: World, rng: random.Random, begin: int) -> int:
    """Requests take effect and are not answered."""
    end = begin + span(rng, 100, 1_000)

    def tamper(message: Message) -> list[Delivery] | None:
        return [] if message.line == GATEWAY and message.to_desk and rng.random() < 0.6 else None

    while_active(world, begin, end, tamper)
    return end + 2 * SECOND


def lose_requests(world: World, rng: random.Random, begin: int) -> int:
    """The gateway socket breaks with requests on their way: they arrive, arrive late, or never."""
    end = begin + span(rng, 20, 200)

    def tamper(message: Message) -> list[Delivery] | None:
        if message.line != GATEWAY or message.to_desk or b"place_order" not in message.frame:
            return None
        if rng.random() < 0.4:
            return []
        # As if a proxy in between had taken it before the break: it arrives on a connection of its own.
        arrives = world.now_ns + span(rng, 1, 2_500)
        world.wires.at(arrives, lambda: world.place_for(message.frame))
        return []

    while_active(world, begin, end, tamper)
    world.wires.at(end, lambda: world.wires.cut(GATEWAY))
    return end


def stale_snapshots(world: World, rng: random.Random, begin: int) -> int:
    """Snapshots come from a cache."""
    end = begin + span(rng, 300, 1_500)
    kept: list[bytes] = []

    def keep(message: Message) -> list[Delivery] | None:
        if message.to_desk and b"query_market_liquidity" in message.frame:
            if world.now_ns < begin:
                kept[:] = [message.frame]
            elif kept:
                return [Delivery(kept[0])]
        return None

    while_active(world, world.now_ns, end, keep)
    world.wires.at(begin + span(rng, 0, 100), lambda: world.wires.cut(STREAMS))
    return end + SECOND


def throttle(world: World, rng: random.Random, begin: int) -> int:
    """The gateway says that there are too many requests."""
    end = begin + span(rng, 200, 1_500)

    def tamper(message: Message) -> list[Delivery] | None:
        if message.line != GATEWAY or message.to_desk or rng.random() < 0.3:
            return None
        world.wires.at(world.now_ns + span(rng, 1, 10), lambda: world.refuse_for_load(message.frame))
        return []

    while_active(world, begin, end, tamper)
    return end + SECOND


def skew(world: World, rng: random.Random, begin: int) -> int:
    """The client's clock is wrong while it has to authenticate again."""
    end = begin + span(rng, 200, 1_500)
    off = rng.choice([-120, -60, 30, 120]) * SECOND

    def start() -> None:
        world.skew_ns = off
        world.wires.cut(STREAMS)

    def stop() -> None:
        world.skew_ns = 0

    world.wires.at(begin, start)
    world.wires.at(end, stop)
    return end + SECOND


# -- REST ----------------------------------------------------------------------------------------


def shut_streams(world: World, rng: random.Random, begin: int) -> int:
    """The subscription socket cannot be opened for long; REST answers well, late, or badly.

    Then the gateway breaks too: a line that was refused for long waits for long, unless another connects.
    """
    end = begin + span(rng, 1_000, 2_300)
    manner = rng.choice(["well", "well", "late", "badly"])
    bad: list[tuple[int, bytes] | None] = [
        None,
        (503, b"<html>Service Unavailable</html>"),
        (429, b'{"status":"failure","error":"injected","error_code":1000}'),
    ]

    def answer(body: bytes) -> tuple[int, bytes] | None:
        return rng.choice(bad) if rng.random() < 0.4 else world.ask_rest(body)

    def start() -> None:
        world.wires.refused_until[STREAMS] = max(end, world.wires.refused_until[STREAMS])
        world.wires.cut(STREAMS)
        if manner == "late":
            world.wires.http_delay_ns = span(rng, 50, 700)
        elif manner == "badly":
            world.wires.rest = answer

    def stop() -> None:
        world.wires.http_delay_ns = 0
        world.wires.rest = world.ask_rest

    world.wires.at(begin, start)
    world.wires.at(end + span(rng, 10, 400), lambda: world.wires.cut(GATEWAY))
    world.wires.at(end + SECOND // 2, stop)
    return end + SECOND // 2


# -- the archive ---------------------------------------------------------------------------------


def lag_archive(world: World, rng: random.Random, begin: int) -> int:
    """The archive trails; a loss falls into the time it has not filed yet."""
    end = begin + span(rng, 800, 3_000)
    lag = span(rng, 100, 1_500)

    def start() -> None:
        world.archive_lag_ns = lag

    def stop() -> None:
        world.archive_lag_ns = 0

    world.wires.at(begin, start)
    world.wires.at(end, stop)
    hole = begin + span(rng, 50, 600)
    while_active(world, hole, hole + SECOND // 2, _events(PRIVATE[:1], rng, 0.8, lambda frame: []))
    return end


def flip_archive(world: World, rng: random.Random, begin: int) -> int:
    """Copies of the archive answer in turn, some of which trail."""
    end = begin + span(rng, 1_000, 2_300)

    def jump() -> None:
        world.archive_lag_ns = 0 if world.now_ns >= end else rng.choice([0, 0, 1]) * span(rng, 1, 1_800)
        if world.now_ns < end:
            world.wires.at(world.now_ns + span(rng, 1, 60), jump)

    world.wires.at(begin, jump)
    hole = begin + span(rng, 50, 600)
    world.burst(rng, hole, hole + SECOND, 14)
    while_active(world, hole, hole + SECOND, _events(PRIVATE[:1], rng, 0.9, lambda frame: []))
    return end + SECOND // 10


def break_archive(world: World, rng: random.Random, begin: int) -> int:
    """The archive answers with errors, web pages, limits, or not at all."""
    end = begin + span(rng, 500, 2_500)
    answers: list[tuple[int, bytes] | None] = [
        None,
        (500, b"<html>Internal Server Error</html>"),
        (429, b'{"error":"injected","error_code":1000}'),
        (200, b'{"matches":[{}],"txs":[]}'),
        (200, b'{"mat'),
    ]

    def answer(body: bytes) -> tuple[int, bytes] | None:
        return rng.choice(answers) if rng.random() < 0.8 else world.ask_archive(body)

    def start() -> None:
        world.wires.archive = answer

    def stop() -> None:
        world.wires.archive = world.ask_archive

    world.wires.at(begin, start)
    world.wires.at(end, stop)
    return end


def scatter_archive(world: World, rng: random.Random, begin: int) -> int:
    """The archive files its entries out of order, some a good deal later than newer ones."""
    end = begin + span(rng, 1_500, 4_500)
    scatter = span(rng, 1_000, 2_000)

    def start() -> None:
        world.archive_scatter_ns = scatter

    def stop() -> None:
        world.archive_scatter_ns = 0

    world.wires.at(begin, start)
    world.wires.at(end, stop)
    world.burst(rng, begin, end, 8)
    while_active(world, begin, end, _events(PRIVATE[:1], rng, 0.7, lambda frame: []))
    return end


def break_archive_midway(world: World, rng: random.Random, begin: int) -> int:
    """The archive gives its first page, and fails when asked for more; many fills are lost meanwhile."""
    end = begin + span(rng, 3_500, 5_000)

    def answer(body: bytes) -> tuple[int, bytes] | None:
        goes_on = b'"idx"' in body
        return (500, b"<html>Internal Server Error</html>") if goes_on else world.ask_archive(body)

    def start() -> None:
        world.wires.archive = answer

    def stop() -> None:
        world.wires.archive = world.ask_archive

    hole = begin - span(rng, 300, 900)
    world.wires.at(begin, start)
    world.wires.at(end, stop)
    world.burst(rng, hole, begin, 14)
    while_active(world, hole, begin + SECOND, _events(PRIVATE[:1], rng, 0.9, lambda frame: []))
    return end


def stop_a_copy(world: World, rng: random.Random, begin: int) -> int:
    """The copy of the archive that gives all pages but the first files no matches for many seconds."""
    end = begin + span(rng, 5_000, 8_000)

    def answer(body: bytes) -> tuple[int, bytes] | None:
        if b'"matches"' not in body or b'"idx"' not in body:
            return world.ask_archive(body)
        kept, world.archive_lag_ns = world.archive_lag_ns, world.now_ns - begin
        try:
            return world.ask_archive(body)
        finally:
            world.archive_lag_ns = kept

    def start() -> None:
        world.wires.archive = answer

    def stop() -> None:
        world.wires.archive = world.ask_archive

    world.wires.at(begin, start)
    world.wires.at(end, stop)
    hole = begin + span(rng, 50, 600)
    world.burst(rng, hole, hole + SECOND, 20)
    while_active(world, hole, hole + SECOND, _events(PRIVATE[:1], rng, 0.9, lambda frame: []))
    return end


FAULTS: Final[dict[str, Fault]] = {
    fault.__name__: fault
    for fault in (
        cut_streams,
        cut_gateway,
        cut_both_again_and_again,
        half_open,
        stall,
        refuse,
        hang,
        restart,
        drop_private,
        drop_fills,
        repeat_private,
        delay_private,
        drop_depth,
        shuffle_depth,
        garble,
        mute_acks,
        mute_gateway,
        lose_requests,
        stale_snapshots,
        throttle,
        skew,
        lag_archive,
        flip_archive,
        break_archive,
        scatter_archive,
        break_archive_midway,
        stop_a_copy,
        shut_streams,
    )
}
"""By name, in an order that seeds rely on: new ones go to the end."""

DISORDER: Final = frozenset(
    fault.__name__
    for fault in (
        drop_private,
        drop_fills,
        repeat_private,
        delay_private,
        garble,
        lag_archive,
        flip_archive,
        break_archive,
        scatter_archive,
        break_archive_midway,
        stop_a_copy,
        # Its late answers are the archive's too: two pages may take longer than fills are held for them.
        shut_streams,
    )
)
"""Faults after which an older fill may come to light after a newer one was delivered."""
