"""The lines of a journal: read back as written, cut off at any byte, and damaged anywhere."""

from __future__ import annotations

from typing import Any
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nadows.account import Account, OrderStatus
from nadows.errors import JournalDamaged
from nadows.journal.records import (
    Closed,
    Compacted,
    Confirmed,
    FillRecord,
    OrderRecord,
    Record,
    Watermark,
    as_line,
    compacted,
    read_lines,
    recall,
)
from nadows.messages import Fill, LateFill
from nadows.units import X18, Nanos, StrInt

from .rig import DIGEST, E18, HEADER, OWN, fill


def order(status: OrderStatus = OrderStatus.PENDING_NEW, digest: str = DIGEST, **other: Any) -> OrderRecord:
    fields: dict[str, Any] = {
        "digest": digest,
        "product_id": 4,
        "is_buy": True,
        "price": X18(100 * E18),
        "qty": X18(10 * E18),
        "status": status,
        "told_qty": X18(0),
        "updated": Nanos(0),
        "is_sent": True,
        "is_acked": False,
        "client_id": 2**64 - 1,
    }
    return OrderRecord(**(fields | other))


def filled(n: int, idx: int, digest: str = DIGEST, source: str = "stream") -> FillRecord:
    return FillRecord(n=n, source=source, fill=fill(idx, digest=digest))


EACH: tuple[Record, ...] = (
    order(),
    filled(1, 7),
    filled(2, 8, source="backfill"),
    Watermark(index=StrInt(2**70)),
    order(OrderStatus.REJECTED, reason='no "funds"\n', is_acked=True),
    Closed(digests=(DIGEST,)),
    Confirmed(n=2),
    Compacted(index=StrInt(5), n=9),
)
LINES = [as_line(record) for record in (HEADER, *EACH)]
WHOLE = b"".join(LINES)


def test_everything_is_read_back_as_it_was_written() -> None:
    """Each kind of record, with its largest numbers."""
    assert (HEADER, EACH, len(WHOLE)) == read_lines(WHOLE, "j")


def test_numbers_beyond_double_precision_are_text() -> None:
    """Whoever reads it with another JSON reader gets them exactly."""
    assert b'"price":"100000000000000000000"' in LINES[1]
    assert b'"index":"1180591620717411303424"' in LINES[4]


def test_a_fill_keeps_where_it_came_from() -> None:
    """One from the archive is a LateFill again."""
    assert (Fill, LateFill) == (type(filled(1, 7).told()), type(filled(2, 8, source="backfill").told()))
    assert fill(8).key == filled(2, 8, source="backfill").told().key


def test_a_cut_at_any_byte_leaves_the_whole_lines() -> None:
    """What a crash leaves of the last line is not read, and it is known where it begins."""
    for size in range(len(LINES[0]), len(WHOLE)):
        contents = read_lines(WHOLE[:size], "j")

        whole = WHOLE[:size].count(b"\n")
        assert EACH[: whole - 1] == contents.records
        assert sum(map(len, LINES[:whole])) == contents.size


@given(at=st.integers(0, len(WHOLE) - 2), change=st.integers(1, 255))
def test_a_changed_byte_is_never_taken_for_what_was_written(at: int, change: int) -> None:
    """It is an error that names the line; but for the very last line feed, which may have been cut."""
    damaged = bytearray(WHOLE)
    damaged[at] ^= change

    with pytest.raises(JournalDamaged) as error:
        read_lines(bytes(damaged), "some.journal")
    begin = WHOLE.rfind(b"\n", 0, at) + 1
    if b"not a journal" not in str(error.value).encode():
        assert f"some.journal: the line at byte {begin} is damaged" in str(error.value)
        assert f"head -c {begin} some.journal > NEW" in str(error.value)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is not a journal of nadows"),
        (b"hello\n", "is not a journal of nadows"),
        (LINES[0][:-1], "is not a journal of nadows"),
        (LINES[1] + LINES[0], "is not a journal of nadows"),
        (b"00000000" + LINES[0][8:], "the line at byte 0 is damaged .its checksum"),
    ],
)
def test_what_is_no_journal_is_refused(data: bytes, message: str) -> None:
    """With the name and what to do."""
    with pytest.raises(JournalDamaged, match=message):
        read_lines(data, "j")


def test_another_version_is_refused() -> None:
    """A newer format is not guessed at."""
    header = b'{"nadows_journal":2}'
    with pytest.raises(JournalDamaged, match="version 2 of the format, this nadows knows 1"):
        read_lines(b"%08x %b\n" % (crc32(header), header), "j")


def test_a_line_of_an_unknown_kind_is_damage() -> None:
    """A right checksum over what this version does not know is no reason to go on without it."""
    text = b'{"kind":"novelty"}'
    with pytest.raises(JournalDamaged, match="Invalid value 'novelty'"):
        read_lines(LINES[0] + b"%08x %b\n" % (crc32(text), text), "j")


# -- what the records add up to --------------------------------------------------------------------


def account_of(records: list[Record]) -> tuple[Account, int | None]:
    account = Account(OWN)
    return account, recall(records, account)


