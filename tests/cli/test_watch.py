"""`nadows watch`: one's own orders, fills, positions and PnL."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from nadows.cli.account_screen import AccountView, FillRow, OrderRow, PositionRow, account_screen
from nadows.client import connect
from nadows.network import Network
from nadows.products import Product
from nadows.signing import OrderType, Signer
from nadows.units import from_x18

from .conftest import Run
from .test_commands import lines_of
from .test_terminal import Session, on_terminal

ONE: Final = 10**18
ETH: Final = Product(4, "ETH-PERP", True, 10**17, 10**15, 100 * ONE, 0, 0)
USDT: Final = Product(0, "USDT0", False, 10**15, 10**16, 0, 0, 0)
LONG: Final = PositionRow(ETH, 2 * ONE, -6001 * ONE, 3000 * ONE + ONE // 2, 3010 * ONE)
VIEW: Final = AccountView(
    "default of 0x1a642f0e",
    "",
    positions=(LONG, PositionRow(USDT, 1000 * ONE, 0, 0, None)),
    orders=(
        OrderRow(ETH, True, 2990 * ONE, 2 * ONE, ONE, "partially filled", "0x12345678ab"),
        OrderRow(ETH, False, 0, ONE, ONE, "new", "0x9abcdef012"),
    ),
    fills=(
        FillRow(ETH, 3_600 * 10**9, True, 3000 * ONE, ONE, 105 * ONE // 100, True, False),
        FillRow(ETH, 0, False, 3001 * ONE, ONE, -(ONE // 10), False, True),
    ),
    hint="q quit",
)
KEY = "7b" * 32


def test_an_account_is_drawn_with_what_it_is_worth() -> None:
    """Positions with their PnL, open orders, and fills, in columns and to the last digit of each price."""
    assert [
        " default of 0x1a642f0e   PnL +19.00",
        " positions                     amount        entry         mark          PnL",
        " ETH-PERP                       2.000       3000.5       3010.0       +19.00",
        " USDT0                        1000.00            -            -",
        " orders                          left        price           of  state",
        " ETH-PERP  buy  0x123456        1.000       2990.0        2.000  partially filled",
        " ETH-PERP  sell 0x9abcde        1.000            ?        1.000  new",
        " fills                           size        price          fee",
        " ETH-PERP  buy                  1.000       3000.0         1.05  taker 01:00:00.000",
        " ETH-PERP  sell                 1.000       3001.0        -0.10  maker 00:00:00.000  found later",
        " q quit",
    ] == [line.rstrip() for line in account_screen(VIEW, width=100).plain.split("\n")]


def test_what_is_not_known_is_not_made_up() -> None:
    """Without a mark there is no PnL; a line that is lost is told; nothing is said to be nothing."""
    view = AccountView("x", "streams backing off", [LONG._replace(mark=None)], [], [])
    assert None is view.pnl
    text = account_screen(view).plain
    assert " x   streams backing off   PnL -\n" in text
    assert 2 == text.count("\n none")
    assert 0 == AccountView("x", "", [], [], []).pnl
    short = LONG._replace(amount=-2 * ONE, v_quote=6001 * ONE)
    assert -19 * ONE == replace(VIEW, positions=[short]).pnl


@given(width=st.integers(1, 200), height=st.integers(1, 60), orders=st.integers(0, 80))
def test_it_never_exceeds_its_terminal(width: int, height: int, orders: int) -> None:
    """However much there is; what is left out of the orders is counted."""
    view = replace(VIEW, orders=[VIEW.orders[0]] * orders, fills=[VIEW.fills[0]] * 80)
    lines = account_screen(view, width=width, height=height).plain.split("\n")
    assert len(lines) <= height
    assert max(map(len, lines)) <= width


async def trade(url: str, *, then: tuple[str, ...] = (), env: dict[str, str] | None = None) -> Session:
    """Buy ETH, leave an order in the book, and run a command on a terminal meanwhile."""
    async with connect(Network.from_url(url), Signer(KEY)) as client:
        book = await client.book("ETH")
        ask, bid = book.best_ask, book.levels(30)[0][-1]
        assert ask is not None
        amount = from_x18(client.products.find("ETH").min_size(bid.price))
        await client.place_order(
            client.limit_order("ETH", amount, from_x18(ask.price + 5 * ONE), order_type=OrderType.IOC)
        )
        await client.place_order(
            client.limit_order("ETH", amount, from_x18(bid.price), order_type=OrderType.POST_ONLY)
        )
        return await asyncio.to_thread(
            on_terminal, *then, keys=((3, b"q"),), size=(100, 24), env=env or {"NADO_PRIVATE_KEY": KEY}
        )


def test_an_account_is_watched_live(url: str, nadows: Run) -> None:
    """Orders of another session too; in a pipe it is JSON with exact decimals in strings."""
    session = asyncio.run(trade(url, then=("watch", "--url", url)))
    assert 0 == session.code
    assert session.restored
    shown = session.text
    assert "ETH-PERP  buy  0x" in shown
    assert " q quit" in shown

    [found] = lines_of(nadows("watch", "--once", "--url", url, env={"NADO_PRIVATE_KEY": KEY}))
    assert "account" == found["type"]
    assert {"ETH-PERP"} <= {each["symbol"] for each in found["positions"]}
    [order] = found["orders"]
    assert ("buy", order["qty"]) == (order["side"], order["leaves"])
    assert found["pnl"] is not None
    assert json.dumps(found).count(KEY) == 0


def test_an_account_is_printed_once(url: str) -> None:
    """On the screen as it is; a throw-away wallet has nothing but its money."""
    session = on_terminal("watch", "--once", "--url", url)
    assert 0 == session.code
    assert b"\x1b[?1049h" not in session.output
    assert "\n positions " in session.text
    assert "\n orders " in session.text
