"""What is written when: the order of writing is the whole promise."""

from __future__ import annotations

import pytest

from nadows.account import OrderStatus
from nadows.errors import JournalError
from nadows.journal.journal import Sync
from nadows.journal.records import Closed, FillRecord, OrderRecord, Watermark, read_lines
from nadows.messages import Fill, JournaledFill, LateFill, OrderUpdate
from nadows.recovery import FillsBackfilled
from nadows.units import X18, Nanos, StrInt

from .rig import DIGEST, E18, OTHER, Desk, Memory, fill


def records(memory: Memory) -> list[object]:
    return list(read_lines(memory.data, "j").records)


def kinds(memory: Memory) -> list[str]:
    return [type(record).__name__ for record in records(memory)]


def sent(desk: Desk, digest: str = DIGEST) -> None:
    desk.account.sent(digest, product_id=4, price=100 * E18, amount=10 * E18)


def update(reason: str) -> OrderUpdate:
    return OrderUpdate(timestamp=Nanos(1), product_id=4, digest=DIGEST, amount=X18(0), reason=reason)


@pytest.mark.parametrize(
    ("sync", "log"),
    [
        (Sync.ALWAYS, ["replace", "append", "sync", "told 1"]),
        (Sync.INTERVAL, ["replace", "append", "told 1"]),
        (Sync.NEVER, ["replace", "append", "told 1"]),
    ],
)
def test_a_fill_is_written_before_anybody_hears_of_it(sync: Sync, log: list[str]) -> None:
    """And on the disk, if it is always to be."""
    desk = Desk(Memory(), sync)
    desk.scribe.deliver([fill(7)])
    for flush in desk.deferred:
        flush()

    assert log == desk.memory.log
    assert FillRecord(n=1, source="stream", fill=fill(7)) == records(desk.memory)[0]
    assert [fill(7)] == desk.told


def test_fills_of_one_wake_up_are_written_together() -> None:
    """One sync for all of them; what comes after a fill stays behind it."""
    desk = Desk(Memory())
    desk.scribe.deliver([update("placed")])
    desk.scribe.deliver([fill(7), update("filled")])
    desk.scribe.deliver([fill(8, kind=LateFill)])
    desk.scribe.deliver([FillsBackfilled(1, 8, 8)])

    assert ([update("placed")], 1) == (desk.told, len(desk.deferred))
    desk.deferred.pop()()
    assert ["replace", "told 1", "append", "sync", "told 4"] == desk.memory.log
    assert [fill(7), update("filled"), fill(8), FillsBackfilled(1, 8, 8)] == [
        Fill(**{name: getattr(each, name) for name in Fill.__struct_fields__})
        if isinstance(each, Fill)
        else each
        for each in desk.told[1:]
    ]
    desk.scribe.deliver([fill(9)])
    assert 1 == len(desk.deferred)


def test_fills_of_others_are_none_of_its_business() -> None:
    """Any subaccount may be watched; the journal is of one."""
    desk = Desk(Memory())
    desk.scribe.deliver([fill(7, subaccount=OTHER)])

    assert ([], 1) == (records(desk.memory), len(desk.told))


def test_an_order_is_written_before_it_is_sent() -> None:
    """And synced; nothing is written if there is no new one."""
    desk = Desk(Memory())
    desk.scribe.before_sending()
    sent(desk)
    sent(desk, "0xother")
    desk.scribe.before_sending()
    desk.scribe.before_sending()

    assert ["replace", "append", "sync"] == desk.memory.log
    written = [(each.digest, each.status) for each in records(desk.memory) if isinstance(each, OrderRecord)]
    assert [(DIGEST, OrderStatus.PENDING_NEW), ("0xother", OrderStatus.PENDING_NEW)] == written


def test_orders_of_others_are_not_worth_waiting_for() -> None:
    """An order that another session placed is known to the venue already."""
    desk = Desk(Memory())
    desk.account.apply(update("placed"))
    desk.scribe.before_sending()

    assert ["replace", "append"] == desk.memory.log


