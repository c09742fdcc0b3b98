"""The rank test against values worked out elsewhere."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nadows.bench import ranks
from nadows.bench.ranks import mann_whitney
from nadows.errors import UsageError


@pytest.mark.parametrize(
    ("first", "second", "p"),
    [
        # Critical values of the published tables: the extreme arrangement of n and m.
        ([1, 2, 3], [4, 5, 6], 2 / 20),
        ([1, 2, 3, 4], [5, 6, 7, 8], 2 / 70),
        ([1, 2, 3, 4, 5], [6, 7, 8, 9, 10], 2 / 252),
        # U = 3 of 5 and 4 values, the example of many textbooks.
        ([19, 22, 16, 29, 24], [20, 11, 17, 12], 14 / 126),
        ([1, 2], [1, 2], 1.0),
        ([5, 5, 5], [5, 5, 5], 1.0),
    ],
)
def test_small_samples_are_exact(first: list[float], second: list[float], p: float) -> None:
    """All arrangements are counted, so the value is a fraction of them."""
    assert pytest.approx(p) == mann_whitney(first, second)
    assert pytest.approx(p) == mann_whitney(second, first)


values = st.lists(st.integers(0, 6).map(float), min_size=1, max_size=5)


@given(first=values, second=values)
def test_exact_value_is_that_of_all_arrangements(first: list[float], second: list[float]) -> None:
    """With ties too: as many arrangements are at least as extreme as a plain count finds."""
    pooled = [*first, *second]

    def rank(value: float) -> float:
        return sum(other < value for other in pooled) + (pooled.count(value) + 1) / 2

    observed = sum(map(rank, first))
    sums = [sum(rank(pooled[i]) for i in chosen) for chosen in combinations(range(len(pooled)), len(first))]
    extreme = min(sum(each <= observed for each in sums), sum(each >= observed for each in sums))

    assert pytest.approx(min(1.0, 2 * extreme / len(sums))) == mann_whitney(first, second)


def test_large_samples_are_nearly_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """The approximation agrees with the count to a tenth of itself where both can be had."""
    first, second = [float(value) for value in range(20)], [value + 5.5 for value in range(20)]
    exact = mann_whitney(first, second)

    monkeypatch.setattr(ranks, "EXACT", 0)

    assert pytest.approx(exact, rel=0.15) == mann_whitney(first, second)
    assert 1.0 == mann_whitney([1.0] * 3, [1.0] * 3)


def test_nothing_cannot_be_ranked() -> None:
    """A side without values is a mistake."""
    with pytest.raises(UsageError, match="values on both sides"):
        mann_whitney([], [1.0])
