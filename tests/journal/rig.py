"""A journal in memory, and what is written into it."""

from __future__ import annotations

from typing import Any

from nadows.account import Account
from nadows.desk import DeskEvent
from nadows.errors import JournalError
from nadows.journal.journal import Journal, Sync
from nadows.journal.records import FillRecord, Header, as_line
from nadows.journal.scribe import Scribe
from nadows.messages import Fill
from nadows.recovery import Recovery
from nadows.timings import Timings
from nadows.units import X18, Nanos, StrInt

E18 = 10**18
OWN = "0x" + "1a" * 32
OTHER = "0x" + "5a" * 32
DIGEST = "0x" + "d1" * 32
HEADER = Header(network="sim", chain_id=1, endpoint="0x" + "11" * 20, subaccount=OWN)


def fill(idx: int, *, digest: str = DIGEST, kind: type[Fill] = Fill, **other: Any) -> Fill:
    """Two of ten units at 100."""
    fields: dict[str, Any] = {
        "timestamp": Nanos(2**60 + idx),
        "product_id": 4,
        "subaccount": OWN,
        "order_digest": digest,
        "appendix": StrInt(1),
        "filled_qty": X18(2 * E18),
        "remaining_qty": X18(8 * E18),
        "original_qty": X18(10 * E18),
        "price": X18(100 * E18),
        "is_taker": False,
        "is_bid": True,
        "fee": X18(E18),
        "submission_idx": idx,
    }
    return kind(**(fields | other))


def fill_line(n: int, idx: int) -> bytes:
    return as_line(FillRecord(n=n, source="stream", fill=fill(idx)))


class Memory:
    """A `Storage`; *log* says what was done to it, in order."""

    name = "memory"

    def __init__(self, data: bytes = b"") -> None:
        self.data = data
        self.log: list[str] = []
        self.is_full = False

    def read(self) -> bytes:
        return self.data

    def append(self, data: bytes) -> None:
        if self.is_full:
            raise JournalError("the disk is full")
        self.log.append("append")
        self.data += data

    def sync(self) -> None:
        self.log.append("sync")

    def cut(self, size: int) -> None:
        self.log.append("cut")
        self.data = self.data[:size]

    def replace(self, data: bytes) -> None:
        self.log.append("replace")
        self.data = data

    def close(self) -> None:
        self.log.append("close")


class Desk:
    """What a scribe watches: an account and a recovery; with what is handed over, and what is deferred."""

    def __init__(self, memory: Memory, sync: Sync = Sync.ALWAYS, compact_bytes: int = 2**30) -> None:
        self.memory = memory
        self.account = Account(OWN)
        self.told: list[DeskEvent] = []
        self.recovery = Recovery(self.account, lambda *_: 0, self.told.append, Timings(settle_ns=100))
        self.journal = Journal(memory, HEADER, sync=sync, interval_ns=10, compact_bytes=compact_bytes)
        self.deferred: list[Any] = []
        self.scribe = Scribe(
            self.journal, self.account, self.recovery, self._hand_over, self.deferred.append, 0
        )

    def _hand_over(self, events: Any) -> None:
        self.memory.log.append(f"told {len(events)}")
        self.told += events

    def confirmed_by_archive(self, at_ns: int, index: int) -> None:
        """Pretend that a walk through the archive ended."""
        self.recovery._floors.clear()
        self.recovery._floors.append((at_ns, index))
