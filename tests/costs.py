"""What limits cost an order, and a second connection an event: ``python -m tests.costs``.

Prints one JSON object of processor times in ns: passing the gate of the wallet's limits, at nearly the rate
that they allow for ever; taking a frame on a desk with one connection; and the same event on a desk with two,
which is both of its frames. All are the best of several rounds.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Callable, Sequence
from typing import Final

from nadows.copies import Copies, Feed
from nadows.desk import Desk, DeskEvent
from nadows.lines import DeskFeed
from nadows.messages import Stream
from nadows.throttle import Limits

ROUNDS: Final = 7
EVENTS: Final = 3_000
_LEVEL: Final = '["%d","100000000000000000"]'
_BIDS: Final = ",".join(_LEVEL % ((2900 + n) * 10**18) for n in range(12))
_ASKS: Final = ",".join(_LEVEL % ((3000 + n) * 10**18) for n in range(12))


def trade(number: int) -> str:
    return (
        f'{{"type":"trade","timestamp":"{10**18 + number}","product_id":4,"price":"3000000000000000000000",'
        '"taker_qty":"100000000000000000","maker_qty":"100000000000000000","is_taker_buyer":true}'
    )


def depth(number: int) -> str:
    last, now = 10**18 + 50 * number, 10**18 + 50 * (number + 1)
    return (
        f'{{"type":"book_depth","last_max_timestamp":"{last}","min_timestamp":"{now}","max_timestamp":"{now}",'
        f'"product_id":4,"bids":[{_BIDS}],"asks":[{_ASKS}]}}'
    )


def passing() -> float:
    """Time an order at the gate, every 110 ms of a clock of its own."""
    gate, now_ns = Limits(rng=random.Random(1)).executes, 0
    start = time.thread_time_ns()
    for _ in range(EVENTS):
        now_ns += 110_000_000
        if not gate.enter(1, now_ns):
            raise AssertionError("ten a second are within the limit")
    return (time.thread_time_ns() - start) / EVENTS


def acknowledged(feed: Feed, copies: Sequence[Feed]) -> None:
    """Connect, and acknowledge the subscription on every connection."""
    for copy in copies or [feed]:
        copy.connected(0)
        for request in copy.frames_to_send():
            copy.frame(b'{"result":null,"id":%d}' % json.loads(request)["id"], 0)


def taking(make: Callable[[int], str], stream: Stream, copies: int) -> float:
    """Time an event, on all of its connections."""
    desk = Desk(rng=random.Random(1))
    desk.subscribe(stream, 0)

    def hand_over(events: Sequence[DeskEvent]) -> None:
        """Listen to nothing."""

    feed = DeskFeed(
        name="streams",
        tap=None,
        hand_over=hand_over,
        on_connected=desk.streams_connected,
        on_frame=desk.stream_frame,
        on_lost=desk.streams_lost,
        on_probe=desk.streams.ping,
        outgoing=desk.streams.frames_to_send,
        stands=lambda: desk.streams.state,
    )
    line = Copies(feed, copies, None, lambda event: None, ack_timeout_ns=10**9) if copies > 1 else None
    acknowledged(feed, line.feeds if line is not None else ())
    if line is not None:
        # As far as each other from here on.
        line.tick(10**9)
    takes = [each.frame for each in (line.feeds if line is not None else (feed,))]
    frames = [make(number) for number in range(EVENTS)]
    start = time.thread_time_ns()
    for now_ns, frame in enumerate(frames, start=10**9 + 1):
        for take in takes:
            take(frame, now_ns)
            if line is not None:
                line.write(now_ns)
    return (time.thread_time_ns() - start) / EVENTS


def main() -> int:
    """Print what it costs."""
    costs: dict[str, list[float]] = {}
    for _ in range(ROUNDS):
        costs.setdefault("gate_of_an_order", []).append(passing())
        for name, make, stream in (
            ("trade", trade, Stream.trade(4)),
            ("book_depth", depth, Stream.book_depth(4)),
        ):
            for copies in (1, 2):
                cost = taking(make, stream, copies)
                costs.setdefault(f"{name}_on_{copies}", []).append(cost)
    sys.stdout.write(json.dumps({name: round(min(each)) for name, each in costs.items()}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
