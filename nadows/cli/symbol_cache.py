"""Symbols of the venues that were seen last, so that a shell can complete them without asking."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from platformdirs import user_cache_path

if TYPE_CHECKING:
    from nadows.products import Product

__all__ = ["recall", "remember"]

_MAX_BYTES: Final = 1_000_000
_log = logging.getLogger(__name__)


def _path() -> Path:
    return user_cache_path("nadows", appauthor=False) / "symbols.json"


def remember(products: Iterable[Product]) -> None:
    """Add what a venue lists. A cache that cannot be written costs completions and nothing else."""
    known = recall()
    symbols = sorted({*known, *(product.symbol for product in products)})
    if symbols == known:
        return
    path = _path()
    mine = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Whole or not at all, also for a shell that reads it now.
        mine.write_text(json.dumps(symbols), encoding="utf-8")
        mine.replace(path)
    except OSError as error:
        _log.debug("symbols are not kept for completion: %s", error)


def recall() -> list[str]:
    """List the symbols that were seen, sorted; none, if there is no cache that can be read."""
    try:
        with _path().open(encoding="utf-8") as file:
            symbols = json.loads(file.read(_MAX_BYTES))
    except (OSError, ValueError):
        return []
    return [each for each in symbols if isinstance(each, str)] if isinstance(symbols, list) else []
