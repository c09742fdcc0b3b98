"""``nadows bench`` as it is typed: what it refuses, what it prints, and its exit codes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nadows.bench.compare import FailOn
from nadows.bench.engine import RunRecord
from nadows.bench.result import result_of
from nadows.bench.scenario import Scenario
from nadows.bench.verdict import judge
from nadows.cli import app
from nadows.cli import bench as command
from nadows.cli.options import NetworkName
from nadows.cli.output import Output

from .outcomes import kind_outcome, phase_outcome

QUICK = (
    "--rps",
    "200",
    "--duration",
    "1s",
    "--warmup",
    "0s",
    "--flow",
    "off",
    "--timeout",
    "20s",
    "--lenient",
)


@contextmanager
def bench(*arguments: str, cwd: Path) -> Iterator[subprocess.Popen[str]]:
    """Run the command in a process of its own, away from the checkout."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("NADO_", "NADOWS_"))
    }
    with subprocess.Popen(
        [sys.executable, "-m", "nadows", "bench", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
        env=environment | {"PYTHONPATH": str(Path(__file__).parents[2])},
    ) as process:
        yield process


def children_of(pid: int) -> list[int]:
    """Return the processes that a process has started, from whichever of its threads."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(each) for task in tasks for each in task.joinpath("children").read_text().split()]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rps", "0"], "--rps 0 is no rate"),
        (["--rps", "-5"], "--rps -5 is no rate"),
        (["--rps", "many"], "--rps many is no rate"),
        (["--duration", "long"], "--duration 'long' is no duration"),
        (["--duration", "0s"], "has no duration"),
        (["--warmup", "x"], "--warmup 'x' is no duration"),
        (["--timeout", "5"], "--timeout '5' is no duration"),
        (["--connections", "0"], "connections must lie between 1 and 50"),
        (["--threshold", "latency.p99<1ms"], "no metric is called 'latency'"),
        (["--arrival", "sudden"], "sudden"),
        (["no-such-scenario"], "no scenario is called 'no-such-scenario'"),
        (["--url", "http://192.0.2.1:80"], "never leaves this machine"),
        (["--url", "nonsense"], "must be a URL"),
        (["--network", "testnet"], "is not run against testnet"),
        (["--network", "mainnet"], "is not run against mainnet"),
        (["--json", "--table"], "exclude each other"),
        (["--out", "/dev/null/x"], "is no folder to write to"),
    ],
)
def test_wrong_usage_is_exit_code_2_with_a_remedy(arguments: list[str], message: str) -> None:
    """Nothing is started; one sentence says what is wrong."""
    result = CliRunner().invoke(app, ["bench", *arguments])

    assert 2 == result.exit_code
    assert message in result.stderr
    assert "" == result.stdout
    assert "Traceback" not in result.stderr


def test_options_override_the_scenario() -> None:
    """Each option replaces what the file says, and only that."""
    base = command._base("smoke", "50", "4s", "2s")

    changed = command._override(base, 3, "1s", "poisson", "off", 9)

    assert [("warmup", 50, 2 * 10**9), ("steady", 50, 4 * 10**9)] == [
        (phase.name, phase.rate, phase.duration_ns) for phase in changed.phases
    ]
    assert (3, 10**9, "poisson", "off", 9) == (
        changed.connections,
        changed.timeout_ns,
        changed.arrival,
        changed.flow,
        changed.seed,
    )
    assert base == command._override(base, None, None, None, None, None)
    assert Scenario.from_flags() == command._base(None, None, None, None)


def test_venue_of_this_machine_may_be_named() -> None:
    """--url leads to a venue that runs already."""
    target = command._target(NetworkName.SIM, "http://127.0.0.1:8080")

    assert target is not None
    assert "http://127.0.0.1:8080/v1" == target.gateway


def test_generator_limit_is_exit_code_97(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A schedule that was not kept makes the run invalid, unless the user is lenient."""
    outcome = phase_outcome()
    outcome.in_time = 900
    record = RunRecord(Scenario.from_flags(), started_ns=1, outcomes=[outcome])
    output = Output(as_json=True)

    assert 97 == command._tell(record, output, tmp_path, lenient=False, as_json=True)
    assert 0 == command._tell(record, output, tmp_path, lenient=True, as_json=True)
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert ("generator-limited", "valid") == (first["verdict"]["state"], second["verdict"]["state"])


def test_run_without_outcome_has_no_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Stopped before anything was sent: 130, and nothing is written."""
    record = RunRecord(Scenario.from_flags(), interrupted=True)

    assert 130 == command._tell(record, Output(), tmp_path / "x", lenient=False, as_json=True)
    assert not tmp_path.joinpath("x").exists()
    assert "there is no report" in capsys.readouterr().err


@pytest.mark.slow
def test_pipe_gets_the_result_as_json_and_a_report_is_kept(tmp_path: Path) -> None:
    """In a pipe stdout is result.json on one line; the same is in reports/<id>/; progress is on stderr."""
    with bench(*QUICK, cwd=tmp_path) as process:
        out, err = process.communicate(timeout=100)

    assert 0 == process.returncode, err
    result = json.loads(out)
    phase = result["phases"][0]
    assert (200, 200, 0, 0) == (phase["planned"], phase["sent"], phase["dropped"], phase["failed"])
    assert (100, 0) == (phase["crossing"]["filled"], phase["crossing"]["missing"])
    assert result == json.loads(tmp_path.joinpath("reports", result["id"], "result.json").read_text())
    assert "embedded venue, paper money" in err
    assert "in flight" in err


@pytest.mark.slow
def test_missed_threshold_is_exit_code_99(tmp_path: Path) -> None:
    """--table prints for people also in a pipe, --quiet says nothing, and the threshold decides."""
    with bench(
        *QUICK, "--table", "--quiet", "--out", "r", "--threshold", "response.max<1ns", cwd=tmp_path
    ) as process:
        out, err = process.communicate(timeout=100)

    assert (99, "") == (process.returncode, err)
    assert "threshold response.max<1ns in steady: NOT MET" in out
    assert "verdict: thresholds-failed" in out.splitlines()[-1]
    assert tmp_path.joinpath("r", "latency.hlog").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_run_reports_and_is_exit_code_130(tmp_path: Path, number: signal.Signals) -> None:
    """One signal ends the schedule; what was sent is answered and reported, and no child is left."""
    with bench("--rps", "100", "--duration", "1m", "--warmup", "0s", "--lenient", cwd=tmp_path) as process:
        assert process.stderr is not None
        while "in flight" not in process.stderr.readline():
            pass
        children = children_of(process.pid)
        process.send_signal(number)
        out, err = process.communicate(timeout=100)

    assert 130 == process.returncode, err
    result = json.loads(out)
    assert ("interrupted", True) == (result["verdict"]["state"], result["run"]["interrupted"])
    phase = result["phases"][0]
    assert phase["planned"] == phase["sent"] + phase["dropped"] > 0
    assert 2 == len(children)
    assert not any(Path(f"/proc/{pid}").exists() for pid in children)


@pytest.mark.slow
def test_second_signal_gives_up_at_once(tmp_path: Path) -> None:
    """Whoever insists gets out, without a report and without children left."""
    with bench("--rps", "100", "--duration", "1m", "--warmup", "0s", cwd=tmp_path) as process:
        assert process.stderr is not None
        while "in flight" not in process.stderr.readline():
            pass
        children = children_of(process.pid)
        os.kill(children[0], signal.SIGSTOP)
        process.send_signal(signal.SIGINT)
        while "once more to give up" not in process.stderr.readline():
            pass
        process.send_signal(signal.SIGINT)
        os.kill(children[0], signal.SIGCONT)
        out, err = process.communicate(timeout=100)

    assert (130, "") == (process.returncode, out), err
    assert not any(Path(f"/proc/{pid}").exists() for pid in children)


@pytest.mark.slow
def test_generator_beyond_its_limit_says_so(tmp_path: Path) -> None:
    """A rate that no generator in Python reaches is exit code 97, and every request is accounted for."""
    with bench(
        *("--rps", "100k", "--duration", "200ms", "--warmup", "0s", "--timeout", "200ms", "--flow", "off"),
        cwd=tmp_path,
    ) as process:
        out, err = process.communicate(timeout=100)

    assert 97 == process.returncode, err
    result = json.loads(out)
    phase = result["phases"][0]
    assert "generator-limited" == result["verdict"]["state"]
    assert (20_000, phase["sent"]) == (
        phase["sent"] + phase["dropped"],
        phase["acked"] + phase["failed"] + phase["unfinished"],
    )
    assert phase["dropped"] == phase["drops"]["behind"] > 0


@pytest.mark.slow
def test_dead_venue_is_exit_code_1(tmp_path: Path) -> None:
    """A venue that is killed in the middle is said to be so, in one sentence."""
    with bench("--rps", "100", "--duration", "1m", "--warmup", "0s", cwd=tmp_path) as process:
        assert process.stderr is not None
        while "in flight" not in process.stderr.readline():
            pass
        children = children_of(process.pid)
        venue = next(pid for pid in children if "serve" in Path(f"/proc/{pid}/cmdline").read_text())
        os.kill(venue, signal.SIGKILL)
        _, err = process.communicate(timeout=100)

    assert 1 == process.returncode
    assert "nadows: the embedded venue ended with code -9" in err
    assert "Traceback" not in err
    assert not any(Path(f"/proc/{pid}").exists() for pid in children)


def test_run_that_is_worse_than_its_baseline_is_exit_code_98(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A valid run is compared with an earlier one; what is invalid already stays what it is."""
    quick = phase_outcome(rest=kind_outcome([1000] * 500), cross=kind_outcome([1000] * 500))
    record = RunRecord(Scenario.from_flags(), started_ns=1, outcomes=[phase_outcome()])
    earlier = RunRecord(Scenario.from_flags(), started_ns=1, outcomes=[quick])
    results = [result_of(earlier, judge([quick], []), [], [])]
    baseline, lenient = command._Baseline(results, []), command._Baseline(results, FailOn.parse("rps<-1%"))

    def tell(against: command._Baseline) -> int:
        return command._tell(
            record, Output(as_json=True), tmp_path, lenient=False, as_json=True, baseline=against
        )

    assert (98, 0) == (tell(baseline), tell(lenient))
    assert "regressed" == json.loads(capsys.readouterr().out.splitlines()[0])["verdict"]["state"]
    record.outcomes[0].in_time = 1
    assert 97 == tell(baseline)


@pytest.mark.slow
def test_search_finds_a_rate(tmp_path: Path) -> None:
    """Between bounds that lie close, the upper one holds and is confirmed: at least so much."""
    with subprocess.Popen(
        [
            *(sys.executable, "-m", "nadows", "bench", "search", "--from", "50", "--to", "60", "--json"),
            *("--trial", "500ms", "--confirm", "500ms", "--slo", "errors.rate<50%"),
        ],
        stdout=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    ) as process:
        out, _ = process.communicate(timeout=100)

    found = json.loads(out)
    assert process.returncode in (0, 97)
    assert [50.0, 60.0] == [trial["rate"] for trial in found["trials"][:2]] or not found["rate"]
