"""A journal: what it holds, what is confirmed, and when it must be on the disk.

Pure: the bytes go to a `Storage`, which is a file (`nadows.journal.file`) or what a test makes of it.
"""

from __future__ import annotations

import enum
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple, Protocol

from nadows.errors import UsageError
from nadows.journal.records import (
    Compacted,
    Confirmed,
    FillRecord,
    Header,
    Record,
    as_line,
    compacted,
    read_lines,
)
from nadows.messages import Fill

__all__ = ["COMPACT_BYTES", "SYNC_INTERVAL_NS", "Entry", "Journal", "Storage", "Sync"]

SYNC_INTERVAL_NS: Final = 100_000_000
COMPACT_BYTES: Final = 4 * 2**20
"""A journal that is larger when it is opened is compacted: 4 MiB are some 8,000 fills, read in 0.1 s."""


class Sync(enum.Enum):
    """When what was written is made to survive a crash of the machine; see docs/api.md.

    A crash of the process alone loses nothing with any of them.
    """

    ALWAYS = "always"
    """Before fills are delivered and orders are sent."""
    INTERVAL = "interval"
    """From time to time: a crash of the machine loses what was written since."""
    NEVER = "never"
    """When the operating system sees fit."""


class Storage(Protocol):
    """Where the bytes are.

    Its methods raise `JournalError` if that fails, and after that always.
    """

    name: str

    def read(self) -> bytes:
        """Give everything."""

    def append(self, data: bytes) -> None:
        """Add to the end."""

    def sync(self) -> None:
        """Make what was added survive a crash of the machine."""

    def cut(self, size: int) -> None:
        """Shorten to *size* bytes, and sync."""

    def replace(self, data: bytes) -> None:
        """Put *data* in the place of everything, whole or not at all, and sync."""

    def close(self) -> None:
        """Let go of it; idempotent."""


class Entry(NamedTuple):
    """A fill and its number in the journal."""

    n: int
    """Counts the fills of a journal from 1, for ever."""
    fill: Fill


