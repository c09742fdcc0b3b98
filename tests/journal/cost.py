"""What a journal costs: processor time for each fill, and how long the disk takes.

    python -m tests.journal.cost [FOLDER]

FOLDER is where the file is written, and so the disk that is measured; a temporary one by default.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from nadows.journal.file import JournalFile
from nadows.journal.journal import Sync
from nadows.journal.scribe import Scribe

from .rig import HEADER, Desk, Memory, fill

FILLS: Final = 20_000
SYNCS: Final = 500


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as folder:
        desk = Desk(Memory())
        journal = JournalFile(path=Path(folder) / "cost", sync=Sync.NEVER).open(HEADER)
        scribe = Scribe(journal, desk.account, desk.recovery, lambda events: None, lambda work: None, 0)
        fills = [fill(idx) for idx in range(FILLS)]

        began = time.process_time_ns()
        for each in fills:
            scribe.deliver([each])
        written = time.process_time_ns()
        for each in fills:
            journal.confirm(each)
        confirmed = time.process_time_ns()
        print(
            f"{(written - began) / FILLS / 1000:.1f} us of processor time to write a fill, "
            f"{(confirmed - written) / FILLS / 1000:.1f} us to confirm it; {FILLS} fills, one at a time"
        )
        times = []
        for each in fills[:SYNCS]:
            journal.confirm(each)
            journal.write(journal.number([each]), urgent=False)
            before = time.perf_counter_ns()
            journal.sync()
            times.append((time.perf_counter_ns() - before) / 1e6)
        cuts = statistics.quantiles(times, n=100)
        print(
            f"fdatasync of one fill: p50 {cuts[49]:.2f} ms, p99 {cuts[98]:.2f} ms, "
            f"max {max(times):.2f} ms ({SYNCS} times)"
        )
        journal.close()
        before = time.perf_counter_ns()
        JournalFile(path=Path(folder) / "cost").open(HEADER).close()
        size = (Path(folder) / "cost").stat().st_size
        print(
            f"opened again in {(time.perf_counter_ns() - before) / 1e6:.0f} ms ({size / 2**20:.1f} MiB left)"
        )


if __name__ == "__main__":
    main()
