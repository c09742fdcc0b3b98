r"""The lines of a journal: the header, and one record a line.

A line is the CRC-32 of its text as eight hex digits, a space, the text as compact JSON, and a line feed::

    8c4f1a09 {"nadows_journal":1,"network":"mainnet","chain_id":57073,"endpoint":"0x…","subaccount":"0x…"}
    51d0b7e2 {"kind":"order","digest":"0x…","product_id":4,"is_buy":true,"price":"3000000000000000000000",…}
    0e99c3aa {"kind":"fill","n":1,"source":"stream","fill":{"type":"fill","submission_idx":"8412",…}}
    b34d20f1 {"kind":"watermark","index":"8412"}

Numbers that may exceed 2**53 are decimal strings, as on the wire. Lines are only ever added at the end, so a
crash leaves whole lines and perhaps one that lacks its line feed; every other damage is an error.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, NamedTuple
from zlib import crc32

from nadows.account import Account, OrderStatus, TrackedOrder
from nadows.errors import JournalDamaged
from nadows.messages import Fill, LateFill, encode
from nadows.messages.events import as_kind
from nadows.messages.wire import FOREIGN, Decoder, WireStruct, decoder
from nadows.units import X18, Nanos, StrInt

__all__ = [
    "FORMAT",
    "Closed",
    "Compacted",
    "Confirmed",
    "Contents",
    "FillRecord",
    "Header",
    "OrderRecord",
    "Record",
    "Watermark",
    "as_line",
    "compacted",
    "read_lines",
    "recall",
]

FORMAT: Final = 1
"""Version of the format: a reader refuses what it does not know."""
_CRC_DIGITS: Final = 8


class Header(WireStruct, frozen=True, kw_only=True, tag_field="nadows_journal", tag=FORMAT):
    """The first line: whose journal it is."""

    network: str
    """Name, for people; chain and contract decide."""
    chain_id: int
    endpoint: str
    """The endpoint contract, 0x hex, lower case."""
    subaccount: str
    """bytes32, 0x hex, lower case."""

    @property
    def identity(self) -> tuple[int, str, str]:
        """What must be the same for a journal to go on."""
        return self.chain_id, self.endpoint, self.subaccount


class OrderRecord(WireStruct, frozen=True, kw_only=True, tag_field="kind", tag="order"):
    """All that is known of an order, save what follows from its fills; replaces what was known before.

    Written before the order is sent, when the venue has proved that it took it, and when it is done.
    """

    digest: str
    product_id: int
    is_buy: bool
    price: X18
    qty: X18
    status: OrderStatus
    told_qty: X18
    updated: Nanos
    is_sent: bool
    is_acked: bool
    client_id: int | None = None
    reason: str = ""

    @classmethod
    def of(cls, order: TrackedOrder) -> OrderRecord:
        """Describe an order."""
        return cls(
            digest=order.digest,
            product_id=order.product_id,
            is_buy=order.is_buy,
            price=X18(order.price),
            qty=X18(order.qty),
            status=order.status,
            told_qty=X18(order.told_qty),
            updated=Nanos(order.updated),
            is_sent=order.is_sent,
            is_acked=order.is_acked,
            client_id=order.client_id,
            reason=order.reason,
        )

    def tracked(self) -> TrackedOrder:
        """Make the order again, without its fills."""
        return TrackedOrder(
            digest=self.digest,
            product_id=self.product_id,
            is_buy=self.is_buy,
            price=int(self.price),
            qty=int(self.qty),
            status=self.status,
            told_qty=int(self.told_qty),
            updated=int(self.updated),
            is_sent=self.is_sent,
            is_acked=self.is_acked,
            client_id=self.client_id,
            reason=self.reason,
        )


class FillRecord(WireStruct, frozen=True, kw_only=True, tag_field="kind", tag="fill"):
    """A fill, written before anybody hears of it."""

    n: int
    """Counts the fills of this journal from 1, for ever."""
    source: str
    """How it was learnt of, see `Fill.source`."""
    fill: Fill

    def told(self) -> Fill:
        """Give the fill as it was delivered."""
        return as_kind(LateFill, self.fill) if self.source == "backfill" else self.fill


class Watermark(WireStruct, frozen=True, kw_only=True, tag_field="kind", tag="watermark"):
    """Every own fill up to this index is in the journal: the archive has confirmed it."""

    index: StrInt


class Closed(WireStruct, frozen=True, kw_only=True, tag_field="kind", tag="closed"):
    """These orders are done, and every fill of theirs is in the journal."""

    digests: tuple[str, ...]


class Confirmed(WireStruct, frozen=True, kw_only=True, tag_field="kind", tag="confirmed"):
    """The application has dealt with every fill up to number *n*."""

    n: int


class Compacted(WireStruct, frozen=True, kw_only=True, tag_field="kind", tag="compacted"):
    """Of the fills up to an index only those that may still be needed were kept."""

    index: StrInt
    n: int
    """The highest number that a fill had."""


Record = OrderRecord | FillRecord | Watermark | Closed | Confirmed | Compacted

_HEADER: Final = decoder(Header)
_RECORD: Final = decoder(Record)
_VERSION: Final = decoder(dict[str, Any])


class Contents(NamedTuple):
    """What is in a journal."""

    header: Header
    records: tuple[Record, ...]
    size: int
    """Length of the whole lines (bytes); what lies behind was cut off in a crash."""


def as_line(record: Header | Record) -> bytes:
    """Write a line."""
    text = encode(record)
    return b"%08x %b\n" % (crc32(text), text)


def read_lines(data: bytes, name: str) -> Contents:
    """Read a journal.

    Args:
        data: All of it.
        name: Of the file, for messages.

    Raises:
        JournalDamaged: If it is no journal, is of another version, or any whole line is damaged.
    """
    size = data.rfind(b"\n") + 1
    lines = data[:size].split(b"\n")[:-1]
    if not lines or b'{"nadows_journal":' not in lines[0]:
        raise JournalDamaged(f"{name} is not a journal of nadows; give another name, or move it away")
    header = _read_header(lines[0], name)
    records: list[Record] = []
    offset = len(lines[0]) + 1
    for line in lines[1:]:
        records.append(_decoded(line, _RECORD, name, offset))
        offset += len(line) + 1
    return Contents(header, tuple(records), size)


def _read_header(line: bytes, name: str) -> Header:
    version = _decoded(line, _VERSION, name, 0).get("nadows_journal")
    if version != FORMAT:
        raise JournalDamaged(
            f"{name} has version {version!r} of the format, this nadows knows {FORMAT}: "
            "use the nadows that wrote it, or begin a new journal"
        )
    header: Header = _decoded(line, _HEADER, name, 0)
    return header


def _decoded(line: bytes, reader: Decoder, name: str, offset: int) -> Any:
    text = line[_CRC_DIGITS + 1 :]
    if line[: _CRC_DIGITS + 1] != b"%08x " % crc32(text):
        raise _damaged(name, offset, "its checksum does not fit")
    try:
        return reader.decode(text)
    except FOREIGN as error:
        raise _damaged(name, offset, str(error)) from error


def _damaged(name: str, offset: int, reason: str) -> JournalDamaged:
    return JournalDamaged(
        f"{name}: the line at byte {offset} is damaged ({reason}). Put a good copy in its place, or keep "
        f"what is before it (head -c {offset} {name} > NEW) and use that: later fills come from the archive "
        "again, also those that were confirmed"
    )


def recall(records: Iterable[Record], account: Account) -> int | None:
    """Tell an account what a journal holds.

    Returns:
        The watermark, ``None`` if there is none yet.
    """
    watermark: int | None = None
    left_out = 0
    for record in records:
        match record:
            case OrderRecord():
                account.recall(record.tracked())
            case FillRecord():
                account.apply(record.told())
            case Watermark():
                watermark = int(record.index)
            case Compacted():
                left_out = int(record.index)
            case _:
                # Closed and Confirmed tell an account nothing.
                pass
    # Last, or the fills that were kept would look like repeats.
    account.forget(left_out)
    return watermark


def compacted(records: Iterable[Record]) -> list[Record]:
    """Leave out what nobody will ask for again.

    That is: what newer records replace, and closed orders with their fills, once all these fills are
    confirmed and lie below the watermark. Whoever never confirms loses no fill.
    """
    records = tuple(records)
    orders = {each.digest: each for each in records if isinstance(each, OrderRecord)}
    fills = [each for each in records if isinstance(each, FillRecord)]
    # 0 is one as well: the archive had nothing of the account yet.
    watermark = max((each.index for each in records if isinstance(each, Watermark)), default=None)
    confirmed = max((each.n for each in records if isinstance(each, Confirmed)), default=0)
    newest = max((each.n for each in records if isinstance(each, FillRecord | Compacted)), default=0)
    closed = {digest for each in records if isinstance(each, Closed) for digest in each.digests}
    floor = -1 if watermark is None else watermark
    closed -= {each.fill.order_digest for each in fills if each.n > confirmed or each.fill.index > floor}

    kept: list[Record] = [order for digest, order in orders.items() if digest not in closed]
    kept += [each for each in fills if each.fill.order_digest not in closed]
    if watermark is not None:
        kept += [Watermark(index=watermark), Compacted(index=watermark, n=newest)]
    if confirmed:
        kept.append(Confirmed(n=confirmed))
    return kept
