"""The asyncio client: sockets, clocks and tasks around a `Desk`.

::

    async with nadows.connect(network, signer) as client:
        book = await client.book("ETH")
        order = client.limit_order("ETH", "0.1", book.best_ask.price, order_type=OrderType.IOC)
        await client.place_order(order)
        async for event in client.events(Stream.trade(4)):
            ...

What keeps it alive is `nadows.driver`, what sends is `nadows.sending`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from nadows import messages
from nadows.account import Account
from nadows.book import Book, BookState
from nadows.copies import CopyHealth
from nadows.delivery import DEFAULT_MAXLEN, Batches, Callback, Subscription
from nadows.desk import (
    BookChanged,
    DeskEvent,
    OnReply,
    checked,
)
from nadows.driver import Driver
from nadows.errors import JournalError, NadowsError, TransportError, UsageError
from nadows.inbox import Interest, Overflow
from nadows.journal.file import JournalFile
from nadows.journal.journal import Journal
from nadows.journal.records import Header
from nadows.lifecycle import ClientState, LifeOptions, LifeState, client_state
from nadows.lines import Tap
from nadows.messages import Query, Reply, Stream
from nadows.metrics.record import Metrics
from nadows.network import (
    CONNECT_TIMEOUT_NS,
    PING_INTERVAL_NS,
    PONG_TIMEOUT_NS,
    Network,
)
from nadows.products import Product, Products
from nadows.sending import OnReplies, OrderBatcher
from nadows.session import AuthRefused, Pong, Restored, Subscribed, SubscribeRefused
from nadows.signing import (
    Appendix,
    OrderType,
    SignedCancelAndPlace,
    SignedOrder,
    Signer,
    Subaccount,
    sign_cancel_and_place,
    sign_cancel_orders,
    sign_cancel_product_orders,
    sign_order,
)
from nadows.throttle import Limits, Policy
from nadows.timings import Timings
from nadows.units import format_x18, to_x18

__all__ = ["Client", "Tap", "connect"]

NEVER_S: Final = 2**32 - 1
"""The expiration that the venue's own clients use for an order that does not expire (s)."""


@asynccontextmanager
async def connect(
    network: Network,
    signer: Signer | None = None,
    *,
    subaccount: str = "default",
    private: bool = True,
    serial: bool = False,
    connect_timeout_ns: int = CONNECT_TIMEOUT_NS,
    ping_interval_ns: int = PING_INTERVAL_NS,
    pong_timeout_ns: int = PONG_TIMEOUT_NS,
    limits: Limits | Policy | None = Policy.WAIT,
    copies: int = 1,
    seed: int | None = None,
    tap: Tap | None = None,
    metrics: Metrics | None = None,
    life: LifeOptions | None = None,
    timings: Timings | None = None,
    journal: JournalFile | str | Path | None = None,
) -> AsyncIterator[Client]:
    """Connect to a venue; the client lives as long as the ``async with`` block.

    Args:
        network: Where the venue is.
        signer: Key that signs; ``None`` for market data only.
        subaccount: Name of the signer's subaccount.
        private: With a signer, subscribe to its own orders, fills and positions, for `Client.account`.
        serial: Use the serial gateway socket (``/v1/ws``) instead of ``/ws/v2``.
        connect_timeout_ns: For each connection with its handshakes.
        ping_interval_ns: Between PING frames on each socket.
        pong_timeout_ns: How long the answer to one may take before the connection counts as lost.
        limits: What happens to requests for which the venue's rate limits leave no room. Clients that share a
            wallet or an address should share a `Limits`; ``None`` sends everything at once, for a venue
            that does not count.
        copies: Connections that carry the same streams; the first arrival of each event wins, and all but
            one may be cut without anything being missed. At most five with a signer.
        seed: Of the jitter in retries; for reproducible runs.
        tap: Sees every input of the desk; see `nadows.capture`.
        metrics: Measures this client, and no other.
        life: How lines are connected, probed and given up.
        timings: How long to wait for what; a capture needs them in its `Header`.
        journal: Where to keep what must survive a crash of this program; see docs/api.md. What an earlier
            client left there is taken up.

    Raises:
        ConnectFailed: If the first connection cannot be made; later ones are tried again for ever.
        UsageError: If the venue is on another chain than *network* says, so that no signature would fit.
            If the journal is another subaccount's, in use, or damaged (`JournalDamaged`).
        JournalError: If the journal cannot be written, now or later.
        Unauthorized: If the venue refuses the signer.
        VenueError: If it refuses otherwise.
    """
    driver = Driver(
        network,
        signer,
        Subaccount.of(signer.address, subaccount) if signer else None,
        serial=serial,
        connect_timeout_ns=connect_timeout_ns,
        ping_interval_ns=ping_interval_ns,
        pong_timeout_ns=pong_timeout_ns,
        limits=Limits(limits) if isinstance(limits, Policy) else limits,
        copies=copies,
        seed=seed,
        tap=tap,
        metrics=metrics,
        life=life,
        timings=timings,
    )
    client = Client(driver)
    failure: BaseException | None = None
    try:
        async with asyncio.TaskGroup() as tasks:
            try:
                await client._start(tasks, private=private, journal=journal)
                yield client
            except BaseException as error:  # noqa: BLE001
                # Kept out of the group, which would wrap it, and raised below as the caller's own.
                failure = error
            finally:
                await client._stop()
    except* JournalError as broken:
        # The caller was cancelled because of it: this is what it is to hear of.
        failure = broken.exceptions[0]
    if failure is not None:
        raise failure


