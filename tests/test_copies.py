"""Several connections before one feed: when it is told of what, and when they have to be made anew."""

from __future__ import annotations

import json

import pytest

from nadows.arrivals import HOLD_NS
from nadows.copies import Copies, copy_names, life_of_copies
from nadows.desk import CopyLost, CopyRestored
from nadows.lifecycle import LifeOptions
from nadows.messages import Stream
from nadows.session import LineState, StreamSession

TRADES = Stream.trade(4)
ACK_NS = 1_000


def ack(request_id: int) -> bytes:
    return b'{"result":null,"id":%d}' % request_id


def trade(at: int) -> bytes:
    return (
        b'{"type":"trade","timestamp":"%d","product_id":4,"price":"1","taker_qty":"1","maker_qty":"1",'
        b'"is_taker_buyer":true}' % at
    )


class Behind:
    """A feed that writes down what it is told."""

    def __init__(self) -> None:
        self.session = StreamSession()
        self.told: list[str] = []
        self.copies: Copies | None = None

    @property
    def state(self) -> LineState:
        return self.session.state

    def connected(self, now_ns: int) -> None:
        self.told.append("connected")
        self.session.connection_made(now_ns)

    def frame(self, frame: str | bytes, now_ns: int) -> None:
        self.told += [type(event).__name__ for event in self.session.frame_received(frame, now_ns)]
        if self.copies is not None:
            # As a client does, which writes whenever it was told something.
            self.copies.write(now_ns)

    def lost(self, reason: str, now_ns: int) -> None:
        self.told.append(f"lost: {reason}")
        self.session.connection_lost(now_ns)

    def frames_to_send(self) -> list[bytes]:
        return self.session.frames_to_send()

    def probe(self, now_ns: int) -> None:
        raise AssertionError("each connection is probed for itself")


class Rig:
    """Two connections before a feed that wants trades."""

    def __init__(self, copies: int = 2) -> None:
        self.behind = Behind()
        self.news: list[CopyLost | CopyRestored] = []
        self.copies = Copies(self.behind, copies, None, self.news.append, ack_timeout_ns=ACK_NS)
        self.behind.copies = self.copies
        self.behind.session.subscribe(TRADES, 0)

    def both_live(self) -> Rig:
        for copy, feed in enumerate(self.copies.feeds):
            feed.connected(0)
            feed.frame(ack(self.asked(copy)["subscribe"]), 0)
        self.copies.tick(HOLD_NS)
        assert ["connected", "Subscribed", "Restored"] == self.behind.told
        assert [True, True] == [health.is_live for health in self.copies.health]
        self.behind.told.clear()
        return self

    def asked(self, copy: int) -> dict[str, int]:
        """What a connection wants to say: the methods and their ids."""
        frames = [json.loads(each) for each in self.copies.feeds[copy].frames_to_send()]
        return {each["method"]: each["id"] for each in frames}


def test_feed_behind_sees_one_connection() -> None:
    """It is connected with the first, hears of each event once, and of the second connection nothing."""
    rig = Rig().both_live()
    for copy, at in ((0, 1), (1, 1), (1, 2), (0, 2)):
        rig.copies.feeds[copy].frame(trade(at), HOLD_NS + at)

    assert ["Trade", "Trade"] == rig.behind.told
    assert [(True, 1, 1), (True, 1, 1)] == [
        (health.is_open, health.stats.won, health.stats.repeated) for health in rig.copies.health
    ]
    assert [LineState.LIVE] * 2 == [feed.state for feed in rig.copies.feeds]
    assert [] == rig.news


def test_one_may_be_lost_and_comes_back() -> None:
    """The feed behind hears nothing; who listens hears of the connection, once each way."""
    rig = Rig().both_live()
    first, second = rig.copies.feeds
    first.lost("cut", HOLD_NS + 5)
    assert [(False, False), (True, True)] == [(each.is_open, each.is_live) for each in rig.copies.health]
    first.connected(HOLD_NS + 10)
    first.lost("cut again", HOLD_NS + 11)
    first.connected(HOLD_NS + 20)
    first.frame(ack(rig.asked(0)["subscribe"]), HOLD_NS + 30)
    assert [CopyLost(0, "cut")] == rig.news
    due = rig.copies.next_deadline()
    assert HOLD_NS + 30 + HOLD_NS == due
    second.frame(trade(1), HOLD_NS + 40)
    rig.copies.tick(due)

    assert [CopyLost(0, "cut"), CopyRestored(0, 25 + HOLD_NS)] == rig.news
    assert ["Trade"] == rig.behind.told


