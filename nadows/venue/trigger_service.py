"""The trigger service's REST interface: requests in, envelopes out.

Source: protocol.md 6.4.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nadows.messages.executes import CancelOrders, CancelProductOrders
from nadows.messages.queries import ListTriggerOrdersQuery
from nadows.messages.triggers import (
    ListTwapExecutionsQuery,
    PlaceTriggerOrder,
    PlaceTriggerOrders,
    decode_trigger_execute,
    decode_trigger_query,
)
from nadows.messages.wire import UnreadableRequest
from nadows.signing import Domain, hash_list_trigger_orders
from nadows.venue.answers import Json, order_object
from nadows.venue.archive_reading import given, page_size
from nadows.venue.authority import Authority, parse_sender
from nadows.venue.executes import MAX_BATCH, Executes
from nadows.venue.limits import Limits
from nadows.venue.refusal import Refusal
from nadows.venue.triggers import Triggers, Waiting, describe

__all__ = ["TriggerService"]

Envelope = tuple[Json, int]
"""An answer, and its error code (0 for a success)."""


class TriggerService:
    """Serves ``/trigger/v1/execute`` and ``/trigger/v1/query``."""

    def __init__(
        self, triggers: Triggers, executes: Executes, authority: Authority, limits: Limits, domain: Domain
    ) -> None:
        self._triggers = triggers
        self._executes = executes
        self._authority = authority
        self._limits = limits
        self._domain = domain
        self._actions: dict[type[Any], Callable[[Any, int], object]] = {
            PlaceTriggerOrder: lambda request, now_ns: {"digest": triggers.place(request, now_ns)},
            PlaceTriggerOrders: self._place_orders,
            CancelOrders: self._cancel_orders,
            CancelProductOrders: self._cancel_product_orders,
        }

    def execute(self, body: bytes, now_ns: int) -> Envelope:
        """Answer an execute."""
        try:
            name, request = decode_trigger_execute(body)
        except UnreadableRequest as error:
            return _failure(Refusal(1005, error.text), {})
        signature = getattr(request, "signature", None) or next(
            (order.signature for order in getattr(request, "orders", ())), ""
        )
        echo: Json = {"signature": signature, "request_type": f"execute_{name}"}
        client_id = given(getattr(request, "id", None))
        if client_id is not None:
            echo["id"] = client_id
        try:
            self._limits.spend_execute(request, now_ns)
            data = self._actions[type(request)](request, now_ns)
        except Refusal as refusal:
            return _failure(refusal, echo)
        return {"status": "success", "data": data} | echo, 0

    def query(self, body: bytes, now_ns: int) -> Envelope:
        """Answer a query."""
        try:
            query = decode_trigger_query(body)
        except UnreadableRequest as error:
            return _failure(Refusal(1005, error.text), {})
        twap = isinstance(query, ListTwapExecutionsQuery)
        echo = {"request_type": "query_list_twap_executions" if twap else "query_list_trigger_orders"}
        try:
            data = (
                self._executions(query)
                if isinstance(query, ListTwapExecutionsQuery)
                else self._list(query, now_ns)
            )
        except Refusal as refusal:
            return _failure(refusal, echo)
        return {"status": "success", "data": data} | echo, 0

    def _place_orders(self, request: PlaceTriggerOrders, now_ns: int) -> object:
        if not 1 <= len(request.orders) <= MAX_BATCH:
            raise Refusal(2111, f"A batch holds 1 to {MAX_BATCH} orders, got {len(request.orders)}.")
        if len({parse_sender(item.order.sender) for item in request.orders}) > 1:
            raise Refusal(2114, "All orders of a batch must have the same sender.")
        items: list[dict[str, str | None]] = []
        for item in request.orders:
            try:
                items.append({"digest": self._triggers.place(item, now_ns), "error": None})
            except Refusal as refusal:
                items.append({"digest": None, "error": refusal.text})
                if request.stop_on_failure is True:
                    break
        return self._executes.batch_answer(items)

    def _cancel_orders(self, request: CancelOrders, now_ns: int) -> object:
        account, _, digests = self._executes.check_cancel(request.tx, request.signature, now_ns)
        orders = self._triggers.cancel(account, request.tx.productIds, digests, now_ns // 10**9)
        return {"cancelled_orders": [order_object(order) for order in orders]}

    def _cancel_product_orders(self, request: CancelProductOrders, now_ns: int) -> object:
        account = self._executes.check_cancel_products(request, now_ns)
        orders = self._triggers.cancel_products(account, request.tx.productIds, now_ns // 10**9)
        return {"cancelled_orders": [order_object(order) for order in orders]}

    def _list(self, query: ListTriggerOrdersQuery, now_ns: int) -> Json:
        sender = parse_sender(query.tx.sender)
        recv_ms = int(query.tx.recvTime)
        digest = self._domain.digest(hash_list_trigger_orders(sender, recv_ms))
        account, _ = self._authority.check(sender, digest, query.signature, now_ns)
        self._authority.check_recv_time(recv_ms, now_ns)
        found = [each for each in self._triggers.listed(account) if _is_asked_for(each, query)]
        return {"orders": [describe(each) for each in found[: page_size(query.limit)]]}

    def _executions(self, query: ListTwapExecutionsQuery) -> Json:
        waiting = self._triggers.find(query.digest.lower())
        if waiting is None:
            raise Refusal(2058, f"Trigger order with the digest {query.digest} could not be found.")
        return {
            "executions": [
                {
                    "execution_id": execution.execution_id,
                    "scheduled_time": execution.scheduled_s,
                    "status": execution.status,
                    "updated_at": execution.updated_s,
                }
                for execution in waiting.executions
            ]
        }


def _is_asked_for(waiting: Waiting, query: ListTriggerOrdersQuery) -> bool:
    """Whether an order passes every filter of a query."""
    order = waiting.order
    filters: tuple[tuple[Any, object], ...] = (
        (query.product_ids, order.product.product_id),
        (query.trigger_types, waiting.kind),
        (query.status_types, waiting.status_type),
        (query.digests, order.digest),
    )
    if any(given(wanted) is not None and actual not in wanted for wanted, actual in filters):
        return False
    reduce_only, newest, last = (
        given(query.reduce_only),
        given(query.max_update_time),
        given(query.max_digest),
    )
    if reduce_only is not None and waiting.candidate.appendix.reduce_only is not (
        reduce_only in (True, "true")
    ):
        return False
    # Newest first; with a digest the page begins behind that order among those of its second.
    if newest is None or waiting.updated_s < newest:
        return True
    return waiting.updated_s == newest and (last is None or order.digest >= str(last).lower())


def _failure(refusal: Refusal, echo: Json) -> Envelope:
    return {"status": "failure", "error": refusal.text, "error_code": refusal.code} | echo, refusal.code
