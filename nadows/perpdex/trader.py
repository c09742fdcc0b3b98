"""Placing and cancelling orders for a strategy, and finding out what became of them.

Each order is signed and sent once. What the account learns of it is told at once, in the words of
`nadows.perpdex.orders`; the end of an order only when it is certain, with everything that was filled before.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final

from nadows import messages
from nadows.account import OrderStatus, TrackedOrder
from nadows.client import Client
from nadows.desk import DeskEvent, OrderSettled, Reconnected
from nadows.errors import (
    ConnectionLost,
    NadowsError,
    OrderUnknown,
    TransientError,
    TransportError,
    VenueError,
)
from nadows.messages import Fill, OrderObject, OrderUpdate
from nadows.messages.archive import ArchivedOrder
from nadows.perpdex.line import Line
from nadows.perpdex.orders import Kind, Order, Standing, standing_of
from nadows.perpdex.settings import Settings
from nadows.products import Product
from nadows.signing import OrderType, SignedOrder
from nadows.units import from_x18

__all__ = ["PriceOf", "Trader", "filled_of", "met"]

PriceOf = Callable[[int | None, int | None], int]
"""Chooses a price from the best bid and ask, all x18."""

_TRIES: Final = 5
_PAUSE_S: Final = 0.1
_WOULD_TRADE: Final = 2008
_NOT_OPEN: Final = 2020
_OPEN_PATIENCE_S: Final = 10.0
"""How long an opening order whose answer is lost is waited for; then the strategy watches and cancels it."""
_CLOSE_PATIENCE_S: Final = 120.0
"""The same for a closing order, which must not be lost; by then its fate is known (`Timings`)."""
_CANCEL_PATIENCE_S: Final = 10.0
_OPEN_LIFE_S: Final = 30 * 24 * 3600
_EVENT_S: Final = 1.0
"""How long the event about an order that is not open any more may take, before the archive is asked."""
_SETTLE_NS: Final = 5_000_000_000
"""How long the archive may trail: silence of that length is taken for an answer, as `Timings.settle_ns`."""
_LOOKS_S: Final = (0.0, 0.25, 0.5, 1.0, 1.5, 1.75)
"""Pauses before questions to the archive; together `_SETTLE_NS`."""

_log = logging.getLogger("nadows.perpdex")


class Trader:
    """The orders of one strategy.

    Args:
        settings: Where to trade, and with which key.
        tell: Called with an order placed here when it has come further; see `Order.told`.
    """

    def __init__(self, settings: Settings, tell: Callable[[Order], None]) -> None:
        self.line = Line(settings, self._on_news)
        self._tell_strategy = tell
        self._orders: dict[str, Order] = {}
        self._timer: asyncio.TimerHandle | None = None

    async def close(self) -> None:
        """Disconnect; nothing is left that could still run. Idempotent."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        await self.line.close()

    def order(self, order_id: str, product_id: int) -> Order:
        """Return what is known of an order: one placed here, or by another session in this product."""
        return self._orders.setdefault(order_id, Order(order_id, product_id))

    # -- placing ------------------------------------------------------------------------------

    async def place(
        self, kind: Kind, product: Product, size: int, price_of: PriceOf, *, is_buy: bool
    ) -> Order:
        """Place a post-only order, and another one where that is known to have had no effect.

        It returns with the order `Order.is_unknown` where the answer was lost and a long wait did not settle
        its fate: it may be live.

        Args:
            kind: A closing order does not expire, and its fate is waited for as long as it takes.
            product: What to trade.
            size: How much (x18), positive.
            price_of: Chooses the price, for each attempt anew.
            is_buy: Which side.

        Raises:
            NadowsError: Why there is no order.
        """
        patience_s = _CLOSE_PATIENCE_S if kind is Kind.CLOSE else _OPEN_PATIENCE_S
        for attempt in range(_TRIES):
            is_last = attempt == _TRIES - 1
            try:
                price = price_of(*await self.line.top(product.product_id, fresh=attempt > 0))
                client = await self.line.require_gateway(patience_s)
                signed = client.limit_order(
                    product.product_id,
                    from_x18(size if is_buy else -size),
                    from_x18(price),
                    order_type=OrderType.POST_ONLY,
                    # A take-profit waits for its price, however long that takes.
                    expires_in_s=_OPEN_LIFE_S if kind is Kind.OPEN else None,
                )
                order = Order(signed.digest, product.product_id, is_buy, size, price, kind)
                await self._send(client, signed, order, patience_s)
                return order
            except VenueError as refused:
                pause_s = _pause_after(refused, attempt)
                if is_last or pause_s is None:
                    raise
                await asyncio.sleep(pause_s)
            except TransportError:
                # Nothing was sent, or what was sent is known to have had no effect.
                if is_last:
                    raise
        raise AssertionError("the last attempt returns or raises")

    async def _send(self, client: Client, signed: SignedOrder, order: Order, patience_s: float) -> None:
        """Send an order, once.

        Raises:
            VenueError: If it was refused.
            TransportError: If it was not sent, or has left no trace and cannot take effect any more.
        """
        # Known before it is sent: its fill may overtake the answer.
        self._orders[order.order_id] = order
        try:
            await client.place_order(signed)
        except OrderUnknown:
            tracked = client.account.orders[order.order_id]
            order.is_unknown = not await self.line.until(
                lambda: tracked.status is not OrderStatus.UNKNOWN, patience_s
            )
            if tracked.status is OrderStatus.EXPIRED:
                self.review(order)
                raise ConnectionLost("the order was lost with the connection, and left no trace") from None
        except NadowsError:
            del self._orders[order.order_id]
            raise
        self.review(order)

    # -- cancelling ---------------------------------------------------------------------------

    async def cancel(self, order: Order) -> str | None:
        """Cancel an order; its end is told before this returns, unless it cannot be known yet.

        To ask again is harmless: who cancels twice has cancelled once.

        Returns:
            What was in the way, if there is something to say.

        Raises:
            NadowsError: If the venue cannot be reached.
        """
        error: str | None = None
        for attempt in range(_TRIES):
            try:
                cancelled = await self._send_cancel(order)
            except VenueError as refused:
                if refused.code == _NOT_OPEN:
                    await self._gone(order)
                    return "it is not open, and how much of it was filled is not known yet"
                error = str(refused)
                if not isinstance(refused, TransientError):
                    break
                await asyncio.sleep(_PAUSE_S * 2**attempt)
            except OrderUnknown as lost:
                error = str(lost)
                if await self.line.until(lambda: self._is_done(order), _LOOKS_S[1] * 2**attempt):
                    break
            except TransportError as lost:
                error = str(lost)
            else:
                for each in cancelled.cancelled_orders:
                    if each.digest == order.order_id:
                        _describe(order, each)
                        self._tell(order, Standing.CANCELED, filled_of(each))
                break
        self.review(order)
        return error

    async def _send_cancel(self, order: Order) -> messages.CancelledOrders:
        client = await self.line.require_gateway(_CANCEL_PATIENCE_S)
        order.cancels_out += 1
        try:
            return await client.cancel_orders([(order.product_id, order.order_id)])
        finally:
            order.cancels_out -= 1

    async def _gone(self, order: Order) -> None:
        """Find out how an order ended that the venue says is not open: by event, else from the archive."""
        if self._tracked(order) is None or not await self.line.until(lambda: self._is_done(order), _EVENT_S):
            await self._look_up(order)
        self.review(order)

    # -- finding out --------------------------------------------------------------------------

    async def watch(self, order: Order, wait_s: float) -> None:
        """Wait for the next event about an open order; ask the venue where no event would come.

        Raises:
            NadowsError: If it cannot be asked.
        """
        if order.has_ended:
            return
        if self._tracked(order) is None or not self.line.has_streams:
            await self._ask(order)
        else:
            known = order.told, order.filled
            await self.line.until(lambda: known != (order.told, order.filled), wait_s)
        self.review(order)

    async def _ask(self, order: Order) -> None:
        try:
            found: OrderObject = await self.line.query(messages.OrderQuery(order.product_id, order.order_id))
        except VenueError as refused:
            if refused.code == _NOT_OPEN:
                await self._look_up(order)
            return
        _describe(order, found)
        self._tell(order, Standing.OPEN, filled_of(found))

    async def _look_up(self, order: Order) -> None:
        """Ask the archive how much was filled of an order that is not open; tell its end if that is certain.

        The archive trails, so only a complete fill, or silence of `_SETTLE_NS`, is an answer.

        Raises:
            ConnectionLost: If the archive cannot be asked.
        """
        for pause_s in _LOOKS_S:
            if await self.line.until(lambda: self._is_done(order), pause_s):
                return
            record = await self.line.archived(order.order_id)
            if record is not None:
                _describe(order, record)
                self._tell(order, Standing.PARTIALLY_FILLED, abs(int(record.base_filled)))
        tracked = self._tracked(order)
        # Of an order that the venue never acknowledged, silence proves nothing yet.
        if tracked is None or tracked.is_acked:
            self._tell(order, Standing.CANCELED, max(order.filled, tracked.cum_qty if tracked else 0))

    def _tracked(self, order: Order) -> TrackedOrder | None:
        """Return what the account knows of an order placed here; ``None`` if the client is another by now."""
        account = self.line.account
        return account.orders.get(order.order_id) if account and order.kind else None

    def _is_done(self, order: Order) -> bool:
        """Whether the end of an order is certain."""
        tracked = self._tracked(order)
        if order.has_ended or tracked is None:
            return order.has_ended
        if tracked.status is OrderStatus.CANCELED:
            return self._is_exact(order, tracked)
        return tracked.status is OrderStatus.FILLED

    def _is_exact(self, order: Order, tracked: TrackedOrder) -> bool:
        """Whether everything that was filled of a cancelled order is known."""
        if order.cancels_out:
            return False
        since_ns = self.line.changed_ns
        whole_life = self.line.has_streams and tracked.sent_ns > since_ns
        # By then the fills of an outage have been fetched.
        return whole_life or (self.line.has_streams and time.monotonic_ns() - since_ns >= _SETTLE_NS)

    # -- telling ------------------------------------------------------------------------------

    def _on_news(self, event: DeskEvent) -> None:
        match event:
            case Fill(order_digest=digest) | OrderUpdate(digest=digest) | OrderSettled(digest=digest):
                if digest in self._orders:
                    self.review(self._orders[digest])
            case Reconnected():
                # A cancel of which it is not sure what was filled before it can be told then.
                if self._timer is not None:
                    self._timer.cancel()
                self._timer = asyncio.get_running_loop().call_later(
                    _SETTLE_NS / 10**9 + _PAUSE_S, self._review_all
                )
            case _:
                pass

    def _review_all(self) -> None:
        for order in tuple(self._orders.values()):
            self.review(order)

    def review(self, order: Order) -> None:
        """Tell what the account has learned about an order."""
        tracked = self._tracked(order)
        if tracked is None or order.has_ended:
            return
        standing = standing_of(tracked)
        if standing is Standing.CANCELED and not self._is_exact(order, tracked):
            standing = Standing.PARTIALLY_FILLED if tracked.cum_qty else None
        order.reason = tracked.reason
        self._tell(order, standing, tracked.cum_qty)

    def _tell(self, order: Order, standing: Standing | None, filled: int) -> None:
        if order.advance(standing, filled) and order.kind is not None:
            try:
                self._tell_strategy(order)
            except Exception:  # noqa: BLE001
                # The border to foreign code: its failure must not keep the order's state from going on.
                _log.exception("the order update handler failed on order %s", order.order_id)


def _pause_after(refused: VenueError, attempt: int) -> float | None:
    """Tell how long to wait before another order is worth a try (s); ``None`` if it never is."""
    if refused.code == _WOULD_TRADE:
        return _PAUSE_S
    return _PAUSE_S * 2**attempt if isinstance(refused, TransientError) else None


def filled_of(found: OrderObject) -> int:
    """Return how much of an order was filled (x18)."""
    return abs(int(found.amount)) - abs(int(found.unfilled_amount))


def met(found: OrderObject | TrackedOrder) -> Order:
    """Describe an open order, whoever placed it."""
    if isinstance(found, TrackedOrder):
        return Order(
            found.digest, found.product_id, found.is_buy, found.qty, found.price, filled=found.cum_qty
        )
    order = Order(found.digest, found.product_id, filled=filled_of(found))
    _describe(order, found)
    return order


def _describe(order: Order, found: OrderObject | ArchivedOrder) -> None:
    """Take side, size and price of an order from the venue's own record."""
    order.product_id, order.is_buy = found.product_id, found.amount > 0
    order.size, order.price = abs(int(found.amount)), int(found.price_x18)