def test_an_order_is_what_was_last_known_and_its_fills() -> None:
    """Whichever was written first."""
    done = order(OrderStatus.CANCELED, is_acked=True, told_qty=X18(4 * E18), updated=Nanos(9))
    orders_of_writing: list[list[Record]] = [
        [order(), filled(1, 7), filled(2, 8), done],
        [order(), done, filled(1, 7), filled(2, 8)],
        [filled(1, 7), done, filled(2, 8)],
    ]
    for records in orders_of_writing:
        account, watermark = account_of(records)
        tracked = account.orders[DIGEST]
        assert watermark is None
        assert (OrderStatus.CANCELED, 4 * E18, 100 * E18, 2 * E18) == (
            tracked.status,
            tracked.cum_qty,
            tracked.avg_px,
            tracked.fees,
        )
        assert (10 * E18, True, 2**64 - 1) == (tracked.qty, tracked.is_sent, tracked.client_id)
        assert tracked.updated == 2**60 + 8
        assert account.has_seen((7, DIGEST))
        assert not account.has_seen((9, DIGEST))


def test_the_last_watermark_counts() -> None:
    """And what is compacted is not taken again."""
    account, watermark = account_of(
        [
            Watermark(index=StrInt(3)),
            Compacted(index=StrInt(7), n=1),
            filled(2, 7),
            Watermark(index=StrInt(9)),
            Confirmed(n=1),
            Closed(digests=("0x",)),
        ]
    )

    assert 9 == watermark
    assert 2 * E18 == account.orders[DIGEST].cum_qty
    assert account.has_seen((6, "0xany"))
    assert not account.has_seen((8, "0xany"))


A, B, C, D = ("0x" + letter * 64 for letter in "abcd")


def test_compacting_leaves_out_what_is_over() -> None:
    """Closed orders with their fills, once all these are confirmed and below the watermark."""
    records: list[Record] = [
        order(digest=A),
        filled(1, 7, A),
        order(OrderStatus.FILLED, digest=A),
        order(digest=B),
        filled(2, 8, B),
        order(OrderStatus.FILLED, digest=B),
        Watermark(index=StrInt(7)),
        filled(3, 9, C),
        order(OrderStatus.REJECTED, digest=D),
        Closed(digests=(A, B, D)),
        Watermark(index=StrInt(8)),
        Confirmed(n=1),
    ]

    kept = compacted(records)

    assert kept == [
        order(OrderStatus.FILLED, digest=B),
        filled(2, 8, B),
        filled(3, 9, C),
        Watermark(index=StrInt(8)),
        Compacted(index=StrInt(8), n=3),
        Confirmed(n=1),
    ]
    assert kept == compacted(kept)


def test_whoever_never_confirms_loses_no_fill() -> None:
    """Nor does a journal that has no watermark yet."""
    closed = Closed(digests=(DIGEST,))
    unconfirmed: list[Record] = [filled(1, 7), closed, Watermark(index=StrInt(9))]
    unmarked: list[Record] = [filled(1, 7), closed, Confirmed(n=1)]

    assert filled(1, 7) in compacted(unconfirmed)
    assert [filled(1, 7), Confirmed(n=1)] == compacted(unmarked)


def test_an_archive_that_had_nothing_yet_is_a_watermark() -> None:
    """Without it a new life would take for history what was missed since."""
    records: list[Record] = [Watermark(index=StrInt(0)), filled(1, 7, A), Confirmed(n=1)]

    kept = compacted(records)

    assert (1, 0) == (kept.count(Watermark(index=StrInt(0))), account_of(kept)[1])
    assert filled(1, 7, A) in kept


@given(
    st.lists(
        st.one_of(
            st.builds(order, st.sampled_from(list(OrderStatus)), st.sampled_from([A, B, C])),
            st.builds(lambda digest: digest, st.sampled_from([A, B, C])),
            st.builds(lambda index: Watermark(index=StrInt(index)), st.integers(0, 30)),
            st.builds(lambda n: Confirmed(n=n), st.integers(1, 10)),
        ),
        max_size=30,
    )
)
def test_compacting_changes_nothing_that_is_kept(drawn: list[Any]) -> None:
    """Every order that is not closed has all its fills after it, and no fill is news that was none before."""
    records: list[Record] = []
    n = 0
    for each in drawn:
        if isinstance(each, str):
            n += 1
            records.append(filled(n, n, each))
        else:
            records.append(each)
    records.append(Closed(digests=(C,)))

    before, watermark = account_of(records)
    after, watermark_after = account_of(compacted(records))
    marks = [each.index for each in records if isinstance(each, Watermark)]
    assert (max(marks) if marks else None) == watermark_after
    assert watermark is None or watermark <= (watermark_after or 0)
    for digest in {A, B} & before.orders.keys():
        order_before, order_after = before.orders[digest], after.orders[digest]
        for name in ("filled_qty", "notional", "fees", "price", "qty", "told_qty", "is_sent", "updated"):
            assert getattr(order_before, name) == getattr(order_after, name)
    assert all(after.has_seen(key) for key in before._seen)
