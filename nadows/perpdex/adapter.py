"""The interface that the strategies of perp-dex-tools call, over the events of `nadows.connect`.

What each method promises, and why, is listed in docs/perpdex.md; tests/perpdex holds it promise by promise.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from decimal import Decimal
from typing import Any, ClassVar, Final

from nadows import messages
from nadows.desk import DeskEvent
from nadows.errors import NadowsError, UsageError
from nadows.messages import Fill
from nadows.perpdex.numbers import Number, close_price, open_price, read, round_to, size_of
from nadows.perpdex.orders import Kind, Order
from nadows.perpdex.results import OrderInfo, OrderResult
from nadows.perpdex.settings import Settings
from nadows.perpdex.trader import Trader, met
from nadows.products import Product
from nadows.units import from_x18

__all__ = ["Handler", "NadoAdapter"]

Handler = Callable[[dict[str, Any]], object]
"""A strategy's callback; see `NadoAdapter.setup_order_update_handler`."""

_ZERO: Final = Decimal(0)

_log = logging.getLogger("nadows.perpdex")


class NadoAdapter:
    """A client of perp-dex-tools, to stand before its ``BaseExchangeClient`` among a class's bases.

    Nothing connects in the constructor. No number goes through ``float``, nothing blocks the loop.

    Args:
        config: Read: ``ticker``, ``quantity``, ``contract_id``, ``tick_size``. Written, by
            `get_contract_attributes`: ``contract_id`` (an ``int``) and ``tick_size``.

    Raises:
        ValueError: If an environment variable is missing or wrong; see `nadows.perpdex.settings`.
    """

    order_result: ClassVar[type[Any]] = OrderResult
    order_info: ClassVar[type[Any]] = OrderInfo
    """What the methods return; a class of one's own has the same field names."""
    fill_wait_s: ClassVar[float] = 1.0
    """How long `get_order_info` of an open order waits for the next event about it.

    Who polls learns at once of a fill that comes meanwhile. 0 answers at once.
    """

    config: Any

    def __init__(self, config: Any) -> None:
        # The next class is the strategy's base, which keeps the config and calls `_validate_config`.
        super().__init__(config)  # type: ignore[call-arg]
        settings = Settings.from_environment(os.environ)
        self.symbol = f"{self.config.ticker}-PERP"
        self.subaccount_name = settings.subaccount_name
        self.owner = settings.signer.checksum_address
        self._trader = Trader(settings, self._tell)
        self._line = self._trader.line
        self._handler: Handler | None = None

    def _validate_config(self) -> None:
        Settings.from_environment(os.environ)

    def get_exchange_name(self) -> str:
        """Name the exchange."""
        return "nado"

    def setup_order_update_handler(self, handler: Handler) -> None:
        """Call *handler* for each change of an order placed here; may come before `connect`.

        It gets a dictionary: ``order_id``, ``side`` (``buy``, ``sell``), ``order_type`` (``OPEN``,
        ``CLOSE``), ``status`` (``OPEN``, ``PARTIALLY_FILLED``, ``FILLED``, ``CANCELED``), ``size``,
        ``price``, ``contract_id`` (an ``int``) and ``filled_size`` (of the whole order so far). The end is
        told exactly once, and last. An exception is logged and harms nobody.
        """
        self._handler = handler

    # -- life ---------------------------------------------------------------------------------

    async def connect(self) -> None:
        """Connect, if a method that needed it has not done so yet.

        Raises:
            NadowsError: As `nadows.connect`.
        """
        await self._line.open()

    async def disconnect(self) -> None:
        """Close the sockets; no task is left. Idempotent."""
        await self._trader.close()

    # -- market -------------------------------------------------------------------------------

    async def get_contract_attributes(self) -> tuple[int, Decimal]:
        """Look up ``config.ticker``; write and return the product's number and its tick.

        Raises:
            ValueError: If there is no such perpetual, or ``config.quantity`` is less than its increment.
            NadowsError: If the venue cannot be reached.
        """
        try:
            product = await self._product(self.symbol)
        except UsageError as error:
            raise ValueError(str(error)) from None
        if read(self.config.quantity) < product.step:
            raise ValueError(
                f"Order quantity is less than min quantity: {self.config.quantity} < {from_x18(product.step)}"
            )
        self.config.contract_id, self.config.tick_size = product.product_id, from_x18(product.tick)
        return self.config.contract_id, self.config.tick_size

    async def fetch_bbo_prices(self, contract_id: str | int) -> tuple[Decimal, Decimal]:
        """Return best bid and ask; (0, 0) if one is not known, as strategies expect.

        Args:
            contract_id: Product id as a number or text, symbol, or ticker id (``BTC-PERP_USDT0``).
        """
        try:
            bid, ask = await self._line.top((await self._product(contract_id)).product_id)
        except NadowsError as error:
            _log.error("best prices of %s: %s", contract_id, error)
            return _ZERO, _ZERO
        return (_ZERO, _ZERO) if bid is None or ask is None else (from_x18(bid), from_x18(ask))

    async def get_order_price(self, direction: str) -> Decimal:
        """Return the price at which `place_open_order` would place an order now.

        Raises:
            ValueError: If a side of the book is empty or unknown.
        """
        try:
            product = await self._product(self.symbol)
            bid, ask = await self._line.top(product.product_id)
            return from_x18(open_price(product, bid, ask, is_buy=_is_buy(direction)))
        except NadowsError as error:
            raise ValueError(f"Invalid bid/ask prices: {error}") from error

    def round_to_tick(self, price: Number) -> Decimal:
        """Round to the nearest multiple of ``config.tick_size``, halves up."""
        return round_to(self.config.tick_size, price)

    async def get_account_positions(self) -> Decimal:
        """Return the signed position in ``config.contract_id``, as the venue has it.

        While the venue cannot be asked: as events have told.
        """
        try:
            return await self._position()
        except NadowsError as error:
            _log.error("position: %s", error)
            return from_x18(self._told_position() or 0)

    async def wait_for_fill_by_position(
        self,
        expected_quantity: Number,
        timeout: float = 10,  # noqa: ASYNC109 - the interface's name
    ) -> tuple[bool, Decimal, Decimal]:
        """Wait until the position in ``config.contract_id`` has changed by a quantity, in either direction.

        Args:
            expected_quantity: How much, whatever its sign.
            timeout: Seconds.

        Returns:
            Whether it has, by how much, and the average price of the fills; a price of 0 if there were none.

        Raises:
            NadowsError: If the venue cannot be reached.
        """
        client = await self._line.client()
        fills: list[Fill] = []
        stop = client.on(_collecting(fills), types=(Fill,), products=(self._contract(),))
        try:
            told = self._told_position()
            before = read(await self._position()) if told is None else told

            def change() -> int:
                now = self._told_position()
                return 0 if now is None else abs(now - before)

            filled = await self._line.until(lambda: change() >= abs(read(expected_quantity)), timeout)
        finally:
            stop()
        size = sum(abs(fill.filled_qty) for fill in fills)
        paid = sum(abs(fill.filled_qty) * fill.price for fill in fills)
        return filled, from_x18(change()), from_x18(paid // size if size else 0)

    # -- orders -------------------------------------------------------------------------------

    async def place_open_order(self, contract_id: str | int, quantity: Number, direction: str) -> Any:
        """Rest an order one tick from the other side.

        What the venue or the network does is in the result, never raised. ``status`` is ``UNKNOWN`` where the
        answer was lost: then the order may be live, reads ``OPEN``, and can be cancelled.
        """
        is_buy = _is_buy(direction)

        def best(product: Product, bid: int | None, ask: int | None) -> int:
            return open_price(product, bid, ask, is_buy=is_buy)

        return await self._place(Kind.OPEN, contract_id, quantity, best, is_buy=is_buy)

    async def place_close_order(
        self, contract_id: str | int, quantity: Number, price: Number, side: str
    ) -> Any:
        """Rest an order at *price*, put on the tick and off the other side; it does not expire.

        Otherwise as `place_open_order`. If the answer is lost, it returns when the fate of the order is
        known: a closing order must be neither lost nor doubled.
        """
        is_buy = _is_buy(side)

        def wanted(product: Product, bid: int | None, ask: int | None) -> int:
            return close_price(product, read(price), bid, ask, is_buy=is_buy)

        return await self._place(Kind.CLOSE, contract_id, quantity, wanted, is_buy=is_buy)

    async def cancel_order(self, order_id: str) -> Any:
        """Cancel an order; success means that it is not open any more, also if it was filled before.

        The result has the filled size and the price. The callback about its end is delivered before.
        """
        order = self._trader.order(order_id, self._contract())
        error: str | None = None
        if not order.has_ended:
            try:
                error = await self._trader.cancel(order)
            except NadowsError as failed:
                error = str(failed)
        return self.order_result(
            success=order.has_ended,
            order_id=order_id,
            side=order.side,
            size=from_x18(order.size),
            price=from_x18(order.price),
            status=order.info_status,
            error_message=None if order.has_ended else error,
            filled_size=from_x18(order.filled),
        )

    async def get_order_info(self, order_id: str) -> Any:
        """Tell how an order stands: ``OPEN``, ``FILLED`` or ``CANCELLED``. Never raises, never returns None.

        An order of which not even this is known reads ``OPEN``. For an open one it waits, up to
        `fill_wait_s`, for the next event about it.
        """
        order = self._trader.order(order_id, self._contract())
        try:
            await self._trader.watch(order, self.fill_wait_s)
        except NadowsError as error:
            _log.error("order %s: %s", order_id, error)
        return self._info(order)

    async def get_active_orders(self, contract_id: str | int) -> list[Any]:
        """Return the open orders of a product, oldest first.

        While the venue cannot be asked: those that the account knows of.
        """
        try:
            product_id = (await self._product(contract_id)).product_id
            account = (await self._line.client()).account
            query = messages.SubaccountOrdersQuery(account.subaccount, product_id)
            listed: messages.SubaccountOrders = await self._line.query(query)
            return [self._info(met(order)) for order in listed.orders]
        except NadowsError as error:
            _log.error("open orders of %s: %s", contract_id, error)
        known = self._line.account
        tracked = known.open_orders() if known else ()
        return [self._info(met(order)) for order in tracked if order.product_id == self._contract()]

    # -- inside -------------------------------------------------------------------------------

    async def _place(
        self,
        kind: Kind,
        contract_id: str | int,
        quantity: Number,
        price_of: Callable[[Product, int | None, int | None], int],
        *,
        is_buy: bool,
    ) -> Any:
        try:
            product = await self._product(contract_id)
            size = size_of(product, quantity)
            order = await self._trader.place(
                kind, product, size, lambda bid, ask: price_of(product, bid, ask), is_buy=is_buy
            )
        except NadowsError as error:
            _log.error("%s order: %s", kind.value.lower(), error)
            return self.order_result(success=False, error_message=str(error))
        return self.order_result(
            success=True,
            order_id=order.order_id,
            side=order.side,
            size=from_x18(order.size),
            price=from_x18(order.price),
            status="UNKNOWN" if order.is_unknown else order.info_status,
            error_message="the answer was lost: the order may be live" if order.is_unknown else None,
            filled_size=from_x18(order.filled),
        )

    def _tell(self, order: Order) -> None:
        if self._handler is not None and order.kind is not None and order.told is not None:
            self._handler(
                {
                    "order_id": order.order_id,
                    "side": order.side,
                    "order_type": order.kind.value,
                    "status": order.told.value,
                    "size": from_x18(order.size),
                    "price": from_x18(order.price),
                    "contract_id": order.product_id,
                    "filled_size": from_x18(order.filled),
                }
            )

    def _contract(self) -> int:
        """Return ``config.contract_id``; 0 before it is known."""
        return int(self.config.contract_id or 0)

    async def _product(self, contract_id: str | int) -> Product:
        client = await self._line.client()
        return client.products.find(str(contract_id).upper().removesuffix("_USDT0"))

    async def _position(self) -> Decimal:
        client = await self._line.client()
        query = messages.SubaccountInfoQuery(client.account.subaccount)
        info: messages.SubaccountInfo = await self._line.query(query)
        held = {each.product_id: int(each.balance.amount) for each in info.perp_balances}
        return from_x18(held.get(self._contract(), 0))

    def _told_position(self) -> int | None:
        """Return the position that events have told (x18), ``None`` if they told nothing."""
        account = self._line.account
        held = account.positions.get((self._contract(), False)) if account else None
        return held.amount if held else None

    def _info(self, order: Order) -> Any:
        return self.order_info(
            order_id=order.order_id,
            side=order.side,
            size=from_x18(order.size),
            price=from_x18(order.price),
            status=order.info_status,
            filled_size=from_x18(order.filled),
            remaining_size=from_x18(max(order.size - order.filled, 0)),
            cancel_reason=order.reason,
        )


def _is_buy(side: str) -> bool:
    """Read a direction.

    Raises:
        ValueError: If it is neither ``buy`` nor ``sell``.
    """
    if side.lower() not in ("buy", "sell"):
        raise ValueError(f"a side is 'buy' or 'sell', got {side!r}")
    return side.lower() == "buy"


def _collecting(fills: list[Fill]) -> Callable[[DeskEvent], None]:
    def collect(event: DeskEvent) -> None:
        if isinstance(event, Fill):
            fills.append(event)

    return collect
