"""What people see while a bench runs: what was measured in, styled text out.

Drawn by the parent alone, twice a second: drawing takes CPU that the generator must not miss.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import accumulate
from typing import Final

from rich.text import Text

from nadows.bench.engine import Progress
from nadows.bench.histogram import enough_samples
from nadows.bench.outcome import LATE_NS
from nadows.bench.quantities import show_ns
from nadows.bench.scenario import LoadPhase, Scenario
from nadows.cli.figures import ALERT, BUY, FAINT, SELL

__all__ = ["BenchView", "bench_screen", "sparkline"]

SECONDS: Final = 60
_SHOWN: Final = (50.0, 90.0, 99.0, 99.9)
_COLUMN: Final = 10
_BLOCKS: Final = "▁▂▃▄▅▆▇█"


@dataclass
class BenchView:
    """A run, as far as it has come."""

    scenario: Scenario
    where: str
    """What is loaded."""
    last: Progress | None = None
    p99s: deque[int] = field(default_factory=lambda: deque(maxlen=SECONDS))
    """Of the last seconds, ns."""
    failed: int = 0
    hint: str = "Ctrl-C: stop, wait for what is in flight, report"

    def take(self, progress: Progress) -> None:
        """Take one more second."""
        self.last = progress
        self.failed += progress.failed
        if progress.acked or progress.failed:
            self.p99s.append(progress.p99)


def bench_screen(view: BenchView, elapsed_ns: int, width: int = 80) -> Text:
    """Draw a run.

    Args:
        view: The run.
        elapsed_ns: Since the start of the schedule; below 0 before it.
        width: Of the terminal, in columns.
    """
    lines = [_title(view, elapsed_ns, width), _phase_bar(view.scenario.phases, elapsed_ns, width - 2), Text()]
    lines += _body(view, elapsed_ns, width) if view.last else [Text(" connecting", style=FAINT)]
    lines += [Text(), Text(f" {view.hint}", style=FAINT)]
    text = Text(no_wrap=True, overflow="crop", end="")
    for number, line in enumerate(lines):
        line.truncate(width)
        text.append("\n" if number else "").append_text(line)
    return text


def _title(view: BenchView, elapsed_ns: int, width: int) -> Text:
    title = Text(" ").append(view.scenario.name, "bold").append(f"  {view.where}", FAINT)
    total_ns = sum(phase.duration_ns for phase in view.scenario.phases)
    right = f"{max(0, elapsed_ns) / 1e9:.0f} of {total_ns / 1e9:.0f} s"
    return title.append(right.rjust(max(len(right) + 2, width - len(title) - 1)))


def _phase_bar(phases: Sequence[LoadPhase], elapsed_ns: int, room: int) -> Text:
    """Draw each phase as long as it lasts, filled as far as it is through; its name where there is room."""
    total_ns = sum(phase.duration_ns for phase in phases)
    ends = list(accumulate(phase.duration_ns for phase in phases))
    columns = [room * end // total_ns for end in ends]
    done = room * min(max(elapsed_ns, 0), total_ns) // total_ns
    bar, at = Text(" "), 0
    for phase, column in zip(phases, columns, strict=True):
        cells = f" {phase.name}"[: max(0, column - at - 1)].ljust(max(0, column - at - 1))
        cells += "│" if column > at else ""
        for number, cell in enumerate(cells, at):
            is_done = number < done
            style = (
                ("black on green" if phase.record else "black on bright_black") if is_done else "reverse dim"
            )
            bar.append(cell, style)
        at = max(at, column)
    return bar


def _body(view: BenchView, elapsed_ns: int, width: int) -> list[Text]:
    last = view.last
    assert last is not None
    rates = Text(" ")
    target = _target(view.scenario.phases, elapsed_ns)
    for name, value, style in (
        ("target", target, ""),
        ("sent", str(last.sent), "bold"),
        ("done", str(last.acked), "bold"),
        ("failed", str(view.failed), "bold red" if view.failed else ""),
        ("in flight", str(last.in_flight), ""),
    ):
        rates.append(f"{name} ", FAINT).append(value.ljust(9), style)
    head = " ".ljust(14) + "".join(f"p{each:g}".rjust(_COLUMN) for each in _SHOWN) + "max".rjust(_COLUMN)
    lines = [rates, Text(), Text(head, style=FAINT)]
    lines.append(_row("last second", [last.p50, None, last.p99, None, last.max]))
    so_far = last.so_far
    if so_far.count:
        values = so_far.percentiles(_SHOWN)
        known = [values[each] if enough_samples(so_far.count, each) else None for each in _SHOWN]
        lines.append(_row("so far", [*known, so_far.maximum]))
    light, style = _light(last)
    lag = Text(" lag p99".ljust(14), FAINT).append(show_ns(last.lag_p99).rjust(_COLUMN))
    most = f"  up to {show_ns(max(view.p99s, default=0))}"
    spark = Text(" p99 by second".ljust(15), FAINT)
    spark.append(sparkline(view.p99s, width - 16 - len(most)), "cyan").append(most, FAINT)
    return [*lines, Text(), lag.append(f"  ● {light}", style), spark]


def _target(phases: Sequence[LoadPhase], elapsed_ns: int) -> str:
    end_ns = 0
    for phase in phases:
        begin_ns, end_ns = end_ns, end_ns + phase.duration_ns
        if elapsed_ns < end_ns:
            through = Fraction(max(0, elapsed_ns - begin_ns), phase.duration_ns)
            rate = round(phase.rate + ((phase.to or phase.rate) - phase.rate) * through)
            return f"{rate}/s" if phase.rate else "closed"
    return "draining"


def _row(name: str, values: Sequence[int | None]) -> Text:
    cells = "".join(("" if value is None else show_ns(value)).rjust(_COLUMN) for value in values)
    return Text(f" {name}".ljust(14), FAINT).append(cells)


def _light(last: Progress) -> tuple[str, str]:
    """Say in a word how the instrument does, and the venue."""
    if last.in_flight > max(last.sent, 50):
        return "SATURATED: more in flight than a second's requests", SELL
    if last.lag_p99 > LATE_NS:
        return "LATE: the generator, or the machine, is behind", ALERT
    return "OK", BUY


def sparkline(values: Sequence[int] | deque[int], room: int) -> str:
    """Draw the last values as blocks, from 0 to their maximum."""
    shown = list(values)[-max(1, room) :]
    most = max(shown, default=0)
    if not most:
        return ""
    return "".join(_BLOCKS[value * (len(_BLOCKS) - 1) // most] for value in shown)
