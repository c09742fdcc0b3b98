"""Staying within the venue's limits."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nadows.errors import RateLimited, UsageError
from nadows.pacing import IP_QUERY_LIMITS, WALLET_EXECUTE_LIMITS, Window, WindowLimit
from nadows.throttle import (
    MAX_CLIENTS,
    SLACK_NS,
    Bucket,
    Gate,
    Limits,
    Policy,
    Waiting,
    archive_queries,
    own_queries,
)

SECOND = 10**9
PAUSE = 10 * SECOND + SLACK_NS


def bucket(*windows: Window) -> Bucket:
    return Bucket("executes", windows or WALLET_EXECUTE_LIMITS, random.Random(1))


def gate(policy: Policy = Policy.WAIT, max_waiting: int = 1_000) -> Gate:
    return Gate(bucket(), policy, max_waiting=max_waiting)


def nothing() -> None:
    """Stand for a request."""


# -- bucket ---------------------------------------------------------------------------------------


def test_both_windows_count_with_slack() -> None:
    """A hundred in ten seconds and six hundred in a minute, each window a little longer than the venue's."""
    executes = bucket()
    now = 0
    for _ in range(6):
        assert 0 == executes.wait_ns(100, now)
        executes.spend(100, now)
        assert PAUSE == executes.wait_ns(1, now)
        now += PAUSE

    assert 0 == executes.wait_ns(100, now)
    with pytest.raises(UsageError, match="split the request"):
        executes.wait_ns(101, now)


def test_windows_are_as_long_as_the_slack_says() -> None:
    """A bucket without slack has room again the moment that the window has moved on."""
    exact = Bucket("executes", [Window(1, SECOND)], random.Random(1), slack_ns=0)
    exact.spend(1, 0)

    assert SECOND == exact.wait_ns(1, 0)


def test_long_window_holds() -> None:
    """Bursts within the short window may not add up to more than the long one allows."""
    executes = bucket(Window(100, 10 * SECOND), Window(150, 60 * SECOND))
    executes.spend(100, 0)
    executes.spend(50, PAUSE)

    assert 60 * SECOND + SLACK_NS - 2 * PAUSE == executes.wait_ns(1, 2 * PAUSE)


def test_refusal_stops_everything_until_the_window_has_moved() -> None:
    """Also what weighs nothing waits; refusals of what was sent before are the same episode."""
    executes = bucket()
    assert executes.refused(SECOND)
    assert not executes.refused(2 * SECOND)
    assert PAUSE == executes.wait_ns(1, SECOND) == executes.blocked_ns(SECOND)
    assert 0 == executes.wait_ns(1, SECOND + PAUSE) == executes.blocked_ns(SECOND + PAUSE)

    assert (2, 1) == (executes.refusals, executes.episodes)


def test_refused_again_waits_longer_and_is_not_said_again() -> None:
    """A refusal soon after the wait belongs to the same episode; one much later begins another."""
    executes = bucket()
    now, waits = 0, []
    for _ in range(12):
        executes.refused(now)
        waits.append(executes.blocked_ns(now))
        now += waits[-1]
    assert 1 == executes.episodes
    assert PAUSE == waits[0] == min(waits)
    assert PAUSE < max(waits) <= 6 * PAUSE

    assert executes.refused(now + PAUSE)
    assert 2 == executes.episodes
    assert PAUSE == executes.blocked_ns(now + PAUSE)


def test_retry_after_is_kept() -> None:
    """What the venue asks for is the least wait, also when it asks while everything waits already."""
    executes = bucket()
    executes.refused(0, retry_after_ns=30 * SECOND)
    assert 30 * SECOND == executes.wait_ns(0, 0)

    executes.refused(SECOND, retry_after_ns=60 * SECOND)
    executes.refused(SECOND, retry_after_ns=5 * SECOND)
    assert 60 * SECOND == executes.wait_ns(0, SECOND)


# -- gate -----------------------------------------------------------------------------------------


def test_line_keeps_its_order() -> None:
    """A light request does not overtake a heavy one that waits."""
    entrance = gate()
    assert entrance.enter(60, 0)
    assert not entrance.enter(50, 1)
    heavy = entrance.join(50, nothing)
    assert not entrance.enter(1, 2)
    light = entrance.join(1, nothing)
    assert PAUSE == entrance.next_deadline(2)
    assert [] == entrance.release(PAUSE - 1)

    assert 2 == len(entrance)

    assert [heavy, light] == entrance.release(PAUSE)
    assert entrance.next_deadline(PAUSE) is None
    assert [] == entrance.release(PAUSE)
    assert entrance.enter(49, PAUSE)
    assert not entrance.enter(1, PAUSE)
    assert 2 == entrance.delayed


