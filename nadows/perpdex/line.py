"""A client that lives in a task of its own, for an interface with ``connect`` and ``disconnect`` apart.

`nadows.connect` is a block that one task must enter and leave; a strategy calls methods from whichever task
it likes, and in the public project some before ``connect``. So the client is made when it is first needed.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any, Final

from nadows import messages
from nadows.account import Account
from nadows.client import Client, connect
from nadows.desk import STREAMS, DeskEvent, Disconnected, OrderSettled, Reconnected
from nadows.errors import (
    ConnectionLost,
    MalformedFrame,
    NadowsError,
    TransientError,
    TransportError,
    UsageError,
)
from nadows.messages import BestBidOffer, Fill, OrderUpdate, PositionChange, Query, Stream
from nadows.messages.archive import (
    ArchivedOrder,
    ArchiveError,
    OrderHistoryQuery,
    decode_archive_answer,
    encode_archive_request,
)
from nadows.perpdex.settings import Settings
from nadows.quotes import Quotes
from nadows.rest import Rest
from nadows.units import NO_ASK

__all__ = ["Line"]

_ARCHIVE_NS: Final = 2_000_000_000
_LOOK_S: Final = 0.25
"""How often a condition is looked at without an event: some knowledge comes with answers, which are none."""
_PATIENCE_S: Final = 10.0
"""How long a question waits for the gateway to come back."""
_PAUSE_S: Final = 0.5
_NEWS: Final = (Fill, OrderUpdate, PositionChange, OrderSettled, Disconnected, Reconnected)

_log = logging.getLogger("nadows.perpdex")


class Line:
    """The connected client, made when first asked for.

    Args:
        settings: Where to connect, and with which key.
        on_news: Called with every own event and with what happens to the connection, after the account has
            taken it.
    """

    def __init__(self, settings: Settings, on_news: Callable[[DeskEvent], None]) -> None:
        self.settings = settings
        self.changed_ns = 0
        """When the streams were last lost or restored (ns, monotonic); 0 if they were never lost."""
        self._on_news = on_news
        self._is_closed = False
        self._is_cut = False
        self._task: asyncio.Task[None] | None = None
        self._ready: asyncio.Future[Client] | None = None
        self._stop: asyncio.Event | None = None
        self._client: Client | None = None
        self._rest: Rest | None = None
        self._quotes: dict[int, Quotes] = {}
        self._waiters: set[asyncio.Future[None]] = set()

    # -- life ---------------------------------------------------------------------------------

    async def open(self) -> Client:
        """Connect, also after `close`. Raises as `nadows.connect`."""
        self._is_closed = False
        return await self.client()

    async def client(self) -> Client:
        """Return the client; connect if that was not done yet.

        Raises:
            UsageError: After `close`.
            NadowsError: As `nadows.connect`.
        """
        if self._is_closed:
            raise UsageError("the adapter was disconnected; call connect() to use it again")
        if self._task is None or self._task.done():
            self._ready, self._stop = asyncio.get_running_loop().create_future(), asyncio.Event()
            self._task = asyncio.create_task(self._live(self._ready, self._stop), name="nadows perpdex")
        assert self._ready is not None
        # Shielded: one caller that gives up must not take the connection from the others.
        return await asyncio.shield(self._ready)

    async def close(self) -> None:
        """Disconnect; no task is left. Idempotent."""
        self._is_closed = True
        if self._task is None or self._stop is None:
            return
        self._stop.set()
        if self._ready is not None and not self._ready.done():
            self._task.cancel()
        await asyncio.wait((self._task,))

    async def _live(self, ready: asyncio.Future[Client], stop: asyncio.Event) -> None:
        settings = self.settings
        self._is_cut = False
        try:
            async with connect(
                settings.network, settings.signer, subaccount=settings.subaccount_name
            ) as client:
                self._client, self._rest, self._quotes = client, Rest(_ARCHIVE_NS), {}
                client.on(self._take, types=_NEWS)
                ready.set_result(client)
                await stop.wait()
        except NadowsError as error:
            if ready.done():
                _log.error("the connection to %s ended: %s", settings.network.name, error)
            else:
                ready.set_exception(error)
        finally:
            if not ready.done():
                ready.set_exception(TransportError("disconnected before the connection was made"))
            # Looked at here, for nobody may be waiting for it.
            ready.exception()
            self._client = None
            self._wake()
            if self._rest is not None:
                await self._rest.close()
                self._rest = None

    # -- state --------------------------------------------------------------------------------

    @property
    def is_up(self) -> bool:
        """Whether requests can be sent now."""
        return self._client is not None and self._client.desk.gateway.is_up

    @property
    def account(self) -> Account | None:
        """Own orders and positions; ``None`` while there is no client."""
        return self._client.account if self._client is not None else None

    @property
    def has_streams(self) -> bool:
        """Whether own events come as they happen."""
        return self._client is not None and not self._is_cut

    async def until(self, condition: Callable[[], bool], timeout_s: float) -> bool:
        """Wait until *condition* holds, looking at it after each piece of news; return whether it does."""
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout_s
        while not condition():
            left = end - loop.time()
            if left <= 0:
                return False
            news: asyncio.Future[None] = loop.create_future()
            self._waiters.add(news)
            try:
                await asyncio.wait((news,), timeout=min(left, _LOOK_S))
            finally:
                self._waiters.discard(news)
        return True

    async def require_gateway(self, patience_s: float = _PATIENCE_S) -> Client:
        """Wait until requests can be sent.

        Raises:
            ConnectionLost: If that took too long; nothing was sent.
            NadowsError: As `client`.
        """
        client = await self.client()
        if not await self.until(lambda: self.is_up, patience_s):
            raise ConnectionLost(f"{self.settings.network.name} is not connected; nothing was sent")
        return client

    def _take(self, event: DeskEvent) -> None:
        if isinstance(event, Disconnected | Reconnected) and event.line == STREAMS:
            self._is_cut = isinstance(event, Disconnected)
            self.changed_ns = time.monotonic_ns()
        try:
            self._on_news(event)
        finally:
            self._wake()

    def _wake(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    # -- questions ----------------------------------------------------------------------------

    async def query(self, query: Query, patience_s: float = _PATIENCE_S) -> Any:
        """Ask the gateway; again after a lost connection or a refusal that passes, for it changes nothing.

        Raises:
            VenueError: If it refuses.
            TransportError: If there was no answer for longer than *patience_s*.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + patience_s
        while True:
            client = await self.require_gateway(max(end - loop.time(), 0))
            try:
                return await client.query(query)
            except (TransportError, TransientError):
                if loop.time() + _PAUSE_S > end:
                    raise
            await asyncio.sleep(_PAUSE_S)

    async def top(self, product_id: int, *, fresh: bool = False) -> tuple[int | None, int | None]:
        """Return the best bid and ask (x18), ``None`` for an empty side.

        They are at hand once the first event of the subscription has come; until then, and when it has been
        quiet for long, the gateway is asked.

        Args:
            product_id: The venue's number of the product.
            fresh: Ask the gateway in any case.

        Raises as `query`.
        """
        client = await self.client()
        quotes = self._quotes.get(product_id)
        if quotes is None:
            quotes = self._quotes[product_id] = Quotes(product_id)
            client.on(
                _applying(quotes), Stream.best_bid_offer(product_id), types=(BestBidOffer, Disconnected)
            )
        if not fresh and quotes.is_known and not quotes.is_stale(time.monotonic_ns()):
            return quotes.bid.price if quotes.bid else None, quotes.ask.price if quotes.ask else None
        price: messages.MarketPrice = await self.query(messages.MarketPriceQuery(product_id))
        bid, ask = int(price.bid_x18), int(price.ask_x18)
        return bid or None, ask if ask not in (0, NO_ASK) else None

    async def archived(self, order_id: str) -> ArchivedOrder | None:
        """Ask the archive for an order; it has those with at least one match, and may trail.

        Raises:
            ConnectionLost: If it gave no answer that could be used.
        """
        if self._rest is None:
            raise ConnectionLost("not connected")
        query = OrderHistoryQuery(digests=(order_id,), limit=1)
        body = await self._rest.post(self.settings.network.archive, encode_archive_request(query))
        try:
            answer = decode_archive_answer(body, query)
        except MalformedFrame as error:
            raise ConnectionLost(f"the archive says nothing that can be read: {error}") from error
        if isinstance(answer, ArchiveError):
            raise ConnectionLost(f"the archive refuses: {answer.error}")
        return next((order for order in answer.orders if order.digest == order_id), None)


def _applying(quotes: Quotes) -> Callable[[DeskEvent], None]:
    def apply(event: DeskEvent) -> None:
        quotes.apply(event, time.monotonic_ns())

    return apply
