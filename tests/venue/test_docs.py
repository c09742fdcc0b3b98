"""Tests that docs/venue.md keeps up with the code."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

import nadows.venue
from nadows.venue.flow import FlowPreset
from nadows.venue.switches import Switches

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "venue.md").read_text()
PACKAGE = Path(nadows.venue.__path__[0])


@pytest.mark.parametrize("name", [field.name for field in fields(Switches)])
def test_every_switch_is_described(name: str) -> None:
    """A switch that nobody knows of is none."""
    assert f"`{name}`" in TEXT


@pytest.mark.parametrize("module", sorted(path.stem for path in PACKAGE.glob("[a-z]*.py")))
def test_every_module_has_a_place(module: str) -> None:
    """The table of modules is complete."""
    assert f"`{module}`" in TEXT or module == "refusal"


def test_every_code_that_the_venue_answers_is_listed() -> None:
    """Codes in the source are in the text."""
    answered = {
        code for path in PACKAGE.glob("*.py") for code in re.findall(r"Refusal\(\s*(\d{4})", path.read_text())
    }

    assert len(answered) > 30
    assert set() == {code for code in answered if code not in TEXT}


@pytest.mark.parametrize("preset", FlowPreset)
def test_every_flow_is_described(preset: FlowPreset) -> None:
    """The presets are named, with their rates."""
    assert f"`{preset}`" in TEXT
    assert preset is FlowPreset.OFF or str(preset.per_second) in TEXT
