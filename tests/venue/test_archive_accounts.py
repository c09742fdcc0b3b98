"""Tests of nadows.venue.archive_accounts and .archive_statistics: events, payments, signatures, totals."""

from __future__ import annotations

import json
from typing import Any

import pytest

from nadows.messages import archive_history as history
from nadows.messages.archive import ArchiveError, decode_archive_answer, encode_archive_request
from nadows.network import TESTNET
from nadows.signing import Signer, Subaccount, sign_link_signer
from nadows.units import ONE_X18, to_x18
from nadows.venue.rest import HttpRequest
from tests.venue.rig import ETH, KBTC, SECOND, T0, Json, Rig, Trader

HOUR = 3600 * SECOND


@pytest.fixture
def rig() -> Rig:
    return Rig()


@pytest.fixture
def trader(rig: Rig) -> Trader:
    return Trader(rig)


def ask(rig: Rig, query: Any) -> Any:
    """Ask, and read the answer through the client's types."""
    request = HttpRequest("POST", "/archive/v1", {}, encode_archive_request(query))
    answer = rig.exchange.http_request(5000, request, rig.now_ns)
    assert answer is not None
    return decode_archive_answer(answer.body, query)


def events(rig: Rig, **params: Any) -> list[Json]:
    rows: list[Json] = rig.archive("events", **params)["events"]
    return rows