def test_loss_of_the_last_is_a_loss() -> None:
    """One that still catches up cannot go on alone: it is cut, what comes on it counts no more."""
    rig = Rig().both_live()
    first, second = rig.copies.feeds
    first.lost("cut", HOLD_NS + 5)
    first.connected(HOLD_NS + 6)
    second.lost("cut too", HOLD_NS + 7)
    assert ["lost: cut too"] == rig.behind.told
    assert {0: "the line begins anew"} == rig.copies.to_cut()
    assert {} == rig.copies.to_cut()

    first.frame(trade(9), HOLD_NS + 8)
    first.lost("as told", HOLD_NS + 9)
    assert ["lost: cut too"] == rig.behind.told
    rig.behind.told.clear()
    second.connected(HOLD_NS + 10)
    assert {"subscribe": 1} == rig.asked(1)
    second.frame(ack(1), HOLD_NS + 11)
    assert ["connected", "Subscribed", "Restored"] == rig.behind.told
    assert [2, 2] == [stats.connects for stats in rig.copies.stats]


def test_each_is_probed_for_itself() -> None:
    """Its pong ends there, also when the session behind waits for one of its own."""
    rig = Rig().both_live()
    pong = b'{"result":{"method":"pong","server_time":"1800000000000"},"id":%d}'
    rig.copies.feeds[0].probe(HOLD_NS + 1)
    own = rig.asked(0)["ping"]
    rig.behind.session.ping(HOLD_NS + 2)
    rig.copies.write(HOLD_NS + 2)
    theirs = rig.asked(0)["ping"]
    rig.copies.feeds[0].frame(pong % own, HOLD_NS + 3)
    assert [] == rig.behind.told

    rig.copies.feeds[0].frame(pong % theirs, HOLD_NS + 4)
    assert ["Pong"] == rig.behind.told
    rig.copies.feeds[1].lost("cut", HOLD_NS + 5)
    rig.copies.feeds[1].probe(HOLD_NS + 6)
    assert {} == rig.asked(1)


@pytest.mark.parametrize("reason", ["refused", "overdue"])
def test_one_that_is_not_to_be_trusted_is_cut(reason: str) -> None:
    """Refused what the other has, or deaf: it is made anew while the other goes on."""
    rig = Rig().both_live()
    second = rig.copies.feeds[1]
    second.lost("cut", HOLD_NS + 1)
    second.connected(HOLD_NS + 2)
    request_id = rig.asked(1)["subscribe"]
    if reason == "refused":
        second.frame(b'{"result":null,"error":"too many","id":%d}' % request_id, HOLD_NS + 3)
    else:
        rig.copies.tick(HOLD_NS + 2 + ACK_NS)

    assert [1] == list(rig.copies.to_cut())
    second.lost("given up", HOLD_NS + 4 + ACK_NS)
    assert [] == rig.behind.told
    assert {} == rig.copies.to_cut()


def test_cut_that_came_by_itself_is_not_asked_for() -> None:
    """A connection that is lost before it could be cut needs no cutting."""
    rig = Rig().both_live()
    second = rig.copies.feeds[1]
    second.lost("cut", HOLD_NS + 1)
    second.connected(HOLD_NS + 2)
    rig.copies.tick(HOLD_NS + 2 + ACK_NS)
    second.lost("gone already", HOLD_NS + 3 + ACK_NS)

    assert {} == rig.copies.to_cut()


@pytest.mark.parametrize(("copies", "ghosts"), [(1, 3), (2, 1), (3, 0), (4, 0), (5, 0), (6, 0)])
def test_a_wallets_places_are_shared_out(copies: int, ghosts: int) -> None:
    """Those connected and those that the venue has not noticed to be gone are five at most, together."""
    shared = life_of_copies(LifeOptions(), copies)

    assert ghosts == shared.max_ghosts
    assert copies > 5 or copies * (1 + shared.max_ghosts) <= 5


def test_names() -> None:
    """The first is called as the only one would be."""
    assert ["subscriptions", "subscriptions 2", "subscriptions 3"] == copy_names(3)
