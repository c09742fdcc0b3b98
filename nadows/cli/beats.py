"""The pace of live screens."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Final

__all__ = ["beats"]

_REDRAW_NS: Final = 100_000_000
"""The shortest time between two pictures: ten a second."""


async def beats() -> AsyncIterator[int]:
    """Yield the monotonic clock at most ten times a second: draws follow time, not what is received."""
    while True:
        now_ns = time.monotonic_ns()
        yield now_ns
        rest_ns = now_ns + _REDRAW_NS - time.monotonic_ns()
        await asyncio.sleep(max(rest_ns, 0) / 1_000_000_000)
