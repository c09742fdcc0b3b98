"""When books are asked for, judged and asked for again."""

from __future__ import annotations

import json
import random

from nadows.bookkeeping import Bookkeeper, BookNews
from nadows.desk import OnReply
from nadows.messages import BookDepth, Query, Reply, decode_reply
from nadows.timings import Timings
from nadows.units import Nanos


def snapshot(timestamp: int) -> Reply:
    data = {"product_id": 4, "timestamp": str(timestamp), "bids": [["1", "1"]], "asks": [["2", "1"]]}
    reply = decode_reply(json.dumps({"status": "success", "data": data}))
    assert isinstance(reply, Reply)
    return reply


def update(last: int, now: int) -> BookDepth:
    return BookDepth(
        last_max_timestamp=Nanos(last),
        min_timestamp=Nanos(now),
        max_timestamp=Nanos(now),
        product_id=4,
        bids=(),
        asks=(),
    )


def test_a_book_that_breaks_during_its_audit_is_asked_for_at_once() -> None:
    """The pause between audits is no pause for a book that needs a snapshot."""
    asked: list[tuple[int, OnReply]] = []
    told: list[BookNews] = []

    def ask(query: Query, now_ns: int, on_reply: OnReply) -> int:
        asked.append((now_ns, on_reply))
        return 0

    keeper = Bookkeeper(ask, told.append, lambda _: True, random.Random(1), 100, Timings())
    keeper.is_up = True
    keeper.add(4, connected=True)
    keeper.tend(1)
    asked[0][1](snapshot(10))
    assert keeper.books[4].is_live
    due_ns = keeper.next_deadline()
    assert due_ns is not None
    keeper.tend(due_ns)
    assert [1, due_ns] == [now_ns for now_ns, _ in asked]
    assert 1 == keeper.audits

    keeper.apply(update(10, 20), due_ns + 5)
    keeper.apply(update(33, 40), due_ns + 6)

    assert keeper.books[4].needs_snapshot
    assert [1, due_ns, due_ns + 6] == [now_ns for now_ns, _ in asked]
