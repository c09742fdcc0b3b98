"""The campaign, in the measure that a test run can bear, and a look at whether it sees."""

from __future__ import annotations

import pytest

from tests.faults.campaign import run, run_many
from tests.faults.menu import FAULTS
from tests.faults.mutants import MUTANTS, hunt

SEEN_SOON = (
    "chain_unchecked",
    "no_backfill",
    "no_dedupe",
    "lost_answer_is_refusal",
    "resubscribe_forgotten",
    "no_census",
    "polled_book_called_live",
)


@pytest.mark.parametrize("seed", range(12))
def test_seed(seed: int) -> None:
    """A run with faults loses, doubles and mistakes nothing."""
    assert () == run(seed).problems


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_seeds() -> None:
    """A hundred more; among them every fault there is."""
    results = list(run_many(range(12, 100)))

    assert {} == {result.seed: result.problems for result in results if result.problems}
    assert set(FAULTS) == {name for result in results for name in result.faults}
    assert sum(result.late for result in results) > 100
    assert sum(result.gaps for result in results) > 20
    assert sum(result.polled_fills for result in results) > 50
    assert sum(result.polled_compared for result in results) > 50


def test_a_seed_repeats() -> None:
    """The same seed is the same run to the last count."""
    assert run(5) == run(5)


@pytest.mark.slow
@pytest.mark.parametrize("name", SEEN_SOON)
def test_mistake_is_noticed(name: str) -> None:
    """A broken client does not pass; all of them are hunted by `make mutants`."""
    assert name in MUTANTS
    assert hunt(name, seeds=25).seed is not None
