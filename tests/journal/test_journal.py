"""A journal: numbers, confirmations, syncing, and taking up where it ended."""

from __future__ import annotations

import pytest
from msgspec import structs

from nadows.errors import JournalDamaged, JournalError, UsageError
from nadows.journal.journal import Journal, Sync
from nadows.journal.records import Closed, Confirmed, Watermark, as_line
from nadows.units import StrInt

from .rig import DIGEST, HEADER, OTHER, Memory, fill, fill_line


def written(*lines: bytes) -> Memory:
    return Memory(as_line(HEADER) + b"".join(lines))


def test_a_new_one_begins_with_its_header() -> None:
    """Nothing is in it, and it is put there whole."""
    memory = Memory()
    journal = Journal(memory, HEADER)

    assert (as_line(HEADER), ["replace"]) == (memory.data, memory.log)
    assert ((), 0, 0, []) == (journal.past, journal.confirmed, journal.fill_count, list(journal.fills()))


def test_fills_are_counted_and_confirmed_across_lives() -> None:
    """A fill keeps its number; what is confirmed is not given again, what is not is."""
    memory = Memory()
    journal = Journal(memory, HEADER)
    journal.write(journal.number([fill(7), fill(8), fill(9)]), urgent=True)
    journal.confirm(fill(8))
    size = len(memory.data)
    journal.confirm(fill(7))
    journal.confirm(fill(77))

    assert size == len(memory.data)
    again = Journal(memory, HEADER)
    assert [(1, fill(7)), (2, fill(8)), (3, fill(9))] == list(again.fills())
    assert [(3, fill(9))] == list(again.unconfirmed()) == list(again.fills(after=2))
    assert (2, 3) == (again.confirmed, again.fill_count)
    again.write(again.number([fill(10)]), urgent=True)
    again.confirm(fill(10))
    assert [] == list(again.unconfirmed())
    assert 4 == Journal(memory, HEADER).confirmed


def test_fills_of_others_cannot_be_confirmed() -> None:
    """It would say something about fills that are not in it."""
    journal = Journal(Memory(), HEADER)

    with pytest.raises(UsageError, match=f"this one is of {OTHER}"):
        journal.confirm(fill(7, subaccount=OTHER))


@pytest.mark.parametrize(
    "change",
    [{"chain_id": 2}, {"endpoint": "0x" + "22" * 20}, {"subaccount": OTHER}],
    ids=lambda c: next(iter(c)),
)
def test_somebody_elses_is_refused(change: dict[str, object]) -> None:
    """And left as it was."""
    memory = written()

    with pytest.raises(
        UsageError, match=r"journal memory belongs to subaccount 0x1a.* on sim .chain 1., and"
    ):
        Journal(memory, structs.replace(HEADER, **change))
    assert [] == memory.log


def test_another_name_of_the_same_network_is_not_refused() -> None:
    """The name is for people."""
    Journal(written(), structs.replace(HEADER, network="else"))


def test_what_a_crash_left_of_a_line_is_cut_off() -> None:
    """And counted, so that it can be told."""
    memory = written(fill_line(1, 7), fill_line(2, 8)[:-9])
    journal = Journal(memory, HEADER)

    assert as_line(HEADER) + fill_line(1, 7) == memory.data
    assert (["cut"], len(fill_line(2, 8)) - 9) == (memory.log, journal.torn_bytes)
    assert [7] == [entry.fill.index for entry in journal.fills()]


def test_damage_is_not_mended() -> None:
    """Only a person can know what to do."""
    memory = written(fill_line(1, 7)[:-9] + b"\n", fill_line(2, 8))
    before = memory.data

    with pytest.raises(JournalDamaged):
        Journal(memory, HEADER)
    assert before == memory.data


def test_a_large_one_is_compacted_when_it_is_opened() -> None:
    """Numbers go on where they were, also when no fill is left."""
    lines = [fill_line(1, 7), as_line(Watermark(index=StrInt(7))), as_line(Closed(digests=(DIGEST,)))]
    memory = written(*lines, as_line(Confirmed(n=1)), b"torn")
    size = len(memory.data)

    assert 1 == Journal(memory, HEADER, compact_bytes=size).fill_count
    assert size - 4 == len(memory.data)
    journal = Journal(memory, HEADER, compact_bytes=size - 5)
    assert (["cut", "replace"], True) == (memory.log, len(memory.data) < size - 300)
    assert ([], 1, 1) == (list(journal.fills()), journal.fill_count, journal.confirmed)
    assert 1 == Journal(memory, HEADER).fill_count


@pytest.mark.parametrize(
    ("sync", "log"),
    [
        (Sync.ALWAYS, ["append", "append", "sync"]),
        (Sync.INTERVAL, ["append", "append"]),
        (Sync.NEVER, ["append", "append"]),
    ],
)
def test_only_what_is_relied_on_is_synced_at_once(sync: Sync, log: list[str]) -> None:
    """And that only if it is always to be."""
    memory = written()
    journal = Journal(memory, HEADER, sync=sync)
    journal.write([Confirmed(n=1)], urgent=False)
    journal.write([Confirmed(n=1)], urgent=True)

    assert log == memory.log
    journal.close()
    assert [*log, *(["sync"] if sync is not Sync.ALWAYS else []), "close"] == memory.log


def test_an_interval_is_counted_from_the_first_look_after_writing() -> None:
    """What was written is synced once, when it is over."""
    memory = written()
    journal = Journal(memory, HEADER, sync=Sync.INTERVAL, interval_ns=10)
    for now_ns, synced in ((0, 0), (5, 0), (14, 0), (15, 1), (30, 1)):
        if now_ns == 0:
            journal.tend(now_ns)
            journal.write([Confirmed(n=1)], urgent=True)
        else:
            journal.tend(now_ns)
        assert synced == memory.log.count("sync")


def test_what_cannot_be_written_is_let_go_of_all_the_same() -> None:
    """A failing sync at the end does not keep the lock."""
    memory = written()
    journal = Journal(memory, HEADER, sync=Sync.NEVER)
    journal.write([Confirmed(n=1)], urgent=True)

    def fails() -> None:
        raise JournalError("the disk is gone")

    memory.sync = fails  # type: ignore[method-assign]
    with pytest.raises(JournalError):
        journal.close()
    assert "close" == memory.log[-1]
