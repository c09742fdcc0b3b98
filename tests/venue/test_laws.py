"""Two laws that hold whatever happens: matching is by price and time, and money is conserved."""

from __future__ import annotations

import pytest

from tests.venue.conservation import World
from tests.venue.reference_matcher import Pair


@pytest.mark.parametrize("seed", [1, 2])
def test_every_trade_and_book_is_the_simple_matchers(seed: int) -> None:
    """Random orders of all types and cancels; `make matching` does a million."""
    pair = Pair(seed)

    for _ in range(1500):
        pair.step()

    assert pair.traded > 200


@pytest.mark.parametrize("seed", [2, 3])
def test_no_unit_of_money_is_lost_or_made(seed: int) -> None:
    """Random trades, transfers, liquidations, fundings; `make conservation` does a million operations."""
    world = World(seed)

    for _ in range(700):
        world.step()
        world.check()

    done = {outcome.split()[0] for outcome in world.outcomes if outcome.endswith(" ok")}
    assert {"place", "transfer", "withdraw", "pool", "move_price", "fund"} <= done
    kinds = {change.kind for change in world.rig.exchange.engine.archive.changes}
    assert {"liquidate_subaccount", "create_isolated_subaccount", "close_isolated_subaccount"} <= kinds
