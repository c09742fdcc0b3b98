"""Recording: every frame, order and answer ends in the right time."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nadows.desk import Desk, DeskEvent
from nadows.distribution import HIGHEST_NS
from nadows.errors import OrderUnknown, TransportError
from nadows.messages import Reply, Stream
from nadows.metrics import Metrics, Report, Stage, StageSummary, record
from nadows.metrics.record import CONTROL, RATE_SECONDS

S = 10**9
TRADE = json.dumps(
    {
        "type": "trade",
        "timestamp": "1",
        "product_id": 4,
        "price": "3000",
        "taker_qty": "1",
        "maker_qty": "1",
        "is_taker_buyer": True,
    }
)
OWN = "0x" + "ab" * 32


def fill(digest: str) -> str:
    numbers = ("timestamp", "appendix", "filled_qty", "remaining_qty", "original_qty", "price", "fee")
    return json.dumps(
        dict.fromkeys(numbers, "1")
        | {"type": "fill", "product_id": 4, "subaccount": OWN, "order_digest": digest}
        | {"is_taker": True, "is_bid": True, "submission_idx": "7"}
    )


class Clock:
    """Goes on by a fixed step at each look, so that every stage lasts exactly that."""

    def __init__(self, now_ns: int = 1000 * S, step_ns: int = 0) -> None:
        self.now_ns = now_ns
        self.step_ns = step_ns

    def __call__(self) -> int:
        self.now_ns += self.step_ns
        return self.now_ns


class Reader:
    """What the client's reader does with a frame, on a clock of the test's own."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.metrics = Metrics(clock)
        self.desk = Desk(subaccount=OWN, rng=random.Random(1))
        self.desk.subscribe(Stream.trade(4), clock.now_ns)
        self.desk.streams_connected(clock.now_ns)
        self.delivered: list[DeskEvent] = []
        self.take = self.metrics.taking(self.desk)
        self.deliver = self.metrics.delivering(self.delivered.extend)

    def read(self, *frames: str) -> None:
        """Take frames of one wake-up, then deliver."""
        news: list[DeskEvent] = []
        for frame in frames:
            news += self.take(frame, self.clock.now_ns)
        if news:
            self.deliver(news)


def samples(report: Report) -> dict[tuple[str, str], int]:
    return {(event, stage.value): times.count for (event, stage), times in report.stages.items()}


def test_stages_of_a_frame() -> None:
    """Each stage lasts from one look at the clock to the next, and the listener still gets the event."""
    reader = Reader(Clock(step_ns=3))

    reader.read(TRADE)

    report = reader.metrics.report()
    assert ["trade"] == [event.__struct_config__.tag for event in reader.delivered]  # type: ignore[union-attr]
    assert StageSummary(1, 3, 3, 3, 3, 3) == report.summary("trade", Stage.SOCKET_TO_DECODED)
    assert StageSummary(1, 3, 3, 3, 3, 3) == report.summary("trade", Stage.DECODED_TO_APPLIED)
    assert StageSummary(1, 3, 3, 3, 3, 3) == report.summary("trade", Stage.APPLIED_TO_CALLBACK)
    assert StageSummary(0, 0, 0, 0, 0, 0) == report.summary("fill", Stage.SOCKET_TO_DECODED)


def test_frames_of_one_wake_up_are_delivered_together() -> None:
    """A frame that waits for others waits for its delivery: that is measured, too."""
    reader = Reader(Clock(step_ns=3))

    reader.read(TRADE, TRADE, TRADE)

    # Three looks a frame but for the last, which is in the delivery: 6 ns later for each frame between.
    assert (3, 15) == reader.metrics.report().summary("trade", Stage.APPLIED_TO_CALLBACK)[::5]


@pytest.mark.parametrize(
    ("frame", "name"),
    [
        ("<html>", CONTROL),
        ('{"result": null, "id": 1}', CONTROL),
        ('{"type": "new_in_2027", "x": 1}', "unknown"),
        (TRADE, "trade"),
        (fill("0x1"), "fill"),
    ],
)
def test_every_frame_has_a_name(frame: str, name: str) -> None:
    """What is not an event of the venue counts as control, what is not known yet as unknown."""
    reader = Reader(Clock())

    reader.read(frame)

    assert {name: 1} == {event: count.total for event, count in reader.metrics.report().events.items()}