class Journal:
    """The journal of one subaccount, open for writing.

    Args:
        storage: Where the bytes are.
        header: Whose journal it is.
        sync: When to make it survive a crash of the machine.
        interval_ns: For `Sync.INTERVAL`.
        compact_bytes: Larger ones are compacted now.

    Raises:
        UsageError: If it belongs to somebody else.
        JournalDamaged: If it cannot be read.
        JournalError: If it cannot be written.
    """

    def __init__(
        self,
        storage: Storage,
        header: Header,
        *,
        sync: Sync = Sync.ALWAYS,
        interval_ns: int = SYNC_INTERVAL_NS,
        compact_bytes: int = COMPACT_BYTES,
    ) -> None:
        self.torn_bytes = 0
        """What a crash had left of a last line, and was cut off."""
        self.confirmed = 0
        """The application has dealt with every fill up to this number."""
        self.groups = sync is Sync.ALWAYS
        """Whether it is worth waiting for more before writing."""
        self._storage = storage
        self._subaccount = header.subaccount
        self._sync = sync
        self._interval_ns = interval_ns
        self._unsynced_since: int | None = None
        self._is_unsynced = False
        self._n = 0
        # Not a plain dict, in which finding the first key takes longer with each one removed before it.
        self._unconfirmed: OrderedDict[tuple[int, str], int] = OrderedDict()
        self.past = self._open(header, compact_bytes)
        """What it held when it was opened."""

    @property
    def name(self) -> str:
        """Of the file."""
        return self._storage.name

    @property
    def fill_count(self) -> int:
        """Fills ever written to it."""
        return self._n

    # -- what the application asks ------------------------------------------------------------

    def fills(self, after: int = 0) -> Iterator[Entry]:
        """Give every fill with a number above *after*, each once, in the order of delivery.

        Those that compacting has left out (confirmed, below the watermark, of orders that are done) are not
        there any more.
        """
        for record in read_lines(self._storage.read(), self.name).records:
            if isinstance(record, FillRecord) and record.n > after:
                yield Entry(record.n, record.told())

    def unconfirmed(self) -> Iterator[Entry]:
        """Give the fills that `confirm` has not been called for, each once, in the order of delivery."""
        return self.fills(after=self.confirmed)

    def confirm(self, fill: Fill) -> None:
        """Say that the application has dealt with this fill and all that were delivered before it.

        They are not delivered again after a restart. Confirming again changes nothing.

        Raises:
            UsageError: If it is a fill of another subaccount.
        """
        if fill.subaccount != self._subaccount:
            raise UsageError(
                f"journal {self.name} has the fills of subaccount {self._subaccount}, "
                f"and this one is of {fill.subaccount}"
            )
        n = self._unconfirmed.get(fill.key)
        if n is not None:
            self.write([Confirmed(n=n)], urgent=False)

    # -- what the client asks -----------------------------------------------------------------

    def number(self, fills: Sequence[Fill]) -> list[Record]:
        """Make the records of new fills, which count once they are written."""
        return [
            FillRecord(n=n, source=fill.source, fill=fill) for n, fill in enumerate(fills, start=self._n + 1)
        ]

    def write(self, records: Sequence[Record], *, urgent: bool) -> None:
        """Write records, all in one piece.

        Args:
            records: In the order in which they are to count.
            urgent: Whether something is about to happen that relies on them.
        """
        self._storage.append(b"".join(map(as_line, records)))
        self._count(records)
        self._is_unsynced = True
        if urgent and self._sync is Sync.ALWAYS:
            self.sync()

    def sync(self) -> None:
        """Make everything written survive a crash of the machine."""
        if self._is_unsynced:
            self._storage.sync()
            self._is_unsynced = False

    def tend(self, now_ns: int) -> None:
        """Sync if it is time."""
        if self._sync is not Sync.INTERVAL or not self._is_unsynced:
            self._unsynced_since = None
        elif self._unsynced_since is None:
            self._unsynced_since = now_ns
        elif now_ns - self._unsynced_since >= self._interval_ns:
            self._unsynced_since = None
            self.sync()

    def close(self) -> None:
        """Sync, whatever the policy, and let go of the file; what is in it can still be read."""
        try:
            self.sync()
        finally:
            self._storage.close()

    # -- inside -------------------------------------------------------------------------------

    def _open(self, header: Header, compact_bytes: int) -> tuple[Record, ...]:
        data = self._storage.read()
        if not data:
            self._storage.replace(as_line(header))
            return ()
        contents = read_lines(data, self.name)
        if contents.header.identity != header.identity:
            raise UsageError(
                f"journal {self.name} belongs to {_whose(contents.header)}, and this is {_whose(header)}: "
                "each needs a journal of its own"
            )
        self.torn_bytes = len(data) - contents.size
        records = contents.records
        if contents.size > compact_bytes:
            records = tuple(compacted(records))
            self._storage.replace(b"".join(map(as_line, (header, *records))))
        elif self.torn_bytes:
            self._storage.cut(contents.size)
        self._count(records)
        return records

    def _count(self, records: Sequence[Record]) -> None:
        for record in records:
            match record:
                case FillRecord():
                    self._n = max(self._n, record.n)
                    self._unconfirmed[record.fill.key] = record.n
                case Compacted():
                    self._n = max(self._n, record.n)
                case Confirmed():
                    self._settle(record.n)
                case _:
                    pass

    def _settle(self, n: int) -> None:
        self.confirmed = max(self.confirmed, n)
        while self._unconfirmed:
            key, number = next(iter(self._unconfirmed.items()))
            if number > self.confirmed:
                break
            del self._unconfirmed[key]


def _whose(header: Header) -> str:
    return f"subaccount {header.subaccount} on {header.network} (chain {header.chain_id})"
