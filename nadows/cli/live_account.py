"""What `nadows watch` does: follow an account and draw it."""

from __future__ import annotations

import time
from collections import deque
from typing import Any, Final

from nadows.cli.account_screen import AccountView, FillRow, OrderRow, PositionRow, account_screen
from nadows.cli.beats import beats
from nadows.cli.connecting import load_key, reach, signer_or_new
from nadows.cli.given import Given
from nadows.cli.output import Output
from nadows.cli.own_orders import learn_orders, unknown_orders
from nadows.cli.run import run
from nadows.cli.symbol_cache import remember
from nadows.cli.terminal import Screen
from nadows.client import Client, connect
from nadows.desk import DeskEvent
from nadows.lifecycle import LifeState
from nadows.messages import BestBidOffer, Fill, LateFill, MarketPrices, MarketPricesQuery, Stream
from nadows.signing import Signer
from nadows.units import NO_ASK, format_x18

__all__ = ["watch_account"]

_SECOND_NS: Final = 1_000_000_000
_LAST_FILLS: Final = 100
_HINT: Final = "q quit"


def watch_account(given: Given, *, is_once: bool) -> None:
    """Load the key, or make one where money is paper, and watch until it is enough."""
    signer = load_key(given)
    run(_watch(given, signer, is_once), until_stopped=not is_once)


async def _watch(given: Given, signer: Signer | None, is_once: bool) -> None:
    output = given.output
    async with reach(given) as network:
        signer = signer_or_new(signer, network, output)
        async with connect(network, signer, subaccount=given.settings.subaccount) as client:
            remember(client.products)
            live = _LiveAccount(client, f"{given.settings.subaccount} of {signer.checksum_address[:10]}")
            await live.begin()
            if is_once:
                _print_once(live, output)
            elif output.as_json:
                await _stream(live, output)
            else:
                await _show(live)


class _LiveAccount:
    """An account that is followed, with what its positions are worth."""

    def __init__(self, client: Client, title: str) -> None:
        self.client = client
        self.fills: deque[FillRow] = deque(maxlen=_LAST_FILLS)
        """Newest first."""
        self._title = title
        self._marks: dict[int, int] = {}

    async def begin(self) -> None:
        """Ask for what events will not tell: open orders, and prices of now."""
        client = self.client
        listed = [product.product_id for product in client.products]
        client.on(self._saw, types=(Fill, LateFill, BestBidOffer))
        await client.subscribe(*(Stream.best_bid_offer(each) for each in listed))
        prices: MarketPrices = await client.query(MarketPricesQuery(tuple(listed)))
        for price in prices.market_prices:
            self._marks.setdefault(price.product_id, _mid(price.bid_x18, price.ask_x18))
        await learn_orders(client, listed)

    def _saw(self, event: DeskEvent) -> None:
        if isinstance(event, BestBidOffer):
            self._marks[event.product_id] = _mid(event.bid_price, event.ask_price)
        elif isinstance(event, Fill) and event.product_id in self.client.products:
            self.fills.appendleft(
                FillRow(
                    self.client.products[event.product_id],
                    event.timestamp,
                    event.is_bid,
                    event.price,
                    abs(event.filled_qty),
                    event.fee,
                    event.is_taker,
                    is_late=isinstance(event, LateFill),
                )
            )

    def view(self, hint: str = "") -> AccountView:
        """Look at it as it is now."""
        account, products = self.client.account, self.client.products
        positions = [
            PositionRow(
                products[held.product_id], held.amount, held.v_quote, held.entry_price, self._mark(held)
            )
            for held in account.positions.values()
            if held.amount and held.product_id in products
        ]
        orders = [
            OrderRow(
                products[order.product_id],
                order.is_buy,
                order.price,
                order.qty,
                order.leaves_qty,
                order.status.value,
                order.digest,
            )
            for order in account.open_orders()
            if order.product_id in products
        ]
        lines = (
            f"{name} {state.value}"
            for name, state in self.client.lines.items()
            if state is not LifeState.LIVE
        )
        return AccountView(self._title, ", ".join(lines), positions, orders, tuple(self.fills), hint)

    def _mark(self, held: Any) -> int | None:
        return self._marks.get(held.product_id) or None


def _mid(bid: int, ask: int) -> int:
    """Return the price between; 0 if a side is empty."""
    return (bid + ask) // 2 if bid and ask and ask != NO_ASK else 0


def _print_once(live: _LiveAccount, output: Output) -> None:
    if output.as_json:
        output.json(_json(live.view()))
    else:
        output.text(account_screen(live.view(), width=output.console.width, height=output.console.height))
    output.flush()


def _json(view: AccountView) -> dict[str, Any]:
    """Describe an account as JSON; all numbers are exact decimal strings."""
    return {
        "type": "account",
        "pnl": None if view.pnl is None else format_x18(view.pnl),
        "positions": [
            {
                "symbol": row.product.symbol,
                "amount": format_x18(row.amount),
                "entry_price": format_x18(row.entry),
                "mark_price": None if row.mark is None else format_x18(row.mark),
                "pnl": None if row.pnl is None else format_x18(row.pnl),
            }
            for row in view.positions
        ],
        "orders": [
            {
                "symbol": row.product.symbol,
                "side": "buy" if row.is_buy else "sell",
                "price": format_x18(row.price) if row.price else None,
                "qty": format_x18(row.qty),
                "leaves": format_x18(row.leaves),
                "status": row.status,
                "digest": row.digest,
            }
            for row in view.orders
        ],
        "fills": len(view.fills),
    }


async def _stream(live: _LiveAccount, output: Output) -> None:
    """Print the account whenever it has changed, at most ten times a second."""
    shown = None
    async for _ in beats():
        described = _json(live.view())
        if described != shown:
            output.json(described)
            output.flush()
            shown = described


async def _show(live: _LiveAccount) -> None:
    """Draw the account until the user has seen enough, when it has changed."""
    drawn: Any = None
    learnt_ns = time.monotonic_ns()
    with Screen() as screen, screen.keys() as typed:
        async for now_ns in beats():
            if any(key in "qQ\x04" for key in typed):
                return
            typed.clear()
            if now_ns - learnt_ns > _SECOND_NS and (unknown := unknown_orders(live.client)):
                learnt_ns = now_ns
                await learn_orders(live.client, unknown)
            view, size = live.view(_HINT), screen.size
            if (view, size) != drawn:
                drawn = view, size
                screen.draw(account_screen(view, width=size[0], height=size[1]))
