"""The trigger service's orders: they wait for a price or trade in parts, then go to the engine like others.

Prices are looked at every tenth of a second. A price order is placed once, as it was signed; an order in
parts (TWAP) is placed part by part, each immediate-or-cancel, at its limit or at the oracle price with the
allowed slippage, whichever is less far.

Source: protocol.md 6.4 and 3.11 (2057 to 2059, 2097 to 2108).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Final

from nadows.messages.triggers import PlaceTriggerOrder, PriceTrigger, TimeTrigger
from nadows.messages.wire import UnsetType
from nadows.signing import Domain, Subaccount, Trigger, hash_order
from nadows.venue.answers import Json, signed_order
from nadows.venue.archive import Archive
from nadows.venue.authority import Authority
from nadows.venue.engine import Engine
from nadows.venue.executes import Executes
from nadows.venue.ledger import Account
from nadows.venue.orders import LiveOrder
from nadows.venue.refusal import Refusal
from nadows.venue.rules import Candidate, check_increments

__all__ = ["MAX_WAITING", "Execution", "Triggers", "Waiting", "describe"]

MAX_WAITING: Final = 25
"""Waiting orders of one subaccount in one product."""

_MAX_REMEMBERED: Final = 10_000
_MAX_INTERVAL_S: Final = 3600
_MAX_DURATION_S: Final = 86_400
_MAX_AHEAD_S: Final = 25 * 3600
_MILLION: Final = 10**6
_PRICES: Final = tuple(
    f"{price}_price_{side}" for price in ("oracle", "last", "mid") for side in ("above", "below")
)


@dataclass(slots=True)
class Execution:
    """One part of a TWAP order; times in seconds."""

    execution_id: int
    scheduled_s: int
    amount: int
    status: str | Json = "pending"
    updated_s: int = 0


@dataclass(slots=True, eq=False)
class Waiting:
    """One order of the service; it is kept for a while after its end."""

    candidate: Candidate
    request: PlaceTriggerOrder
    status: str | Json
    placed_s: int
    updated_s: int
    executions: list[Execution] = field(default_factory=list)

    @property
    def order(self) -> LiveOrder:
        """The order, as it was signed."""
        return self.candidate.order

    @property
    def kind(self) -> str:
        """The trigger's name in filters."""
        return "time_trigger" if self.candidate.appendix.is_twap else "price_trigger"

    @property
    def status_type(self) -> str:
        """The status's name in filters."""
        return self.status if isinstance(self.status, str) else next(iter(self.status))


