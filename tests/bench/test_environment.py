"""What is read of machine and processes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nadows.bench import environment
from nadows.bench.environment import CpuClock, process_cpu_ns

TICK_NS = 10**9 // os.sysconf("SC_CLK_TCK")


def test_cpu_times_are_read_from_the_first_line(tmp_path: Path) -> None:
    """User nice system idle iowait irq softirq steal: idle is with iowait, guest times count once."""
    tmp_path.joinpath("stat").write_text("cpu  10 1 5 70 4 1 2 7 3 3\ncpu0 1 1 1 1 1 1 1 1 1 1\n")

    clock = CpuClock.read(tmp_path)

    assert CpuClock(100 * TICK_NS, 74 * TICK_NS, 7 * TICK_NS) == clock


@pytest.mark.parametrize("content", [None, ""])
def test_without_proc_nothing_is_claimed(tmp_path: Path, content: str | None) -> None:
    """Where the system does not tell, the reading is absent rather than zero."""
    if content is not None:
        tmp_path.joinpath("stat").write_text(content)

    assert CpuClock.read(tmp_path) is None
    assert process_cpu_ns(1, tmp_path) is None


def test_shares_are_of_all_cpus() -> None:
    """Of 100 ns, 60 idle and 10 stolen, 20 were ours: 10 % stolen, 10 % others."""
    before, after = CpuClock(0, 0, 0), CpuClock(100, 60, 10)

    assert (0.1, 0.1) == after.shares_since(before, ours_ns=20)
    assert (0.1, 0.0) == after.shares_since(before, ours_ns=50)
    assert (0.0, 0.0) == before.shares_since(before, ours_ns=0)


def test_cpu_time_of_a_process_with_a_nasty_name(tmp_path: Path) -> None:
    """The name in parentheses may hold spaces and parentheses."""
    folder = tmp_path / "7"
    folder.mkdir()
    folder.joinpath("stat").write_text("7 (a b) c) S 1 2 3 4 5 6 7 8 9 10 30 12 0 0 20 0 1 0 5\n")

    assert 42 * TICK_NS == process_cpu_ns(7, tmp_path)


def test_own_cpu_time_is_near_what_python_says() -> None:
    """The reading is that of time.process_time, to a tick or two."""
    before = time.process_time_ns()
    read = process_cpu_ns(os.getpid())
    after = time.process_time_ns()

    assert read is not None
    assert before - 3 * TICK_NS <= read <= after + 3 * TICK_NS


@pytest.mark.parametrize(("allowed", "chosen"), [({0, 1}, (1, 0)), ({3, 5, 9}, (5, 3)), ({2}, (None, None))])
def test_generator_and_venue_get_a_cpu_each(
    monkeypatch: pytest.MonkeyPatch, allowed: set[int], chosen: tuple[int | None, int | None]
) -> None:
    """The first two allowed CPUs are shared out; with one there is no choice."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: allowed)

    assert chosen == environment.generator_and_venue_cpus()


def test_systems_without_affinity_choose_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where processes cannot be pinned nobody is."""
    monkeypatch.delattr(os, "sched_getaffinity")

    assert (None, None) == environment.generator_and_venue_cpus()
    assert os.cpu_count() == environment.describe()["cores"]


def test_process_is_pinned_with_its_threads() -> None:
    """Afterwards the process may run on that CPU alone."""
    cpu = min(os.sched_getaffinity(0))
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        environment.pin(child.pid, cpu)

        assert {cpu} == os.sched_getaffinity(child.pid)
        child.communicate(b"\n")


def test_pinning_what_is_gone_is_harmless() -> None:
    """A process that ended meanwhile is none to pin."""
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        child.wait()
    environment.pin(child.pid, 0)


def test_description_names_machine_and_versions() -> None:
    """A report can be told from another machine's."""
    described = environment.describe()

    assert sys.version.split()[0] == described["python"]
    assert described["cpu"]
    assert described["hdr"]
    assert len(os.sched_getaffinity(0)) == described["cores"]


def test_cpu_without_a_name_is_called_by_its_kind(tmp_path: Path) -> None:
    """Where the system names no model, its architecture must do."""
    assert environment._cpu_name(tmp_path)
