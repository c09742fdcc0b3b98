"""Tests of nadows.venue.rest_v2: the lists and maps for display, of gateway and archive."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from nadows.messages import Apr, Contract, SymbolInfo, Ticker, TickerTrade
from nadows.messages.wire import decode
from nadows.units import to_x18
from tests.venue.rig import ETH, SECOND, T0, Rig, Trader

ETH_TICKER = "ETH-PERP_USDT0"
DAY = 86_400 * SECOND


@pytest.fixture
def rig() -> Rig:
    return Rig()


def read(rig: Rig, path: str, kind: Any, **query: str) -> Any:
    """Ask, and read the answer through the client's types."""
    status, body = rig.http_raw("GET", path, query)
    assert 200 == status
    return decode(msgspec.json.encode(body), kind)


class TestTickers:
    """A day of each market."""

    def test_a_day(self, rig: Rig) -> None:
        """Volumes are sums of the day's trades, the change is against its first price."""
        trader = Trader(rig)
        trader.place("3010", "0.1")
        trader.place("2990", "-0.2")

        ticker = read(rig, "/archive/v2/tickers", dict[str, Ticker])[ETH_TICKER]

        assert (ETH, "ETH-PERP", "USDT0", 2999.7, 0.3) == (
            ticker.product_id,
            ticker.base_currency,
            ticker.quote_currency,
            ticker.last_price,
            ticker.base_volume,
        )
        assert 0.1 * 3000.3 + 0.2 * 2999.7 == pytest.approx(ticker.quote_volume)
        assert (2999.7 - 3000.3) / 3000.3 * 100 == pytest.approx(ticker.price_change_percent_24h)

    def test_yesterday_does_not_count(self, rig: Rig) -> None:
        """A day after the last trade volume and change are zero; the price stays."""
        Trader(rig).place("3010", "0.1")
        rig.skip(DAY + 300 * SECOND)

        ticker = read(rig, "/archive/v2/tickers", dict[str, Ticker])[ETH_TICKER]

        assert (3000.3, 0, 0, 0) == (
            ticker.last_price,
            ticker.base_volume,
            ticker.quote_volume,
            ticker.price_change_percent_24h,
        )

    @pytest.mark.parametrize(("market", "count"), [("spot", 3), ("perp", 3)])
    def test_kinds(self, rig: Rig, market: str, count: int) -> None:
        """One kind of market can be asked for."""
        assert count == len(read(rig, "/archive/v2/tickers", dict[str, Ticker], market=market))


def test_contracts_are_the_perps(rig: Rig) -> None:
    """A contract is a ticker with open interest, prices and the next funding."""
    Trader(rig).place("3010", "0.1")

    contracts = read(rig, "/archive/v2/contracts", dict[str, Contract])

    eth = contracts[ETH_TICKER]
    assert ["BTC-PERP_USDT0", ETH_TICKER, "SOL-PERP_USDT0"] == list(contracts)
    assert ("perpetual", 3000, 3000, 3000.3) == (
        eth.product_type,
        eth.index_price,
        eth.mark_price,
        eth.last_price,
    )
    assert rig.exchange.engine.ledger.open_interest[ETH] == to_x18("0.1")
    assert (0.1, 300) == (eth.open_interest, eth.open_interest_usd)
    assert 3600 == eth.next_funding_rate_timestamp - T0 // SECOND


class TestTrades:
    """Trades of a market, newest first."""

    def test_sides_and_signs(self, rig: Rig) -> None:
        """The taker's base is signed, the quote has the other sign."""
        trader = Trader(rig)
        trader.place("3010", "0.1")
        trader.place("2990", "-0.2")

        sold, bought = read(rig, "/archive/v2/trades", tuple[TickerTrade, ...], ticker_id=ETH_TICKER)

        assert ("sell", -0.2, 2999.7) == (sold.trade_type, sold.base_filled, sold.price)
        assert sold.quote_filled == pytest.approx(0.2 * 2999.7)
        assert ("buy", 0.1, 3000.3) == (bought.trade_type, bought.base_filled, bought.price)
        assert bought.quote_filled == pytest.approx(-0.1 * 3000.3)
        assert T0 // SECOND == sold.timestamp

    def test_pages(self, rig: Rig) -> None:
        """The limit bounds a page, and max_trade_id, which is included, begins the next."""
        trader = Trader(rig)
        for _ in range(3):
            trader.place("3010", "0.1")

        def ids(**query: str) -> list[int]:
            page = read(rig, "/archive/v2/trades", tuple[TickerTrade, ...], ticker_id=ETH_TICKER, **query)
            return [trade.trade_id for trade in page]

        newest = rig.exchange.engine.submission_idx
        assert [newest, newest - 1] == ids(limit="2")
        assert [newest - 1, newest - 2] == ids(max_trade_id=str(newest - 1))
        assert () == read(rig, "/archive/v2/trades", tuple[TickerTrade, ...], ticker_id="BTC-PERP_USDT0")


def test_symbols_have_market_hours(rig: Rig) -> None:
    """The archive's symbols are the gateway's, with more members, and can be filtered."""
    symbols = read(rig, "/archive/v2/symbols", dict[str, SymbolInfo])
    (btc,) = rig.http_raw("GET", "/archive/v2/symbols", {"product_type": "perp", "product_ids": "1,2"})[
        1
    ].values()

    assert 6 == len(symbols)
    assert ("BTC-PERP", True) == (btc["symbol"], btc["market_hours"]["is_open"])


def test_apr_lists_what_can_be_deposited(rig: Rig) -> None:
    """Interest is not simulated; the value deposited is told."""
    Trader(rig).place("3010", "0.1")

    rows = read(rig, "/v2/apr", tuple[Apr, ...])

    assert ("USDT0", 0, 0) == (rows[0].symbol, rows[0].deposit_apr, rows[0].borrow_apr)
    assert 1_000_000 <= rows[0].tvl


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/archive/v2/tickers", {"market": "future"}),
        ("/archive/v2/symbols", {"product_type": "future"}),
        ("/archive/v2/trades", {}),
        ("/archive/v2/trades", {"ticker_id": ETH_TICKER, "limit": "0"}),
        ("/archive/v2/trades", {"ticker_id": ETH_TICKER, "max_trade_id": "1" * 5000}),
    ],
)
def test_bad_parameters(rig: Rig, path: str, query: dict[str, str]) -> None:
    """They are refused with 400 and a text."""
    status, body = rig.http_raw("GET", path, query)

    assert 400 == status
    assert body["error"]
