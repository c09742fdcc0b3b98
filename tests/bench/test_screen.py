"""The screen of a run: what was measured in, lines out."""

from __future__ import annotations

from fractions import Fraction

import pytest

from nadows.bench.engine import Progress
from nadows.bench.scenario import LoadPhase, Scenario
from nadows.cli.bench_screen import BenchView, bench_screen, sparkline

from .outcomes import MS, histogram_of

SECOND = 10**9
SCENARIO = Scenario(
    name="test",
    phases=(
        LoadPhase("warmup", Fraction(100), SECOND, record=False),
        LoadPhase("ramp", Fraction(100), 3 * SECOND, to=Fraction(200)),
    ),
)


def progress(*, in_flight: int = 3, lag_p99: int = 1000, failed: int = 0) -> Progress:
    so_far = histogram_of(*[MS] * 900, *[9 * MS] * 100)
    return Progress(SECOND, "ramp", 100, 97, failed, in_flight, MS, 9 * MS, 12 * MS, lag_p99, so_far)


def drawn(view: BenchView, elapsed_ns: int = 2_500_000_000, width: int = 80) -> list[str]:
    return [line.rstrip() for line in bench_screen(view, elapsed_ns, width).plain.split("\n")]


def view_of(*seconds: Progress) -> BenchView:
    view = BenchView(SCENARIO, "embedded venue")
    for each in seconds:
        view.take(each)
    return view


def test_screen_shows_rates_percentiles_light_and_history() -> None:
    """A line for each thing to look at; what has too few samples is left out."""
    lines = drawn(view_of(progress(), progress(failed=2)))

    assert lines[0].startswith(" test  embedded venue")
    assert lines[0].endswith("2 of 4 s")
    assert " target 150/s    sent 100      done 97       failed 2        in flight 3" == lines[3]
    assert ["p50", "p90", "p99", "p99.9", "max"] == lines[5].split()
    assert ["last", "second", "1.00", "ms", "9.00", "ms", "12.0", "ms"] == lines[6].split()
    assert ["so", "far", "1.00", "ms", "1.00", "ms", "9.00", "ms", "9.00", "ms"] == lines[7].split()
    assert " lag p99         1.00 us  ● OK" == lines[9]
    assert " p99 by second ██  up to 9.00 ms" == lines[10]
    assert "Ctrl-C" in lines[-1]


@pytest.mark.parametrize(
    ("second", "word"),
    [
        (progress(lag_p99=2 * MS), "LATE"),
        (progress(in_flight=101), "SATURATED"),
        (progress(in_flight=101, lag_p99=2 * MS), "SATURATED"),
    ],
)
def test_light_says_who_is_behind(second: Progress, word: str) -> None:
    """The generator's lateness, or a venue that does not keep up, which explains the former."""
    assert f"● {word}" in "\n".join(drawn(view_of(second)))


def test_bar_is_filled_as_far_as_the_run_is() -> None:
    """Each phase is as long as it lasts; the rest is not done yet."""
    text = bench_screen(view_of(progress()), 2 * SECOND, 82)
    start = text.plain.index("\n") + 1
    bar = text.plain[start : text.plain.index("\n", start)]
    done = sum(
        span.end - span.start
        for span in text.spans
        if "on green" in str(span.style) or "on bright_black" in str(span.style)
    )

    assert 81 == len(bar)
    assert ["warmup", "ramp"] == bar.replace("│", " ").split()
    assert 40 == done


@pytest.mark.parametrize("width", [1, 10, 40, 200])
@pytest.mark.parametrize("elapsed_ns", [-1, 0, 3 * SECOND, 99 * SECOND])
def test_no_line_is_wider_than_the_terminal(width: int, elapsed_ns: int) -> None:
    """Whatever the size, and before, during and after the run."""
    for view in (view_of(), view_of(progress())):
        assert all(len(line) <= width for line in drawn(view, elapsed_ns, width))


def test_before_the_first_second_it_says_so() -> None:
    """There is nothing to show yet."""
    assert " connecting" == drawn(view_of(), -1)[3]


def test_after_the_schedule_answers_are_awaited() -> None:
    """The rate that is aimed at is none then; a closed model has none at all."""
    closed = Scenario(name="c", phases=(LoadPhase("s", Fraction(0), SECOND),), model="closed")
    view = BenchView(closed, "x")
    view.take(progress())

    assert "target draining " in drawn(view_of(progress()), 5 * SECOND)[3]
    assert "target closed " in drawn(view, 0)[3]


def test_sparkline_spans_from_zero_to_the_maximum() -> None:
    """The last values that fit; nothing where there is nothing."""
    assert "▁▄█" == sparkline([0, 5, 10], 10)
    assert "▄█" == sparkline([0, 5, 10], 2)
    assert "" == sparkline([], 10) == sparkline([0, 0], 10)
