"""``nadows bench``: run a load test, judge it, and say what it gave."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple

import typer
from typer.core import TyperGroup

from nadows.bench.compare import FailOn
from nadows.bench.compare import compare as compare_results
from nadows.bench.engine import Progress, RunRecord, run
from nadows.bench.quantities import parse_duration
from nadows.bench.report import progress_line, summary, write_index, write_report
from nadows.bench.result import result_of, run_id
from nadows.bench.scenario import Arrival, Flow, Scenario
from nadows.bench.scenario_file import find_scenario
from nadows.bench.target import loopback_network
from nadows.bench.verdict import judge
from nadows.bench.watch import judge_all
from nadows.cli.bench_compare import REGRESSED, FailOnOption, compare, read_results
from nadows.cli.bench_scenarios import list_scenarios, schema, show, validate
from nadows.cli.bench_screen import BenchView, bench_screen
from nadows.cli.bench_search import search
from nadows.cli.options import LogLevel, LogLevelOption, NetworkName, NetworkOption, Quiet, UrlOption
from nadows.cli.output import Output, set_up_logging
from nadows.cli.terminal import Screen
from nadows.errors import UsageError
from nadows.network import Network

__all__ = ["app", "bench"]


class _Bench(TyperGroup):
    """``nadows bench --rps 1000`` is ``nadows bench run --rps 1000``: running is what it is for."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the command in that is left out."""
        return list(super().parse_args(ctx, args if args and args[0] in self.commands else ["run", *args]))


app = typer.Typer(
    cls=_Bench,
    help="Measure orders a second, and the latency of each.",
    rich_markup_mode=None,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(compare)
app.command()(search)
app.command("list")(list_scenarios)
app.command()(show)
app.command()(validate)
app.command()(schema)

REPORTS: Final = Path("reports")
_DRAW_S: Final = 0.5

ScenarioArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="[SCENARIO]", help="Name in scenarios/, or path of a .toml file. None: as the options say."
    ),
]
Rps = Annotated[
    str | None,
    typer.Option("--rps", "--rate", "-r", help="Orders a second, all connections together. [1000]"),
]
Duration = Annotated[str | None, typer.Option("--duration", "-d", help="How long to measure. [10s]")]
Warmup = Annotated[
    str | None,
    typer.Option("--warmup", "-w", help="How long to send before that, unmeasured; 0s for not. [3s]"),
]
Connections = Annotated[
    int | None,
    typer.Option("--connections", "-c", help="Clients, each with a wallet and sockets of its own. [1]"),
]
Processes = Annotated[
    int,
    typer.Option(
        "--processes", "-p", min=1, max=64, help="Generators that share the work, each a process. [1]"
    ),
]
Timeout = Annotated[str | None, typer.Option("--timeout", help="When an answer is given up. [2s]")]
ArrivalOption = Annotated[
    Arrival | None, typer.Option("--arrival", help="Even spacing, or a Poisson process. [uniform]")
]
FlowOption = Annotated[Flow | None, typer.Option("--flow", help="Background of the embedded venue. [busy]")]
Seed = Annotated[int | None, typer.Option("--seed", help="Of arrivals, wallets and background. [0]")]
Thresholds = Annotated[
    list[str] | None,
    typer.Option(
        "--threshold", help="What must hold, or the exit code is 99; may be repeated: 'response.p99<10ms'."
    ),
]
Out = Annotated[
    Path | None, typer.Option("--out", "-o", help="Folder of the report. [reports/<time>_<scenario>_<id>]")
]
Json = Annotated[bool, typer.Option("--json", help="Print result.json, as in a pipe, also on a terminal.")]
AsTable = Annotated[bool, typer.Option("--table", help="Print the table, as on a terminal, also in a pipe.")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", help="One value of the scenario; may be repeated: 'phase.steady.rate=2000'."),
]
Baseline = Annotated[
    Path | None,
    typer.Option("--baseline", help="An earlier result to compare with; exit code 98 if this one is worse."),
]
Lenient = Annotated[
    bool,
    typer.Option(
        "--lenient", help="Only warn when the generator itself was too slow, instead of exit code 97."
    ),
]


