"""Reports: the same numbers as data, as JSON, and as a line."""

from __future__ import annotations

import json

from nadows.distribution import Distribution
from nadows.metrics.report import EventCount, Report, Stage, StageSummary


def distribution_of(*values: int) -> Distribution:
    times = Distribution()
    times.record(values)
    return times


REPORT = Report(
    elapsed_ns=12_345_678_901,
    events={"fill": EventCount(2, 0.2), "trade": EventCount(1000, 81.5)},
    stages={
        ("trade", Stage.SOCKET_TO_DECODED): distribution_of(*range(1, 1001)),
        ("trade", Stage.DECODED_TO_APPLIED): distribution_of(1500),
        ("place_order", Stage.ORDER_TO_ACK): distribution_of(2_000_000, 3_000_001),
    },
    counters={"book_gaps": 1, "orders_sent": 2, "callback_errors": 0},
)


def test_summary_is_in_the_order_of_its_names() -> None:
    """Each percentile is under its own name, and the maximum is exact."""
    expected = StageSummary(samples=1000, p50_ns=500, p95_ns=950, p99_ns=990, p999_ns=999, max_ns=1000)

    assert expected == REPORT.summary("trade", Stage.SOCKET_TO_DECODED)


def test_json_has_everything() -> None:
    """Nothing of the report is left out, zeros included, and times are whole nanoseconds."""
    found = json.loads(REPORT.as_json())

    assert REPORT.as_dict() == found
    assert 12_345_678_901 == found["elapsed_ns"]
    assert {"fill": {"total": 2, "per_s": 0.2}, "trade": {"total": 1000, "per_s": 81.5}} == found["events"]
    assert ["trade", "place_order"] == list(found["stages"])
    assert ["socket_to_decoded", "decoded_to_applied"] == list(found["stages"]["trade"])
    assert 3_000_001 == found["stages"]["place_order"]["order_to_ack"]["max_ns"]
    assert {"book_gaps": 1, "orders_sent": 2, "callback_errors": 0} == found["counters"]


def test_line_is_one_line_of_names_and_values() -> None:
    """A person and a log reader can both read it; counters that are 0 do not fill it."""
    expected = (
        "metrics elapsed=12.3s events=1002 rate=81.7/s fill=2 fill.rate=0.2/s trade=1000 trade.rate=81.5/s "
        "trade.socket_to_decoded=0.5/0.9/1.0/1.0/1.0us trade.decoded_to_applied=1.5/1.5/1.5/1.5/1.5us "
        "place_order.order_to_ack=2000.9/3000.0/3000.0/3000.0/3000.0us book_gaps=1 orders_sent=2"
    )

    assert expected == REPORT.as_line()
