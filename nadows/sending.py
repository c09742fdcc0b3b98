"""Sending requests: within the limits, each noted and measured, and orders that travel together."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol, TypeVar

from nadows import messages
from nadows.batching import Gathering, outcomes
from nadows.clock import VenueClock
from nadows.desk import Desk, OnReply, checked
from nadows.errors import MalformedFrame, NadowsError, TransportError
from nadows.messages import Query, Reply
from nadows.metrics.record import Metrics
from nadows.signing import SignedCancelAndPlace, SignedOrder, sign_place_orders
from nadows.throttle import Gate, Limits, Policy, Waiting
from nadows.transport import Socket
from nadows.weights import execute_weight, order_weight, query_weight

__all__ = ["Asked", "OnReplies", "OrderBatcher", "Sender", "Turns", "read_clock"]

_T = TypeVar("_T")

OnReplies = Callable[[Sequence[Reply] | NadowsError], None]
"""Receives an outcome for each order of a batch, or why there is none; called exactly once."""

_log = logging.getLogger("nadows")


class Turns:
    """Lets the requests of one client through the gates, now or when there is room.

    Args:
        limits: The gates; ``None`` lets everything through at once.
    """

    def __init__(self, limits: Limits | None) -> None:
        self.limits = limits
        self._waiting: dict[Waiting, tuple[Gate, Callable[[NadowsError], None]]] = {}
        self._timers: dict[Gate, asyncio.TimerHandle] = {}

    def execute(
        self, weight: int, send: Callable[[], None], fail: Callable[[NadowsError], None]
    ) -> Waiting | None:
        """Send an execute now, or when the wallet has room for it.

        Args:
            weight: See `nadows.weights`.
            send: Sends it. What it raises is raised here, or given to *fail* if it had to wait.
            fail: Told why it was not sent after all.

        Returns:
            Its place in line if it must wait, for `withdraw`.

        Raises:
            RateLimited: If there is no room and the policy is to fail.
        """
        return self._admit(self.limits.executes if self.limits else None, weight, send, fail)

    def query(
        self, weight: int, send: Callable[[], None], fail: Callable[[NadowsError], None]
    ) -> Waiting | None:
        """Send a query now, or when the address has room for it; otherwise as `execute`."""
        return self._admit(self.limits.queries if self.limits else None, weight, send, fail)

    def spend_query(self, weight: int) -> None:
        """Count a query that cannot wait."""
        if self.limits is not None:
            self.limits.queries.bucket.spend(weight, time.monotonic_ns())

    def withdraw(self, waiting: Waiting) -> None:
        """Give up a request that waits, unless the policy is to send it all the same."""
        gate, _ = self._waiting.get(waiting, (None, None))
        if gate is not None and gate.policy is Policy.WAIT and gate.withdraw(waiting):
            del self._waiting[waiting]

    def refused(self, request_type: str | None, code: int, now_ns: int) -> None:
        """Wait, because the venue said so; said once in the log."""
        if self.limits is None:
            return
        for gate in self.limits.refused_by(request_type, code):
            if gate.bucket.refused(now_ns):
                _log.warning(
                    "%s: the venue's rate limit is exceeded (code %d); all wait for %.1f s",
                    gate.bucket.name,
                    code,
                    gate.bucket.blocked_ns(now_ns) / 10**9,
                )

    def stats(self) -> dict[str, int]:
        """What waited and what was refused, by name."""
        if self.limits is None:
            return {}
        counts = {}
        for name, gate in zip(("executes", "queries"), self.limits.gates, strict=True):
            counts[f"{name}_waiting"] = len(gate)
            counts[f"{name}_delayed"] = gate.delayed
            counts[f"{name}_not_sent"] = gate.failed
            counts[f"{name}_throttled"] = gate.bucket.refusals
            counts[f"{name}_throttle_episodes"] = gate.bucket.episodes
        return counts

    def close(self) -> None:
        """Send nothing more; whoever waits is told."""
        for timer in self._timers.values():
            timer.cancel()
        waiting, self._waiting = self._waiting, {}
        for each, (gate, fail) in waiting.items():
            gate.withdraw(each)
            fail(TransportError("the client was closed before there was room; nothing was sent"))

    # -- inside -------------------------------------------------------------------------------

    def _admit(
        self,
        gate: Gate | None,
        weight: int,
        send: Callable[[], None],
        fail: Callable[[NadowsError], None],
    ) -> Waiting | None:
        if gate is None or gate.enter(weight, time.monotonic_ns()):
            send()
            return None

        def send_later() -> None:
            del self._waiting[waiting]
            try:
                send()
            except NadowsError as error:
                fail(error)

        waiting = gate.join(weight, send_later)
        self._waiting[waiting] = gate, fail
        self._arm(gate)
        return waiting

    def _arm(self, gate: Gate) -> None:
        if gate in self._timers:
            return
        now_ns = time.monotonic_ns()
        due_ns = gate.next_deadline(now_ns)
        if due_ns is not None:
            loop = asyncio.get_running_loop()
            self._timers[gate] = loop.call_later((due_ns - now_ns) / 10**9, self._release, gate)

    def _release(self, gate: Gate) -> None:
        del self._timers[gate]
        # Those of other clients that share the gate are let through as well, each in its turn.
        for waiting in gate.release(time.monotonic_ns()):
            waiting.send()
        if any(own is gate for own, _ in self._waiting.values()):
            self._arm(gate)


class Asked(Protocol):
    """The part of a tap that sees what the user asks for; see `nadows.client.Tap`."""

    def asked(self, what: str, argument: Any, now_ns: int) -> None:
        """The user subscribed, unsubscribed, placed or queried."""


class Sender:
    """The requests of one client on the gateway: each in its turn, told to the tap, measured.

    Its methods return the request's place in line if it has to wait, for `patiently`.

    Args:
        desk: Takes them.
        write: Writes what the desk has to say on the gateway.
        limits: What they count against; ``None`` counts nothing.
        tap: Told of each just before the desk.
        metrics: Measures orders.
    """

    def __init__(
        self,
        desk: Desk,
        write: Callable[[], None],
        turns: Turns,
        tap: Asked | None,
        metrics: Metrics | None,
    ) -> None:
        self._desk = desk
        self._write = write
        self._turns = turns
        self._tap = tap
        self._metrics = metrics

    def place(self, order: SignedOrder, on_reply: OnReply) -> Waiting | None:
        """Send an order. Raises as `Client.submit`."""

        def send() -> None:
            def take(now_ns: int, on_reply: OnReply) -> None:
                self._desk.place(order, now_ns=now_ns, on_reply=on_reply)

            self._send("place", order, take, on_reply, "place_order", (order.digest,))

        return self._turns.execute(order_weight(order), send, on_reply)

    def place_orders(
        self, orders: Sequence[SignedOrder], on_replies: OnReplies, stop_on_failure: bool | None
    ) -> Waiting | None:
        """Send a batch. Raises as `Client.submit_orders`."""
        batch = sign_place_orders(orders, stop_on_failure=stop_on_failure)
        digests = tuple(order.digest for order in orders)

        def on_reply(reply: Reply | NadowsError) -> None:
            on_replies(reply if isinstance(reply, NadowsError) else outcomes(digests, reply))

        def send() -> None:
            def take(now_ns: int, on_reply: OnReply) -> None:
                self._desk.place_orders(batch, now_ns=now_ns, on_reply=on_reply)

            self._send("place_orders", batch, take, on_reply, "place_orders", digests)

        return self._turns.execute(sum(order_weight(order) for order in orders), send, on_reply)

    def cancel_and_place(self, both: SignedCancelAndPlace, on_reply: OnReply) -> Waiting | None:
        """Send a replacement. Raises as `Client.submit`."""

        def send() -> None:
            def take(now_ns: int, on_reply: OnReply) -> None:
                self._desk.cancel_and_place(both, now_ns=now_ns, on_reply=on_reply)

            self._send("cancel_and_place", both, take, on_reply, "cancel_and_place", (both.order.digest,))

        weight = execute_weight("cancel_orders", len(both.cancel.digests)) + order_weight(both.order)
        return self._turns.execute(weight, send, on_reply)

    def cancel(
        self, kind: str, count: int, frame: bytes, signature: str, cancels: tuple[str, ...], on_reply: OnReply
    ) -> Waiting | None:
        """Send a cancellation.

        Args:
            kind: The wire's name.
            count: How many orders or products it names; 0 for all.
            frame: The complete message.
            signature: By which the answer is found.
            cancels: Digests, if it names them.
            on_reply: Called exactly once.
        """
        request_type = f"execute_{kind}"

        def send() -> None:
            now_ns = time.monotonic_ns()
            if self._tap is not None:
                self._tap.asked("execute", (request_type, signature, *cancels), now_ns)
            self._desk.execute(
                frame,
                request_type=request_type,
                signature=signature,
                cancels=cancels,
                now_ns=now_ns,
                on_reply=on_reply,
            )
            self._write()

        return self._turns.execute(execute_weight(kind, count), send, on_reply)

    def query(self, query: Query, on_reply: OnReply) -> Waiting | None:
        """Send a query. Raises as `Client.query`."""
        return self._turns.query(query_weight(query), lambda: self._query(query, on_reply), on_reply)

    def probe(self) -> None:
        """Ask for an answer, whatever it says, and now: to wait for room would be to look dead."""
        query = messages.StatusQuery()
        self._turns.spend_query(query_weight(query))
        self._query(query, _ignore)

    def batcher(
        self, max_orders: int, max_wait_ns: int, contain: Callable[[OnReply], OnReply]
    ) -> OrderBatcher:
        """Gather orders; as `Client.batcher`. Whoever takes an answer is called through *contain*."""

        def place(orders: Sequence[SignedOrder], on_replies: OnReplies) -> None:
            if len(orders) > 1:
                self.place_orders(orders, on_replies, None)
                return

            def on_reply(reply: Reply | NadowsError) -> None:
                on_replies(reply if isinstance(reply, NadowsError) else [reply])

            self.place(orders[0], on_reply)

        return OrderBatcher(place, contain, max_orders=max_orders, max_wait_ns=max_wait_ns)

    async def patiently(self, answer: asyncio.Future[_T], waiting: Waiting | None) -> _T:
        """Wait for an answer; a request that has not been sent yet is given up with its caller."""
        try:
            return await answer
        except asyncio.CancelledError:
            if waiting is not None:
                self._turns.withdraw(waiting)
            raise

    async def answer(self, submit: Callable[[OnReply], Waiting | None]) -> Reply:
        """Send what *submit* sends and wait for a success. Raises what else came of it."""
        answer: asyncio.Future[Reply | NadowsError] = asyncio.get_running_loop().create_future()
        return checked(await self.patiently(answer, submit(_setting(answer))))

    # -- inside -------------------------------------------------------------------------------

    def _query(self, query: Query, on_reply: OnReply) -> None:
        now_ns = time.monotonic_ns()
        if self._tap is not None:
            self._tap.asked("query", query, now_ns)
        self._desk.query(query, now_ns=now_ns, on_reply=on_reply)
        self._write()

    def _send(
        self,
        what: str,
        argument: Any,
        take: Callable[[int, OnReply], None],
        on_reply: OnReply,
        request: str,
        digests: tuple[str, ...],
    ) -> None:
        """Send orders."""
        now_ns = time.monotonic_ns()
        metrics = self._metrics
        if self._tap is not None:
            self._tap.asked(what, argument, now_ns)
        if metrics is not None:
            on_reply = metrics.answering(request, digests, now_ns, on_reply)
        take(now_ns, on_reply)
        if metrics is not None:
            metrics.sent(request, digests, now_ns)
        self._write()


def _ignore(reply: Reply | NadowsError) -> None:
    """Take an answer that only had to come."""


def _setting(answer: asyncio.Future[_T]) -> Callable[[_T], None]:
    """Give a function that ends the wait for *answer*, if anybody still waits."""

    def set_result(result: _T) -> None:
        if not answer.done():
            answer.set_result(result)

    return set_result


_CLOCK_TIMEOUT_S: Final = 1.0
_CLOCK_ID: Final = 0
"""The session's own requests begin at 1."""


