"""Where a run took place, and what else went on there: without it a latency is a rumour.

Everything is read from ``/proc``; where there is none, what cannot be known is left out.
"""

from __future__ import annotations

import os
import platform
import sys
import time
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Final

__all__ = ["CpuClock", "describe", "generator_and_venue_cpus", "pin", "process_cpu_ns"]

_PROC: Final = Path("/proc")
_TICK_NS: Final = 10**9 // os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class CpuClock:
    """Time of all CPUs together since boot, ns."""

    total_ns: int
    idle_ns: int
    steal_ns: int
    """Given to other machines by the hypervisor."""

    @classmethod
    def read(cls, proc: Path = _PROC) -> CpuClock | None:
        """Read it; ``None`` where the system does not tell."""
        try:
            fields = proc.joinpath("stat").read_text().splitlines()[0].split()[1:]
        except (OSError, IndexError):
            return None
        # user nice system idle iowait irq softirq steal; guest times are part of the first two.
        ticks = [int(field) for field in fields[:8]]
        return cls(sum(ticks) * _TICK_NS, (ticks[3] + ticks[4]) * _TICK_NS, ticks[7] * _TICK_NS)

    def shares_since(self, before: CpuClock, ours_ns: int) -> tuple[float, float]:
        """Return the shares of all CPUs' time that were stolen, and used by processes other than ours.

        Args:
            before: An earlier reading.
            ours_ns: CPU time that our own processes used in between.
        """
        total_ns = self.total_ns - before.total_ns
        if total_ns <= 0:
            return 0.0, 0.0
        steal_ns = self.steal_ns - before.steal_ns
        busy_ns = total_ns - (self.idle_ns - before.idle_ns) - steal_ns
        return steal_ns / total_ns, max(0, busy_ns - ours_ns) / total_ns


def process_cpu_ns(pid: int, proc: Path = _PROC) -> int | None:
    """Return the CPU time that a process has used, ns (in steps of 10 ms); ``None`` if it cannot be read."""
    try:
        text = proc.joinpath(str(pid), "stat").read_text()
    except OSError:
        return None
    # The name in parentheses may hold spaces and parentheses of its own.
    fields = text.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * _TICK_NS


def generator_and_venue_cpus() -> tuple[int | None, int | None]:
    """Choose a CPU each for generator and venue; none where there is only one, or no choice."""
    if not hasattr(os, "sched_getaffinity"):
        return None, None
    cpus = sorted(os.sched_getaffinity(0))
    return (cpus[1], cpus[0]) if len(cpus) > 1 else (None, None)


def pin(pid: int, cpu: int, proc: Path = _PROC) -> None:
    """Keep a process, with the threads it has, on one CPU; one that is gone is ignored."""
    try:
        for thread in proc.joinpath(str(pid), "task").iterdir():
            os.sched_setaffinity(int(thread.name), {cpu})
    except (FileNotFoundError, ProcessLookupError):
        return


def describe() -> dict[str, Any]:
    """Return what a report says of machine and versions."""
    return {
        "cpu": _cpu_name(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "kernel": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        "python": platform.python_version(),
        "implementation": sys.implementation.name,
        "hdr": metadata.version("hdrhistogram"),
        "clock": time.get_clock_info("monotonic").implementation,
        "load1": round(os.getloadavg()[0], 2),
    }


def _cpu_name(proc: Path = _PROC) -> str:
    try:
        lines = proc.joinpath("cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
