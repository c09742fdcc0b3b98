"""The campaign: many seeded runs, each with faults at random times.

    python -m tests.faults.campaign                 1,000 seeds on all processors
    python -m tests.faults.campaign --seed 17       one run again, told in full

Exits 1 if any run showed a problem, and prints the command that repeats it.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor

from tests.faults.crash import SHARE, CrashingClient
from tests.faults.menu import DISORDER, FAULTS
from tests.faults.wire import SECOND
from tests.faults.world import END_NS, LIVE_WITHIN_NS, START, WORK_NS, Result, World

__all__ = ["run", "run_many"]


def run(seed: int) -> Result:
    """Run one seed."""
    world = World(seed)
    rng = random.Random(f"faults {seed}")
    names = rng.sample(list(FAULTS), rng.randint(4, 6))
    world.schedule_work()
    # Drawn apart, so that the other seeds do not change with it.
    crash_rng = random.Random(f"crashes {seed}")
    crashing = CrashingClient(world, crash_rng) if crash_rng.random() < SHARE else None
    run_until = world.wires.run if crashing is None else crashing.run
    if crashing is not None:
        crashing.schedule()
    healed = START + WORK_NS
    for name in names:
        begin = START + SECOND // 2 + rng.randrange(WORK_NS)
        healed = max(healed, FAULTS[name](world, rng, begin))
    if crashing is not None:
        healed = max(healed, crashing.ends_ns)
    run_until(healed + LIVE_WITHIN_NS)
    world.check_live()
    world.still()
    run_until(healed + END_NS)
    world.check_end(in_order=not DISORDER.intersection(names))
    if crashing is not None:
        world.problems += crashing.check()
    return world.result(tuple(names))


def run_many(seeds: Iterable[int], processes: int | None = None) -> Iterator[Result]:
    """Run seeds in as many processes as there are processors."""
    with ProcessPoolExecutor(processes or os.cpu_count()) as pool:
        yield from pool.map(run, seeds, chunksize=8)


def main() -> int:
    """Run what is asked for; 0 if nothing was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.campaign")
    parser.add_argument("--seeds", type=int, default=1_000, help="how many, from 0")
    parser.add_argument("--seed", type=int, help="one alone")
    asked = parser.parse_args()
    began = time.monotonic()
    results = [run(asked.seed)] if asked.seed is not None else list(run_many(range(asked.seeds)))
    seconds = time.monotonic() - began
    failed = [result for result in results if result.problems]
    for result in failed[:20]:
        print(f"seed {result.seed}: {', '.join(result.faults)}")
        for problem in result.problems[:5]:
            print(f"    {problem}")
        print(f"    again: python -m tests.faults.campaign --seed {result.seed}")
    counts = Counter(name for result in results for name in result.faults)
    print(
        f"{len(results)} seeds, {counts.total()} faults of {len(counts)} kinds, "
        f"{sum(r.reconnects for r in results)} reconnects, {sum(r.fills for r in results)} fills "
        f"({sum(r.late for r in results)} of them late), {sum(r.gaps for r in results)} book gaps, "
        f"{sum(r.books_compared for r in results)} books compared; "
        f"{sum(r.polled_fills for r in results)} fills and {sum(r.polled_compared for r in results)} books "
        f"by polling; {len(failed)} runs failed; {seconds:.1f} s"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