class Client:
    """A connected client; made by `connect`."""

    def __init__(self, driver: Driver) -> None:
        self.network = driver.network
        self.signer = driver.signer
        self.subaccount = driver.subaccount
        self.products = Products(())
        """What the venue lists; read at connect."""
        self.desk = driver.desk
        self.router = driver.router
        self.clock = driver.clock
        """What time it is at the venue; nonces and authentications are made by it."""
        self._driver = driver
        self._sender = driver.sender
        self._subscriptions: list[Subscription] = []
        self._journal: Journal | None = None

    # -- state --------------------------------------------------------------------------------

    @property
    def account(self) -> Account:
        """Own orders, fills and positions. Raises `UsageError` without a signer."""
        if self.desk.account is None:
            raise UsageError("there is no account: connect with a signer")
        return self.desk.account

    @property
    def journal(self) -> Journal:
        """What survives a crash. Raises `UsageError` if the client was given no journal."""
        if self._journal is None:
            raise UsageError("there is no journal: connect with journal=PATH")
        return self._journal

    @property
    def lines(self) -> dict[str, LifeState]:
        """Where each connection stands, by its name; copies of the subscriptions are numbered from 2."""
        return {line.name: line.life.state for line in self._driver.lines}

    @property
    def copies(self) -> tuple[CopyHealth, ...]:
        """How each connection of the subscription line fares and what it is worth; empty if there is one."""
        copies = self._driver.copies
        return copies.health if copies is not None else ()

    @property
    def state(self) -> ClientState:
        """Where the client stands as a whole: degraded while REST is asked in a line's stead."""
        return client_state(self.lines.values(), is_polling=self.desk.polling.is_open)

    def stats(self) -> dict[str, int]:
        """Everything that is counted, by name."""
        return self._driver.counters()

    # -- market data --------------------------------------------------------------------------

    async def subscribe(self, *streams: Stream) -> None:
        """Subscribe and wait for the venue's acknowledgements; asking again is harmless.

        Raises:
            VenueError: If the venue refuses one.
            UsageError: If a stream needs a signer and there is none.
        """
        self._driver.subscribe(streams)
        for stream in streams:
            if stream.key not in self.desk.streams.acknowledged:
                await self._await_subscription(stream)

    async def unsubscribe(self, *streams: Stream) -> None:
        """Unsubscribe; events may still come until the venue has taken note."""
        self._driver.unsubscribe(streams)

    def events(
        self,
        *streams: Stream,
        types: Collection[type | str] = (),
        products: Collection[str | int] = (),
        subaccounts: Collection[str] = (),
        maxlen: int | None = DEFAULT_MAXLEN,
        overflow: Overflow = Overflow.CONFLATE,
    ) -> Subscription:
        """Iterate over events of these streams, and over what happens to the connection.

        Subscribes to streams that are not asked for yet. Buffering starts now, not with the first ``await``.

        Args:
            streams: What to listen to; everything, if none are named.
            types: Of that, only these types (classes, or names of the wire); see `nadows.inbox.Interest`.
            products: Of that, only these products (ids or symbols).
            subaccounts: Of that, only these subaccounts (bytes32 hex).
            maxlen: How many events may wait for a slow consumer; ``None`` for any number.
            overflow: What happens when there are more: by default market data makes room for its newest,
                and a consumer that lets its own fills and orders pile up gets `SlowConsumer`.
        """
        interest = self._interest(streams, types, products, subaccounts)
        subscription = Subscription(self._drop_subscription, maxlen, overflow, self.router.tally)
        self._subscriptions.append(subscription)
        self._listen(subscription.put, streams, interest)
        return subscription

    def batches(
        self,
        *streams: Stream,
        max_events: int = 1_000,
        max_wait_ns: int = 0,
        types: Collection[type | str] = (),
        products: Collection[str | int] = (),
        subaccounts: Collection[str] = (),
        maxlen: int | None = DEFAULT_MAXLEN,
        overflow: Overflow = Overflow.CONFLATE,
    ) -> Batches:
        """Iterate over lists of events; otherwise as `events`.

        Args:
            streams: As for `events`, like all that is not said here.
            max_events: The longest list.
            max_wait_ns: How long the first event of a list may wait for others; 0 takes what is there.
            types: See `events`.
            products: See `events`.
            subaccounts: See `events`.
            maxlen: See `events`.
            overflow: See `events`.
        """
        subscription = self.events(
            *streams,
            types=types,
            products=products,
            subaccounts=subaccounts,
            maxlen=maxlen,
            overflow=overflow,
        )
        return Batches(subscription, max_events, max_wait_ns)

    def on(
        self,
        callback: Callback,
        *streams: Stream,
        types: Collection[type | str] = (),
        products: Collection[str | int] = (),
        subaccounts: Collection[str] = (),
    ) -> Callable[[], None]:
        """Call *callback* with each event, from the reader, after books and account have taken it.

        Args:
            callback: Must be quick; an exception is logged and harms nobody else.
            streams: Which events; none means all. Subscribes as `events` does.
            types: See `events`.
            products: See `events`.
            subaccounts: See `events`.

        Returns:
            A function that stops the calls.
        """
        self._listen(callback, streams, self._interest(streams, types, products, subaccounts))
        return lambda: self.router.remove(callback)

    def redeliver(self) -> int:
        """Deliver every fill in the journal that is not confirmed, once more, as `JournaledFill`.

        Call it when the listeners are there, before the first ``await`` after connecting: what came while
        nobody listened, and what an earlier life of the client may not have dealt with, comes before what is
        new then. See `Journal.confirm`.

        Returns:
            How many there were.

        Raises:
            UsageError: If the client was given no journal.
        """
        if self._driver.scribe is None:
            raise UsageError("there is no journal to deliver from: connect with journal=PATH")
        return self._driver.scribe.redeliver()

    async def book(self, product: str | int) -> Book:
        """Subscribe to the depth of a product and wait until its book is LIVE.

        Args:
            product: Id or symbol.
        """
        product_id = self.products.find(product).product_id
        with_state = self.events(maxlen=DEFAULT_MAXLEN)
        try:
            await self.subscribe(Stream.book_depth(product_id))
            book = self.desk.books[product_id]
            while not book.is_live:
                await self._next(with_state, lambda e: e == BookChanged(product_id, BookState.LIVE))
            return book
        finally:
            with_state.close()

    # -- orders -------------------------------------------------------------------------------

    def limit_order(
        self,
        product: str | int,
        amount: Decimal | str | int,
        price: Decimal | str | int,
        *,
        order_type: OrderType = OrderType.DEFAULT,
        reduce_only: bool = False,
        expires_in_s: int | None = None,
        client_id: int | None = None,
    ) -> SignedOrder:
        """Build and sign an order; nothing is sent.

        Args:
            product: Id or symbol.
            amount: Signed base quantity in units, exact: ``"0.5"`` buys a half, ``"-0.5"`` sells it.
            price: In USDT0, exact.
            order_type: DEFAULT rests, IOC and FOK do not, POST_ONLY never takes.
            reduce_only: Only towards a flat position.
            expires_in_s: Seconds from now; ``None`` for never.
            client_id: A number of your own that the venue echoes.

        Raises:
            UsageError: If there is no signer, or a number does not fit the product's increments.
        """
        listed = self.products.find(product)
        try:
            amount_x18, price_x18 = to_x18(amount), to_x18(price)
        except ValueError as error:
            raise UsageError(f"order for {listed.symbol}: {error}") from None
        _check_increments(listed, amount_x18, price_x18)
        return self.sign(
            listed.product_id,
            amount_x18,
            price_x18,
            Appendix(order_type=order_type, reduce_only=reduce_only),
            expiration=NEVER_S if expires_in_s is None else self._driver.venue_ms() // 1000 + expires_in_s,
            client_id=client_id,
        )

    def sign(
        self,
        product_id: int,
        amount: int,
        price: int,
        appendix: Appendix,
        *,
        expiration: int = NEVER_S,
        client_id: int | None = None,
    ) -> SignedOrder:
        """Sign an order given in x18, unchecked but for ranges: the short path for programs.

        Raises:
            UsageError: If there is no signer or a number leaves its range.
        """
        signer, sender = self._identity()
        return sign_order(
            signer,
            self.network.domain,
            product_id,
            sender,
            price,
            amount,
            expiration,
            self._driver.next_nonce(),
            appendix.value,
            id=client_id,
        )

    def submit(self, order: SignedOrder, on_reply: OnReply) -> None:
        """Send an order and return at once; *on_reply* is called exactly once with what became of it.

        What it raises is logged and counted, and harms nobody. Where the venue's limits leave no room the
        order is sent later, in its turn, unless the policy is to fail.

        Raises:
            ConnectionLost: If the gateway is not connected; nothing was sent.
            UsageError: If the order was sent before; nothing was sent.
            RateLimited: If there is no room and the policy is to fail; nothing was sent.
        """
        self._sender.place(order, self.router.contained(on_reply))

    async def place_order(self, order: SignedOrder) -> Reply:
        """Send an order and wait for the venue's answer.

        Raises:
            VenueError: If it refuses; the subclass says why.
            OrderUnknown: If no answer came: ask for the digest, do not send it again.
            TransportError: If nothing was sent.
            RateLimited: If the venue's limits leave no room and the policy is to fail; nothing was sent.
        """
        return await self._sender.answer(lambda on_reply: self._sender.place(order, on_reply))

    def submit_orders(
        self, orders: Sequence[SignedOrder], on_replies: OnReplies, *, stop_on_failure: bool | None = None
    ) -> None:
        """Send up to 50 orders in one request; *on_replies* is called exactly once.

        It gets what became of each order, in order, or why that is not known. Raises as `submit`, and
        `UsageError` if the orders do not make a batch.
        """
        self._sender.place_orders(orders, self.router.contained(on_replies), stop_on_failure)

    async def place_orders(
        self, orders: Sequence[SignedOrder], *, stop_on_failure: bool | None = None
    ) -> list[Reply]:
        """Send up to 50 orders in one request and wait for the venue's answer.

        Args:
            orders: Of one subaccount.
            stop_on_failure: Do not try those that follow one which is refused.

        Returns:
            What became of each order, in order: look at `Reply.ok` and `Reply.error`. The venue gives no
            codes here.

        Raises:
            UsageError: If there are none or too many, or they do not belong together.
            VenueError: If it refuses them all.
            OrderUnknown: If no answer came: ask for the digests, do not send them again.
            TransportError: If nothing was sent.
            RateLimited: As `place_order`.
        """
        answer: asyncio.Future[Sequence[Reply] | NadowsError] = asyncio.get_running_loop().create_future()

        def on_replies(replies: Sequence[Reply] | NadowsError) -> None:
            if not answer.done():
                answer.set_result(replies)

        waiting = self._sender.place_orders(orders, on_replies, stop_on_failure)
        replies = await self._sender.patiently(answer, waiting)
        if isinstance(replies, NadowsError):
            raise replies
        if all(reply.error_code is not None for reply in replies):
            # Items have no codes: this is the refusal of the whole request.
            checked(replies[0])
        return list(replies)

    def batcher(self, *, max_orders: int = 50, max_wait_ns: int = 2_000_000) -> OrderBatcher:
        """Gather orders into batches: send one when it is full, or its first order has waited long enough.

        Args:
            max_orders: 1 to 50.
            max_wait_ns: 0 sends each order at once.
        """
        return self._sender.batcher(max_orders, max_wait_ns, self.router.contained)

    async def cancel_orders(self, orders: Sequence[tuple[int, str]]) -> messages.CancelledOrders:
        """Cancel orders given as (product id, digest); all of them or, if one is not open, none.

        Raises:
            Rejected: With code 2020 if one is not open.
            OrderUnknown: If no answer came.
        """
        signer, sender = self._identity()
        cancel = sign_cancel_orders(
            signer,
            self.network.domain,
            sender,
            [product for product, _ in orders],
            [digest for _, digest in orders],
            self._driver.next_nonce(),
        )
        return await self._cancel(
            "cancel_orders",
            len(orders),
            cancel.frame,
            cancel.signature,
            tuple(digest for _, digest in orders),
        )

    async def cancel_product_orders(self, *products: str | int) -> messages.CancelledOrders:
        """Cancel every open order of these products; of all products, if none are named.

        Raises as `cancel_orders`.
        """
        signer, sender = self._identity()
        ids = [self.products.find(product).product_id for product in products]
        cancel = sign_cancel_product_orders(
            signer,
            self.network.domain,
            sender,
            ids,
            self._driver.next_nonce(),
        )
        return await self._cancel("cancel_product_orders", len(ids), cancel.frame, cancel.signature)

    async def cancel_and_place(
        self, cancel: tuple[int, str], order: SignedOrder, *, place_requires_unfilled: bool | None = None
    ) -> Reply:
        """Replace one order, given as (product id, digest), by another in one transaction.

        Raises as `place_order`.
        """
        signer, sender = self._identity()
        signed = sign_cancel_orders(
            signer, self.network.domain, sender, [cancel[0]], [cancel[1]], self._driver.next_nonce()
        )
        both: SignedCancelAndPlace = sign_cancel_and_place(
            signed, order, place_requires_unfilled=place_requires_unfilled
        )
        return await self._sender.answer(lambda on_reply: self._sender.cancel_and_place(both, on_reply))

    async def query(self, query: Query) -> Any:
        """Ask the gateway, over REST if its socket has been down for long; return the answer's typed data.

        Raises:
            VenueError: If the venue refuses.
            TransportError: If the connection failed meanwhile, or came back.
            UsageError: If the gateway's socket has just been lost; it is tried again all the time.
        """
        reply = await self._sender.answer(lambda on_reply: self._sender.query(query, on_reply))
        return messages.reply_data(reply, f"query_{messages.query_type(query)}")

    async def ping(self) -> Pong:
        """Measure the round trip to the venue's subscription socket, and read its clock."""
        with_pong = self.events()
        try:
            self._driver.ping()
            pong = await self._next(with_pong, lambda e: isinstance(e, Pong))
            assert isinstance(pong, Pong)
            return pong
        finally:
            with_pong.close()

    # -- inside: start and stop ---------------------------------------------------------------

    async def _start(
        self, tasks: asyncio.TaskGroup, *, private: bool, journal: JournalFile | str | Path | None
    ) -> None:
        if journal is not None:
            file = journal if isinstance(journal, JournalFile) else JournalFile(path=Path(journal))
            self._journal = self._open_journal(file, private)
            self._driver.restore(self._journal)
        if private and self.subaccount is not None:
            own = self.subaccount.hex
            self._driver.subscribe([Stream.order_update(own), Stream.fill(own), Stream.position_change(own)])
        watch = self.events()
        try:
            await self._driver.start(tasks)
            await self._check_chain()
            symbols: messages.Symbols = await self.query(messages.SymbolsQuery())
            self.products = Products.from_symbols(symbols.symbols.values())
            await self._await_restored(watch)
            if self._journal is not None:
                await self._driver.await_watermark()
        finally:
            watch.close()

    def _open_journal(self, file: JournalFile, private: bool) -> Journal:
        if self.subaccount is None or not private:
            raise UsageError("a journal keeps own fills: connect with a signer and private=True")
        network = self.network
        header = Header(
            network=network.name,
            chain_id=network.chain_id,
            endpoint=network.endpoint.lower(),
            subaccount=self.subaccount.hex,
        )
        return file.open(header)

    async def _check_chain(self) -> None:
        contracts: messages.Contracts = await self.query(messages.ContractsQuery())
        chain_id = int(contracts.chain_id)
        if (chain_id, contracts.endpoint_addr.lower()) != (
            self.network.chain_id,
            self.network.endpoint.lower(),
        ):
            raise UsageError(
                f"{self.network.name} should be chain {self.network.chain_id} with endpoint "
                f"{self.network.endpoint}, but the venue says chain {chain_id} with "
                f"{contracts.endpoint_addr}: signatures would not fit; correct the network's settings"
            )

    async def _await_restored(self, watch: Subscription) -> None:
        def settled(event: DeskEvent) -> bool:
            if isinstance(event, AuthRefused | SubscribeRefused):
                raise event.error
            return isinstance(event, Restored)

        await self._next(watch, settled)

    async def _stop(self) -> None:
        try:
            self._driver.close_journal()
        finally:
            await self._close()

    async def _close(self) -> None:
        self.router.flush()
        self._driver.turns.close()
        for subscription in tuple(self._subscriptions):
            subscription.close()
        await self._driver.stop()

    # -- inside: the lines --------------------------------------------------------------------

    # -- inside: requests ---------------------------------------------------------------------

    def _identity(self) -> tuple[Signer, Subaccount]:
        if self.signer is None or self.subaccount is None:
            raise UsageError("orders need a key: connect with a signer")
        return self.signer, self.subaccount

    async def _cancel(
        self, kind: str, count: int, frame: bytes, signature: str, cancels: tuple[str, ...] = ()
    ) -> messages.CancelledOrders:
        reply = await self._sender.answer(
            lambda on_reply: self._sender.cancel(kind, count, frame, signature, cancels, on_reply)
        )
        cancelled: messages.CancelledOrders = messages.reply_data(reply, f"execute_{kind}")
        return cancelled

    # -- inside: waiting for events -----------------------------------------------------------

    async def _next(self, subscription: Subscription, wanted: Callable[[DeskEvent], bool]) -> DeskEvent:
        async for event in subscription:
            if wanted(event):
                return event
        raise TransportError("the client was closed while it waited")

    async def _await_subscription(self, stream: Stream) -> None:
        def settled(event: DeskEvent) -> bool:
            if isinstance(event, SubscribeRefused) and event.stream.key == stream.key:
                raise event.error
            return isinstance(event, Subscribed) and event.stream.key == stream.key

        acks = self.events()
        try:
            await self._next(acks, settled)
        finally:
            acks.close()

    def _interest(
        self,
        streams: Sequence[Stream],
        types: Collection[type | str],
        products: Collection[str | int],
        subaccounts: Collection[str],
    ) -> Interest:
        ids = [self.products.find(product).product_id for product in products]
        return Interest(streams, types=types, products=ids, subaccounts=subaccounts)

    def _listen(self, sink: Callback, streams: Sequence[Stream], interest: Interest) -> None:
        self.router.add(sink, interest)
        self._driver.subscribe(streams)

    def _drop_subscription(self, subscription: Subscription) -> None:
        self.router.remove(subscription.put)
        if subscription in self._subscriptions:
            self._subscriptions.remove(subscription)


def _check_increments(product: Product, amount: int, price: int) -> None:
    for what, value, increment in (("price", price, product.tick), ("amount", amount, product.step)):
        if value % increment:
            raise UsageError(
                f"order for {product.symbol}: {what} {format_x18(value)} "
                f"is not a multiple of {format_x18(increment)}"
            )
