"""The public names."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import nadows


@pytest.mark.parametrize("name", nadows.__all__)
def test_every_public_name_is_there(name: str) -> None:
    """What __all__ promises can be imported, and dir() shows it."""
    assert getattr(nadows, name) is not None
    assert name in dir(nadows)


def test_lists_agree() -> None:
    """The imports for type checkers, the table of homes and __all__ name the same things."""
    tree = ast.parse(Path(nadows.__file__).read_text())
    imported = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("nadows.")
        for alias in node.names
    }

    assert set(nadows.__all__) == imported == set(nadows._MODULE_OF)


def test_unknown_names_are_refused() -> None:
    """A misspelt name is an AttributeError as in any module."""
    with pytest.raises(AttributeError, match="no attribute 'Cleint'"):
        nadows.Cleint  # noqa: B018
