"""Comparisons: what is noise, what is not, and what must not be compared at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from nadows.bench.compare import Comparison, FailOn, compare
from nadows.bench.engine import RunRecord
from nadows.bench.result import result_of
from nadows.bench.scenario import Scenario
from nadows.bench.verdict import judge
from nadows.cli import app
from nadows.errors import UsageError

from .outcomes import MS, kind_outcome, phase_outcome


def result(slower: int = 0, *, errors: int = 0, seed: int = 0, **environment: Any) -> dict[str, Any]:
    """Return a result whose response times are so many microseconds longer than they could be."""
    times = [MS + number * 1000 + slower * 1000 for number in range(1000)]
    failed = {"2008 X": errors} if errors else {}
    outcome = phase_outcome(cross=kind_outcome(times, events=times, errors=failed), rest=kind_outcome([]))
    scenario = Scenario.from_flags(rate=1000 + seed)
    record = RunRecord(scenario, started_ns=1, outcomes=[outcome], environment=dict(environment))
    return result_of(record, judge(record.outcomes, []), [], [])


def verdicts(comparison: Comparison) -> dict[str, str]:
    return {each.metric: each.verdict for each in comparison.changes}


def test_equal_runs_are_the_same() -> None:
    """Nothing is said to have changed; what was not measured is unknown."""
    assert {
        **dict.fromkeys(("rps", "errors", "p50", "p99", "fill_p50", "fill_p99"), "same"),
        "p99.9": "unknown",
    } == verdicts(compare([result()], [result()]))


def test_slower_run_is_worse_and_the_other_way_round_better() -> None:
    """Ranges apart and more than five percent between them: that is a change."""
    slower, quicker = compare([result()], [result(500)]), compare([result(500)], [result()])

    assert ("worse", "better") == (verdicts(slower)["p50"], verdicts(quicker)["p50"])
    assert [] == quicker.failures()
    assert any(each.startswith("p50: +3") and "lie apart" in each for each in slower.failures())


def test_small_change_is_of_no_interest() -> None:
    """However certain it is."""
    assert "same" == verdicts(compare([result()], [result(50)]))["p99"]


def test_repeats_are_compared_by_rank() -> None:
    """With four runs a side their spread decides: one slow run of four is no regression, four of four are."""
    one_slow = [result(), result(), result(), result(500)]
    all_slow = [result(500 + number) for number in range(4)]

    assert "same" == verdicts(compare([result()] * 4, one_slow))["p50"]
    slow = compare([result(number) for number in range(4)], all_slow)
    assert "worse" == verdicts(slow)["p50"]
    assert any("rank test of 4 and 4 runs: p = 0.029" in failure for failure in slow.failures())


def test_first_errors_are_worse() -> None:
    """From none to some there is no percentage, and yet it matters."""
    assert "worse" == verdicts(compare([result()], [result(errors=3)]))["errors"]
    assert "better" == verdicts(compare([result(errors=3)], [result()]))["errors"]


def test_different_work_is_not_compared() -> None:
    """Unless somebody insists, who is then told."""
    with pytest.raises(UsageError, match="did different work"):
        compare([result()], [result(seed=1)])

    assert ("the runs did different work",) == compare([result()], [result(seed=1)], force=True).warnings
    with pytest.raises(UsageError, match="on both sides"):
        compare([], [result()])


def test_other_machines_and_invalid_runs_are_remarked_on() -> None:
    """The numbers stand, with what to bear in mind."""
    broken = result(cpu="b")
    broken["verdict"]["state"] = "generator-limited"

    assert ("cpu differs: a and b", "new: a run is generator-limited") == compare(
        [result(cpu="a")], [broken]
    ).warnings


def test_conditions_of_ones_own_replace_the_rule() -> None:
    """How far each metric may move, up or down."""
    slower = compare([result()], [result(500)])

    assert [] == slower.failures(FailOn.parse("p50>+50%,rps<-5%"))
    assert ["p50: +33.4%, and p50>+10% fails"] == slower.failures(FailOn.parse("p50>+10%"))
    assert ["rps: +0.0%, and rps<+1% fails"] == slower.failures(FailOn.parse("rps<+1%"))
    assert [] == slower.failures(FailOn.parse("p99.9>1%"))


@pytest.mark.parametrize("text", ["p99", "p98>1%", "p99>1", ""])
def test_condition_that_is_none_is_refused(text: str) -> None:
    """With the metrics there are."""
    with pytest.raises(UsageError, match="metrics are rps, errors, p50"):
        FailOn.parse(text)


def invoke(*arguments: str) -> tuple[int, str]:
    shown = CliRunner().invoke(app, ["bench", "compare", *arguments])
    return shown.exit_code, shown.stdout + shown.stderr


def test_command_exits_98_when_something_got_worse(tmp_path: Path) -> None:
    """Files, reports and folders of reports are read; the other way round is 0."""
    for name, each in (("a/1", result()), ("b/1", result(500)), ("b/2", result(500))):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        folder.joinpath("result.json").write_text(json.dumps(each))

    code, text = invoke(str(tmp_path / "a/1/result.json"), str(tmp_path / "b/1"), "--json")
    assert 98 == code
    assert any(failure.startswith("p50: +33.4%") for failure in json.loads(text)["failures"])
    assert 0 == invoke(str(tmp_path / "b"), str(tmp_path / "a"))[0]
    assert 0 == invoke(str(tmp_path / "a"), str(tmp_path / "b"), "--fail-on", "p50>+90%")[0]


@pytest.mark.parametrize("content", [None, "x", "{}", '{"schema": 2}'])
def test_what_is_no_result_is_refused(tmp_path: Path, content: str | None) -> None:
    """Exit code 2, and the file's name."""
    if content is not None:
        tmp_path.joinpath("result.json").write_text(content)

    code, text = invoke(str(tmp_path), str(tmp_path))

    assert 2 == code
    assert str(tmp_path) in text
