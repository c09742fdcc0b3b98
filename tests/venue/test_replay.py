"""Tests of nadows.venue.replay: recorded market data, served as if it were live."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import islice, pairwise

import pytest

from nadows.errors import CaptureError
from nadows.venue.exchange import Exchange, ExchangeOptions
from nadows.venue.flow import FlowPreset
from nadows.venue.replay import Recording
from tests.market_data import ETH_PERP, needs_market_data
from tests.venue.rig import ETH, MS, SECOND, T0, Json, Rig, Trader

E18 = 10**18


def _levels(*pairs: tuple[int, int]) -> list[list[str]]:
    return [[str(price * E18), str(qty * E18)] for price, qty in pairs]


def _depth(last: int, span: tuple[int, int], bids: list[list[str]], asks: list[list[str]]) -> Json:
    return {
        "type": "book_depth",
        "last_max_timestamp": str(last),
        "min_timestamp": str(span[0]),
        "max_timestamp": str(span[1]),
        "product_id": ETH,
        "bids": bids,
        "asks": asks,
    }


HEADER = {
    "about": "made up",
    "product_id": ETH,
    "snapshot": {
        "product_id": ETH,
        "timestamp": "100",
        "bids": _levels((99, 5), (98, 7)),
        "asks": _levels((101, 5)),
    },
}
FRAMES: list[tuple[int, Json]] = [
    (1_000, _depth(0, (101, 110), _levels((99, 0), (97, 1)), _levels((100, 2)))),
    (
        1_000 + 10 * MS,
        {
            "type": "trade",
            "timestamp": "115",
            "product_id": ETH,
            "price": str(100 * E18),
            "taker_qty": "1",
            "maker_qty": "1",
            "is_taker_buyer": True,
        },
    ),
    (1_000 + 20 * MS, _depth(110, (115, 120), _levels((98, 9)), _levels((100, 0), (102, 0)))),
    (
        1_000 + 30 * MS,
        {
            "type": "best_bid_offer",
            "timestamp": "121",
            "product_id": ETH,
            "bid_price": str(98 * E18),
            "bid_qty": str(9 * E18),
            "ask_price": str(101 * E18),
            "ask_qty": str(5 * E18),
        },
    ),
]


def _lines(frames: Iterable[object] = FRAMES, header: object = HEADER) -> list[bytes]:
    return [json.dumps(line).encode() + b"\n" for line in (header, *frames)]


def _rig(lines: Iterable[bytes]) -> Rig:
    return Rig(recording=lines)


GRACE = 250 * MS


class TestPlaying:
    """Pace, book and chain."""

    def test_the_book_is_the_snapshots_until_somebody_listens(self) -> None:
        """Nothing plays before the first subscription of the product, however long that takes."""
        rig = _rig(_lines())
        rig.subscribe("trade", product_id=2)
        rig.advance(100 * SECOND)

        data = rig.query("market_liquidity", product_id=ETH, depth=10)["data"]

        assert HEADER["snapshot"] == data

    def test_frames_come_as_recorded_at_the_recorded_pace(self) -> None:
        """After a moment for the client's other streams, each frame comes at its distance from the first."""
        rig = _rig(_lines())
        for type_ in ("book_depth", "trade", "best_bid_offer"):
            rig.subscribe(type_, product_id=ETH)

        early = rig.advance(GRACE - 1)
        sent = [rig.advance(1 if index == 0 else 10 * MS) for index in range(len(FRAMES))]

        assert [] == early
        assert [[frame] for _, frame in FRAMES] == sent
        assert [] == rig.advance(SECOND)

    def test_the_book_follows_on_the_same_clock(self) -> None:
        """market_liquidity is as of the newest batch that was sent; after the last frame it stands still."""
        rig = _rig(_lines())
        rig.subscribe("book_depth", product_id=ETH)
        rig.advance(GRACE)

        first = rig.query("market_liquidity", product_id=ETH, depth=10)["data"]
        rig.advance(SECOND)
        last = rig.query("market_liquidity", product_id=ETH, depth=10)["data"]
        price = rig.query("market_price", product_id=ETH)["data"]

        assert ("110", _levels((98, 7), (97, 1)), _levels((100, 2), (101, 5))) == (
            first["timestamp"],
            first["bids"],
            first["asks"],
        )
        assert ("120", _levels((98, 9), (97, 1)), _levels((101, 5))) == (
            last["timestamp"],
            last["bids"],
            last["asks"],
        )
        assert [str(98 * E18), str(101 * E18)] == [price["bid_x18"], price["ask_x18"]]

    def test_prices_follow(self) -> None:
        """The oracle price is the middle of the recorded book, the last price that of the recorded trade."""
        rig = _rig(_lines())
        rig.subscribe("book_depth", product_id=ETH)
        rig.advance(SECOND)
        engine = rig.exchange.engine

        assert (98 + 101) * E18 // 2 == engine.oracle[ETH]
        assert 100 * E18 == engine.markets[ETH].last_price
        replay = rig.exchange.replay
        assert replay is not None
        assert (4, None) == (replay.played, rig.exchange.failure)

    def test_twice_as_fast(self) -> None:
        """A speed divides the distances."""
        exchange = Exchange(
            ExchangeOptions(flow=FlowPreset.OFF), seed=1, now_ns=T0, recording=_lines(), speed=Fraction(2)
        )
        assert exchange.replay is not None
        exchange.replay.start(T0)

        exchange.tick(T0 + GRACE + 15 * MS - 1)
        before = exchange.replay.played
        exchange.tick(T0 + GRACE + 15 * MS)

        assert (3, 4) == (before, exchange.replay.played)

    def test_the_product_cannot_be_traded(self) -> None:
        """Orders in recorded data are refused (2069) and its symbol says so; other products go on."""
        rig = _rig(_lines())
        trader = Trader(rig)

        assert 2069 == trader.place("100", "1")["error_code"]
        assert "success" == trader.place("94000", "0.01", product_id=2)["status"]
        symbols = rig.query("symbols", product_ids=[2, ETH])["data"]["symbols"]
        assert ["live", "not_tradable"] == [row["trading_status"] for row in symbols.values()]

    def test_a_late_subscriber_joins_the_chain(self) -> None:
        """Starting is once; who comes later gets what is left, as recorded."""
        rig = _rig(_lines())
        rig.subscribe("trade", product_id=ETH)
        rig.advance(GRACE + 15 * MS)
        rig.subscribe("book_depth", product_id=ETH)

        frames = rig.advance(SECOND)

        assert [FRAMES[2][1]] == [frame for frame in frames if frame["type"] == "book_depth"]

    def test_a_recording_without_frames_is_a_book_that_stands_still(self) -> None:
        """There is nothing to play."""
        rig = _rig(_lines([]))
        rig.subscribe("book_depth", product_id=ETH)

        assert [] == rig.advance(SECOND)
        assert rig.exchange.replay is not None
        rig.exchange.replay.step()
        assert 0 == rig.exchange.replay.played


