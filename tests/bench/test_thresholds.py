"""Conditions on a run: what may be written, and what it means."""

from __future__ import annotations

import pytest

from nadows.bench.thresholds import Threshold
from nadows.errors import UsageError

from .outcomes import MS, kind_outcome, phase_outcome


@pytest.mark.parametrize(
    ("expr", "ok"),
    [
        ("response.p99<10ms", True),
        ("response.p99 < 1ms", False),
        ("response.place_order.p90 <= 2.001ms", True),
        ("response.rest.p90 < 1500us", True),
        ("response.min >= 1ms", True),
        ("response.mean < 1.6ms", True),
        ("service.max <= 2ms", True),
        ("lag.max == 0ns", True),
        ("event.p50 < 4ms", True),
        ("fill.p50 < 4ms", True),
        ("response.share(1.5ms) > 49%", True),
        ("response.share(1.5ms) > 0.51", False),
        ("response.p100 < 1s", True),
        ("errors.rate < 0.1%", True),
        ("errors.count == 0", True),
        ("errors.cancel_product_orders.count == 0", True),
        ("dropped.count == 0", True),
        ("dropped.rate == 0%", True),
        ("rate >= 995rps", True),
        ("rate > 1000", False),
    ],
)
def test_condition_is_compared_with_the_phase(expr: str, ok: bool) -> None:
    """Half of the orders took 1 ms, half 2 ms; fills took 3 ms; nothing failed."""
    assert ok is Threshold.parse(expr).judge(phase_outcome()).ok


def test_failures_count_as_errors_and_as_time() -> None:
    """Refused and unanswered requests are errors; their time is in the response like any other."""
    outcome = phase_outcome(rest=kind_outcome([MS] * 500, errors={"2008 X": 9}, unfinished=1))

    assert 0.01 == Threshold.parse("errors.rate < 1%").judge(outcome).value
    assert not Threshold.parse("errors.count < 10").judge(outcome).ok
    assert Threshold.parse("response.share(1ms) >= 50%").judge(outcome).ok


@pytest.mark.parametrize(
    ("expr", "reason"),
    [
        ("response.p99.9 < 1s", "1000 samples are too few for p99.9"),
        ("response.cancel_product_orders.p50 < 1s", "there is no sample"),
        ("errors.cancel_product_orders.rate < 1%", "nothing was sent"),
    ],
)
def test_what_cannot_be_judged_has_failed(expr: str, reason: str) -> None:
    """A condition that the run says nothing about does not pass in silence."""
    judgement = Threshold.parse(expr).judge(phase_outcome())

    assert (False, None, reason) == (judgement.ok, judgement.value, judgement.reason)


@pytest.mark.parametrize(
    ("expr", "hint"),
    [
        ("respons.p99<10ms", "did you mean response?"),
        ("latency.p99<10ms", "there are response, service, lag, event"),
        ("response.place.p99<10ms", "did you mean place_order?"),
        ("response.p99<10", "takes ns, us, ms or s, got 10"),
        ("response.p99<10rps", "takes ns, us, ms or s"),
        ("response.p101<10ms", "between 0 and 100"),
        ("response<10ms", "say which aggregate of response, such as response.p99"),
        ("errors<1", "such as errors.count"),
        ("errors.max<1", "there are rate, count"),
        ("errors.count<1ms", "takes no unit"),
        ("errors.rate<1ms", "takes %"),
        ("rate.mean>5", "rate stands alone"),
        ("rate>5ms", "takes rps"),
        ("response.median<1ms", "did you mean mean?"),
        ("response.share<1%", "share needs a time"),
        ("response.share(10)>1%", "share needs a time"),
        ("response.mean(10ms)<1s", "only share takes a time"),
        ("response.p99=10ms", "is not understood"),
        ("", "is not understood"),
    ],
)
def test_wrong_condition_is_refused_with_a_hint(expr: str, hint: str) -> None:
    """A name that does not exist, or a unit that does not fit, is found before the run."""
    with pytest.raises(UsageError) as caught:
        Threshold.parse(expr)

    assert hint in str(caught.value)
