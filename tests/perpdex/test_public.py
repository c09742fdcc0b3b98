"""The public project's own bots, where a checkout of it is at hand; its code is never part of this one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.perpdex.run_public import NotAtHand, find, prepare, run_all


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_its_bots_trade_over_the_drop_in() -> None:
    """Unmodified, in both directions and as a hedge, cut off in the middle: each fill is answered once."""
    try:
        checkout, python = find(os.environ.get("PERPDEX_DIR"), None)
    except NotAtHand as missing:
        pytest.skip(f"{missing}; see docs/perpdex.md")

    bots = await run_all(checkout, python)

    assert {bot.name: [] for bot in bots} == {bot.name: bot.problems for bot in bots}


def test_what_is_not_at_hand_is_named(tmp_path: Path) -> None:
    """Without a checkout, or a Python that can run it, the reason is said."""
    with pytest.raises(NotAtHand, match="PERPDEX_DIR names no checkout"):
        find(str(tmp_path), None)
    (tmp_path / "runbot.py").touch()
    with pytest.raises(NotAtHand, match="make perpdex"):
        find(str(tmp_path), "/nowhere/python")


def test_only_the_exchange_client_is_replaced(tmp_path: Path) -> None:
    """The copy is the checkout, but for the drop-in and an empty environment file."""
    checkout, copy = tmp_path / "checkout", tmp_path / "copy"
    (checkout / "exchanges").mkdir(parents=True)
    for name in ("runbot.py", "exchanges/nado.py", "exchanges/base.py"):
        (checkout / name).write_text(f"# {name}\n")

    prepare(checkout, copy)

    assert "NadoAdapter, BaseExchangeClient" in (copy / "exchanges/nado.py").read_text()
    assert "# exchanges/nado.py\n" == (checkout / "exchanges/nado.py").read_text()
    for name in ("runbot.py", "exchanges/base.py"):
        assert f"# {name}\n" == (copy / name).read_text()