def test_only_those_with_room_are_let_through() -> None:
    """The rest stays in line."""
    entrance = gate()
    entrance.enter(100, 0)
    first, second = entrance.join(70, nothing), entrance.join(40, nothing)

    assert [first] == entrance.release(PAUSE)
    assert 2 * PAUSE == entrance.next_deadline(PAUSE)
    assert [second] == entrance.release(2 * PAUSE)


def test_leaving_the_line() -> None:
    """Whoever leaves is not sent; who was let through cannot leave."""
    entrance = gate()
    entrance.enter(100, 0)
    first, second = entrance.join(1, nothing), entrance.join(1, nothing)

    assert entrance.withdraw(first)
    assert not entrance.withdraw(first)
    assert [second] == entrance.release(PAUSE)
    assert not entrance.withdraw(second)


@pytest.mark.parametrize(
    ("entrance", "message"),
    [
        (gate(Policy.FAIL), r"executes: no room for weight 1 .* for 10\.5 s; nothing was sent"),
        (gate(Policy.QUEUE, max_waiting=1), r"for 10\.5 s, 1 waiting; nothing"),
    ],
)
def test_failing_says_how_long(entrance: Gate, message: str) -> None:
    """Without patience, or with too many in line, the request is refused and nothing is spent."""
    assert entrance.enter(100, 0)
    if entrance.policy is Policy.QUEUE:
        assert not entrance.enter(1, 0)
        entrance.join(1, nothing)

    with pytest.raises(RateLimited, match=message) as refused:
        entrance.enter(1, 0)
    assert PAUSE == refused.value.wait_ns
    assert 1 == entrance.failed


@given(
    st.lists(st.tuples(st.integers(0, 3 * SECOND), st.integers(1, 60)), max_size=60),
    st.integers(0, SLACK_NS),
    st.randoms(use_true_random=False),
)
def test_venue_never_sees_too_much(
    arrivals: list[tuple[int, int]], jitter_ns: int, rng: random.Random
) -> None:
    """However requests come and however long each travels within the slack, the venue's windows hold."""
    entrance, now, sent = gate(), 0, []
    order: list[Waiting] = []

    def advance(until: int) -> None:
        nonlocal now
        while (due := entrance.next_deadline(now)) is not None and due <= until:
            now = due
            for waiting in entrance.release(now):
                sent.append((now, waiting.weight))
                assert order.pop(0) is waiting
        now = until

    for pause, weight in arrivals:
        advance(now + pause)
        if entrance.enter(weight, now):
            assert not order
            sent.append((now, weight))
        else:
            order.append(entrance.join(weight, nothing))
    advance(now + 10**13)

    assert len(arrivals) == len(sent)
    seen = sorted((at + rng.randint(0, jitter_ns), weight) for at, weight in sent)
    venue = WindowLimit(WALLET_EXECUTE_LIMITS)
    assert [0] * len(seen) == [venue.try_spend(weight, at) for at, weight in seen]


# -- limits ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_type", "code", "expected"),
    [
        ("execute_place_order", 1000, ["executes"]),
        ("query_symbols", 1000, ["queries"]),
        (None, 1000, ["executes", "queries"]),
        ("execute_place_order", 1015, ["executes", "queries"]),
    ],
)
def test_what_a_refusal_is_about(request_type: str | None, code: int, expected: list[str]) -> None:
    """The wallet's or the address's; the proxy's is about everything that this address sends."""
    limits = Limits(Policy.QUEUE, rng=random.Random(1))
    gates = {"executes": limits.executes, "queries": limits.queries}

    assert tuple(gates[name] for name in expected) == limits.refused_by(request_type, code)


def test_limits_are_apart() -> None:
    """What is spent on queries leaves the wallet its own."""
    limits = Limits()
    limits.queries.bucket.spend(300, 0)

    assert not limits.queries.enter(1, 0)
    assert limits.executes.enter(100, 0)


@pytest.mark.parametrize("clients", [1, 2, 3, 7, MAX_CLIENTS])
def test_shares_fit_into_the_limit(clients: int) -> None:
    """Users and the clients' own questions together never exceed what the address has, and all have some."""
    users = Limits(clients=clients).queries.bucket
    for index, window in enumerate(IP_QUERY_LIMITS):
        own, archive = own_queries(clients)[index], archive_queries(clients)[index]
        assert users._limit.windows[index].weight + clients * own.weight <= window.weight
        assert clients * archive.weight <= window.weight
        assert own.weight >= 1
        assert archive.weight >= 20
        assert window.span_ns + SLACK_NS == own.span_ns == archive.span_ns


@pytest.mark.parametrize("clients", [0, MAX_CLIENTS + 1])
def test_shares_too_small_to_use(clients: int) -> None:
    """So many clients of one address are a mistake."""
    with pytest.raises(UsageError, match="1 to 20 clients"):
        Limits(clients=clients)
