"""When REST is asked in a socket's stead, one question at a time, and when that ends."""

from __future__ import annotations

import json
import random

import pytest

from nadows.errors import NadowsError, TransportError
from nadows.messages import Reply, StatusQuery, SymbolsQuery
from nadows.polling import Degraded, Polling
from nadows.timings import Timings

MS = 1_000_000
TIMINGS = Timings(poll_after_ns=100, calm_cap_ns=1_000 * MS)
ANSWER = b'{"status":"success","data":"active","request_type":"query_status"}'


class Bench:
    """A polling with its surroundings: what it tells, what is answered."""

    def __init__(self) -> None:
        self.told: list[Degraded] = []
        self.heeded: list[Reply] = []
        self.got: list[Reply | NadowsError] = []
        self.polling = Polling(self.told.append, self.heeded.append, random.Random(1), TIMINGS)

    def open(self) -> Polling:
        self.polling.lost("streams", 0)
        self.polling.tend(100)
        return self.polling

    def ask(self) -> None:
        self.polling.ask(StatusQuery(), self.got.append)

    def types(self) -> list[str]:
        """What is to be posted."""
        return [json.loads(body)["type"] for body in self.polling.requests()]


def test_a_line_that_stays_away_is_degraded_once() -> None:
    """Not before the limit, counted from the first loss; told once, for each line; over when it is back."""
    bench = Bench()
    polling = bench.polling
    assert None is polling.next_deadline()
    polling.lost("streams", 50)
    polling.lost("streams", 90)
    polling.lost("gateway", 70)
    assert 150 == polling.next_deadline()

    polling.tend(149)
    assert (False, []) == (polling.is_open, bench.told)
    polling.tend(150)
    polling.tend(160)
    assert (True, [Degraded("streams", 50)]) == (polling.is_open, bench.told)
    assert 170 == polling.next_deadline()
    polling.tend(170)
    assert {"streams": 50, "gateway": 70} == polling.degraded
    assert None is polling.next_deadline()

    polling.back("streams")
    assert (True, {"gateway": 70}) == (polling.is_open, polling.degraded)
    polling.back("gateway")
    assert not polling.is_open
    assert [Degraded("streams", 50), Degraded("gateway", 70)] == bench.told


def test_a_line_that_comes_back_in_time_is_never_degraded() -> None:
    """A reconnect within the limit leaves nothing due."""
    bench = Bench()
    bench.polling.lost("streams", 0)
    bench.polling.back("streams")
    assert None is bench.polling.next_deadline()
    bench.polling.tend(10**9)
    assert [] == bench.told


def test_one_question_is_out_at_a_time() -> None:
    """In order; the next goes when the one before is answered, and each answer reaches who asked."""
    bench = Bench()
    polling = bench.open()
    assert [] == bench.types()
    bench.ask()
    polling.ask(SymbolsQuery(), bench.got.append)

    assert ["status"] == bench.types()
    assert [] == bench.types()
    polling.answer(ANSWER, 200)
    assert ["symbols"] == bench.types()
    assert 2 == polling.asked
    assert ["query_status"] == [reply.request_type for reply in bench.got if isinstance(reply, Reply)]
    assert bench.heeded == bench.got


@pytest.mark.parametrize("body", [b"<html>Bad Gateway</html>", b"", b"[]"])
def test_an_answer_that_cannot_be_read_is_a_failure(body: bytes) -> None:
    """Web pages of proxies and the like: counted, and told to who asked."""
    bench = Bench()
    polling = bench.open()
    bench.ask()
    bench.types()

    polling.answer(body, 200)

    assert 1 == polling.failures
    (got,) = bench.got
    assert isinstance(got, TransportError)
    assert [] == bench.heeded


def test_a_blocked_address_is_a_refusal() -> None:
    """The edge's word about a region is an answer, and no success."""
    bench = Bench()
    polling = bench.open()
    bench.ask()
    bench.types()

    polling.answer(b'{"reason":"ip_geo","blocked":true}', 200)

    (got,) = bench.got
    assert isinstance(got, Reply)
    assert (False, "blocked: ip_geo") == (got.ok, got.error)


def test_failures_wait_longer_each_time_and_a_success_forgets_them() -> None:
    """At once after the first, then up to a bound that doubles; everything that waited is given up."""
    bench = Bench()
    polling = bench.open()
    waits = []
    for turn in range(8):
        bench.ask()
        bench.ask()
        assert ["status"] == bench.types()
        polling.failed("no answer in time", turn)
        waits.append(polling.wait_ns(turn))
        assert [] == bench.types()
    assert 8 == polling.failures
    assert 16 == len(bench.got)
    assert all(isinstance(got, TransportError) for got in bench.got)
    assert 0 == waits[0]
    assert all(0 < wait <= min(250 * MS << turn, 1_000 * MS) for turn, wait in enumerate(waits[1:]))
    assert len(set(waits)) == len(waits)

    bench.ask()
    bench.types()
    polling.answer(ANSWER, 9)
    bench.ask()
    bench.types()
    polling.failed("no answer in time", 10**10)
    assert 0 == polling.wait_ns(10**10)


def test_what_is_not_answered_at_the_take_over_is_given_up() -> None:
    """A late answer reaches nobody; until it has come nothing else goes out."""
    bench = Bench()
    polling = bench.open()
    bench.ask()
    bench.ask()
    assert ["status"] == bench.types()

    polling.back("streams")
    assert ["the socket is back; nothing was changed by the request, ask again"] * 2 == [
        str(got) for got in bench.got
    ]
    bench.open()
    bench.ask()
    assert [] == bench.types()
    polling.answer(ANSWER, 300)
    assert 2 == len(bench.got)
    assert ["status"] == bench.types()
    polling.answer(ANSWER, 301)
    assert 3 == len(bench.got)


def test_an_answer_that_nobody_asked_for_is_nobodys() -> None:
    """It changes nothing and harms nothing."""
    bench = Bench()
    bench.open().answer(ANSWER, 200)
    assert [] == bench.got == bench.heeded
