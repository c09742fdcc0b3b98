"""What measuring a frame costs: ``python -m tests.metrics.cost``.

Prints one JSON object: processor time of measuring a frame (ns), folding included, that of reading a depth
frame of 24 levels with the standard library, and the ratio of the two. All are the best of several rounds,
and the rounds of the parts alternate, so that what else the machine does hits them alike.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from nadows.metrics import Metrics

ROUNDS: Final = 15
FRAMES: Final = 5_000

_NS: Final = str(1_763_800_000_000_000_000)
_LEVELS: Final = [[str((3000 + n) * 10**18), str(n * 10**17)] for n in range(1, 13)]
DEPTH: Final = json.dumps(
    {"type": "book_depth", "product_id": 4, "bids": _LEVELS, "asks": _LEVELS}
    | dict.fromkeys(("last_max_timestamp", "min_timestamp", "max_timestamp"), _NS)
)
EVENTS: Final[Sequence[Any]] = [None]


class Idle:
    """A desk that decodes and applies nothing, so that what is left is the measuring."""

    def __init__(self) -> None:
        self.streams = self

    def frame_received(self, frame: str | bytes, now_ns: int) -> Sequence[Any]:
        return EVENTS

    def stream_events(self, events: Sequence[Any], now_ns: int) -> Sequence[Any]:
        return events

    def stream_frame(self, frame: str | bytes, now_ns: int) -> Sequence[Any]:
        return self.stream_events(self.frame_received(frame, now_ns), now_ns)


def read(take: Callable[[str, int], Sequence[Any]], deliver: Callable[[Sequence[Any]], None]) -> float:
    """Do as the reader does with one frame after the other; return processor time of each (ns)."""
    clock = time.monotonic_ns
    start = time.thread_time_ns()
    for _ in range(FRAMES):
        deliver(take("", clock()))
    return (time.thread_time_ns() - start) / FRAMES


def read_json() -> float:
    start = time.thread_time_ns()
    for _ in range(FRAMES // 10):
        json.loads(DEPTH)
    return (time.thread_time_ns() - start) / (FRAMES // 10)


def ignore(events: Sequence[Any]) -> None:
    """Deliver to nobody."""


def main() -> None:
    """Measure, and print."""
    idle: Any = Idle()
    metrics = Metrics()
    take, deliver = metrics.taking(idle), metrics.delivering(ignore)
    rounds = [(read(idle.stream_frame, ignore), read(take, deliver), read_json()) for _ in range(ROUNDS)]
    bare, measured, by_json = map(min, zip(*rounds, strict=True))
    cost = measured - bare
    json.dump({"ns": round(cost), "json_ns": round(by_json), "ratio": round(cost / by_json, 3)}, sys.stdout)


if __name__ == "__main__":
    main()
