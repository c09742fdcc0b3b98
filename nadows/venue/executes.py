"""The executes: verify, admit, hand to the engine, answer.

Source: protocol.md 3.4 to 3.9.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Final, TypeVar

from nadows.errors import UsageError
from nadows.messages.executes import (
    CancelAndPlace,
    CancelOrders,
    CancelOrdersTx,
    CancelProductOrders,
    Execute,
    PlaceOrder,
    PlaceOrders,
)
from nadows.messages.wire import UnsetType
from nadows.signing import (
    Appendix,
    BadAppendix,
    Domain,
    OrderType,
    hash_cancellation,
    hash_cancellation_products,
    hash_order,
    parse_bytes32,
)
from nadows.venue.answers import order_object
from nadows.venue.authority import Authority, parse_sender
from nadows.venue.engine import Engine
from nadows.venue.executes_funds import FundExecutes
from nadows.venue.isolated import isolated_account
from nadows.venue.ledger import Account
from nadows.venue.orders import LiveOrder
from nadows.venue.products import Product
from nadows.venue.refusal import Refusal
from nadows.venue.rules import Candidate, admit

__all__ = ["MAX_BATCH", "Executes"]

T = TypeVar("T")

MAX_BATCH: Final = 50
"""Orders in one `place_orders`."""


class Executes:
    """Everything that changes the state of the venue by request."""

    def __init__(
        self,
        engine: Engine,
        authority: Authority,
        domain: Domain,
        builders: frozenset[int],
        funds: FundExecutes,
    ) -> None:
        self._engine = engine
        self._authority = authority
        self._domain = domain
        self._builders = builders
        self._switches = engine.switches
        self._actions: dict[type[Any], Callable[[Any, int], object]] = {
            PlaceOrder: self._place_order,
            PlaceOrders: self._place_orders,
            CancelOrders: self._cancel_orders,
            CancelProductOrders: self._cancel_product_orders,
            CancelAndPlace: self._cancel_and_place,
            **funds.actions,
        }

    def execute(self, request: Execute, now_ns: int) -> object:
        """Do what *request* says and return the ``data`` of the answer, plain JSON.

        Raises:
            Refusal: If it is refused; nothing has changed then, except as `Engine.place` says.
        """
        return self._actions[type(request)](request, now_ns)

    def _place_order(self, request: PlaceOrder, now_ns: int) -> object:
        candidate = self._candidate(request, now_ns)
        self._place(candidate, now_ns)
        return {"digest": candidate.order.digest}

    def _place_orders(self, request: PlaceOrders, now_ns: int) -> object:
        if not 1 <= len(request.orders) <= MAX_BATCH:
            raise Refusal(2111, f"A batch holds 1 to {MAX_BATCH} orders, got {len(request.orders)}.")
        if len({parse_sender(item.order.sender) for item in request.orders}) > 1:
            raise Refusal(2114, "All orders of a batch must have the same sender.")
        items: list[dict[str, str | None]] = []
        failed = False
        for item in request.orders:
            if failed and request.stop_on_failure is True:
                items.append({"digest": None, "error": "Skipped, as an earlier order of the batch failed."})
                continue
            try:
                candidate = self._candidate(item, now_ns)
                self._place(candidate, now_ns)
                items.append({"digest": candidate.order.digest, "error": None})
            except Refusal as refusal:
                failed = True
                items.append({"digest": None, "error": refusal.text})
        return self.batch_answer(items)

    def batch_answer(self, items: list[dict[str, str | None]]) -> object:
        """Return what `place_orders` answers for its items."""
        return items if self._switches.place_orders_bare_list else {"place_orders": items}

    def _cancel_orders(self, request: CancelOrders, now_ns: int) -> object:
        account, _, digests = self.check_cancel(request.tx, request.signature, now_ns)
        required = _given(request.required_unfilled_amount)
        found, missing = self._find(request.tx.productIds, digests, account, required)
        if missing and (self._switches.one_unknown_digest_fails_all or not found):
            raise missing[0]
        return self._cancel(found, now_ns)

    def _cancel_product_orders(self, request: CancelProductOrders, now_ns: int) -> object:
        account = self.check_cancel_products(request, now_ns)
        for product_id in request.tx.productIds:
            if product_id not in self._engine.markets:
                raise Refusal(2016, f"There is no market of product {product_id}.")
        chosen = dict.fromkeys(request.tx.productIds or account.orders)
        found = [order for product_id in chosen for order in account.orders.get(product_id, {}).values()]
        return self._cancel(found, now_ns)

    def _cancel_and_place(self, request: CancelAndPlace, now_ns: int) -> object:
        tx = request.cancel_tx
        account, signer, digests = self.check_cancel(tx, request.cancel_signature, now_ns)
        if parse_sender(request.place_order.order.sender).hex != account.subaccount:
            raise Refusal(2066, "Both parts of cancel_and_place must have the same sender.")
        required = _given(request.required_unfilled_amount)
        found, missing = self._find(tx.productIds, digests, account, required)
        product_id = request.place_order.product_id
        freed = sum(order.product.product_id == product_id for order in found)
        candidate = self._candidate(request.place_order, now_ns, freed=freed, signer=signer)
        self._refuse_crossing(candidate, found)

        unfilled = not missing and all(order.leaves == order.qty for order in found)
        self._engine.cancel_all(found, now_ns)
        if request.place_requires_unfilled is True and not unfilled:
            raise Refusal(2020, "An order to replace had a fill or is not open; nothing was placed.")
        self._place(candidate, now_ns)
        return {"digest": candidate.order.digest}

    # Parts of the above.

    def _candidate(
        self, request: PlaceOrder, now_ns: int, *, freed: int = 0, signer: str | None = None
    ) -> Candidate:
        """Verify an order and check it against the rules; *signer*, if given, must have signed it."""
        candidate = self.verify(request, now_ns, freed=freed, signer=signer)
        admit(candidate, self._engine, self._builders, now_ns)
        return candidate

    def verify(
        self, request: PlaceOrder, now_ns: int, *, freed: int = 0, signer: str | None = None
    ) -> Candidate:
        """Check the form of an order, its signature and its nonce, and nothing else.

        Raises:
            Refusal: With the code of what is wrong.
        """
        market = self._engine.markets.get(request.product_id)
        if market is None:
            raise Refusal(2015, f"There is no market of product {request.product_id}.")
        signed = request.order
        sender = parse_sender(signed.sender)
        appendix = _appendix(signed.appendix)
        hashed = _signed(
            hash_order,
            sender,
            signed.priceX18,
            signed.amount,
            signed.expiration,
            signed.nonce,
            signed.appendix,
        )
        raw_digest = self._domain.order_digest(request.product_id, hashed)
        account, order_signer = self._authority.check(sender, raw_digest, request.signature, now_ns)
        if signer is not None and signer != order_signer:
            raise Refusal(2066, "Both parts of cancel_and_place must have the same signer.")
        digest = "0x" + raw_digest.hex()
        self._authority.check_nonce(signed.nonce, now_ns)
        self._authority.check_fresh(digest, signed.nonce)
        order = LiveOrder(
            account,
            market.product,
            price=int(signed.priceX18),
            amount=int(signed.amount),
            digest=digest,
            order_type=appendix.order_type,
            appendix=int(signed.appendix),
            expiration=int(signed.expiration),
            nonce=int(signed.nonce),
            builder_rate=appendix.builder_fee_rate,
            client_id=_given(request.id),
            signature=request.signature,
            signer=order_signer,
            holder=self._holder(account, appendix, market.product),
            placed_at_s=now_ns // 10**9,
        )
        return Candidate(
            order,
            appendix,
            market,
            _given(request.spot_leverage),
            freed,
            may_borrow_margin=request.borrow_margin is not False,
        )

    def enter(self, candidate: Candidate, now_ns: int) -> None:
        """Place an order that was verified before and has waited for its trigger.

        Raises:
            Refusal: As for any other order.
        """
        admit(candidate, self._engine, self._builders, now_ns)
        self._engine.place(candidate.order, now_ns)

    def _holder(self, account: Account, appendix: Appendix, product: Product) -> Account:
        """Return whose balances an order trades."""
        if appendix.isolated and account.parent is None and product.is_perp:
            return isolated_account(account, product, self._engine.ledger.accounts)
        return account

    def _place(self, candidate: Candidate, now_ns: int) -> None:
        order, engine = candidate.order, self._engine
        self._authority.remember(order.digest, order.nonce, now_ns)
        if order.holder is order.account:
            engine.place(order, now_ns)
            return
        engine.isolate(order.account, order.holder, order.product, order.margin, now_ns)
        try:
            engine.place(order, now_ns)
        except Refusal:
            engine.watch_idle(order.holder)
            engine.release_idle(now_ns)
            raise

    def _refuse_crossing(self, candidate: Candidate, leaving: list[LiveOrder]) -> None:
        """Refuse a post-only replacement before the cancel, so that both happen or neither.

        IOC and FOK are not known to fail before they are tried; their cancel stands.
        """
        order = candidate.order
        if order.order_type is not OrderType.POST_ONLY:
            return
        gone = {resting.digest for resting in leaving}
        facing = candidate.market.book.facing(order.is_bid, order.price)
        if any(resting.digest not in gone for resting in facing):
            raise Refusal(
                2008, "A post-only order must not cross the book, and this one would trade at once."
            )

    def check_cancel_products(self, request: CancelProductOrders, now_ns: int) -> Account:
        """Verify a cancel by products; returns whose orders it is about."""
        sender = parse_sender(request.tx.sender)
        digest = self._domain.digest(
            _signed(hash_cancellation_products, sender, request.tx.productIds, request.tx.nonce)
        )
        account, _ = self._authority.check(sender, digest, request.signature, now_ns)
        self._authority.check_nonce(request.tx.nonce, now_ns)
        return account

    def check_cancel(self, tx: CancelOrdersTx, signature: str, now_ns: int) -> tuple[Account, str, list[str]]:
        """Verify the signed part of a cancel; returns the account, who signed, and the digests."""
        sender = parse_sender(tx.sender)
        if len(tx.productIds) != len(tx.digests):
            raise Refusal(2039, f"{len(tx.productIds)} product ids for {len(tx.digests)} digests.")
        try:
            digests = [parse_bytes32(digest) for digest in tx.digests]
        except UsageError as error:
            raise Refusal(2038, str(error)) from None
        digest = self._domain.digest(_signed(hash_cancellation, sender, tx.productIds, digests, tx.nonce))
        account, signer = self._authority.check(sender, digest, signature, now_ns)
        self._authority.check_nonce(tx.nonce, now_ns)
        return account, signer, ["0x" + raw.hex() for raw in digests]

    def _find(
        self, product_ids: Sequence[int], digests: Sequence[str], account: Account, required: int | None
    ) -> tuple[list[LiveOrder], list[Refusal]]:
        """Look up the orders to cancel; returns those found and why the others were not."""
        found: dict[str, LiveOrder] = {}
        missing: list[Refusal] = []
        for product_id, digest in zip(product_ids, digests, strict=True):
            order = self._engine.orders.get(digest)
            if order is None or digest in found:
                missing.append(Refusal(2020, f"Order with the digest {digest} is not open."))
            elif order.account is not account:
                missing.append(Refusal(2014, f"Order {digest} belongs to another subaccount."))
            elif order.product.product_id != product_id:
                missing.append(Refusal(2074, f"Order {digest} is not of product {product_id}."))
            elif required is not None and order.leaves != abs(required):
                missing.append(Refusal(2020, f"Order {digest} has {order.leaves} left, not {abs(required)}."))
            else:
                found[digest] = order
        return list(found.values()), missing

    def _cancel(self, orders: list[LiveOrder], now_ns: int) -> object:
        cancelled = [order_object(order) for order in orders]
        self._engine.cancel_all(orders, now_ns)
        return {"cancelled_orders": cancelled}


def _given(value: T | UnsetType | None) -> T | None:
    """Read an optional member: missing and ``null`` mean the same."""
    return None if isinstance(value, UnsetType) else value


@lru_cache(maxsize=1024)
def _appendix(number: int) -> Appendix:
    try:
        return Appendix.decode(number)
    except BadAppendix as error:
        raise Refusal(error.code, str(error)) from None


def _signed(hash_struct: Callable[..., bytes], *fields: object) -> bytes:
    """Hash a struct, refusing (2038) numbers that its types do not hold."""
    try:
        return hash_struct(*fields)
    except UsageError as error:
        raise Refusal(2038, str(error)) from None
