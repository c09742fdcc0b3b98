"""Orders gathered into batches."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nadows.batching import MAX_WEIGHT, Gathering
from nadows.errors import UsageError

Item = tuple[str, int, int]
"""Group, weight, number."""


def gathering(max_orders: int = 3, max_wait_ns: int = 10) -> Gathering[Item]:
    return Gathering(
        max_orders=max_orders,
        max_wait_ns=max_wait_ns,
        group_of=lambda item: item[0],
        weight_of=lambda item: item[1],
    )


def test_full_batch_goes_at_once() -> None:
    """Nobody waits for time when there are enough."""
    batch = gathering()
    items = [("a", 1, n) for n in range(3)]

    assert [[], [], [items]] == [batch.add(item, n) for n, item in enumerate(items)]
    assert batch.next_deadline() is None
    assert 0 == len(batch)


def test_first_of_a_batch_waits_no_longer_than_asked() -> None:
    """Its time counts, not that of those that came later."""
    batch = gathering()
    batch.add(("a", 1, 1), 5)
    batch.add(("a", 1, 2), 14)
    assert 15 == batch.next_deadline()
    assert [] == batch.tick(14)

    assert [[("a", 1, 1), ("a", 1, 2)]] == batch.tick(15)
    assert [] == batch.tick(99)


def test_groups_are_kept_apart() -> None:
    """The venue takes one sender a batch; the oldest goes first."""
    batch = gathering()
    for n, group in enumerate("abab"):
        batch.add((group, 1, n), n)
    assert [[("a", 1, 0), ("a", 1, 2)]] == batch.tick(10)

    batch.add(("c", 1, 9), 10)
    assert [[("b", 1, 1), ("b", 1, 3)], [("c", 1, 9)]] == batch.flush()
    assert [] == batch.flush()


def test_heavy_batch_is_split() -> None:
    """What the wallet's window could never hold is not gathered."""
    batch = gathering(max_orders=50)
    for n in range(5):
        assert [] == batch.add(("a", 20, n), 0)

    assert [[("a", 20, n) for n in range(5)]] == batch.add(("a", 20, 5), 7)
    assert 17 == batch.next_deadline()


def test_no_wait_means_no_gathering() -> None:
    """With 0 each order goes alone."""
    assert [[("a", 1, 1)]] == gathering(max_wait_ns=0).add(("a", 1, 1), 0)


@pytest.mark.parametrize(("max_orders", "max_wait_ns"), [(0, 1), (51, 1), (5, -1)])
def test_impossible_limits(max_orders: int, max_wait_ns: int) -> None:
    """The venue's own limit holds."""
    with pytest.raises(UsageError, match="a batch"):
        gathering(max_orders, max_wait_ns)


@given(
    st.integers(1, 50),
    st.integers(0, 5),
    st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from([1, 20]), st.integers(0, 3))),
)
def test_every_order_goes_once_and_in_order(
    max_orders: int, max_wait_ns: int, arrivals: list[tuple[str, int, int]]
) -> None:
    """Nothing is lost or doubled, each group keeps its order, and no batch breaks a rule."""
    batch, now, batches = gathering(max_orders, max_wait_ns), 0, []
    for n, (group, weight, pause) in enumerate(arrivals):
        now += pause
        batches += batch.tick(now)
        batches += batch.add((group, weight, n), now)
    batches += batch.flush()

    assert sorted(item for each in batches for item in each) == sorted(
        (group, weight, n) for n, (group, weight, _) in enumerate(arrivals)
    )
    for group in "ab":
        numbers = [n for each in batches for name, _, n in each if name == group]
        assert numbers == sorted(numbers)
    for each in batches:
        assert 1 <= len(each) <= max_orders
        assert 1 == len({name for name, _, _ in each})
        assert MAX_WEIGHT >= sum(weight for _, weight, _ in each)