class Triggers:
    """Everything that waits, and what has waited."""

    def __init__(
        self, engine: Engine, executes: Executes, authority: Authority, archive: Archive, domain: Domain
    ) -> None:
        self._engine = engine
        self._executes = executes
        self._authority = authority
        self._archive = archive
        self._domain = domain
        self._waiting: dict[str, Waiting] = {}
        self._ended: deque[Waiting] = deque(maxlen=_MAX_REMEMBERED)

    def place(self, request: PlaceTriggerOrder, now_ns: int) -> str:
        """Take an order; returns its digest.

        Raises:
            Refusal: If it could never be placed, or too many wait already.
        """
        candidate = replace(self._executes.verify(request, now_ns), is_triggered=True)
        order, now_s = candidate.order, now_ns // 10**9
        if candidate.appendix.trigger is Trigger.NONE:
            raise Refusal(2059, "Submitted order is not a trigger order.")
        if candidate.appendix.isolated:
            raise Refusal(2084, "Isolated orders cannot be trigger orders.")
        check_increments(candidate)
        if order.expiration <= now_s:
            raise Refusal(2004, f"The order expired at {order.expiration}.")
        waiting = Waiting(candidate, request, "waiting_price", now_s, now_s)
        if candidate.appendix.is_twap:
            self._plan(waiting, now_s)
        else:
            price = _price_trigger(request)
            if _given(price.dependency) is not None:
                waiting.status = "waiting_dependency"
        if sum(each.order.product is order.product for each in self._of(order.account)) >= MAX_WAITING:
            raise Refusal(2057, f"At most {MAX_WAITING} trigger orders may wait in one product.")
        self._authority.remember(order.digest, order.nonce, now_ns)
        self._waiting[order.digest] = waiting
        return order.digest

    def cancel(
        self, account: Account, product_ids: Iterable[int], digests: Iterable[str], now_s: int
    ) -> list[LiveOrder]:
        """Cancel waiting orders; all or none of them."""
        found = []
        for product_id, digest in zip(product_ids, digests, strict=True):
            waiting = self._waiting.get(digest)
            if waiting is None:
                raise Refusal(2058, f"Trigger order with the digest {digest} could not be found.")
            if waiting.order.account is not account:
                raise Refusal(2014, f"Order {digest} belongs to another subaccount.")
            if waiting.order.product.product_id != product_id:
                raise Refusal(2074, f"Order {digest} is not of product {product_id}.")
            found.append(waiting)
        return self._cancel(dict.fromkeys(found), now_s)

    def cancel_products(self, account: Account, product_ids: Iterable[int], now_s: int) -> list[LiveOrder]:
        """Cancel the waiting orders of some products; of all when none is named."""
        chosen = set(product_ids)
        found = [each for each in self._of(account) if not chosen or each.order.product.product_id in chosen]
        return self._cancel(found, now_s)

    def listed(self, account: Account) -> list[Waiting]:
        """Return an account's orders, waiting and ended, the one updated last first."""
        ended = (each for each in self._ended if each.order.account is account)
        return sorted([*self._of(account), *ended], key=lambda each: (-each.updated_s, each.order.digest))

    def find(self, digest: str) -> Waiting | None:
        """Return an order by its digest, waiting or ended."""
        known = self._waiting.get(digest)
        return known or next((each for each in self._ended if each.order.digest == digest), None)

    def check(self, now_ns: int) -> None:
        """Place what need not wait any longer, and end what has expired."""
        now_s = now_ns // 10**9
        for waiting in list(self._waiting.values()):
            if waiting.executions:
                self._run_parts(waiting, now_ns)
            elif waiting.order.expiration <= now_s:
                self._end(waiting, {"cancelled": "expired"}, now_s)
            elif self._is_due(waiting, now_s):
                self._end(waiting, {"triggered": self._enter(waiting.candidate, now_ns)}, now_s)

    def _of(self, account: Account) -> list[Waiting]:
        return [each for each in self._waiting.values() if each.order.account is account]

    def _cancel(self, found: Iterable[Waiting], now_s: int) -> list[LiveOrder]:
        cancelled = []
        for waiting in found:
            for execution in waiting.executions:
                if execution.status == "pending":
                    execution.status, execution.updated_s = {"cancelled": "user_requested"}, now_s
            self._end(waiting, {"cancelled": "user_requested"}, now_s)
            cancelled.append(waiting.order)
        return cancelled

    def _end(self, waiting: Waiting, status: Json, now_s: int) -> None:
        waiting.status, waiting.updated_s = status, now_s
        del self._waiting[waiting.order.digest]
        self._ended.append(waiting)

    # Prices.

    def _is_due(self, waiting: Waiting, now_s: int) -> bool:
        trigger = _price_trigger(waiting.request)
        dependency = _given(trigger.dependency)
        if waiting.status == "waiting_dependency" and dependency is not None:
            filled = self._archive.order(str(dependency.digest).lower())
            if filled is None or not (
                dependency.on_partial_fill or abs(filled.side.cumulative_base) >= filled.side.order.qty
            ):
                return False
            waiting.status, waiting.updated_s = "waiting_price", now_s
        ((name, level),) = trigger.price_requirement.items()
        price = self._price(name.partition("_")[0], waiting.order.product.product_id)
        return price >= level if name.endswith("above") else price <= level

    def _price(self, name: str, product_id: int) -> int:
        market, oracle = self._engine.markets[product_id], self._engine.oracle[product_id]
        if name == "oracle":
            return oracle
        return market.last_price if name == "last" else market.mark_price(oracle)

    def _enter(self, candidate: Candidate, now_ns: int) -> Json:
        """Place an order; returns what a gateway would have answered."""
        order = candidate.order
        answer: Json = {"signature": order.signature, "request_type": "execute_place_order"}
        try:
            self._executes.enter(candidate, now_ns)
        except Refusal as refusal:
            return answer | {"status": "failure", "error": refusal.text, "error_code": refusal.code}
        return answer | {"status": "success", "data": {"digest": order.digest}}

    # Parts.

    def _plan(self, waiting: Waiting, now_s: int) -> None:
        """Cut an order into parts, or refuse it (2098 to 2108)."""
        order, appendix = waiting.order, waiting.candidate.appendix
        trigger = _given(waiting.request.trigger.time_trigger)
        if trigger is None:
            raise Refusal(2098, "Invalid TWAP order: it has no time_trigger.")
        times, interval = appendix.twap_times, int(trigger.interval)
        if not 1 <= interval <= _MAX_INTERVAL_S:
            raise Refusal(2103, f"interval {interval} seconds must lie between 1 and {_MAX_INTERVAL_S}.")
        duration = (times - 1) * interval
        if duration > _MAX_DURATION_S:
            raise Refusal(2104, f"total duration {duration} seconds exceeds {_MAX_DURATION_S}.")
        if order.expiration > now_s + _MAX_AHEAD_S:
            raise Refusal(2102, f"expiration {order.expiration} lies more than 25 hours ahead of {now_s}.")
        if order.expiration < now_s + duration:
            raise Refusal(2105, f"expiration {order.expiration} is before {now_s + duration}, the last part.")
        amounts = _amounts(order, trigger, times, appendix.trigger is Trigger.TWAP_CUSTOM_AMOUNTS)
        for amount in amounts:
            if amount % order.product.size_increment:
                raise Refusal(2001, f"A part of {amount} is not a multiple of the size increment.")
        waiting.status = {"twap_executing": {"executed": 0, "total": times}}
        waiting.executions = [
            Execution(number, now_s + number * interval, amount, updated_s=now_s)
            for number, amount in enumerate(amounts)
        ]

    def _run_parts(self, waiting: Waiting, now_ns: int) -> None:
        """Place the parts whose time has come."""
        now_s = now_ns // 10**9
        pending = [each for each in waiting.executions if each.status == "pending"]
        for execution in pending:
            if execution.scheduled_s > now_s:
                return
            answer = self._enter(self._part(waiting, execution), now_ns)
            if answer["status"] == "success":
                execution.status = {"executed": {"executed_time": now_s, "execute_response": answer}}
            else:
                execution.status = {"failed": answer["error"]}
            execution.updated_s = waiting.updated_s = now_s
            done, total = execution.execution_id + 1, len(waiting.executions)
            waiting.status = {"twap_executing": {"executed": done, "total": total}}
        self._end(waiting, {"twap_completed": {"executed": len(waiting.executions)}}, now_s)

    def _part(self, waiting: Waiting, execution: Execution) -> Candidate:
        """Return the order that one part is: of its own amount, price and digest."""
        whole = waiting.order
        price = self._part_price(waiting)
        nonce = whole.nonce + execution.execution_id
        sender = Subaccount.parse(whole.account.subaccount)
        hashed = hash_order(sender, price, execution.amount, whole.expiration, nonce, whole.appendix)
        order = LiveOrder(
            whole.account,
            whole.product,
            price=price,
            amount=execution.amount,
            digest="0x" + self._domain.order_digest(whole.product.product_id, hashed).hex(),
            order_type=whole.order_type,
            appendix=whole.appendix,
            # The whole order may expire in the very second of its last part.
            expiration=whole.expiration + 1,
            nonce=nonce,
            builder_rate=whole.builder_rate,
            client_id=whole.client_id,
            signature=whole.signature,
            signer=whole.signer,
        )
        return replace(waiting.candidate, order=order)

    def _part_price(self, waiting: Waiting) -> int:
        order, slippage = waiting.order, waiting.candidate.appendix.twap_slippage_x6
        oracle = self._engine.oracle[order.product.product_id]
        tick = order.product.price_increment
        if order.is_bid:
            return min(order.price, oracle * (_MILLION + slippage) // _MILLION // tick * tick)
        worst = oracle * (_MILLION - slippage) // _MILLION
        return max(order.price, -(-worst // tick) * tick)


def describe(waiting: Waiting) -> Json:
    """Return an order as `list_trigger_orders` shows it."""
    order, request = waiting.order, waiting.request
    return {
        "order": {
            "order": signed_order(order),
            "signature": order.signature,
            "product_id": order.product.product_id,
            "spot_leverage": _given(request.spot_leverage),
            "borrow_margin": _given(request.borrow_margin),
            "trigger": request.trigger,
            "digest": order.digest,
            "id": order.client_id,
        },
        "status": waiting.status,
        "placed_at": waiting.placed_s,
        "updated_at": waiting.updated_s,
    }


def _price_trigger(request: PlaceTriggerOrder) -> PriceTrigger:
    """Return what price an order waits for; refuses (2097) what is none."""
    trigger: PriceTrigger | None = _given(request.trigger.price_trigger)
    if trigger is None or len(trigger.price_requirement) != 1:
        raise Refusal(2097, "Invalid trigger order: it needs a price_trigger with one price_requirement.")
    ((name, level),) = trigger.price_requirement.items()
    if name not in _PRICES:
        raise Refusal(2097, f"Invalid trigger order: {name!r} is none of {', '.join(_PRICES)}.")
    if level <= 0:
        raise Refusal(2055, "Invalid price provided. The price must be greater than 0.")
    return trigger


def _amounts(order: LiveOrder, trigger: TimeTrigger, times: int, custom: bool) -> list[int]:
    """Return the amounts of the parts, checked against the whole."""
    given = _given(trigger.amounts)
    if (given is not None) is not custom:
        raise Refusal(2106, f"amounts array presence {given is not None} does not match the appendix.")
    if given is None:
        if order.qty % times:
            raise Refusal(2101, f"amount {order.amount} is not evenly divisible by times {times}.")
        return [order.amount // times] * times
    if len(given) != times:
        raise Refusal(2106, f"there are {len(given)} amounts for {times} executions.")
    for amount in given:
        if amount * order.amount <= 0:
            raise Refusal(2107, f"amount {amount} is zero or has another sign than {order.amount}.")
    if sum(given) != order.amount:
        raise Refusal(2108, f"sum of amounts {sum(given)} does not match order amount {order.amount}.")
    return [int(amount) for amount in given]


def _given(value: Any) -> Any:
    return None if isinstance(value, UnsetType) else value
