"""What only the official SDK asks of the venue, without the SDK; `tests/interop` has the SDK itself."""

from __future__ import annotations

from typing import Any

import pytest

from tests.venue.rig import T0, Rig


def test_the_clock_is_a_bare_number() -> None:
    """`GET /v1/time` answers with the venue's clock in ms, no envelope."""
    assert (200, T0 // 10**6) == Rig().http_raw("GET", "/v1/time")


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, ["BTC-PERP", "ETH-PERP", "KBTC", "SOL-PERP", "USDC", "wETH"]),
        ({"product_ids": [2, 4]}, ["BTC-PERP", "ETH-PERP"]),
        ({"product_type": "spot"}, ["KBTC", "USDC", "wETH"]),
        ({"product_ids": [1, 2], "product_type": "perp"}, ["BTC-PERP"]),
    ],
)
def test_cached_symbols_are_filtered_like_symbols(filters: dict[str, Any], expected: list[str]) -> None:
    """The edge's cached symbols take the filters that the SDK sends."""
    request = {"type": "cached_symbols", **filters}

    answer = Rig().http("POST", "/v1/edge/query", body=request)

    assert expected == sorted(answer["data"]["symbols"])
    assert "cached_symbols" == answer["request_type"]
