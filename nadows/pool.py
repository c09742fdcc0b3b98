"""Several connections: streams spread over them by product, each in as many copies as wanted.

::

    async with nadows.connect_pool(network, signer, connections=2, copies=2) as pool:
        book = await pool.book("ETH")
        async for event in pool.events(Stream.trade(2), Stream.trade(4)):
            ...
        await pool.trading.place_order(order)

A pool is made of clients, one for each share of the products; the first of them has the key. A wallet's
limits do not grow with connections: a pool spreads what is received, and orders all go through the first.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from nadows.book import Book
from nadows.client import Client, connect
from nadows.copies import CopyHealth
from nadows.delivery import DEFAULT_MAXLEN, Batches, Callback, Subscription
from nadows.inbox import Overflow, Tally
from nadows.lifecycle import LifeState
from nadows.messages import Stream
from nadows.network import Network
from nadows.placement import Placement
from nadows.products import Products
from nadows.signing import Signer
from nadows.throttle import Limits, Policy

__all__ = ["Pool", "connect_pool"]


@asynccontextmanager
async def connect_pool(
    network: Network,
    signer: Signer | None = None,
    *,
    connections: int = 2,
    copies: int = 1,
    limits: Limits | Policy | None = Policy.WAIT,
    **options: Any,
) -> AsyncIterator[Pool]:
    """Connect to a venue several times; the pool lives as long as the ``async with`` block.

    Args:
        network: Where the venue is.
        signer: Key of the first client, which trades and hears of its own orders; ``None`` for market data
            only.
        connections: Over how many the products are spread.
        copies: How often each of them is made; the first arrival of an event wins, and all but the last may
            be cut without anything being noticed. At most five with a signer.
        limits: As for `connect`; all clients share them.
        options: Everything else that `connect` takes.

    Raises:
        UsageError: If there is no connection, or the wallet may not have so many.
        ConnectFailed: And whatever else `connect` raises.
    """
    placement = Placement(connections)
    shared = Limits(limits, clients=connections) if isinstance(limits, Policy) else limits
    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(
                connect(network, None if number else signer, copies=copies, limits=shared, **options)
            )
            for number in range(connections)
        ]
        pooled = Pool(clients, placement)
        try:
            yield pooled
        finally:
            pooled.close()


class Pool:
    """Connected clients; made by `connect_pool`."""

    def __init__(self, clients: Sequence[Client], placement: Placement) -> None:
        self.clients = tuple(clients)
        """Each with its share of the products."""
        self.tally = Tally()
        """What slow listeners of the pool cost."""
        self._placement = placement
        self._subscriptions: list[Subscription] = []

    @property
    def trading(self) -> Client:
        """The client that has the key: place, cancel and query here, and find the account."""
        return self.clients[0]

    @property
    def products(self) -> Products:
        """What the venue lists."""
        return self.trading.products

    def client_of(self, product: str | int) -> Client:
        """Return the client that carries a product."""
        return self.clients[self._placement.of_product(self.products.find(product).product_id)]

    async def book(self, product: str | int) -> Book:
        """Subscribe to the depth of a product and wait until its book is LIVE."""
        return await self.client_of(product).book(product)

    async def subscribe(self, *streams: Stream) -> None:
        """Subscribe and wait for the venue's acknowledgements. Raises as `Client.subscribe`."""
        for client, share in self._shares(streams):
            await client.subscribe(*share)

    async def unsubscribe(self, *streams: Stream) -> None:
        """Unsubscribe; events may still come until the venue has taken note."""
        for client, share in self._shares(streams):
            await client.unsubscribe(*share)

    def events(
        self,
        *streams: Stream,
        types: Collection[type | str] = (),
        products: Collection[str | int] = (),
        subaccounts: Collection[str] = (),
        maxlen: int | None = DEFAULT_MAXLEN,
        overflow: Overflow = Overflow.CONFLATE,
    ) -> Subscription:
        """Iterate over events of all connections; as `Client.events`.

        Of one product events keep their order, between products of different connections there is none.
        """
        subscription = Subscription(self._drop, maxlen, overflow, self.tally)
        self._subscriptions.append(subscription)
        try:
            self.on(subscription.put, *streams, types=types, products=products, subaccounts=subaccounts)
        except BaseException:
            subscription.close()
            raise
        return subscription

    def batches(
        self, *streams: Stream, max_events: int = 1_000, max_wait_ns: int = 0, **options: Any
    ) -> Batches:
        """Iterate over lists of events of all connections; as `Client.batches`."""
        return Batches(self.events(*streams, **options), max_events, max_wait_ns)

    def on(
        self,
        callback: Callback,
        *streams: Stream,
        types: Collection[type | str] = (),
        products: Collection[str | int] = (),
        subaccounts: Collection[str] = (),
    ) -> Callable[[], None]:
        """Call *callback* with each event of all connections; as `Client.on`."""
        stops = [
            client.on(callback, *share, types=types, products=products, subaccounts=subaccounts)
            for client, share in self._shares(streams)
        ]

        def stop() -> None:
            for each in stops:
                each()

        return stop

    @property
    def lines(self) -> list[dict[str, LifeState]]:
        """Where each connection of each client stands, by its name."""
        return [client.lines for client in self.clients]

    @property
    def copies(self) -> list[tuple[CopyHealth, ...]]:
        """How each copy of each client's line fares; as `Client.copies`."""
        return [client.copies for client in self.clients]

    def stats(self) -> list[dict[str, int]]:
        """Everything that is counted, for each client."""
        return [client.stats() for client in self.clients]

    def close(self) -> None:
        """End all iterations; the clients end with their block."""
        for subscription in tuple(self._subscriptions):
            subscription.close()

    def _shares(self, streams: Sequence[Stream]) -> list[tuple[Client, list[Stream]]]:
        """Sort streams by the client that carries them; no streams concern all clients."""
        if not streams:
            return [(client, []) for client in self.clients]
        shares: dict[int, list[Stream]] = {}
        for stream in streams:
            shares.setdefault(self._placement.of(stream), []).append(stream)
        return [(self.clients[number], share) for number, share in shares.items()]

    def _drop(self, subscription: Subscription) -> None:
        for client in self.clients:
            client.router.remove(subscription.put)
        if subscription in self._subscriptions:
            self._subscriptions.remove(subscription)
