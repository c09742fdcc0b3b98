"""The gate that holds the coverage: a gate that never closes is worse than none."""

from __future__ import annotations

import pytest

from tests.coverage_gate import Share, failures

WHOLE = Share(statements=100, covered_statements=100, branches=40, covered_branches=40)
ONE_BRANCH_SHORT = WHOLE._replace(covered_branches=39)


def test_everything_covered_passes() -> None:
    """Complete modules and a complete package miss no gate."""
    assert [] == failures(WHOLE, {"units.py": WHOLE, "signing/keys.py": WHOLE}, ["units.py", "signing/*.py"])


def test_one_branch_missing_in_a_complete_module_fails() -> None:
    """A module of the list may not miss a single branch."""
    assert ["units.py must be covered whole: 100.00 % of lines, 97.50 % of branches"] == failures(
        WHOLE, {"units.py": ONE_BRANCH_SHORT}, ["units.py"]
    )


def test_one_branch_missing_elsewhere_passes() -> None:
    """Modules that are not in the list count only for the whole."""
    assert [] == failures(ONE_BRANCH_SHORT, {"client.py": ONE_BRANCH_SHORT}, [])


@pytest.mark.parametrize(
    ("total", "expected"),
    [
        (WHOLE._replace(covered_branches=38), []),
        (
            WHOLE._replace(covered_branches=37),
            ["92.50 % of all branches were run, 95 % are asked for"],
        ),
        (
            WHOLE._replace(covered_statements=94),
            ["94.00 % of all lines were run, 95 % are asked for"],
        ),
    ],
)
def test_whole_package_needs_95_percent(total: Share, expected: list[str]) -> None:
    """Lines and branches are looked at one by one: many lines do not make up for few branches."""
    assert expected == failures(total, {}, [])


def test_pattern_without_a_module_fails() -> None:
    """Renaming a module cannot take it out of the gate unnoticed."""
    assert ["no module matches 'book.py': mend COMPLETE in tests/coverage_gate.py"] == failures(
        WHOLE, {"books.py": WHOLE}, ["book.py"]
    )


def test_empty_module_counts_as_covered() -> None:
    """A module without branches or statements has nothing to miss."""
    empty = Share()

    assert [] == failures(empty, {"messages/__init__.py": empty}, ["messages/*.py"])
