"""Orders that travel together: when a batch is sent, and what its answer says of each order."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

import msgspec

from nadows import messages
from nadows.errors import MalformedFrame, UsageError
from nadows.messages import Reply
from nadows.pacing import WALLET_EXECUTE_LIMITS
from nadows.signing import MAX_BATCH

__all__ = ["Gathering", "outcomes"]

T = TypeVar("T")

MAX_WEIGHT: Final = min(window.weight for window in WALLET_EXECUTE_LIMITS)
"""A heavier batch could never be sent."""


@dataclass(slots=True)
class _Batch(Generic[T]):
    due_ns: int
    items: list[T] = field(default_factory=list)
    weight: int = 0


class Gathering(Generic[T]):
    """Collects items until they make a batch.

    Args:
        max_orders: A batch of so many goes at once; the venue takes up to 50.
        max_wait_ns: How long the first item of a batch may wait for others.
        group_of: Items of different groups are not batched together (the venue takes one sender a batch).
        weight_of: What an item weighs; a batch weighs at most what the wallet's window holds.

    Raises:
        UsageError: If a limit makes no sense.
    """

    def __init__(
        self,
        *,
        max_orders: int,
        max_wait_ns: int,
        group_of: Callable[[T], Hashable],
        weight_of: Callable[[T], int],
    ) -> None:
        if not 1 <= max_orders <= MAX_BATCH:
            raise UsageError(f"a batch holds 1 to {MAX_BATCH} orders, got {max_orders}")
        if max_wait_ns < 0:
            raise UsageError(f"a batch waits at least 0 ns, got {max_wait_ns}")
        self._max_orders = max_orders
        self._max_wait_ns = max_wait_ns
        self._group_of = group_of
        self._weight_of = weight_of
        self._batches: dict[Hashable, _Batch[T]] = {}

    def __len__(self) -> int:
        return sum(len(batch.items) for batch in self._batches.values())

    def add(self, item: T, now_ns: int) -> list[list[T]]:
        """Take an item; return the batches that are to go now, in order."""
        group, weight = self._group_of(item), self._weight_of(item)
        ready = []
        batch = self._batches.get(group)
        if batch is not None and batch.weight + weight > MAX_WEIGHT:
            ready.append(self._batches.pop(group).items)
            batch = None
        if batch is None:
            batch = self._batches[group] = _Batch(now_ns + self._max_wait_ns)
        batch.items.append(item)
        batch.weight += weight
        if len(batch.items) >= self._max_orders or not self._max_wait_ns:
            ready.append(self._batches.pop(group).items)
        return ready

    def next_deadline(self) -> int | None:
        """When the oldest batch has waited long enough (ns, monotonic), ``None`` if there is none."""
        return min((batch.due_ns for batch in self._batches.values()), default=None)

    def tick(self, now_ns: int) -> list[list[T]]:
        """Return the batches that have waited long enough, oldest first."""
        due = sorted(
            (batch.due_ns, order, group)
            for order, (group, batch) in enumerate(self._batches.items())
            if batch.due_ns <= now_ns
        )
        return [self._batches.pop(group).items for _, _, group in due]

    def flush(self) -> list[list[T]]:
        """Return everything, oldest first."""
        batches, self._batches = self._batches, {}
        return [batch.items for batch in batches.values()]


def outcomes(digests: Sequence[str], reply: Reply) -> list[Reply]:
    """Read off the answer to a batch what became of each order, as if each had been answered alone.

    Args:
        digests: Of the orders, in the order of the batch.
        reply: The answer; a failure is that of every order.

    Raises:
        MalformedFrame: If it does not say.
    """
    if not reply.ok:
        return [reply] * len(digests)
    result = messages.reply_data(reply, "execute_place_orders")
    items = result.items if isinstance(result, messages.PlaceOrdersResult) else ()
    if len(items) != len(digests):
        raise MalformedFrame(f"a batch of {len(digests)} orders was answered with {len(items)} outcomes")
    return [_outcome(digest, item) for digest, item in zip(digests, items, strict=True)]


def _outcome(digest: str, item: messages.PlaceOrdersItem) -> Reply:
    kind = "execute_place_orders"
    if item.error is not None or item.digest is None:
        # The venue's items have no codes.
        return Reply("failure", error=item.error or "no reason given", request_type=kind)
    if item.digest != digest:
        raise MalformedFrame(f"order {digest} of a batch was answered with {item.digest}")
    placed = msgspec.Raw(messages.encode(messages.PlacedOrder(digest)))
    return Reply("success", data=placed, request_type=kind)
