"""The published schema is that of the results that are written."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from nadows.bench.schema import Result, result_schema
from nadows.cli import app

from .test_page import result

PUBLISHED = Path(__file__).parents[2] / "docs" / "bench-result.schema.json"


def test_results_fit_the_schema() -> None:
    """No key is missing, none is unknown, and all have their type."""
    written = json.loads(json.dumps(result()))

    again = msgspec.convert(written, Result)

    assert written == json.loads(msgspec.json.encode(again))


@pytest.mark.parametrize(
    ("path", "value"), [("novelty", 1), ("schema", 2), ("ci", {"rps": 1}), ("phases", [{}])]
)
def test_what_does_not_fit_is_seen(path: str, value: object) -> None:
    """The schema is strict, so a change of the result changes it too."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(result() | {path: value}, Result)


def test_published_schema_is_up_to_date() -> None:
    """`nadows bench schema > docs/bench-result.schema.json` writes it."""
    shown = CliRunner().invoke(app, ["bench", "schema"])

    assert 0 == shown.exit_code
    assert result_schema() == json.loads(shown.stdout) == json.loads(PUBLISHED.read_text())