class TestDamage:
    """Files that are not what they should be."""

    @pytest.mark.parametrize(
        ("lines", "words"),
        [
            ([], "empty"),
            ([b"{}"], "line 1"),
            ([b"not json"], "line 1"),
            ([b"\xff\xfe"], "line 1"),
            (_lines([], HEADER | {"product_id": 99}), "which the venue lacks"),
            (
                _lines(
                    [], HEADER | {"snapshot": {"product_id": ETH, "timestamp": "x", "bids": [], "asks": []}}
                ),
                "not a book",
            ),
        ],
    )
    def test_a_bad_beginning_is_refused(self, lines: list[bytes], words: str) -> None:
        """A file without a proper header never starts, and the message says what is wrong."""
        with pytest.raises(CaptureError, match=words):
            _rig(lines)

    @pytest.mark.parametrize(
        "line",
        [
            b"not json",
            b"[1]",
            b"\xff",
            b'[2000, {"type":"nonsense"}]',
            b'[2000, {"type":"book_depth"}]',
            json.dumps([2000, FRAMES[0][1] | {"product_id": 2}]).encode(),
        ],
    )
    def test_a_bad_line_ends_the_recording_and_is_named(self, line: bytes) -> None:
        """What came before was played; the venue goes on without the recording."""
        rig = _rig([*_lines(FRAMES[:1]), line, *_lines(FRAMES[2:])[1:]])
        rig.subscribe("book_depth", product_id=ETH)

        frames = rig.advance(SECOND)

        assert [FRAMES[0][1]] == frames
        assert "line 3" in str(rig.exchange.failure)
        assert "success" == rig.query("status")["status"]

    def test_a_bad_first_frame_is_found_at_the_start(self) -> None:
        """The file is read as it is played."""
        rig = _rig([*_lines([]), b"not json"])
        assert rig.exchange.failure is None

        rig.subscribe("book_depth", product_id=ETH)

        assert "line 2" in str(rig.exchange.failure)


def _real_lines(count: int) -> Iterator[bytes]:
    with gzip.open(ETH_PERP) as file:
        yield from islice(file, count)


@needs_market_data
def test_real_data_ends_in_the_book_that_a_plain_rebuild_gives() -> None:
    """5,000 recorded frames: the chain holds and the venue's book equals dictionaries filled by hand."""
    sides: dict[str, dict[int, int]] = {"bids": {}, "asks": {}}
    for number, line in enumerate(_real_lines(5_001)):
        record = json.loads(line)
        update = record["snapshot"] if number == 0 else record[1]
        for name, side in sides.items():
            for price, qty in update.get(name, ()):
                side[int(price)] = int(qty)
    rig = _rig(_real_lines(5_001))
    rig.subscribe("book_depth", product_id=ETH)

    batches = rig.advance(3600 * SECOND)

    book = rig.exchange.engine.markets[ETH].book
    assert sorted(((p, q) for p, q in sides["bids"].items() if q), reverse=True) == book.bids.depth()
    assert sorted((p, q) for p, q in sides["asks"].items() if q) == book.asks.depth()
    assert book.bids.prices(1) < book.asks.prices(1)
    for before, after in pairwise(batches):
        assert before["max_timestamp"] == after["last_max_timestamp"]


def test_a_recording_knows_its_product() -> None:
    """The header says what is played."""
    assert ETH == Recording(_lines()).product_id
