"""Questions to the archive and their answers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from nadows import messages as m
from nadows.errors import MalformedFrame
from nadows.units import X18
from tests.messages.samples import sample


def refused(body: Any) -> str:
    frame = body if isinstance(body, bytes | str) else json.dumps(body)
    with pytest.raises(m.UnreadableRequest) as caught:
        m.decode_archive_request(frame)
    return caught.value.text.removeprefix("error parsing request: ")


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"candlesticks": {"granularity": 60}}, "missing field `product_id`"),
        ({"matches": 5}, "Expected `object`, got `int`"),
        ([], "Expected `object`, got `array`"),
    ],
)
def test_complaints(body: Any, text: str) -> None:
    """A question that cannot be read is refused in the venue's words."""
    assert text == refused(body)


@pytest.mark.parametrize("body", [{}, {"shout": {}}])
def test_unknown_questions(body: dict[str, Any]) -> None:
    """A question that the archive does not know is refused with the list of those it knows."""
    names = ", ".join(f"`{name}`" for name in m.ARCHIVE_QUERIES)

    assert f"unknown variant `{next(iter(body), '')}`, expected one of {names}" == refused(body)


@pytest.mark.parametrize("frame", [b"", b"{", b"\xff", b"[" * 100_000, '{"\ud800":1}'])
def test_broken_requests(frame: bytes | str) -> None:
    """A body that is not JSON is refused, and nothing else is raised."""
    assert refused(frame)


@pytest.mark.parametrize(
    ("query", "answer"),
    [
        (
            m.FundingRatesQuery(product_ids=(2,)),
            {"2": {"product_id": 2, "funding_rate_x18": "-5", "update_time": "7"}},
        ),
        (
            m.PerpPriceQuery(product_id=2),
            {"product_id": 2, "index_price_x18": "5", "mark_price_x18": "6", "update_time": "7"},
        ),
        (
            m.OraclePriceQuery(product_ids=(2,)),
            {"prices": [{"product_id": 2, "oracle_price_x18": "5", "update_time": "7"}]},
        ),
        (
            m.SubaccountsQuery(address="0xaa", limit=1),
            {
                "subaccounts": [
                    {
                        "id": "1",
                        "subaccount": "0xaa",
                        "address": "0xaa",
                        "subaccount_name": "default",
                        "created_at": "7",
                        "isolated": False,
                    }
                ]
            },
        ),
        (
            m.EventsQuery(subaccounts=("0xaa",), limit=m.EventsLimit(raw=1)),
            {
                "events": [
                    {
                        "subaccount": "0xaa",
                        "product_id": 0,
                        "submission_idx": "1",
                        "event_type": "deposit_collateral",
                        "product": {"spot": {}},
                        "pre_balance": {"spot": {"product_id": 0, "balance": {"amount": "0"}}},
                        "post_balance": {"spot": {"product_id": 0, "balance": {"amount": "5"}}},
                        "net_interest_unrealized": "0",
                        "net_interest_cumulative": "0",
                        "net_funding_unrealized": "0",
                        "net_funding_cumulative": "0",
                        "net_entry_unrealized": "0",
                        "net_entry_cumulative": "0",
                        "quote_volume_cumulative": "0",
                        "isolated": False,
                    }
                ],
                "txs": [{"tx": {"deposit_collateral": {}}, "submission_idx": "1", "timestamp": "7"}],
            },
        ),
        (
            m.InterestAndFundingQuery(subaccount="0xaa", product_ids=(2,), limit=10),
            {
                "interest_payments": [],
                "funding_payments": [
                    {
                        "product_id": 2,
                        "idx": "1",
                        "timestamp": "7",
                        "amount": "-5",
                        "balance_amount": "6",
                        "rate_x18": "8",
                        "oracle_price_x18": "9",
                    }
                ],
                "next_idx": "0",
            },
        ),
        (
            m.SignaturesQuery(digests=("0xaa",)),
            {"signatures": [{"digest": "0xaa", "signature": "0xbb", "signer": "0xcc", "is_linked": False}]},
        ),
        (
            m.LinkedSignerRateLimitQuery(subaccount="0xaa"),
            {"remaining_tx": "50", "total_tx_limit": "50", "wait_time": 0, "signer": "0xcc"},
        ),
        (
            m.MarketSnapshotsQuery(interval=m.SnapshotInterval(count=1, granularity=3600)),
            {"snapshots": []},
        ),
        (
            m.BacklogQuery(),
            {
                "total_txs": "5",
                "total_submissions": "5",
                "backlog_size": "0",
                "updated_at": "7",
                "backlog_eta_in_seconds": None,
            },
        ),
        (m.QuotePriceQuery(), {"price_x18": "1"}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_exchanges_without_samples(query: m.ArchiveQuery, answer: dict[str, Any]) -> None:
    """The questions that no sample shows travel both ways, with their answers."""
    frame = m.encode_archive_request(query)

    assert [m.archive_query_type(query)] == list(json.loads(frame))
    assert query == m.decode_archive_request(frame)
    assert answer == json.loads(m.encode(m.decode_archive_answer(json.dumps(answer), query)))


def test_error_is_an_answer() -> None:
    """A refusal of the archive is read as such, with its code."""
    answer = m.decode_archive_answer(sample("archive.error").json, m.MatchesQuery())

    assert m.ArchiveError("digests and surrounding", 3000).error_code == answer.error_code
    assert isinstance(answer, m.ArchiveError)


@pytest.mark.parametrize("frame", [b"", b"<html>", b"{}", b'{"error":"x"}', b'{"matches":[{}],"txs":[]}'])
def test_malformed_answers(frame: bytes) -> None:
    """What is neither the answer nor an error raises MalformedFrame."""
    with pytest.raises(MalformedFrame):
        m.decode_archive_answer(frame, m.MatchesQuery())


def test_match_is_known_as_its_fill_is() -> None:
    """A match of the archive and the fill of the stream have the same key, so that repeats are dropped."""
    answer = m.decode_archive_answer(sample("archive.matches.ok").json, m.MatchesQuery())
    fill = m.decode_stream(sample("event.fill.maker").json)

    assert isinstance(fill, m.Fill)
    assert fill.key == answer.matches[0].key
    assert answer.matches[0].product_id == 2


@pytest.mark.parametrize(
    ("base", "expected"),
    [
        (m.BalanceBase(perp=m.PerpBalance(2, m.PerpBalanceAmounts(X18(1), X18(2), X18(3)))), 2),
        (m.BalanceBase(spot=m.SpotBalance(1, m.SpotBalanceAmount(X18(1)))), 1),
        (m.BalanceBase(), None),
    ],
    ids=["perp", "spot", "neither"],
)
def test_product_of_a_balance(base: m.BalanceBase, expected: int | None) -> None:
    """The product is found in whichever kind of balance there is."""
    assert expected == base.product_id
