"""Every case of the table, on every line of the gateway that it is about."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from nadows.venue import flow
from tests.venue.conformance import cases_orders, cases_queries, cases_services, cases_streams
from tests.venue.conformance.runner import Case, run

CASES = [*cases_orders.CASES, *cases_queries.CASES, *cases_services.CASES, *cases_streams.CASES]
RUNS = [
    pytest.param(case, line, id=f"{number:03} {case.section} {case.title} [{line}]")
    for number, case in enumerate(CASES, 1)
    for line in case.lines
]


@pytest.fixture(autouse=True)
def few_quotes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Open each venue with a short ladder: the long one takes forty times as long as a case."""
    monkeypatch.setattr(flow, "_LADDER_LEVELS", 20)


@pytest.mark.parametrize(("case", "line"), RUNS)
def test_case(case: Case, line: str) -> None:
    """The venue does what the case says."""
    run(case, line)


def test_the_table_is_whole() -> None:
    """At least 150 cases, each with a sentence of its own and a section of the protocol."""
    titles = Counter((case.section, case.title) for case in CASES)

    assert len(CASES) >= 150
    assert [] == [title for title, count in titles.items() if count > 1]
    assert all(re.fullmatch(r"\d(\.\d+)?", case.section) for case in CASES)