def test_frame_without_news_is_not_delivered() -> None:
    """An answer to nobody is decoded and counted, and makes no time of delivery."""
    reader = Reader(Clock(step_ns=3))

    reader.read('{"result": null, "id": 999}')
    reader.deliver([])

    expected = {(CONTROL, "socket_to_decoded"): 1, (CONTROL, "decoded_to_applied"): 1}
    assert expected == samples(reader.metrics.report())


def test_desk_is_the_same_with_metrics() -> None:
    """What the desk makes of the frames, and its state, do not depend on being measured."""
    reader = Reader(Clock())
    bare = Desk(subaccount=OWN, rng=random.Random(1))
    bare.subscribe(Stream.trade(4), reader.clock.now_ns)
    bare.streams_connected(reader.clock.now_ns)

    frames = ['{"result": null, "id": 1}', TRADE, fill("0x1"), fill("0x1"), "<html>"]
    expected = [event for frame in frames for event in bare.stream_frame(frame, reader.clock.now_ns)]
    reader.read(*frames)

    assert list(map(repr, expected)) == list(map(repr, reader.delivered))
    assert bare.state_hash() == reader.desk.state_hash()


def test_nothing_is_lost_by_folding() -> None:
    """However many frames are noted before a report, each is in it, once."""
    reader = Reader(Clock(step_ns=3))

    for _ in range(3 * record._FOLD + 5):
        reader.read(TRADE)
    reader.metrics.report()
    report = reader.metrics.report()

    assert 3 * record._FOLD + 5 == report.events["trade"].total
    assert {3 * record._FOLD + 5} == set(samples(report).values())
    assert len(reader.metrics._by_type) == 1


def test_a_report_does_not_change() -> None:
    """What is measured later is in the next report only."""
    reader = Reader(Clock())
    reader.read(TRADE)
    report = reader.metrics.report()

    reader.read(TRADE)
    reader.metrics.report()

    assert 1 == report.events["trade"].total
    assert {1} == set(samples(report).values())