class TestEvents:
    """Changes of balances."""

    def test_a_deposit_and_a_match(self, rig: Rig, trader: Trader) -> None:
        """The first request funds the wallet, the second event is the match; newest first."""
        trader.place("3010", "0.1")

        answer = ask(rig, history.EventsQuery(subaccounts=(trader.sub.hex,)))

        match, deposit = answer.events
        assert ["match_orders", "deposit_collateral"] == [match.event_type, deposit.event_type]
        assert (0, to_x18("0.1")) == (
            match.pre_balance.perp.balance.amount,
            match.post_balance.perp.balance.amount,
        )
        assert (0, 1_000_000 * ONE_X18) == (
            deposit.pre_balance.spot.balance.amount,
            deposit.post_balance.spot.balance.amount,
        )
        assert match.net_entry_unrealized == -match.post_balance.perp.balance.v_quote_balance
        assert [["match_orders"], ["deposit_collateral"]] == [list(each.tx) for each in answer.txs]
        assert [match.submission_idx, deposit.submission_idx] == [each.submission_idx for each in answer.txs]

    def test_a_spot_match_changes_two_balances(self, rig: Rig, trader: Trader) -> None:
        """Base and quote are two events of one transaction."""
        trader.place("95100", "0.01", product_id=KBTC)

        rows = events(rig, subaccounts=[trader.sub.hex], event_types=["match_orders"])

        assert [KBTC, 0] == [row["product_id"] for row in rows]
        assert 1 == len({row["submission_idx"] for row in rows})

    @pytest.mark.parametrize(
        ("params", "expected"),
        [
            ({}, ["match_orders", "match_orders", "deposit_collateral"]),
            ({"limit": {"raw": 1}}, ["match_orders"]),
            ({"limit": {"txs": 2}}, ["match_orders", "match_orders"]),
            ({"desc": False}, ["deposit_collateral", "match_orders", "match_orders"]),
            ({"desc": False, "limit": {"raw": 1}}, ["deposit_collateral"]),
            ({"product_ids": [0]}, ["deposit_collateral"]),
            ({"event_types": ["deposit_collateral"]}, ["deposit_collateral"]),
            ({"isolated": True}, []),
            ({"isolated": False, "limit": {"raw": 2}}, ["match_orders", "match_orders"]),
            ({"max_time": T0 // SECOND}, ["match_orders", "match_orders", "deposit_collateral"]),
            ({"max_time": T0 // SECOND - 1}, []),
        ],
        ids=str,
    )
    def test_filters(self, rig: Rig, trader: Trader, params: Json, expected: list[str]) -> None:
        """Every filter of the query narrows what comes."""
        trader.place("3010", "0.1")
        trader.place("3010", "0.1")

        assert expected == [row["event_type"] for row in events(rig, subaccounts=[trader.sub.hex], **params)]

    def test_pages(self, rig: Rig, trader: Trader) -> None:
        """``idx`` is included; ascending it is where the page begins."""
        trader.place("3010", "0.1")
        trader.place("3010", "0.1")
        newest, middle, oldest = (int(row["submission_idx"]) for row in events(rig))

        def ids(**params: Any) -> list[int]:
            return [int(row["submission_idx"]) for row in events(rig, **params)]

        assert [middle, oldest] == ids(idx=str(middle))
        assert [middle, newest] == ids(idx=str(middle), desc=False)


class TestPayments:
    """Funding that a subaccount paid or received."""

    def test_a_long_pays(self, rig: Rig, trader: Trader) -> None:
        """The amount is what the position's quote lost."""
        trader.place("3010", "0.1")
        before = trader.perp()[1]
        rig.skip(HOUR)

        answer = ask(
            rig, history.InterestAndFundingQuery(subaccount=trader.sub.hex, product_ids=(ETH,), limit=10)
        )

        (paid,) = answer.funding_payments
        assert (trader.perp()[1] - before, to_x18("0.1")) == (paid.amount, paid.balance_amount)
        assert ((), 0) == (answer.interest_payments, answer.next_idx)
        assert 3000 * ONE_X18 == paid.oracle_price_x18

    def test_pages(self, rig: Rig, trader: Trader) -> None:
        """``next_idx`` is where the next page begins; other products and times are left out."""
        trader.place("3010", "0.1")
        for _ in range(3):
            rig.skip(HOUR)

        def page(**params: Any) -> Json:
            chosen = {"subaccount": trader.sub.hex, "product_ids": [ETH], "limit": 2} | params
            return rig.archive("interest_and_funding", **chosen)

        first = page()
        second = page(max_idx=first["next_idx"])
        assert [2, 1] == [len(each["funding_payments"]) for each in (first, second)]
        assert "0" == second["next_idx"]
        assert [] == page(product_ids=[2])["funding_payments"]
        assert [] == page(max_time=T0 // SECOND)["funding_payments"]


class TestSignatures:
    """Who signed which order."""

    def test_open_and_filled(self, rig: Rig, trader: Trader) -> None:
        """Both kinds are known; what is not is left out."""
        resting, crossing = trader.sign("2900", "0.1"), trader.sign("3010", "0.1")
        for order in (resting, crossing):
            rig.ask(trader.connection, order.frame)

        answer = ask(
            rig, history.SignaturesQuery(digests=(resting.digest, crossing.digest, "0x" + "11" * 32))
        )

        assert [resting.signature, crossing.signature] == [each.signature for each in answer.signatures]
        assert {(trader.sub.address, False)} == {(each.signer, each.is_linked) for each in answer.signatures}

    def test_linked(self, rig: Rig, trader: Trader) -> None:
        """A linked signer's orders say so."""
        other = Signer(b"\x07" * 32)
        link(rig, trader, other.address, 0)
        order = trader.sign("2900", "0.1", signer=other)
        rig.ask(trader.connection, order.frame)

        (known,) = ask(rig, history.SignaturesQuery(digests=(order.digest,))).signatures

        assert (other.address.lower(), True) == (known.signer, known.is_linked)

    @pytest.mark.parametrize(("digests", "code"), [(["0x"], 1005), (["0x" + "11" * 32] * 501, 3001)])
    def test_refused(self, rig: Rig, digests: list[str], code: int) -> None:
        """Broken digests and too many of them."""
        assert code == rig.archive("signatures", digests=digests)["error_code"]


def link(rig: Rig, trader: Trader, address: str, nonce: int) -> Json:
    linked = Subaccount.parse(address.lower() + "00" * 12)
    request = sign_link_signer(trader.signer, TESTNET.domain, trader.sub, linked, nonce)
    return rig.ask(trader.connection, request.frame)


class TestLinkedSigners:
    """How often the linked signer may change."""

    def test_the_allowance(self, rig: Rig, trader: Trader) -> None:
        """Fifty changes in seven days; then it says how long to wait, and passes in time."""

        def limit() -> tuple[int, int, str]:
            answer = ask(rig, history.LinkedSignerRateLimitQuery(subaccount=trader.sub.hex))
            return int(answer.remaining_tx), int(answer.wait_time), answer.signer

        assert (50, 0, "0x" + "00" * 20) == limit()
        for nonce in range(50):
            assert "success" == link(rig, trader, f"0x{nonce + 1:040x}", nonce)["status"]
        assert (0, 7 * 86_400, f"0x{50:040x}") == limit()
        assert 2030 == link(rig, trader, f"0x{99:040x}", 50)["error_code"]

        rig.skip(7 * 86_400 * SECOND)

        assert (50, 0) == limit()[:2]
        assert "success" == link(rig, trader, f"0x{99:040x}", 50)["status"]

    def test_the_same_again(self, rig: Rig, trader: Trader) -> None:
        """Linking the linked signer again is refused, and does not use up the nonce."""
        link(rig, trader, f"0x{5:040x}", 0)

        assert 2026 == link(rig, trader, f"0x{5:040x}", 1)["error_code"]
        assert "success" == link(rig, trader, f"0x{6:040x}", 1)["status"]


class TestStatistics:
    """Totals of the venue."""

    def test_snapshots(self, rig: Rig, trader: Trader) -> None:
        """Newest first, a granularity apart; before the venue opened everything is zero."""
        trader.place("3010", "0.1")
        rig.skip(HOUR)

        answer = ask(
            rig,
            history.MarketSnapshotsQuery(
                interval=history.SnapshotInterval(count=2, granularity=3600), product_ids=(ETH,)
            ),
        )

        now, before = answer.snapshots
        assert [T0 // SECOND + 3600, T0 // SECOND] == [now.timestamp, before.timestamp]
        assert ({"4": 1}, {"4": to_x18("0.1")}, 1) == (
            now.cumulative_trades,
            now.open_interests,
            now.cumulative_users,
        )
        assert {"4": to_x18("300.03")} == now.cumulative_volumes
        assert ({"4": 0}, 0) == (before.cumulative_trades, before.cumulative_users)

    def test_every_product_by_default(self, rig: Rig) -> None:
        """Without a choice all markets are in."""
        (now,) = rig.archive("market_snapshots", interval={"count": 1, "granularity": 60})["snapshots"]

        assert {str(each) for each in rig.exchange.engine.markets} == set(now["cumulative_trades"])

    @pytest.mark.parametrize("interval", [{"count": 0, "granularity": 60}, {"count": 1, "granularity": 0}])
    def test_bad_intervals(self, rig: Rig, interval: Json) -> None:
        """They are refused with 3003."""
        assert 3003 == rig.archive("market_snapshots", interval=interval)["error_code"]

    def test_there_is_no_backlog(self, rig: Rig, trader: Trader) -> None:
        """Everything is done at once."""
        trader.place("3010", "0.1")

        answer = ask(rig, history.BacklogQuery())

        assert (2, 2, 0) == (answer.total_txs, answer.total_submissions, answer.backlog_size)

    def test_the_quote_costs_one(self, rig: Rig) -> None:
        """The price of USDT0."""
        assert ONE_X18 == ask(rig, history.QuotePriceQuery()).price_x18


@pytest.mark.parametrize("name", ["account_snapshots", "leaderboard_rank", "tx_hashes", "nado_points"])
def test_what_is_not_simulated_says_so(rig: Rig, name: str) -> None:
    """Questions that only the real archive answers are refused with 4001."""
    answer = decode_archive_answer(
        json.dumps({key: value for key, value in rig.archive(name).items() if key != "_status"}),
        history.BacklogQuery(),
    )

    assert isinstance(answer, ArchiveError)
    assert 4001 == answer.error_code
