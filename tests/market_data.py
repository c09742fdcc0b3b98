"""Where the real market data lies: beside the repository, for it is not ours to copy."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

ETH_PERP: Final = Path(__file__).parents[2] / "shared" / "market" / "eth_perp.jsonl.gz"

needs_market_data = pytest.mark.skipif(
    not ETH_PERP.exists(), reason="needs ../shared/market/eth_perp.jsonl.gz beside the repository"
)