@app.command(
    "run",
    epilog="Also: nadows bench compare OLD NEW, search, list, show, validate, schema; each has a --help. "
    "Exit codes: 0 valid; 1 the venue was lost; 2 wrong usage; 97 the generator was the limit; "
    "98 worse than the baseline; 99 a threshold was not met; 130 interrupted "
    "(Ctrl-C once: report what there is; twice: at once).",
)
def bench(
    scenario: ScenarioArgument = None,
    rps: Rps = None,
    duration: Duration = None,
    warmup: Warmup = None,
    connections: Connections = None,
    processes: Processes = 1,
    timeout: Timeout = None,
    arrival: ArrivalOption = None,
    flow: FlowOption = None,
    seed: Seed = None,
    threshold: Thresholds = None,
    settings: Set = None,
    baseline: Baseline = None,
    fail_on: FailOnOption = None,
    out: Out = None,
    as_json: Json = False,
    as_table: AsTable = False,
    lenient: Lenient = False,
    network: NetworkOption = NetworkName.SIM,
    url: UrlOption = None,
    quiet: Quiet = False,
    log_level: LogLevelOption = LogLevel.WARNING,
) -> None:
    """Measure orders a second, and the latency of each.

    Orders are signed as they are sent, on a schedule that no slow answer holds back; latencies count from the
    instant an order was due. The venue is one of the command's own, or one of this machine (--url).
    """
    set_up_logging(log_level)
    if as_json and as_table:
        raise UsageError("--json and --table exclude each other; give one of them")
    output = Output(as_json=as_json, quiet=quiet)
    what = _base(scenario, rps, duration, warmup, settings or ())
    # Each process needs a connection of its own.
    most = max(what.connections, processes) if connections is None else connections
    what = _override(what, most, timeout, arrival, flow, seed)
    what = what.with_thresholds(threshold or [])
    target = _target(network, url)
    _check_writable(out or REPORTS)
    output.say(f"{what.name}: {target.gateway}" if target else f"{what.name}: embedded venue, paper money")
    against = (
        _Baseline(read_results(baseline), FailOn.parse(fail_on) if fail_on else []) if baseline else None
    )
    record = asyncio.run(_run(what, target, output, processes))
    code = _tell(
        record, output, out, lenient=lenient, as_json=output.as_json and not as_table, baseline=against
    )
    raise typer.Exit(code)


class _Baseline(NamedTuple):
    results: Sequence[Mapping[str, Any]]
    fail_on: Sequence[FailOn]


def _base(
    name: str | None,
    rps: str | None,
    duration: str | None,
    warmup: str | None,
    settings: Sequence[str] = (),
) -> Scenario:
    if name is None:
        if settings:
            raise UsageError("--set changes a scenario file; name one")
        return Scenario.from_flags(
            rate="1000" if rps is None else rps,
            duration="10s" if duration is None else duration,
            warmup="3s" if warmup is None else warmup,
        )
    scenario = find_scenario(name, settings)
    if rps is not None:
        scenario = scenario.with_rate(rps)
    if duration is not None:
        scenario = scenario.with_duration(duration)
    return scenario if warmup is None else scenario.with_warmup(warmup)


def _override(
    scenario: Scenario,
    connections: int | None,
    timeout: str | None,
    arrival: Arrival | None,
    flow: Flow | None,
    seed: int | None,
) -> Scenario:
    return replace(
        scenario,
        connections=scenario.connections if connections is None else connections,
        timeout_ns=scenario.timeout_ns if timeout is None else parse_duration(timeout, "--timeout"),
        arrival=scenario.arrival if arrival is None else arrival,
        flow=scenario.flow if flow is None else flow,
        seed=scenario.seed if seed is None else seed,
    )


