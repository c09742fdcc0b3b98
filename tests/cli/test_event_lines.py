"""Events as people read them: one line each."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from nadows.cli.event_lines import event_line
from nadows.desk import DeskEvent, Disconnected
from nadows.errors import MalformedFrame
from nadows.messages import EVENTS, Ack, Event, StreamError, decode_stream
from nadows.products import Product, Products
from nadows.session import Malformed, Restored

ONE: Final = 10**18
PRODUCTS: Final = Products(
    [
        Product(2, "BTC-PERP", True, ONE, 5 * 10**13, 100 * ONE, 0, 0),
        Product(4, "ETH-PERP", True, 10**17, 10**15, 100 * ONE, 0, 0),
    ]
)
FRAMES: Final = Path(__file__).parent.parent / "data" / "frames.jsonl"
STAMP: Final = "39843113992037"  # 11:04:03.113 UTC, some day


def line(event: DeskEvent) -> str | None:
    text = event_line(event, PRODUCTS)
    return None if text is None else text.plain


def wire(kind: str, **members: Any) -> Event:
    event = decode_stream(msgspec.json.encode({"type": kind} | members))
    assert not isinstance(event, Ack | StreamError)
    return event


def x18(text: str) -> str:
    whole, _, part = text.partition(".")
    return str(int(whole + part.ljust(18, "0")))


OWN: Final = {"subaccount": "0x" + "ab" * 32, "product_id": 4, "timestamp": STAMP}
CASES: Final[list[tuple[DeskEvent, str]]] = [
    (
        wire(
            "trade",
            timestamp=STAMP,
            product_id=4,
            price=x18("3000.1"),
            taker_qty=x18("0.5"),
            maker_qty=x18("0.5"),
            is_taker_buyer=True,
        ),
        "11:04:03.113  ETH-PERP    trade            buy        0.500 @ 3000.1",
    ),
    (
        wire(
            "trade",
            timestamp=STAMP,
            product_id=77,
            price=x18("3000.12"),
            taker_qty=x18("5"),
            maker_qty=x18("5"),
            is_taker_buyer=False,
        ),
        "11:04:03.113  77          trade            sell           5 @ 3000.12",
    ),
    (
        wire(
            "best_bid_offer",
            timestamp=STAMP,
            product_id=4,
            bid_price=x18("2999.9"),
            bid_qty=x18("1"),
            ask_price=x18("3000.1"),
            ask_qty=x18("2"),
        ),
        "11:04:03.113  ETH-PERP    best_bid_offer        1.000 @ 2999.9      |      3000.1 @ 2.000",
    ),
    (
        wire(
            "best_bid_offer",
            timestamp=STAMP,
            product_id=4,
            bid_price="0",
            bid_qty="0",
            ask_price=str(2**127 - 1),
            ask_qty="0",
        ),
        "11:04:03.113  ETH-PERP    best_bid_offer   -  |  -",
    ),
    (
        wire(
            "book_depth",
            last_max_timestamp="1",
            min_timestamp="2",
            max_timestamp=STAMP,
            product_id=4,
            bids=[["1", "1"]],
            asks=[],
        ),
        "11:04:03.113  ETH-PERP    book_depth       1 bids, 0 asks changed",
    ),
    (
        wire(
            "fill",
            **OWN,
            order_digest="0x0123456789" + "ab" * 27,
            appendix="1",
            filled_qty=x18("-0.5"),
            remaining_qty=x18("0.25"),
            original_qty=x18("0.75"),
            price=x18("3000"),
            is_taker=True,
            is_bid=False,
            fee=x18("0.525"),
            submission_idx=7,
        ),
        (
            "11:04:03.113  ETH-PERP    fill             sell       0.500 @ 3000.0"
            "  taker  fee 0.525  0.250 left  0x01234567"
        ),
    ),
    (
        wire(
            "order_update",
            timestamp=STAMP,
            product_id=4,
            digest="0x" + "cd" * 32,
            amount=x18("2"),
            reason="placed",
        ),
        "11:04:03.113  ETH-PERP    order_update     placed     2.000 left  0xcdcdcdcd",
    ),
    (
        wire(
            "position_change",
            **OWN,
            isolated=False,
            amount=x18("1.5"),
            v_quote_amount="-" + x18("4500"),
            reason="match_orders",
        ),
        "11:04:03.113  ETH-PERP    position_change  1.5  quote -4500  match_orders",
    ),
    (
        wire(
            "liquidation",
            timestamp=STAMP,
            product_ids=[2, 4],
            liquidator="0x" + "11" * 32,
            liquidatee="0x" + "22" * 32,
            amount=x18("3"),
            price=x18("2900"),
        ),
        "11:04:03.113              liquidation      BTC-PERP, ETH-PERP  3 @ 2900",
    ),
    (
        wire(
            "latest_candlestick",
            timestamp="39843",
            product_id=4,
            granularity=60,
            open_x18=x18("1"),
            high_x18=x18("4"),
            low_x18=x18("0.5"),
            close_x18=x18("2"),
            volume=x18("10"),
        ),
        "11:04:03.000  ETH-PERP    latest_candlestick  60 s  O 1.0  H 4.0  L 0.5  C 2.0  volume 10.000",
    ),
    (
        wire(
            "funding_payment",
            timestamp=39843113,
            product_id=4,
            payment_amount=x18("0.25"),
            open_interest=x18("100"),
            cumulative_funding_long_x18="0",
            cumulative_funding_short_x18="0",
            dt=3600000,
        ),
        "11:04:03.113  ETH-PERP    funding_payment  0.25  open interest 100",
    ),
    (
        wire(
            "funding_payment",
            timestamp=1795385043113992037,
            product_id=4,
            payment_amount="0",
            open_interest="0",
            cumulative_funding_long_x18="0",
            cumulative_funding_short_x18="0",
            dt=3600000,
        ),
        "22:04:03.113  ETH-PERP    funding_payment  0  open interest 0",
    ),
    (
        wire("funding_rate", timestamp=STAMP, product_id=4, funding_rate_x18=x18("0.0001"), update_time="1"),
        "11:04:03.113  ETH-PERP    funding_rate     0.0001 in 24 h",
    ),
    (
        wire(
            "all_bbo",
            time="39843113",
            bbos={
                "4": {"bid": x18("2999"), "ask": x18("3000")},
                "2": {"bid": x18("9"), "ask": str(2**127 - 1)},
                "8": {"bid": "0", "ask": str(2**127 - 1)},
            },
        ),
        "11:04:03.113              all_bbo          BTC-PERP 9/-  ETH-PERP 2999/3000",
    ),
]


@pytest.mark.parametrize(("event", "expected"), CASES, ids=lambda value: type(value).__name__)
def test_an_event_is_one_line(event: DeskEvent, expected: str) -> None:
    """Time, product, type, and what happened, with exact figures in columns."""
    assert expected == line(event)


def test_every_type_of_event_has_a_line() -> None:
    """No stream prints nothing."""
    assert set(EVENTS.values()) <= {type(event) for event, _ in CASES}


def test_an_unknown_event_is_shown_as_it_came() -> None:
    """A stream newer than this version is no reason to hide it."""
    event = decode_stream(b'{"type":"moon_phase","phase":"full"}')
    assert 'moon_phase  {"type":"moon_phase","phase":"full"}' == line(event).strip()  # type: ignore[arg-type, union-attr]


def test_what_concerns_the_session_alone_is_no_line() -> None:
    """Acknowledgements and the like are for programs."""
    assert line(Restored()) is None
    assert line(Malformed(MalformedFrame("x"))) is None


def test_every_sample_event_of_the_venue_can_be_shown() -> None:
    """The lines cope with whatever the venue's own samples hold."""
    shown = 0
    for sample in map(msgspec.json.decode, FRAMES.read_bytes().splitlines()):
        if (
            isinstance(sample["frame"], dict)
            and sample["frame"].get("type") in EVENTS
            and sample["dir"] == "recv"
        ):
            event = decode_stream(msgspec.json.encode(sample["frame"]))
            assert line(event)  # type: ignore[arg-type]
            shown += 1
    assert shown >= 11