def test_what_became_of_an_order_is_written_once() -> None:
    """When the venue took it, and when it is done."""
    desk = Desk(Memory())
    sent(desk)
    desk.scribe.before_sending()
    for happens in (
        lambda: None,
        lambda: desk.account.accepted(DIGEST),
        lambda: desk.account.cancel_sent(DIGEST),
        lambda: desk.account.apply(update("cancelled")),
        lambda: None,
    ):
        happens()
        desk.scribe.tend(0)

    written = [each for each in records(desk.memory) if isinstance(each, OrderRecord)]
    assert [(OrderStatus.PENDING_NEW, False), (OrderStatus.NEW, True), (OrderStatus.CANCELED, True)] == [
        (each.status, each.is_acked) for each in written
    ]


def test_the_watermark_follows_the_fills_below_it() -> None:
    """It is written when it moves, after everything that is not written yet."""
    desk = Desk(Memory())
    desk.scribe.tend(0)
    desk.confirmed_by_archive(50, 8)
    desk.scribe.deliver([fill(8, kind=LateFill)])
    desk.scribe.tend(60)
    desk.scribe.tend(70)

    assert ["FillRecord", "Watermark"] == kinds(desk.memory)
    assert Watermark(index=StrInt(8)) == records(desk.memory)[1]


def test_an_order_is_closed_when_nothing_of_it_can_be_missing() -> None:
    """Not when it is done, but when the archive was seen long enough after."""
    desk = Desk(Memory())
    sent(desk)
    desk.account.refused(DIGEST, "no")
    desk.scribe.tend(1_000)
    for at_ns in (1_000, 1_100, 1_101, 2_000):
        desk.confirmed_by_archive(at_ns, 0)
        desk.scribe.tend(at_ns)
        assert (at_ns > 1_100) == ("Closed" in kinds(desk.memory))
    assert 1 == kinds(desk.memory).count("Closed")
    assert Closed(digests=(DIGEST,)) in records(desk.memory)


def test_what_is_not_confirmed_is_told_again() -> None:
    """Flagged, in order, and not written again."""
    desk = Desk(Memory(), Sync.NEVER)
    desk.scribe.deliver([fill(7), fill(8), fill(9, kind=LateFill)])
    desk.journal.confirm(fill(7))
    desk.told.clear()

    assert 2 == desk.scribe.redeliver()
    again = [event for event in desk.told if isinstance(event, JournaledFill)]
    assert [(8, "journal"), (9, "journal")] == [(each.index, each.source) for each in again]
    assert 3 == kinds(desk.memory).count("FillRecord")


def test_what_waits_is_told_after_what_is_told_again() -> None:
    """Once, and as new: whoever confirms it confirms everything before it."""
    desk = Desk(Memory())
    desk.scribe.deliver([fill(7)])
    desk.deferred.pop()()
    desk.scribe.deliver([fill(8)])
    desk.told.clear()

    assert 1 == desk.scribe.redeliver()
    desk.deferred.pop()()
    assert [(7, JournaledFill), (8, Fill)] == [
        (event.index, type(event)) for event in desk.told if isinstance(event, Fill)
    ]


def test_nothing_is_told_that_could_not_be_written() -> None:
    """The error comes to whoever delivers, and again with every later attempt."""
    desk = Desk(Memory(), Sync.NEVER)
    desk.memory.is_full = True
    for _ in range(2):
        with pytest.raises(JournalError, match="full"):
            desk.scribe.deliver([fill(7)])
    assert [] == desk.told
    sent(desk)
    with pytest.raises(JournalError, match="full"):
        desk.scribe.before_sending()


def test_closing_tells_what_is_left() -> None:
    """And writes what became of orders."""
    desk = Desk(Memory())
    sent(desk)
    desk.scribe.before_sending()
    desk.scribe.deliver([fill(7)])
    desk.account.refused(DIGEST, "no")
    desk.scribe.close(5)

    assert [fill(7)] == desk.told
    assert ["OrderRecord", "FillRecord", "OrderRecord"] == kinds(desk.memory)
    assert ["sync", "close"] == desk.memory.log[-2:]


def test_a_failure_at_the_end_still_lets_go() -> None:
    """Of the file and its lock."""
    desk = Desk(Memory())
    desk.scribe.deliver([fill(7)])
    desk.memory.is_full = True
    with pytest.raises(JournalError):
        desk.scribe.close(0)
    assert "close" == desk.memory.log[-1]
