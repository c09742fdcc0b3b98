import itertools
import subprocess
import sys
from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nadows.errors import UsageError
from nadows.signing import DEFAULT_WINDOW_MS, NonceSource, nonce_recv_time_ms, process_nonces
from nadows.signing.nonces import _Sequence
from tests.signing.vectors import DATA

NOW_MS = 1_800_000_000_000


@pytest.mark.parametrize("vector", DATA["nonces"], ids=lambda each: str(each["nonce"]))
def test_vector(vector: dict[str, str | int]) -> None:
    """The receive time lies above the 20 free bits."""
    recv_ms = int(vector["recv_time_ms"])

    nonce = NonceSource(first=int(vector["random"])).next(recv_ms, window_ms=0)

    assert int(vector["nonce"]) == nonce
    assert recv_ms == nonce_recv_time_ms(nonce)


def test_window_is_that_of_the_sdk() -> None:
    """Without a window the request may take 90 s, under the venue's 100."""
    assert NOW_MS + 90_000 == nonce_recv_time_ms(NonceSource(first=0).next(NOW_MS))
    assert 90_000 == DEFAULT_WINDOW_MS


@pytest.mark.slow
def test_million_draws_on_a_frozen_clock() -> None:
    """A burst beyond what one millisecond holds rolls over into the next one, and nothing repeats."""
    source = NonceSource(first=7)
    draws = 2**20 + 1000

    nonces = [source.next(NOW_MS) for _ in range(draws)]

    assert draws == len(set(nonces))
    recv_ms = NOW_MS + DEFAULT_WINDOW_MS
    assert [recv_ms, recv_ms + 1] == [
        nonce_recv_time_ms(nonces[2**20 - 1]),
        nonce_recv_time_ms(nonces[2**20]),
    ]


CLOCKS = st.lists(
    st.tuples(st.integers(0, 4), st.integers(0, 3), st.integers(1, 25), st.integers(0, 2)), max_size=40
)


@given(steps=CLOCKS, first=st.integers(0, 2**20 - 1))
def test_nothing_repeats(steps: list[tuple[int, int, int, int]], first: int) -> None:
    """No clock, window, burst or restart makes a nonce come twice."""
    # An epoch of 2**20 draws would end in none of the examples.
    sequence = _Sequence(first, epoch=16)
    nonces = []
    for now_ms, window_ms, draws, restart in steps:
        if restart == 0:
            sequence.restart(first + now_ms)
        nonces += [sequence.draw(now_ms + window_ms) for _ in range(draws)]

    assert len(nonces) == len(set(nonces))


@given(clock=st.lists(st.integers(0, 2**40), min_size=1, max_size=200))
def test_receive_time_is_honest_within_an_epoch(clock: list[int]) -> None:
    """A clock that jumps, also back, is believed: a nonce from the future would be refused (code 2012)."""
    source = NonceSource(first=0)

    times = [nonce_recv_time_ms(source.next(now_ms, window_ms=5)) for now_ms in clock]

    assert [now_ms + 5 for now_ms in clock] == times


def test_instances_share_one_sequence() -> None:
    """Two parts of a program that each make a source never draw the same nonce."""
    sources = itertools.cycle([NonceSource(), NonceSource(), process_nonces()])

    nonces = [next(sources).next(NOW_MS) for _ in range(10_000)]

    assert 10_000 == len(set(nonces))


def test_draws_of_threads_wait_for_each_other() -> None:
    """Orders signed in worker threads cannot collide: while one draws, the others wait."""
    sequence, drawn = _Sequence(), list[int]()
    other = Thread(target=lambda: drawn.append(sequence.draw(NOW_MS)))

    with sequence._lock:
        other.start()
        other.join(timeout=0.05)
        assert [] == drawn
    other.join()

    assert [NOW_MS << 20] == drawn


def test_own_sequence_repeats_itself() -> None:
    """A simulation that names its first value draws the same nonces every time."""
    one, other = NonceSource(first=3), NonceSource(first=3)

    assert [one.next(NOW_MS) for _ in range(100)] == [other.next(NOW_MS) for _ in range(100)]


def test_restart_moves_the_low_bits() -> None:
    """Two processes of one wallet that start at random values draw apart, with nothing repeated in either."""
    source = NonceSource(first=0)
    before = source.next(NOW_MS, window_ms=0)

    source.restart(500_000)

    after = source.next(NOW_MS, window_ms=0)
    assert (NOW_MS << 20, NOW_MS + 1 << 20 | 500_000) == (before, after)


@pytest.mark.parametrize(("now_ms", "window_ms"), [(-1, 0), (0, -1), (2**44, 0), (2**44 - 1, 1)])
def test_receive_time_refused(now_ms: int, window_ms: int) -> None:
    """A time that does not fit would spill into other bits; nothing is drawn then."""
    source = NonceSource(first=0)

    with pytest.raises(UsageError, match="receive time"):
        source.next(now_ms, window_ms)

    assert 0 == source.next(0, 0)


def test_module_draws_no_randomness_of_its_own() -> None:
    """A fresh process begins at zero until it is told otherwise, so that runs can be repeated."""
    code = "from nadows.signing import NonceSource as N; print(N().next(1, 0), N().next(1, 0))"

    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True, timeout=60)

    assert f"{1 << 20} {(1 << 20) + 1}" == ran.stdout.strip()
