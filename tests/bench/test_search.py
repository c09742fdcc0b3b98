"""The search against venues whose limit is known."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nadows.bench.search import Found, Result, Trial, search
from nadows.errors import UsageError


def find(
    limit: float,
    *,
    start: int = 500,
    most: int = 1_000_000,
    failure: Result = Result.MISSED,
    confirmed: float = 1.0,
) -> tuple[Found, list[Trial]]:
    """Search a venue that takes up to *limit*, and *confirmed* of that when it is asked for longer."""
    searching = search(Fraction(start), Fraction(most), trial_ns=1, confirm_ns=10)
    trials: list[Trial] = []
    result: Result | None = None
    while True:
        try:
            trial = next(searching) if result is None else searching.send(result)
        except StopIteration as end:
            return end.value, trials
        trials.append(trial)
        takes = limit * (confirmed if trial.duration_ns == 10 else 1)
        result = Result.MET if trial.rate <= takes else failure


@given(limit=st.floats(20, 50_000))
def test_limit_is_found_to_five_percent(limit: float) -> None:
    """Whatever it is, the answer holds, and is not more than the width below it."""
    found, trials = find(limit)

    assert found.rate is not None
    assert limit / 1.051 <= found.rate <= limit
    assert not found.is_lower_bound
    assert [found.rate] * 2 == [trial.rate for trial in trials[-2:]]
    assert len(trials) < 25


def test_trials_grow() -> None:
    """Short ones first, longer ones in the bisection, the confirmations longest."""
    _, trials = find(3000)

    lengths = [trial.duration_ns for trial in trials]
    assert sorted(lengths) == lengths
    assert {1, 10} == set(lengths)


def test_rate_that_does_not_last_is_lowered() -> None:
    """A confirmation that fails steps down until two in a row hold."""
    found, trials = find(3000, confirmed=0.8)

    assert found.rate is not None
    assert 2400 * 0.95 <= found.rate <= 2400
    assert len([trial for trial in trials if trial.duration_ns == 10]) > 3


def test_confirmations_must_hold_in_a_row() -> None:
    """One that holds and one that does not are none: the lower rate needs two of its own."""
    searching = search(Fraction(100), Fraction(100), trial_ns=1, confirm_ns=10)
    rates = [next(searching).rate]
    rates += [searching.send(result).rate for result in (Result.MET, Result.MET, Result.MISSED, Result.MET)]

    assert [100, 100, 100, 95, 95] == rates
    with pytest.raises(StopIteration):
        searching.send(Result.MET)


def test_limit_of_the_generator_is_a_lower_bound() -> None:
    """The venue was not at fault, so it may well take more."""
    found, _ = find(3000, failure=Result.GENERATOR)

    assert found.is_lower_bound
    assert found.rate is not None


def test_search_ends_at_its_own_limit() -> None:
    """Nothing is tried beyond it, and the answer says so."""
    found, trials = find(10**9, most=4000)

    assert (4000, True) == (found.rate, found.is_lower_bound)
    assert 4000 == max(trial.rate for trial in trials)


@pytest.mark.parametrize("confirmed", [1.0, 0.0])
def test_hopeless_search_gives_up(confirmed: float) -> None:
    """Where nothing holds there is no rate."""
    found, trials = find(0.001 if confirmed else 600, confirmed=confirmed)

    assert found.rate is None
    assert len(trials) < 100


@pytest.mark.parametrize(
    "numbers", [{"start": Fraction(0)}, {"start": Fraction(9)}, {"width": Fraction(1)}, {"trial_ns": 0}]
)
def test_senseless_searches_are_refused(numbers: dict[str, object]) -> None:
    """A mistake is told before anything runs."""
    sensible: dict[str, object] = {"start": Fraction(1), "most": Fraction(5)}

    with pytest.raises(UsageError, match="a search needs"):
        next(search(**(sensible | numbers)))  # type: ignore[arg-type]  # values of any parameter
