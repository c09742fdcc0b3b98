"""What events say beyond their members, and the check of book levels."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nadows import messages as m
from nadows.errors import MalformedFrame
from nadows.messages.events import has_plain_levels
from nadows.units import NO_ASK, X18, Millis, Nanos, StrInt

PRICE: Final = "95000000000000000000000"
BAD_LEVELS: Final = [
    ("", "1"),
    ("1", ""),
    ("0", "1"),
    ("01", "1"),
    ("1.0", "1"),
    ("1e3", "1"),
    ("-1", "1"),
    ("1", "-1"),
    ("+1", "1"),
    (" 1", "1"),
    ("1", "1 "),
    ("1_0", "1"),
    ("1,2", "3"),
    ('1","2', "3"),
    ("1[", "2"),
    ("1{", "2"),
    ("1}", "2"),
    ("1", "]2"),
    ("\u0661", "1"),
    ("1", "\u0661"),
    ("\u00b2", "1"),
    ("9" * 40, "1"),
    ("1", "9" * 40),
]


ODD: Final = st.text("0123456789,[]{}", max_size=4)


def depth_frame(bids: Any, asks: Any, **changes: Any) -> dict[str, Any]:
    """Build a book_depth object in the member order of the venue."""
    return {
        "type": "book_depth",
        "last_max_timestamp": "0",
        "min_timestamp": "1799999995201000007",
        "max_timestamp": "1799999995243112233",
        "product_id": 2,
        "bids": bids,
        "asks": asks,
    } | changes


def compact(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def depth(bids: m.Levels = (), asks: m.Levels = ()) -> m.BookDepth:
    return m.BookDepth(Nanos(0), Nanos(1799999995201000007), Nanos(1799999995243112233), 2, bids, asks)


@pytest.mark.parametrize("side", ["bids", "asks"])
@pytest.mark.parametrize("level", BAD_LEVELS, ids=repr)
@pytest.mark.parametrize("layout", ["compact", "spaced", "first"])
def test_bad_level_is_refused(level: tuple[str, str], side: str, layout: str) -> None:
    """A level that a book could not be keyed by makes the frame malformed, on either side, in any layout."""
    levels = [[PRICE, "1"], list(level), [PRICE, "0"]]
    body = depth_frame(**({"bids": [], "asks": [["7", "0"]]} | {side: levels}))
    if layout == "first":
        body = {side: body.pop(side)} | body
    frame = json.dumps(body, ensure_ascii=False).encode() if layout == "spaced" else compact(body)

    with pytest.raises(MalformedFrame):
        m.decode_stream(frame)


@pytest.mark.parametrize("level", [["1"], ["1", "2", "3"], [1, "2"], ["1", 2], ["1", None], "12", None, {}])
def test_level_of_another_shape_is_refused(level: Any) -> None:
    """A level that is not a pair of strings makes the frame malformed."""
    with pytest.raises(MalformedFrame):
        m.decode_stream(compact(depth_frame([level], [])))


@given(
    st.lists(st.tuples(st.integers(1, 10**38), st.integers(0, 10**38))),
    st.lists(st.tuples(st.integers(1, 10**38), st.integers(0, 10**38))),
)
def test_good_levels_pass_by_their_bytes(bids: list[tuple[int, int]], asks: list[tuple[int, int]]) -> None:
    """Any number of canonical levels is read as it is, and the quick look at the bytes is enough for them."""
    sides = [[[str(price), str(qty)] for price, qty in side] for side in (bids, asks)]
    frame = compact(depth_frame(*sides))

    event = m.decode_stream(frame)

    assert depth(*(tuple((price, qty) for price, qty in side) for side in sides)) == event
    assert isinstance(event, m.BookDepth)
    assert has_plain_levels(frame, event)


@given(
    st.lists(st.tuples(ODD, ODD), max_size=4),
    st.lists(st.tuples(st.text("0123456789", max_size=4), st.text("0123456789", max_size=4)), max_size=4),
)
def test_quick_look_never_passes_bad_levels(bids: list[tuple[str, str]], asks: list[tuple[str, str]]) -> None:
    """What the look at the bytes lets pass, the look at each string lets pass too."""
    frame = compact(depth_frame(bids, asks))
    try:
        event = m.decode_stream(frame)
    except MalformedFrame:
        return
    assert isinstance(event, m.BookDepth)
    m.check_levels(event.bids)
    m.check_levels(event.asks)


@pytest.mark.parametrize(
    "frame",
    [
        # The last one of two equal members counts; the bytes of the first must not be taken for it.
        b'{"asks":[["x","1"]],%s"bids":[],"asks":[["1","1"]]}',
        b'{%s"bids":[["1","1"]],"asks":[["1","1"]],"bids":[],"extra":{"asks":[]}}',
        b'{"asks":[["1","1"]],%s"bids":[["1","1"]]}',
        b'{%s"bids" : [["1","1"]], "asks" : []}',
        b'{"extra":{"bids":[["x","1"]],"asks":[]},%s"bids":[["1","1"]],"asks":[]}',
        b'{%s"bids":[["\\u0031","1"]],"asks":[]}',
        b'{%s"bids":[["1","1"]],"asks":[],"later":1}',
    ],
    ids=["twice", "nested-later", "asks-first", "spaced", "nested-before", "escaped", "member-after"],
)
def test_other_layouts_are_read_as_well(frame: bytes) -> None:
    """A frame that is laid out in another way is read the same, by a look at each string."""
    head = compact(depth_frame([], []))[1:].partition(b'"bids"')[0]
    full = frame % head

    event = m.decode_stream(full)

    assert isinstance(event, m.BookDepth)
    assert {"x"}.isdisjoint(price for price, _ in event.bids + event.asks)


@pytest.mark.parametrize(
    "frame",
    [
        # Each hides a bad level where the bytes after the first "bids": do not show it, or show another one.
        b'{"asks":[["1x","1"]],%s"bids":[]}',
        b'{"asks":[["1","1"],["1","1"]],%s"bids":[["1x","2"]],"z":{"q":[],"asks":[]}}',
        b'{%s"bids":[["x1","2"]],"asks":[["1"  ,  "2"]]}',
        b'{"bids":[],%s"asks":[],"bids" :[["01","2"]]}',
    ],
)
def test_hidden_bad_levels_are_refused(frame: bytes) -> None:
    """No layout smuggles a bad level past the look at the bytes."""
    head = compact(depth_frame([], []))[1:].partition(b'"bids"')[0]

    with pytest.raises(MalformedFrame):
        m.decode_stream(frame % head)


@pytest.mark.parametrize(
    "frame",
    [
        b'{"asks":[["1","1"],["1","1"]],%s"bids":[["1JUNK","2"]]}',
        b'{"asks":[["1","1"],["1","1"],["1","1"]],%s"bids":[["1JUNK","2"]],"z":{"q":[],"asks":[]}}',
        b'{%s"bids":[["1JUNK","2"]],"asks":[]}',
        b'{%s"bids":[],"asks":[["1JUNK","2"]]}',
    ],
    ids=["asks-first", "nested", "bids", "asks"],
)
def test_no_length_of_junk_adds_up(frame: bytes) -> None:
    """Junk in a level never makes up for punctuation that is elsewhere, whatever its length."""
    head = compact(depth_frame([], []))[1:].partition(b'"bids"')[0]

    for length in range(1, 39):
        with pytest.raises(MalformedFrame):
            m.decode_stream((frame % head).replace(b"JUNK", b"x" * length))


def test_check_levels_says_which() -> None:
    """The message shows the level that is wrong."""
    with pytest.raises(ValueError, match=r"\('02', '1'\)"):
        m.check_levels((("1", "0"), ("02", "1")))


@pytest.mark.parametrize("side", ["bids", "asks"])
def test_snapshot_levels_are_checked_too(side: str) -> None:
    """A snapshot with a bad level is malformed, just as an update is."""
    body = {"bids": [], "asks": [], "product_id": 2, "timestamp": "1"} | {side: [["01", "1"]]}

    with pytest.raises(MalformedFrame, match="01"):
        m.decode(compact(body), m.MarketLiquidity)


@pytest.mark.parametrize(
    ("reason", "amount", "expected"),
    [
        ("placed", 5, False),
        ("filled", 5, False),
        ("filled", 0, True),
        ("cancelled", 0, True),
        ("cancelled", 5, True),
        ("placed", 0, False),
        ("something_new", 0, False),
    ],
)
def test_order_is_final(reason: str, amount: int, expected: bool) -> None:
    """An order is gone when cancelled, or filled with nothing left."""
    update = m.OrderUpdate(Nanos(1), 2, "0xaa", X18(amount), reason)

    assert expected == update.is_final


@pytest.mark.parametrize("submission_idx", [9182001, m.as_text(9182001)], ids=["number", "text"])
def test_fill_key(submission_idx: int) -> None:
    """A fill is known by match number and order, whichever form the number came in."""
    zero = X18(0)
    fill = m.Fill(
        Nanos(1), 2, "0xaa", "0xdd", StrInt(1), zero, zero, zero, zero, True, True, zero, submission_idx, id=7
    )

    assert fill.key == (9182001, "0xdd")
    assert fill.index == 9182001
    assert type(fill.index) is int


@pytest.mark.parametrize(
    "timestamp", [m.as_text(1799999940), 1799999940, 1799999940000, m.as_text(1799999940000)]
)
def test_bar_start(timestamp: int) -> None:
    """The start of a bar is in seconds, from the live form and from the documented one."""
    one = X18(1)

    assert m.LatestCandlestick(timestamp, 2, 60, one, one, one, one, one).start_s == 1799999940


@pytest.mark.parametrize(("bid", "ask", "expected"), [(0, NO_ASK, True), (1, NO_ASK, False), (0, 5, False)])
def test_empty_top(bid: int, ask: int, expected: bool) -> None:
    """A top is empty if both sides are."""
    assert expected == m.TopPrices(X18(bid), X18(ask)).is_empty


def test_bbos_are_found_by_product() -> None:
    """The keys of all_bbo are product ids; a key that is none makes the frame malformed."""
    good = '{"type":"all_bbo","time":"5","bbos":{"2":{"bid":"1","ask":"2"}}}'

    assert m.AllBbo(Millis(5), {2: m.TopPrices(X18(1), X18(2))}) == m.decode_stream(good)
    for key in ("02", "1e3", "-1", " 2", "4294967296", "BTC"):
        with pytest.raises(MalformedFrame):
            m.decode_stream(good.replace('"2":', f'"{key}":'))


def test_event_tables_agree() -> None:
    """The table holds the eleven events by name; the tuple for isinstance has the unknown one besides."""
    assert list(m.EVENTS) == [
        "order_update",
        "trade",
        "best_bid_offer",
        "fill",
        "position_change",
        "book_depth",
        "liquidation",
        "latest_candlestick",
        "funding_payment",
        "funding_rate",
        "all_bbo",
    ]
    assert m.EVENT_TYPES == (*m.EVENTS.values(), m.UnknownEvent)
