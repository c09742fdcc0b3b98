"""What happens to the client itself, beside the venue's events: as a line for people, and as JSON."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from rich.text import Text

from nadows.cli.figures import ALERT, FAINT, span
from nadows.desk import (
    BookChanged,
    BookDrifted,
    BookGapped,
    CopyLost,
    CopyRestored,
    Degraded,
    DepthGap,
    DeskEvent,
    Disconnected,
    FillsBackfilled,
    OrderSettled,
    Reconnected,
    Throttled,
)
from nadows.products import Products

__all__ = ["NOTICES", "notice_json", "notice_line"]


class _Notice(NamedTuple):
    type: str
    sentence: Callable[[Any, str], str]
    """Of the event, and of the symbol of its product."""
    style: str = ALERT


NOTICES: Final[dict[type, _Notice]] = {
    Disconnected: _Notice("disconnected", lambda event, _: f"{event.line} line lost: {event.reason}"),
    Degraded: _Notice("degraded", lambda event, _: f"{event.line} line stays away: REST is asked instead"),
    Reconnected: _Notice(
        "reconnected", lambda event, _: f"{event.line} line is back after {span(event.downtime_ns)}"
    ),
    CopyLost: _Notice(
        "copy_lost",
        lambda event, _: f"connection {event.copy + 1} of several lost, the others go on: {event.reason}",
        FAINT,
    ),
    CopyRestored: _Notice(
        "copy_restored",
        lambda event, _: f"connection {event.copy + 1} of several is back after {span(event.downtime_ns)}",
        FAINT,
    ),
    Throttled: _Notice(
        "throttled", lambda event, _: f"{event.line} line: the venue says too many requests: {event.text}"
    ),
    BookChanged: _Notice("book_changed", lambda event, name: f"book of {name} is {event.state.name}", FAINT),
    BookGapped: _Notice("book_gapped", lambda _, name: f"book of {name} had to be given up"),
    BookDrifted: _Notice("book_drifted", lambda _, name: f"book of {name} was not the venue's: given up"),
    DepthGap: _Notice(
        "depth_gap", lambda event, name: f"{event.dropped} updates of {name} are left out: too slow a reader"
    ),
    FillsBackfilled: _Notice(
        "fills_backfilled", lambda event, _: f"{event.fills} fills above were missed and found in the archive"
    ),
    OrderSettled: _Notice(
        "order_settled", lambda event, _: f"order {event.digest[:10]} is settled: {event.status.value}"
    ),
}
"""What is told, by the type of event; sessions' other events are for programs."""


def notice_line(event: DeskEvent, products: Products) -> Text | None:
    """Write a notice for people; ``None`` if the event is none."""
    notice = NOTICES.get(type(event))
    if notice is None:
        return None
    product_id = getattr(event, "product_id", None)
    symbol = "" if product_id is None else products.symbol(product_id)
    return Text(f"-- {notice.sentence(event, symbol)}", style=notice.style)


def notice_json(event: DeskEvent, products: Products) -> dict[str, Any] | None:
    """Describe a notice with a ``type`` and its members, and the product's symbol; ``None`` if it is none."""
    notice = NOTICES.get(type(event))
    if notice is None:
        return None
    assert isinstance(event, tuple)
    members = {
        name: value.value if isinstance(value, enum.Enum) else value
        for name, value in event._asdict().items()
    }
    if "product_id" in members:
        members["symbol"] = products.symbol(members["product_id"])
    return {"type": notice.type} | members