def test_rate_is_of_the_last_whole_seconds() -> None:
    """Ten frames a second are 10.0 whenever one looks; the seconds of the start and of now are left out."""
    clock = Clock(now_ns=1000 * S + S // 2)
    reader = Reader(clock)
    rates = []
    for tenth in range(400):
        reader.read(TRADE)
        clock.now_ns += S // 10
        if tenth in (3, 8, 14, 200, 399):
            rates.append(reader.metrics.report().events["trade"].per_s)
    clock.now_ns += 5 * S

    # After 0.4 s no whole second has passed, after 0.9 s neither: the clock stands at 1001.4.
    assert [0.0, 0.0, 10.0, 10.0, 10.0] == rates
    # Five whole seconds, half a one, and four and a half without any.
    assert 5.5 == reader.metrics.report().events["trade"].per_s
    clock.now_ns += RATE_SECONDS * S
    assert 0.0 == reader.metrics.report().events["trade"].per_s
    assert 2 * RATE_SECONDS >= len(reader.metrics._series["trade"].seconds)


def reply(status: str) -> Reply:
    return Reply(status=status, request_type="execute_place_order")


class Orders:
    """An order's way through the metrics."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.answers: list[Any] = []

    def send(self, digest: str) -> Callable[[Any], None]:
        metrics, now_ns = self.reader.metrics, self.reader.clock.now_ns
        answered = metrics.answering("place_order", (digest,), now_ns, self.answers.append)
        metrics.sent("place_order", (digest,), now_ns)
        return answered


def times(report: Report, stage: Stage) -> tuple[int, int]:
    """How many samples, and the longest (ns)."""
    summary = report.summary("place_order", stage)
    return summary.samples, summary.max_ns


def test_order_to_ack_and_to_its_first_fill() -> None:
    """Both count from the sending; later fills of the order, and fills of others, count nothing."""
    reader = Reader(Clock())
    orders = Orders(reader)
    answered = orders.send("0x1")

    reader.clock.now_ns += 5
    answered(reply("success"))
    reader.clock.now_ns += 30
    # What decoding and delivering take comes after the fill has arrived.
    reader.clock.step_ns = 1000
    reader.read(fill("0x1"), fill("0x2"))
    reader.clock.now_ns += 100
    reader.read(fill("0x1"))

    report = reader.metrics.report()
    assert [reply("success")] == orders.answers
    assert (1, 5) == times(report, Stage.ORDER_TO_ACK)
    assert (1, 35) == times(report, Stage.ORDER_TO_FILL)
    assert {} == reader.metrics._watched


def test_fill_may_overtake_the_ack() -> None:
    """The order of the two does not matter."""
    reader = Reader(Clock())
    answered = Orders(reader).send("0x1")

    reader.clock.now_ns += 5
    reader.read(fill("0x1"))
    reader.clock.now_ns += 5
    answered(reply("success"))

    report = reader.metrics.report()
    assert (1, 10) == times(report, Stage.ORDER_TO_ACK)
    assert (1, 5) == times(report, Stage.ORDER_TO_FILL)


@pytest.mark.parametrize(
    ("answer", "counter", "acks", "is_watched"),
    [
        (reply("failure"), "orders_refused", 1, False),
        (OrderUnknown("no answer", "0x1"), "orders_unknown", 0, True),
        (TransportError("not connected"), "orders_not_sent", 0, False),
    ],
)
def test_orders_that_did_not_go_well(answer: Any, counter: str, acks: int, is_watched: bool) -> None:
    """Each outcome is counted by its name; a fill is awaited only where one may come."""
    reader = Reader(Clock())
    orders = Orders(reader)

    orders.send("0x1")(answer)

    report = reader.metrics.report({"book_gaps": 3})
    names = ("orders_refused", "orders_unknown", "orders_not_sent")
    assert [answer] == orders.answers
    assert {counter: 1} == {name: report.counters[name] for name in names if report.counters[name]}
    assert (1, 3) == (report.counters["orders_sent"], report.counters["book_gaps"])
    assert acks == times(report, Stage.ORDER_TO_ACK)[0]
    assert is_watched is ("0x1" in reader.metrics._watched)


def test_orders_that_never_fill_do_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound the oldest are given up, and counted."""
    monkeypatch.setattr(record, "MAX_WATCHED", 2)
    reader = Reader(Clock())
    orders = Orders(reader)

    for digest in ("0x1", "0x2", "0x3"):
        orders.send(digest)

    assert ["0x2", "0x3"] == list(reader.metrics._watched)
    assert 1 == reader.metrics.report().counters["orders_unwatched"]


@pytest.mark.parametrize(("reason", "is_watched"), [("placed", True), ("cancelled", False)])
def test_fill_of_a_cancelled_order_is_not_awaited(reason: str, is_watched: bool) -> None:
    """An order that is gone makes room; one that rests may still be filled."""
    reader = Reader(Clock())
    Orders(reader).send("0x1")

    update = {"type": "order_update", "timestamp": "1", "product_id": 4, "digest": "0x1", "amount": "0"}
    reader.read(json.dumps(update | {"reason": reason}))

    assert is_watched is ("0x1" in reader.metrics._watched)
    assert 0 == reader.metrics.report().counters["orders_unwatched"]


def test_a_time_above_an_hour_is_an_hour() -> None:
    """The longest waits are kept in the tail and counted; they do not vanish."""
    reader = Reader(Clock())
    Orders(reader).send("0x1")

    reader.clock.now_ns += HIGHEST_NS + 1
    reader.read(fill("0x1"))

    report = reader.metrics.report()
    assert (1, HIGHEST_NS) == times(report, Stage.ORDER_TO_FILL)
    assert 1 == report.counters["overlong_times"]


def test_clock_is_the_clients_unless_told_otherwise() -> None:
    """Metrics count from when they were made."""
    before = time.monotonic_ns()

    report = Metrics().report()

    assert 0 <= report.elapsed_ns <= time.monotonic_ns() - before


@pytest.mark.slow
def test_cost_of_a_frame() -> None:
    """Measuring a frame costs less than 0.4 of reading a depth frame with json: 2 us where that takes 5.

    In a process of its own, as coverage's tracing would be measured, too; as a ratio of processor times,
    because both move together with the machine.
    """
    told = ("COV", "COVERAGE", "PYTEST")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(told)}

    result = subprocess.run(
        [sys.executable, "-m", "tests.metrics.cost"],
        cwd=Path(__file__).parent.parent.parent,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert json.loads(result.stdout)["ratio"] < 0.4
