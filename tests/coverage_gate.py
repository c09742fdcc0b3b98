"""The coverage gates of `make test`, over the data that pytest just left behind.

Two of them: the whole package, and the modules whose every branch must have been taken, because a
wrong one costs money in silence. Run as ``python -m tests.coverage_gate``; exits 1 when one is missed.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterable, Mapping
from fnmatch import fnmatch
from pathlib import Path, PurePath
from typing import Any, Final, NamedTuple

import coverage

OVERALL_PERCENT: Final = 95.0

# Paths below the package; a pattern that matches nothing is itself a failure, so that a rename cannot
# drop a module out of the gate.
COMPLETE: Final = (
    "account.py",
    "arrivals.py",
    "audit.py",
    "batching.py",
    "bench/charts.py",
    "bench/compare.py",
    "bench/explain.py",
    "bench/exports.py",
    "bench/merging.py",
    "bench/page.py",
    "bench/plan.py",
    "bench/ranks.py",
    "bench/recorder.py",
    "bench/scenario.py",
    "bench/scenario_file.py",
    "bench/search.py",
    "bench/thresholds.py",
    "bench/verdict.py",
    "bench/watch.py",
    "book.py",
    "bookkeeping.py",
    "clock.py",
    "copies.py",
    "configuration.py",
    "desk.py",
    "distribution.py",
    "error_codes.py",
    "errors.py",
    "lifecycle.py",
    "inbox.py",
    "journal/journal.py",
    "journal/records.py",
    "journal/scribe.py",
    "merging.py",
    "keys.py",
    "keystores.py",
    "messages/*.py",
    "metrics/record.py",
    "metrics/report.py",
    "network.py",
    "pacing.py",
    "perpdex/numbers.py",
    "perpdex/orders.py",
    "perpdex/settings.py",
    "placement.py",
    "polling.py",
    "products.py",
    "recovery.py",
    "quotes.py",
    "session.py",
    "signing/*.py",
    "throttle.py",
    "timings.py",
    "units.py",
    "weights.py",
)


class Share(NamedTuple):
    """How much of a file, or of several, was run: (statements and branches) taken of all there are."""

    statements: int = 0
    covered_statements: int = 0
    branches: int = 0
    covered_branches: int = 0

    @classmethod
    def of(cls, summary: Mapping[str, Any]) -> Share:
        """Read one summary of coverage's JSON report."""
        return cls(
            statements=summary["num_statements"],
            covered_statements=summary["covered_lines"],
            branches=summary["num_branches"],
            covered_branches=summary["covered_branches"],
        )

    @property
    def branch_percent(self) -> float:
        """Branches taken, in percent; 100 where there are none."""
        return 100.0 * self.covered_branches / self.branches if self.branches else 100.0

    @property
    def line_percent(self) -> float:
        """Statements run, in percent; 100 where there are none."""
        return 100.0 * self.covered_statements / self.statements if self.statements else 100.0

    @property
    def is_complete(self) -> bool:
        """Every statement and every branch was run."""
        return self.covered_statements == self.statements and self.covered_branches == self.branches


def failures(total: Share, modules: Mapping[str, Share], complete: Iterable[str] = COMPLETE) -> list[str]:
    """Say, one sentence each, which gates were missed.

    Args:
        total: The whole package.
        modules: The share of each module, by its path below the package.
        complete: Patterns of the modules that must be complete.
    """
    missed = []
    for name, percent in (("lines", total.line_percent), ("branches", total.branch_percent)):
        if percent < OVERALL_PERCENT:
            missed.append(f"{percent:.2f} % of all {name} were run, {OVERALL_PERCENT:g} % are asked for")
    for pattern in complete:
        matching = [(module, share) for module, share in sorted(modules.items()) if fnmatch(module, pattern)]
        if not matching:
            missed.append(f"no module matches {pattern!r}: mend COMPLETE in tests/coverage_gate.py")
        missed.extend(
            f"{module} must be covered whole: "
            f"{share.line_percent:.2f} % of lines, {share.branch_percent:.2f} % of branches"
            for module, share in matching
            if not share.is_complete
        )
    return missed


def read_shares() -> tuple[Share, dict[str, Share]]:
    """Print coverage's own report and read the same numbers as data."""
    measured = coverage.Coverage()
    measured.load()
    measured.report()
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "coverage.json"
        measured.json_report(outfile=str(out))
        report = json.loads(out.read_text())
    modules = {
        PurePath(name).relative_to("nadows").as_posix(): Share.of(entry["summary"])
        for name, entry in report["files"].items()
    }
    return Share.of(report["totals"]), modules


def main() -> int:
    """Print the verdict; 0 when every gate holds."""
    total, modules = read_shares()
    missed = failures(total, modules)
    for sentence in missed:
        print(f"coverage gate: {sentence}", file=sys.stderr)
    if not missed:
        print(f"coverage gates hold: {total.line_percent:.2f} % lines, {total.branch_percent:.2f} % branches")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
