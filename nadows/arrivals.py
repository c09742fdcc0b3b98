"""What arrives on several connections: what is a first arrival, what a repeat, and what comes too early."""

from __future__ import annotations

import enum
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from nadows.messages import AllBbo, BookDepth, Event, Fill, UnknownEvent

__all__ = ["HOLD_NS", "Arrival", "DepthChain", "Identity", "LineStats", "Repeats", "identity_of"]

HOLD_NS: Final = 500_000_000
"""How long a depth batch waits for what comes before it: ten of the venue's batches."""
_REMEMBERED: Final = 65_536
"""Events that are remembered as seen: minutes of a busy venue, where connections differ by milliseconds."""


class Arrival(enum.Enum):
    """What an event is to those that came before it."""

    FIRST = "first"
    REPEAT = "repeat"
    EARLY = "early"
    """A depth batch that does not join: something before it is on another connection."""


@dataclass(slots=True)
class LineStats:
    """What one connection is worth."""

    connects: int = 0
    frames: int = 0
    won: int = 0
    """Events that came here first."""
    repeated: int = 0
    """Events that another connection had brought before."""
    behind_ns: int = 0
    """How much later, summed over the repeats."""
    max_behind_ns: int = 0
    malformed: int = 0
    refused: int = 0
    """Times that the venue refused its authentication or one of its streams."""

    @property
    def mean_behind_ns(self) -> int:
        """How much later than the first its repeats come; 0 without any."""
        return self.behind_ns // self.repeated if self.repeated else 0


class Identity(NamedTuple):
    """What makes an event the same as another."""

    key: Hashable
    is_unique: bool
    """Whether the venue says it once."""


class Repeats:
    """Tells first arrivals from repeats, for events that have no chain.

    Args:
        lines: How many connections there are.
        remembered: How many different events are remembered.
    """

    def __init__(self, lines: int, remembered: int = _REMEMBERED) -> None:
        self._lines = lines
        self._remembered = remembered
        # How often each event came on each connection, and when it came first.
        self._seen: OrderedDict[Hashable, tuple[list[int], int]] = OrderedDict()

    def take(self, line: int, key: Hashable, now_ns: int) -> tuple[Arrival, int]:
        """Take an event; return what it is, and for a repeat how long after the first it came (ns)."""
        entry = self._seen.get(key)
        if entry is None:
            entry = self._seen[key] = [0] * self._lines, now_ns
            if len(self._seen) > self._remembered:
                self._seen.popitem(last=False)
        counts, first_ns = entry
        before = max(counts)
        counts[line] += 1
        if counts[line] > before:
            return Arrival.FIRST, 0
        return Arrival.REPEAT, now_ns - first_ns

    def once(self, line: int, key: Hashable, now_ns: int) -> tuple[Arrival, int]:
        """Do the same for an event whose key is unique: it is a repeat also if it comes twice on one line."""
        entry = self._seen.get(key)
        if entry is not None:
            return Arrival.REPEAT, now_ns - entry[1]
        return self.take(line, key, now_ns)

    def would_be_first(self, line: int, identity: Identity) -> bool:
        """Tell whether an event would be a first arrival, without taking it."""
        entry = self._seen.get(identity.key)
        if entry is None:
            return True
        counts, _ = entry
        return not identity.is_unique and counts[line] == max(counts)


@dataclass(slots=True)
class DepthChain:
    """One product's depth batches, joined from several connections."""

    newest: int | None = None
    """``max_timestamp`` of the last batch passed on; ``None`` before the first."""
    newest_ns: int = 0
    """When it was passed on."""
    _early: dict[int, tuple[BookDepth, bytes | str, int]] = field(default_factory=dict)
    """Batches that wait, by the ``last_max_timestamp`` they join; with their frames and since when."""

    def take(self, event: BookDepth) -> Arrival:
        """Tell whether a batch is the next, known, or ahead of something that is missing."""
        if self.newest is None or event.last_max_timestamp == self.newest:
            return Arrival.FIRST
        return Arrival.REPEAT if event.max_timestamp <= self.newest else Arrival.EARLY

    def passed(self, event: BookDepth, now_ns: int) -> None:
        """Remember that a batch was passed on."""
        self.newest, self.newest_ns = int(event.max_timestamp), now_ns

    def hold(self, event: BookDepth, frame: bytes | str, now_ns: int) -> bool:
        """Let a batch wait for what is missing before it; return ``False`` if it waits already."""
        if event.last_max_timestamp in self._early:
            return False
        self._early[event.last_max_timestamp] = event, frame, now_ns
        return True

    def release(self, now_ns: int, *, all_of_them: bool = False) -> list[bytes | str]:
        """Give the frames of batches that join now, and of those that waited long enough, in order."""
        frames: list[bytes | str] = []
        while self._early:
            assert self.newest is not None
            entry = self._early.pop(self.newest, None)
            if entry is None:
                last, entry = min(self._early.items())
                if not (all_of_them or now_ns >= entry[2] + HOLD_NS):
                    break
                # What is missing will not come: the book above finds the hole and heals it.
                del self._early[last]
            event, frame, _ = entry
            if event.max_timestamp > self.newest:
                frames.append(frame)
                self.passed(event, now_ns)
        return frames

    def next_deadline(self) -> int | None:
        """When the first of those that wait has waited long enough."""
        return min((since + HOLD_NS for _, _, since in self._early.values()), default=None)


def identity_of(event: Event, frame: bytes | str) -> Identity:
    """Say what makes an event the same as another; not for ``book_depth``, which has its `DepthChain`."""
    match event:
        case Fill():
            return Identity(event.key, is_unique=True)
        case AllBbo():
            return Identity((AllBbo, event.time), is_unique=True)
        case UnknownEvent():
            return Identity(frame.encode() if isinstance(frame, str) else bytes(frame), is_unique=False)
        case _:
            return Identity(event, is_unique=False)