async def read_clock(socket: Socket, clock: VenueClock) -> None:
    """Ask the subscription socket for the venue's time, before anything else is said on it.

    The authentication that follows carries an instant by the venue's clock. No answer is no harm: the
    estimate stays as it was.

    Raises:
        ConnectionLost: If the socket ended meanwhile.
    """
    asked_ns = time.monotonic_ns()
    socket.send([messages.encode(messages.Ping(id=_CLOCK_ID))])
    try:
        async with asyncio.timeout(_CLOCK_TIMEOUT_S):
            answer = messages.decode_stream(await socket.recv())
    except (TimeoutError, MalformedFrame):
        return
    now_ns = time.monotonic_ns()
    time_ms = messages.pong_time(answer) if isinstance(answer, messages.Ack) else None
    if time_ms is not None:
        clock.read(time_ms, round_trip_ns=now_ns - asked_ns, received_ns=now_ns)


class OrderBatcher:
    """Gathers orders and sends them together; each is answered as if it had been alone.

    A batch that ends up with one order is sent as a plain ``place_order``, which the venue processes 50 ms
    sooner and refuses with a code.

    Made by `Client.batcher`. Leaving its ``async with`` block sends what still waits.
    """

    def __init__(
        self,
        place: Callable[[Sequence[SignedOrder], OnReplies], None],
        contain: Callable[[OnReply], OnReply],
        *,
        max_orders: int,
        max_wait_ns: int,
    ) -> None:
        self.batches = 0
        """Requests sent."""
        self._place = place
        self._contain = contain
        self._gathering: Gathering[tuple[SignedOrder, OnReply]] = Gathering(
            max_orders=max_orders,
            max_wait_ns=max_wait_ns,
            group_of=lambda entry: entry[0].sender,
            weight_of=lambda entry: order_weight(entry[0]),
        )
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._gathering)

    def submit(self, order: SignedOrder, on_reply: OnReply) -> None:
        """Take an order and return at once; *on_reply* is called exactly once with what became of it.

        What it raises is logged and counted, and harms nobody.
        """
        self._send(self._gathering.add((order, self._contain(on_reply)), time.monotonic_ns()))
        self._arm()

    async def place(self, order: SignedOrder) -> Reply:
        """Take an order and wait for the venue's answer. Raises as `Client.place_order`."""
        answer: asyncio.Future[Reply | NadowsError] = asyncio.get_running_loop().create_future()
        self.submit(order, _setting(answer))
        return checked(await answer)

    def flush(self) -> None:
        """Send what waits now."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._send(self._gathering.flush())

    async def __aenter__(self) -> OrderBatcher:
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.flush()

    def _arm(self) -> None:
        due_ns = self._gathering.next_deadline()
        if due_ns is not None and self._timer is None:
            delay_s = max(due_ns - time.monotonic_ns(), 0) / 10**9
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self._send(self._gathering.tick(time.monotonic_ns()))
        self._arm()

    def _send(self, batches: Sequence[Sequence[tuple[SignedOrder, OnReply]]]) -> None:
        for batch in batches:
            self.batches += 1
            hand_out = _hand_out([on_reply for _, on_reply in batch])
            try:
                self._place([order for order, _ in batch], hand_out)
            except NadowsError as error:
                hand_out(error)


def _hand_out(each: Sequence[OnReply]) -> OnReplies:
    def on_replies(replies: Sequence[Reply] | NadowsError) -> None:
        if isinstance(replies, NadowsError):
            for on_reply in each:
                on_reply(replies)
        else:
            for on_reply, reply in zip(each, replies, strict=True):
                on_reply(reply)

    return on_replies
