"""The gateway: requests in, answers out, on REST and on both kinds of socket.

The v1 socket is serial: answers come in the order of the requests, and a request that waits holds up all
behind it. On the v2 socket and on REST each request is on its own. What waits at all is decided by the
speed bump and the batch penalty of `Switches`; with both off, everything is answered at once.

Source: protocol.md 3.1, 5 and 5.2.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from enum import StrEnum
from heapq import heappop, heappush
from typing import Any, Final, NamedTuple

import msgspec

from nadows.messages import executes as do
from nadows.messages import queries as ask
from nadows.messages.gateway import decode_gateway_request
from nadows.messages.wire import UnreadableRequest, UnsetType
from nadows.signing import OrderType
from nadows.venue.answers import Json
from nadows.venue.executes import Executes
from nadows.venue.limits import Limits
from nadows.venue.queries import Queries
from nadows.venue.refusal import Refusal
from nadows.venue.switches import Switches

__all__ = ["Answer", "Gateway", "Line"]

_MS: Final = 10**6

_HTTP_STATUS: Final = {1000: 429, 1006: 503}
"""Failures that change the HTTP status; all others travel with 200 (protocol.md 3.1)."""

_MOST_WAITING: Final = 10_000
"""Frames that may wait behind a held one on a v1 socket; our own limit, against clients that run wild."""

_ENCODER: Final = msgspec.json.Encoder()


class Line(StrEnum):
    """How a request came in."""

    V1 = "v1"
    V2 = "v2"
    REST = "rest"


class Answer(NamedTuple):
    """An answer on its way: to whom, the body, and the HTTP status it has on REST."""

    connection: int
    body: bytes
    status: int


class _Caller:
    """One connection, or one REST request, which counts as a connection for as long as it lasts."""

    __slots__ = ("address", "busy", "line", "waiting")

    def __init__(self, line: Line, address: str) -> None:
        self.line = line
        self.address = address
        self.busy = False
        self.waiting: deque[bytes | str] = deque()


class Gateway:
    """Serves executes and queries."""

    def __init__(
        self,
        executes: Executes,
        queries: Queries,
        limits: Limits,
        switches: Switches,
        deliver: Callable[[Answer], None],
    ) -> None:
        """*deliver* takes every answer as soon as it is there."""
        self._executes = executes
        self._queries = queries
        self._limits = limits
        self._switches = switches
        self._deliver = deliver
        self._callers: dict[int, _Caller] = {}
        self._held: list[tuple[int, int, int, do.Execute]] = []
        self._sequence = 0

    def connection_made(self, connection: int, line: Line, address: str) -> None:
        """Begin to serve a connection from an IP address."""
        self._callers[connection] = _Caller(line, address)

    def connection_lost(self, connection: int) -> None:
        """Forget a connection. What it has sent and is held still takes effect; nobody gets the answer."""
        self._callers.pop(connection, None)

    def serves(self, connection: int) -> bool:
        """Whether this connection is one of the gateway's."""
        return connection in self._callers

    def frame_received(self, connection: int, frame: bytes | str, now_ns: int) -> None:
        """Take a request; its answer goes to ``deliver``, now or when it is no longer held."""
        caller = self._callers[connection]
        if not caller.busy:
            self._handle(connection, caller, frame, now_ns)
        elif len(caller.waiting) < _MOST_WAITING:
            caller.waiting.append(frame)
        else:
            self._reply(
                connection, _failure(Refusal(1000, "Too many requests wait on this socket."), {}), 1000
            )

    def next_deadline(self) -> int | None:
        """Return when the next held request is due, ns."""
        return self._held[0][0] if self._held else None

    def release(self) -> None:
        """Process the held request that is due next, and what waited behind it."""
        now_ns, _, connection, request = heappop(self._held)
        caller = self._callers.get(connection)
        if caller is None:
            self._execute(request, now_ns, Line.V2)
            return
        self._reply(connection, *self._execute(request, now_ns, caller.line))
        caller.busy = False
        while caller.waiting and not caller.busy:
            self._handle(connection, caller, caller.waiting.popleft(), now_ns)

    def _handle(self, connection: int, caller: _Caller, frame: bytes | str, now_ns: int) -> None:
        try:
            request = decode_gateway_request(frame)
        except UnreadableRequest as error:
            echo = {"id": error.id} if error.id else {}
            self._reply(connection, _failure(Refusal(1005, error.text), echo), 1005)
            return
        if not isinstance(request, do.Execute):
            self._reply(connection, *self._query(request, caller.address, now_ns))
            return
        wait_ms = self._wait_ms(request)
        if wait_ms:
            self._sequence += 1
            heappush(self._held, (now_ns + wait_ms * _MS, self._sequence, connection, request))
            caller.busy = caller.line is Line.V1
        else:
            self._reply(connection, *self._execute(request, now_ns, caller.line))

    def _reply(self, connection: int, envelope: Json, code: int) -> None:
        self._deliver(Answer(connection, _ENCODER.encode(envelope), _HTTP_STATUS.get(code, 200)))

    def _wait_ms(self, request: do.Execute) -> int:
        """Return how long a request is held: the speed bump of whatever may take liquidity."""
        if isinstance(request, do.PlaceOrders):
            return self._switches.batch_penalty_ms
        placed = request.place_order if isinstance(request, do.CancelAndPlace) else request
        if isinstance(placed, do.PlaceOrder) and (placed.order.appendix >> 9) & 3 != OrderType.POST_ONLY:
            return self._switches.speed_bump_ms
        return 0

    def _execute(self, request: do.Execute, now_ns: int, line: Line) -> tuple[Json, int]:
        """Run an execute; returns its envelope and its error code, 0 for a success."""
        echo = self._echo(request, line)
        try:
            if not self._queries.active:
                raise Refusal(2068, "The venue is under maintenance.")
            self._limits.spend_execute(request, now_ns)
            data = self._executes.execute(request, now_ns)
        except Refusal as refusal:
            if not self._switches.failures_echo_id:
                echo.pop("id", None)
            return _failure(refusal, echo), refusal.code
        envelope: Json = {"status": "success", "signature": echo.pop("signature")}
        if data is not None:
            envelope["data"] = data
        return envelope | echo, 0

    def _echo(self, request: do.Execute, line: Line) -> Json:
        """Return the members by which a client tells what is answered."""
        signature, client_id = _identity(request)
        if isinstance(request, do.CancelAndPlace) and not self._switches.cancel_and_place_echoes_id:
            client_id = None
        if isinstance(request, do.CancelOrders | do.CancelProductOrders) and line is not Line.V2:
            client_id = client_id if self._switches.v1_cancels_echo_id else None
        echo: Json = {"signature": signature, "request_type": f"execute_{do.execute_type(request)}"}
        return echo if client_id is None else echo | {"id": client_id}

    def _query(self, query: ask.Query, address: str, now_ns: int) -> tuple[Json, int]:
        name = ask.query_type(query)
        if isinstance(query, ask.EdgeTime | ask.EdgePing):
            return _clock(query, now_ns), 0
        request_type = name if name.startswith("cached_") else f"query_{name}"
        try:
            self._limits.spend_query(query, address, now_ns)
            data = self._queries.answer(query, now_ns)
        except Refusal as refusal:
            return _failure(refusal, {"request_type": request_type}), refusal.code
        return {"status": "success", "data": data, "request_type": request_type}, 0


def _failure(refusal: Refusal, echo: Json) -> Json:
    return {"status": "failure", "error": refusal.text, "error_code": refusal.code} | echo


def _clock(query: ask.EdgeTime | ask.EdgePing, now_ns: int) -> Json:
    given = None if isinstance(query.id, UnsetType) else query.id
    clock: Json = {
        "status": "success",
        "method": "time",
        "id": None if given is None else int(given),
        "server_time": str(now_ns // _MS),
    }
    if isinstance(query, ask.EdgePing):
        clock["method"] = "pong"
        if query.client_time is not None and not isinstance(query.client_time, UnsetType):
            clock["client_time"] = str(query.client_time)
    return clock


def _identity(request: do.Execute) -> tuple[str, int | None]:
    """Return the signature and the client's id that an answer echoes."""
    if isinstance(request, do.PlaceOrders):
        return (request.orders[0].signature if request.orders else ""), None
    source: Any = request.place_order if isinstance(request, do.CancelAndPlace) else request
    client_id = getattr(source, "id", None)
    return source.signature, None if isinstance(client_id, UnsetType) else client_id