def _target(name: NetworkName, url: str | None) -> Network | None:
    """Return the venue to load, ``None`` for one of our own; never one that is not ours to load."""
    if url is not None:
        return loopback_network(url)
    if name is not NetworkName.SIM:
        raise UsageError(
            f"a load test is not run against {name}: it would send real orders; leave --network out "
            "(and NADOWS_NETWORK, NADO_MODE unset) for the embedded venue"
        )
    return None


def _check_writable(folder: Path) -> None:
    """Find out before the run that its report could not be kept."""
    existing = next(each for each in (folder, *folder.absolute().parents) if each.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        raise UsageError(
            f"the report cannot be written to {folder}: {existing} is no folder to write to; give --out"
        )


async def _run(scenario: Scenario, target: Network | None, output: Output, processes: int) -> RunRecord:
    """Run, and let the first signal stop it in order and the second at once."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None

    def on_signal() -> None:
        if stop.is_set():
            task.cancel()
            return
        output.say("stopping: waiting for what is in flight; once more to give up")
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, on_signal)
    try:
        with _shown(scenario, target, output, stop) as on_progress:
            return await run(scenario, target, on_progress=on_progress, stop=stop, processes=processes)
    except asyncio.CancelledError:
        raise typer.Exit(130) from None
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


@contextmanager
def _shown(
    scenario: Scenario, target: Network | None, output: Output, stop: asyncio.Event
) -> Iterator[Callable[[Progress], None]]:
    """Show the run while it goes on: a screen on a terminal, elsewhere a line each second."""
    # On a build server a terminal is a file that somebody reads afterwards.
    if output.quiet or not sys.stdout.isatty() or os.environ.get("CI"):
        yield lambda progress: output.say(progress_line(progress))
        return
    view = BenchView(scenario, target.gateway if target else "embedded venue")
    started_ns: int | None = None

    def take(progress: Progress) -> None:
        nonlocal started_ns
        started_ns = time.monotonic_ns() - progress.at_ns
        view.take(progress)

    async def draw(screen: Screen) -> None:
        while True:
            if stop.is_set():
                view.hint = "stopping: waiting for what is in flight; Ctrl-C once more to give up"
            elapsed_ns = -1 if started_ns is None else time.monotonic_ns() - started_ns
            screen.draw(bench_screen(view, elapsed_ns, screen.size[0]))
            await asyncio.sleep(_DRAW_S)

    with Screen() as screen:
        drawing = asyncio.ensure_future(draw(screen))
        try:
            yield take
        finally:
            drawing.cancel()


def _tell(
    record: RunRecord,
    output: Output,
    out: Path | None,
    *,
    lenient: bool,
    as_json: bool,
    baseline: _Baseline | None = None,
) -> int:
    """Judge, write the report, print; return the exit code."""
    scenario = record.scenario
    judgements = judge_all(scenario.thresholds, record.outcomes, record.broken)
    verdict = judge(
        record.outcomes,
        judgements,
        interrupted=record.interrupted and not record.is_aborted,
        lenient=lenient,
        is_cut=scenario.disconnect is not None,
        lost=record.lost,
        processes=record.processes,
    )
    if not record.outcomes:
        output.say("stopped before anything was sent; there is no report")
        return verdict.exit
    result = result_of(record, verdict, judgements, ["nadows", *sys.argv[1:]])
    if baseline is not None and not verdict.exit:
        failures = compare_results(baseline.results, [result]).failures(baseline.fail_on)
        if failures:
            verdict = replace(verdict, state="regressed", exit=REGRESSED, reasons=tuple(failures))
            result = result_of(record, verdict, judgements, ["nadows", *sys.argv[1:]])
    folder = out or REPORTS / run_id(record)
    write_report(folder, record, result)
    if out is None:
        write_index(REPORTS)
    if as_json:
        output.json(result)
    else:
        output.console.print(summary(record, verdict, judgements), soft_wrap=True)
    output.flush()
    output.say(f"report: {folder / 'report.html'}")
    return verdict.exit
