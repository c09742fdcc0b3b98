"""When a line is opened, probed and given up."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest

from nadows.lifecycle import (
    LIFE_TRANSITIONS,
    ClientState,
    Do,
    LifeEvent,
    Lifeline,
    LifeOptions,
    LifeState,
    client_state,
)
from nadows.session import LineState

SECOND = 10**9
OPTIONS = LifeOptions()


def test_every_state_is_in_the_documentation() -> None:
    """The page that users read lists the states of a line, all of them and no other."""
    page = (Path(__file__).parent.parent / "docs" / "api.md").read_text()
    section = page.split("### The life of a line")[1].split("\n## ")[0]

    assert [state.name for state in LifeState] == re.findall(r"^\| `([A-Z_]+)` \|", section, re.MULTILINE)


def line(options: LifeOptions | None = None) -> Lifeline:
    """A line that has been started at 0."""
    made = Lifeline(random.Random(1), options)
    made.start(0)
    return made


def live(options: LifeOptions | None = None) -> Lifeline:
    """A line that is live since 0."""
    made = line(options)
    made.tick(0)
    made.opened(0)
    made.follow(LineState.LIVE, 0)
    assert made.state is LifeState.LIVE
    return made


def retry(made: Lifeline) -> int:
    """When it tries again."""
    due = made.next_deadline()
    assert due is not None
    assert [] == made.tick(due - 1)
    assert [Do.OPEN] == made.tick(due)
    return due


def test_from_start_to_live() -> None:
    """Connect at once, authenticate, restore, live; each step shows."""
    made = Lifeline(random.Random(1))
    assert made.next_deadline() is None
    assert [] == made.tick(5)
    made.start(7)
    assert [Do.OPEN] == made.tick(7)
    assert LifeState.CONNECTING is made.state
    made.opened(8, keyed=True)
    assert LifeState.AUTHENTICATING is made.state
    made.follow(LineState.AUTHENTICATING, 9)
    made.follow(LineState.RESTORING, 9)
    assert LifeState.RESTORING is made.state
    made.follow(LineState.LIVE, 10)
    assert LifeState.LIVE is made.state
    made.follow(LineState.RESTORING, 11)
    assert LifeState.RESTORING is made.state
    made.follow(LineState.LIVE, 12)
    assert (LifeState.LIVE, 1) == (made.state, made.connects)


def test_nothing_to_restore() -> None:
    """A line that is live right after its authentication skips no state that would be missed."""
    made = line()
    made.tick(0)
    made.opened(0, keyed=True)
    made.follow(LineState.LIVE, 1)

    assert LifeState.LIVE is made.state


def test_first_retry_at_once_then_jitter_up_to_the_cap() -> None:
    """Failures double the window from 250 ms to 10 s, where it stays; success starts over."""
    made = line()
    made.tick(0)
    now, waits = 0, []
    for _ in range(40):
        made.failed(now)
        due = retry(made)
        waits.append(due - now)
        now = due
    assert 0 == waits[0]
    assert all(
        wait <= min(OPTIONS.base_ns << number, OPTIONS.cap_ns) for number, wait in enumerate(waits[1:])
    )
    assert OPTIONS.cap_ns // 2 < max(waits) <= OPTIONS.cap_ns
    assert 40 == made.failures

    made.opened(now)
    made.follow(LineState.LIVE, now)
    made.lost(now + OPTIONS.proven_ns, clean=True)
    assert now + OPTIONS.proven_ns == made.next_deadline()


def test_a_line_that_does_not_live_is_a_failure() -> None:
    """Connections that end right after they are live are not tried again at full speed."""
    made, now, waits = line(), 0, []
    for _ in range(10):
        now = retry(made)
        made.opened(now)
        made.follow(LineState.LIVE, now)
        made.lost(now + 1, clean=True)
        due = made.next_deadline()
        assert due is not None
        waits.append(due - now)
    assert sum(waits) > SECOND


def test_refusals_do_not_lengthen_the_wait_after_a_connection() -> None:
    """A venue that was away for long, and ends the first connection at once, is tried again soon."""
    made, now = live(), OPTIONS.proven_ns
    made.lost(now, clean=True)
    for _ in range(12):
        now = retry(made)
        made.failed(now)
    now = retry(made)
    made.opened(now)
    made.lost(now, clean=True)
    due = made.next_deadline()

    assert due is not None
    assert due <= now + OPTIONS.base_ns


def test_the_try_after_a_loss_is_the_one_at_once() -> None:
    """If it is refused, the next one waits: there are no two in a row."""
    made = live()
    made.lost(OPTIONS.proven_ns, clean=True)
    now = retry(made)
    made.failed(now)

    assert OPTIONS.proven_ns == now
    assert retry(made) > now


def test_retry_after_is_kept() -> None:
    """What the server asks for counts, also beyond the cap, and however other lines fare."""
    made = line()
    made.tick(0)
    made.failed(0, 30 * SECOND)
    made.encourage(1)

    assert 30 * SECOND == made.next_deadline()


def test_another_line_that_connects_shortens_the_wait() -> None:
    """The venue is there again: no need to wait out a long pause."""
    made = line()
    made.tick(0)
    now = 0
    for _ in range(12):
        made.failed(now)
        now = retry(made)
    made.failed(now)
    made.encourage(now)
    due = made.next_deadline()
    assert due is not None
    assert due < now + OPTIONS.base_ns

    connected = live()
    connected.encourage(5)
    assert LifeState.LIVE is connected.state


def test_silence_is_probed_before_the_line_is_cut() -> None:
    """No frame for a while: a probe; none after that either: cut, once."""
    made = live()
    assert OPTIONS.quiet_ns == made.next_deadline()
    assert [] == made.tick(OPTIONS.quiet_ns - 1)
    late = OPTIONS.quiet_ns + 3
    assert [Do.PROBE] == made.tick(late)
    assert LifeState.DEGRADED is made.state
    assert late + OPTIONS.probe_ns == made.next_deadline()
    assert [Do.CUT] == made.tick(late + OPTIONS.probe_ns)
    assert made.next_deadline() is None
    assert [] == made.tick(late + 2 * OPTIONS.probe_ns)
    assert (1, 1) == (made.probes, made.cuts)


def test_quiet_market_is_no_alarm() -> None:
    """A line whose probes are answered lives for ever."""
    made, now = live(), 0
    for _ in range(100):
        due = made.next_deadline()
        assert due is not None
        assert [Do.PROBE] == made.tick(due)
        now = due + SECOND
        made.heard(now)
        assert LifeState.LIVE is made.state
    assert (100, 0) == (made.probes, made.cuts)


def test_subscribing_while_degraded() -> None:
    """A question is a probe as well: its own deadline watches the line from there."""
    made = live()
    made.tick(OPTIONS.quiet_ns)
    made.follow(LineState.RESTORING, OPTIONS.quiet_ns)

    assert LifeState.RESTORING is made.state


def test_silent_connections_hold_places_at_the_venue() -> None:
    """After four that were given up unanswered the next one waits until the venue has noticed the first."""
    made, now, first = line(LifeOptions(cap_ns=OPTIONS.base_ns)), 0, None
    for _ in range(4):
        now = retry(made)
        made.opened(now)
        made.follow(LineState.LIVE, now)
        now += OPTIONS.quiet_ns + OPTIONS.probe_ns
        made.lost(now, clean=False)
        first = first or now
        due = made.next_deadline()
        assert due is not None
    assert first is not None
    assert first + OPTIONS.ghost_ns == made.next_deadline()
    made.encourage(now)
    assert first + OPTIONS.ghost_ns == made.next_deadline()

    now = retry(made)
    made.opened(now)
    made.lost(now + OPTIONS.quiet_ns, clean=False)
    due = made.next_deadline()
    assert due is not None


def test_a_line_that_spoke_until_it_was_cut_is_known_to_be_closed() -> None:
    """It holds no place: a refused authentication may be repeated."""
    made, now = line(LifeOptions(cap_ns=OPTIONS.base_ns)), 0
    for _ in range(10):
        now = retry(made)
        made.opened(now, keyed=True)
        made.lost(now + 1, clean=False)
        due = made.next_deadline()
        assert due is not None
        assert due <= now + 1 + OPTIONS.base_ns


@pytest.mark.parametrize("state", [state for state in LifeState if state is not LifeState.CLOSED])
def test_stop_ends_every_state(state: LifeState) -> None:
    """And nothing leads out of it."""
    assert LifeState.CLOSED is LIFE_TRANSITIONS[state, LifeEvent.STOPPED]
    made = line()
    made.state = state
    made.stop()
    made.follow(LineState.LIVE, 1)
    made.heard(1)
    made.lost(1, clean=True)
    made.encourage(2)
    made.stop()

    assert LifeState.CLOSED is made.state
    assert made.next_deadline() is None
    assert not any(before is LifeState.CLOSED for before, _ in LIFE_TRANSITIONS)


@pytest.mark.parametrize(
    ("lines", "is_polling", "expected"),
    [
        ((LifeState.LIVE, LifeState.LIVE), False, ClientState.LIVE),
        ((LifeState.LIVE, LifeState.DEGRADED), False, ClientState.LIVE),
        ((LifeState.LIVE, LifeState.RESTORING), False, ClientState.RESTORING),
        ((LifeState.BACKING_OFF, LifeState.LIVE), False, ClientState.RESTORING),
        ((LifeState.CONNECTING, LifeState.LIVE), True, ClientState.DEGRADED),
        ((LifeState.LIVE, LifeState.LIVE), True, ClientState.DEGRADED),
        ((LifeState.CLOSED, LifeState.LIVE), True, ClientState.DEGRADED),
        ((LifeState.CLOSED, LifeState.CLOSED), True, ClientState.CLOSED),
    ],
)
def test_a_client_is_as_well_as_the_worst_of_its_lines(
    lines: tuple[LifeState, ...], is_polling: bool, expected: ClientState
) -> None:
    """A line that is only silent still counts; polling shows, until the client is closed."""
    assert expected is client_state(lines, is_polling=is_polling)
