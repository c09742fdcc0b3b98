"""What happens to the client itself, for people and for programs."""

from __future__ import annotations

from typing import Any

import pytest

from nadows.account import OrderStatus
from nadows.book import BookState
from nadows.cli.event_lines import event_line
from nadows.cli.notices import NOTICES, notice_json, notice_line
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
from nadows.products import Product, Products
from nadows.session import Restored

PRODUCTS = Products([Product(4, "ETH-PERP", True, 1, 1, 1, 0, 0)])
DIGEST = "0x" + "ab" * 32
CASES: list[tuple[DeskEvent, str, dict[str, Any]]] = [
    (
        Disconnected("gateway", "it broke"),
        "-- gateway line lost: it broke",
        {"type": "disconnected", "line": "gateway", "reason": "it broke"},
    ),
    (
        Degraded("gateway", 3),
        "-- gateway line stays away: REST is asked instead",
        {"type": "degraded", "line": "gateway", "since_ns": 3},
    ),
    (
        Reconnected("gateway", 1_500_000_000),
        "-- gateway line is back after 1500 ms",
        {"type": "reconnected", "line": "gateway", "downtime_ns": 1_500_000_000},
    ),
    (
        CopyLost(1, "it broke"),
        "-- connection 2 of several lost, the others go on: it broke",
        {"type": "copy_lost", "copy": 1, "reason": "it broke"},
    ),
    (
        CopyRestored(1, 1_500_000_000),
        "-- connection 2 of several is back after 1500 ms",
        {"type": "copy_restored", "copy": 1, "downtime_ns": 1_500_000_000},
    ),
    (
        Throttled("gateway", "slow down"),
        "-- gateway line: the venue says too many requests: slow down",
        {"type": "throttled", "line": "gateway", "text": "slow down"},
    ),
    (
        BookChanged(4, BookState.LIVE),
        "-- book of ETH-PERP is LIVE",
        {"type": "book_changed", "product_id": 4, "symbol": "ETH-PERP", "state": "live"},
    ),
    (
        BookGapped(4, 7),
        "-- book of ETH-PERP had to be given up",
        {"type": "book_gapped", "product_id": 4, "symbol": "ETH-PERP", "known_until": 7},
    ),
    (
        BookDrifted(5, 7),
        "-- book of 5 was not the venue's: given up",
        {"type": "book_drifted", "product_id": 5, "symbol": "5", "known_until": 7},
    ),
    (
        DepthGap(4, 12),
        "-- 12 updates of ETH-PERP are left out: too slow a reader",
        {"type": "depth_gap", "product_id": 4, "symbol": "ETH-PERP", "dropped": 12},
    ),
    (
        FillsBackfilled(2, 10, 11),
        "-- 2 fills above were missed and found in the archive",
        {"type": "fills_backfilled", "fills": 2, "first_index": 10, "last_index": 11},
    ),
    (
        OrderSettled(DIGEST, OrderStatus.FILLED),
        "-- order 0xabababab is settled: filled",
        {"type": "order_settled", "digest": DIGEST, "status": "filled"},
    ),
]


@pytest.mark.parametrize(("event", "line", "described"), CASES, ids=lambda value: type(value).__name__)
def test_a_notice_is_a_line_and_an_object(event: DeskEvent, line: str, described: dict[str, Any]) -> None:
    """A sentence for people; type, members and symbol for programs."""
    text = event_line(event, PRODUCTS)
    assert text is not None
    assert line == text.plain
    assert described == notice_json(event, PRODUCTS)


def test_every_notice_is_tested() -> None:
    """The table and the cases are of one length."""
    assert set(NOTICES) == {type(event) for event, _, _ in CASES}


def test_what_concerns_the_session_alone_is_no_notice() -> None:
    """Acknowledgements and the like are for programs."""
    assert notice_line(Restored(), PRODUCTS) is None
    assert notice_json(Restored(), PRODUCTS) is None
