"""``nadows bench search``: the highest rate that meets an objective."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Annotated, Any

import typer

from nadows.bench.engine import RunRecord, run
from nadows.bench.quantities import MAX_RATE, parse_duration, parse_rate, show_ns
from nadows.bench.scenario import Scenario
from nadows.bench.scenario_file import find_scenario
from nadows.bench.search import Found, Result, Trial
from nadows.bench.search import search as searching
from nadows.bench.thresholds import Judgement, Threshold
from nadows.bench.verdict import Verdict, judge
from nadows.bench.watch import judge_all
from nadows.cli.options import LogLevel, LogLevelOption, Quiet
from nadows.cli.output import Output, set_up_logging

__all__ = ["search"]

OBJECTIVE = ("response.p99<50ms", "errors.rate<0.1%")


def search(
    scenario: Annotated[str | None, typer.Argument(metavar="[SCENARIO]", help="Whose work is done.")] = None,
    objective: Annotated[
        list[str] | None,
        typer.Option(
            "--objective",
            "--slo",
            help=f"What must hold; a threshold, may be repeated. [{', '.join(OBJECTIVE)}]",
        ),
    ] = None,
    start: Annotated[str, typer.Option("--from", help="Where to begin, requests a second.")] = "500",
    most: Annotated[str, typer.Option("--to", help="Never tried beyond.")] = str(MAX_RATE),
    width: Annotated[
        float, typer.Option("--width", min=0.01, max=0.5, help="How close to a rate that fails.")
    ] = 0.05,
    trial: Annotated[str, typer.Option("--trial", help="Length of the first trials.")] = "3s",
    confirm: Annotated[str, typer.Option("--confirm", help="Length of the two confirmations.")] = "10s",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, also on a terminal.")] = False,
    quiet: Quiet = False,
    log_level: LogLevelOption = LogLevel.WARNING,
) -> None:
    """Find the highest rate that meets an objective.

    Doubles, bisects and confirms; a fresh venue for each trial. When the generator gives up before the venue
    does, the answer says "at least".
    """
    set_up_logging(log_level)
    output = Output(as_json=as_json, quiet=quiet)
    base = find_scenario(scenario) if scenario else Scenario.from_flags(warmup="1s")
    base = replace(base, thresholds=tuple(map(Threshold.parse, objective or OBJECTIVE)))
    trials = searching(
        parse_rate(start, "--from"),
        parse_rate(most, "--to"),
        width=Fraction(str(width)),
        trial_ns=parse_duration(trial, "--trial"),
        confirm_ns=parse_duration(confirm, "--confirm"),
    )
    found, curve = asyncio.run(_search(base, trials, output))
    if output.as_json:
        rate = None if found.rate is None else float(found.rate)
        output.json({"rate": rate, "is_lower_bound": found.is_lower_bound, "trials": curve})
    else:
        output.text(_answer(found))
    output.flush()
    raise typer.Exit(0 if found.rate is not None else 97 if found.is_lower_bound else 99)


async def _search(base: Scenario, trials: Any, output: Output) -> tuple[Found, list[dict[str, Any]]]:
    curve: list[dict[str, Any]] = []
    answer: Result | None = None
    while True:
        try:
            trial: Trial = next(trials) if answer is None else trials.send(answer)
        except StopIteration as end:
            return end.value, curve
        record = await run(_scenario(base, trial))
        judgements = judge_all(record.scenario.thresholds, record.outcomes, record.broken)
        verdict = judge(record.outcomes, judgements)
        answer = _result(verdict, judgements)
        curve.append(_point(trial, record, verdict, answer))
        output.say(_line(curve[-1]))


def _scenario(base: Scenario, trial: Trial) -> Scenario:
    return replace(
        base,
        phases=tuple(
            replace(
                phase,
                rate=trial.rate,
                to=None,
                duration_ns=trial.duration_ns if phase.record else phase.duration_ns,
            )
            for phase in base.phases
            if phase.record is False or phase is next(each for each in base.phases if each.record)
        ),
    )


def _result(verdict: Verdict, judgements: Sequence[Judgement]) -> Result:
    if verdict.exit == 97:
        return Result.GENERATOR
    met = verdict.state == "valid" and all(each.ok for each in judgements)
    return Result.MET if met else Result.MISSED


def _point(trial: Trial, record: RunRecord, verdict: Verdict, result: Result) -> dict[str, Any]:
    outcome = next(each for each in record.outcomes if each.recorded)
    response = outcome.histogram("all", "response")
    used = outcome.usage
    return {
        "rate": float(trial.rate),
        "duration_ns": trial.duration_ns,
        "result": result.value,
        "reasons": list(verdict.reasons),
        "sent_ratio": outcome.sent_ratio,
        "p50_ns": response.percentile(50) if response.count else None,
        "p99_ns": response.percentile(99) if response.count else None,
        "lag_p99_ns": outcome.histogram("all", "lag").percentile(99) if response.count else None,
        "generator_cpu": used.generator_cpu_ns / used.wall_ns if used.wall_ns else None,
        "venue_cpu": used.venue_cpu_ns / used.wall_ns if used.wall_ns and used.venue_cpu_ns else None,
        "other_cpu": used.other_cpu,
    }


def _line(point: dict[str, Any]) -> str:
    return (
        f"{point['rate']:9.1f}/s  {point['duration_ns'] / 1e9:5.1f} s  "
        f"p50 {show_ns(point['p50_ns'] or 0):>8}  "
        f"p99 {show_ns(point['p99_ns'] or 0):>8}  lag p99 {show_ns(point['lag_p99_ns'] or 0):>8}  "
        f"{point['result']}{': ' if point['reasons'] else ''}{'; '.join(point['reasons'])[:120]}"
    )


def _answer(found: Found) -> str:
    if found.rate is None:
        return "no rate meets the objective" + (
            ": the generator was the limit" if found.is_lower_bound else ""
        )
    bound = "at least " if found.is_lower_bound else ""
    return f"highest rate that meets the objective: {bound}{float(found.rate):.0f} requests/s"