def test_a_line_tells_how_long_the_event_took() -> None:
    """By the venue's clock and ours, which may differ either way; not where the venue does not tell when."""
    event = wire("funding_rate", timestamp="1000000000", product_id=4, funding_rate_x18="0", update_time="1")
    for now_ns, shown in (
        (1_012_300_000, "   12 ms"),
        (998_800_000, " -1.2 ms"),
        (21_000_000_000, "    20 s"),
    ):
        text = event_line(event, PRODUCTS, now_ns)
        assert text is not None
        assert f"00:00:01.000  {shown}  ETH-PERP    funding_rate" in text.plain
    bar = next(event for event, _ in CASES if type(event).__name__ == "LatestCandlestick")
    text = event_line(bar, PRODUCTS, 2**60)
    assert text is not None
    assert "11:04:03.000            ETH-PERP" in text.plain


def test_every_kind_of_fill_is_a_line_like_any_other() -> None:
    """Late or told again, it says the same; only not how long it took."""
    fill, expected = next((event, text) for event, text in CASES if type(event).__name__ == "Fill")
    kinds = type(fill).__subclasses__()
    assert ["LateFill", "JournaledFill"] == [kind.__name__ for kind in kinds]
    for kind in kinds:
        again = kind(**msgspec.structs.asdict(fill))  # type: ignore[arg-type]
        assert expected == line(again)
        timed = event_line(again, PRODUCTS, 2**60)
        assert timed is not None
        assert "11:04:03.113            ETH-PERP" in timed.plain


def test_what_happens_to_the_client_has_its_time() -> None:
    """When it was seen here, for the venue knows nothing of it."""
    text = event_line(Disconnected("streams", "gone"), PRODUCTS, 1_000_000_000)
    assert text is not None
    assert "00:00:01.000  -- streams line lost: gone" == text.plain
