"""Signed requests, ready to send: build, sign and encode in one step.

Each function checks its input, signs, and returns a frozen value with the digest (as hex; for an
order it is the order's identity), the signature (the surest key to match an answer by) and the
frame (UTF-8 JSON, complete). Frames are written by hand: every field is an integer or hex checked
here, so nothing needs escaping, and a generic encoder would cost more than the two hashes.

Source: protocol.md 3.4 to 3.9 (executes), 2.3 (authenticate), 6.4 (trigger service).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from nadows.errors import UsageError
from nadows.signing.hashing import (
    MAX_I128,
    MAX_U32,
    MAX_U64,
    Domain,
    Subaccount,
    encode_cancellation,
    encode_cancellation_products,
    encode_link_signer,
    encode_list_trigger_orders,
    encode_order,
    encode_stream_authentication,
    parse_bytes32,
)
from nadows.signing.keys import Signer

__all__ = [
    "MAX_BATCH",
    "SignedCancelAndPlace",
    "SignedCancelOrders",
    "SignedCancelProductOrders",
    "SignedOrder",
    "SignedPlaceOrders",
    "SignedRequest",
    "sign_authenticate",
    "sign_cancel_and_place",
    "sign_cancel_orders",
    "sign_cancel_product_orders",
    "sign_link_signer",
    "sign_list_trigger_orders",
    "sign_order",
    "sign_place_orders",
]

MAX_BATCH: Final = 50
"""Orders in one ``place_orders``; more are refused with code 2111."""

_PLACE_HEAD: Final = b'{"place_order":'


class SignedOrder(NamedTuple):
    """An order, its identity, and the frame that places it."""

    product_id: int
    sender: Subaccount
    price_x18: int
    amount: int
    """Base units x18; negative sells."""
    expiration: int
    """Unix seconds."""
    nonce: int
    appendix: int
    id: int | None
    """The client's own number, not signed, echoed by the venue."""
    spot_leverage: bool | None
    borrow_margin: bool | None
    digest: str
    signature: str
    frame: bytes

    @property
    def body(self) -> bytes:
        """The value of ``place_order`` without its envelope, as batches hold it."""
        return self.frame[len(_PLACE_HEAD) : -1]


class SignedCancelOrders(NamedTuple):
    """A request to cancel orders by digest."""

    sender: Subaccount
    product_ids: tuple[int, ...]
    digests: tuple[str, ...]
    """The orders' digests; pairs up with *product_ids*."""
    nonce: int
    id: int | None
    digest: str
    """Digest of the request itself."""
    signature: str
    frame: bytes
    tx: str
    """The signed part as JSON, which cancel-and-place repeats."""


class SignedCancelProductOrders(NamedTuple):
    """A request to cancel all orders of some products; of all products if there are none."""

    sender: Subaccount
    product_ids: tuple[int, ...]
    nonce: int
    id: int | None
    digest: str
    signature: str
    frame: bytes


class SignedCancelAndPlace(NamedTuple):
    """A request that replaces orders atomically."""

    cancel: SignedCancelOrders
    order: SignedOrder
    frame: bytes

    @property
    def digest(self) -> str:
        """The new order's digest."""
        return self.order.digest

    @property
    def signature(self) -> str:
        """The new order's signature; the cancellation has its own."""
        return self.order.signature


class SignedPlaceOrders(NamedTuple):
    """A request that places several orders of one subaccount."""

    orders: tuple[SignedOrder, ...]
    frame: bytes


class SignedRequest(NamedTuple):
    """Any other signed request."""

    digest: str
    signature: str
    frame: bytes


def sign_order(
    signer: Signer,
    domain: Domain,
    product_id: int,
    sender: Subaccount,
    price_x18: int,
    amount: int,
    expiration: int,
    nonce: int,
    appendix: int,
    *,
    id: int | None = None,
    spot_leverage: bool | None = None,
    borrow_margin: bool | None = None,
) -> SignedOrder:
    """Build, sign and encode one ``place_order``.

    Args:
        signer: The wallet of *sender*, or its linked signer.
        domain: Chain and contracts, from `Network.domain`.
        product_id: What is traded.
        sender: Who trades.
        price_x18: Limit price, x18, a multiple of the product's price increment.
        amount: Base units, x18; negative sells.
        expiration: Unix seconds.
        nonce: From a `NonceSource`; must differ between orders that are otherwise equal.
        appendix: The ``value`` of an `Appendix`.
        id: Client's number, echoed in answers and events; unsigned 64 bits.
        spot_leverage: ``False`` forbids borrowing on spot and weighs 20 instead of 1; leave out on perps
            (code 2019).
        borrow_margin: Whether the cross account may go negative to fund isolated margin.

    Raises:
        UsageError: If a number is no integer or leaves its range; nothing has been signed then.

    Source: protocol.md 3.4; byte-equal to nado-protocol 2.0.0 for its vectors.
    """
    options = ""
    if id is not None:
        options = _id_option(id)
    if spot_leverage is not None:
        options += _bool_option("spot_leverage", spot_leverage)
    if borrow_margin is not None:
        options += _bool_option("borrow_margin", borrow_margin)
    struct = encode_order(sender, price_x18, amount, expiration, nonce, appendix)
    digest, signature = signer.sign_struct(domain, struct, product_id)
    frame = (
        f'{{"place_order":{{"product_id":{product_id:d},"order":{{"sender":"{sender.hex}",'
        f'"priceX18":"{price_x18:d}","amount":"{amount:d}","expiration":"{expiration:d}",'
        f'"nonce":"{nonce:d}","appendix":"{appendix:d}"}},"signature":"{signature}"{options}}}}}'
    ).encode()
    return SignedOrder(
        product_id,
        sender,
        price_x18,
        amount,
        expiration,
        nonce,
        appendix,
        id,
        spot_leverage,
        borrow_margin,
        "0x" + digest.hex(),
        signature,
        frame,
    )


def sign_cancel_orders(
    signer: Signer,
    domain: Domain,
    sender: Subaccount,
    product_ids: Sequence[int],
    digests: Sequence[str],
    nonce: int,
    *,
    id: int | None = None,
    required_unfilled_amount: int | None = None,
) -> SignedCancelOrders:
    """Build, sign and encode one ``cancel_orders``.

    Args:
        signer: The wallet of *sender*, or its linked signer.
        domain: Chain and contracts.
        sender: Whose orders.
        product_ids: The product of each order.
        digests: The digest of each order, hex; as many as *product_ids*.
        nonce: From a `NonceSource`.
        id: Client's number, echoed in the answer.
        required_unfilled_amount: Cancel only if exactly this much (x18, absolute) is unfilled.

    Raises:
        UsageError: If there is no order, the lists differ in length, a digest is not 32 bytes of hex, or a
            number leaves its range.
    """
    if not digests:
        raise UsageError(
            "cancel_orders needs at least one digest; cancel_product_orders takes whole products"
        )
    raw = [parse_bytes32(digest) for digest in digests]
    struct = encode_cancellation(sender, product_ids, raw, nonce)
    options = _id_option(id) + _amount_option(required_unfilled_amount)
    canonical = tuple(["0x" + each.hex() for each in raw])
    listed = '","'.join(canonical)
    tx = (
        f'{{"sender":"{sender.hex}","productIds":{_product_list(product_ids)},'
        f'"digests":["{listed}"],"nonce":"{nonce:d}"}}'
    )
    digest, signature = signer.sign_struct(domain, struct)
    frame = f'{{"cancel_orders":{{"tx":{tx},"signature":"{signature}"{options}}}}}'.encode()
    return SignedCancelOrders(
        sender, tuple(product_ids), canonical, nonce, id, "0x" + digest.hex(), signature, frame, tx
    )


def sign_cancel_product_orders(
    signer: Signer,
    domain: Domain,
    sender: Subaccount,
    product_ids: Sequence[int],
    nonce: int,
    *,
    id: int | None = None,
) -> SignedCancelProductOrders:
    """Build, sign and encode one ``cancel_product_orders``; no product ids means all products (weight 50).

    Raises:
        UsageError: If a number leaves its range.
    """
    struct = encode_cancellation_products(sender, product_ids, nonce)
    options = _id_option(id)
    digest, signature = signer.sign_struct(domain, struct)
    frame = (
        f'{{"cancel_product_orders":{{"tx":{{"sender":"{sender.hex}","productIds":{_product_list(product_ids)},'
        f'"nonce":"{nonce:d}"}},"signature":"{signature}"{options}}}}}'
    ).encode()
    return SignedCancelProductOrders(
        sender, tuple(product_ids), nonce, id, "0x" + digest.hex(), signature, frame
    )


def sign_cancel_and_place(
    cancel: SignedCancelOrders,
    order: SignedOrder,
    *,
    place_requires_unfilled: bool | None = None,
    required_unfilled_amount: int | None = None,
) -> SignedCancelAndPlace:
    """Join a cancellation and an order, both signed, into one ``cancel_and_place``.

    Args:
        cancel: Its own ``id`` and ``required_unfilled_amount`` are not sent.
        order: Of the same sender, signed by the same key.
        place_requires_unfilled: Skip the placement if the old order had a fill or the cancel failed.
        required_unfilled_amount: Cancel only if exactly this much (x18, absolute) is unfilled.

    Raises:
        UsageError: If the senders differ (code 2066) or the nonces do not.
    """
    if cancel.sender != order.sender:
        raise UsageError(
            f"cancel_and_place needs one sender, got {cancel.sender} to cancel and {order.sender} to place"
        )
    if cancel.nonce == order.nonce:
        raise UsageError(f"cancel_and_place needs two nonces, got {order.nonce} twice")
    options = ""
    if place_requires_unfilled is not None:
        options = _bool_option("place_requires_unfilled", place_requires_unfilled)
    options += _amount_option(required_unfilled_amount)
    frame = (
        f'{{"cancel_and_place":{{"cancel_tx":{cancel.tx},"cancel_signature":"{cancel.signature}",'
        f'"place_order":{order.body.decode()}{options}}}}}'
    ).encode()
    return SignedCancelAndPlace(cancel, order, frame)


def sign_place_orders(
    orders: Sequence[SignedOrder], *, stop_on_failure: bool | None = None
) -> SignedPlaceOrders:
    """Join signed orders into one ``place_orders``; each is weighed, checked and answered alone.

    Raises:
        UsageError: If there are none or more than 50 (code 2111), or of several senders (code 2114).
    """
    if not 1 <= len(orders) <= MAX_BATCH:
        raise UsageError(f"place_orders takes 1 to {MAX_BATCH} orders, got {len(orders)}")
    senders = {order.sender for order in orders}
    if len(senders) > 1:
        raise UsageError(
            f"place_orders takes orders of one sender, got {len(senders)}; send one batch for each"
        )
    options = b""
    if stop_on_failure is not None:
        options = _bool_option("stop_on_failure", stop_on_failure).encode()
    bodies = b",".join([order.body for order in orders])
    return SignedPlaceOrders(tuple(orders), b'{"place_orders":{"orders":[' + bodies + b"]" + options + b"}}")


def sign_authenticate(
    signer: Signer, domain: Domain, sender: Subaccount, expiration_ms: int, *, id: int
) -> SignedRequest:
    """Build, sign and encode the subscription socket's ``authenticate``.

    Args:
        signer: The wallet of *sender*; whether a linked signer may is undocumented.
        domain: Chain and contracts.
        sender: Any subaccount of the wallet; one success covers them all.
        expiration_ms: Until when the request may be used, ms since the epoch; at most 100 s ahead.
        id: The request's number, echoed in the ack.

    Raises:
        UsageError: If a number leaves its range.
    """
    struct = encode_stream_authentication(sender, expiration_ms)
    number = _checked_id(id)
    digest, signature = signer.sign_struct(domain, struct)
    frame = (
        f'{{"method":"authenticate","id":{number:d},"tx":{{"sender":"{sender.hex}",'
        f'"expiration":"{expiration_ms:d}"}},"signature":"{signature}"}}'
    ).encode()
    return SignedRequest("0x" + digest.hex(), signature, frame)


def sign_list_trigger_orders(
    signer: Signer,
    domain: Domain,
    sender: Subaccount,
    recv_time_ms: int,
    *,
    product_ids: Sequence[int] = (),
    limit: int | None = None,
) -> SignedRequest:
    """Build, sign and encode the trigger service's ``list_trigger_orders``.

    Args:
        signer: The wallet of *sender*, or its linked signer.
        domain: Chain and contracts.
        sender: Whose orders.
        recv_time_ms: Until when the request may arrive, ms since the epoch.
        product_ids: Only these products; all by default.
        limit: At most so many orders, up to 500; the service's default is 100.

    Raises:
        UsageError: If a number leaves its range.
    """
    if limit is not None and not 1 <= limit <= 500:
        raise UsageError(f"limit must lie between 1 and 500, got {limit}")
    struct = encode_list_trigger_orders(sender, recv_time_ms)
    options = f',"product_ids":{_product_list(product_ids)}' if product_ids else ""
    if limit is not None:
        options += f',"limit":{limit:d}'
    digest, signature = signer.sign_struct(domain, struct)
    frame = (
        f'{{"type":"list_trigger_orders","tx":{{"sender":"{sender.hex}","recvTime":"{recv_time_ms:d}"}},'
        f'"signature":"{signature}"{options}}}'
    ).encode()
    return SignedRequest("0x" + digest.hex(), signature, frame)


def sign_link_signer(
    signer: Signer, domain: Domain, sender: Subaccount, linked: Subaccount, nonce: int
) -> SignedRequest:
    """Build, sign and encode ``link_signer``: let another key sign for *sender*.

    Args:
        signer: The wallet of *sender*.
        domain: Chain and contracts.
        sender: The subaccount that gets a second key.
        linked: The other key's address (the name does not matter); all zeros take the right away.
        nonce: The incrementing ``tx_nonce`` of the ``nonces`` query, not one of a `NonceSource`.

    Raises:
        UsageError: If *nonce* leaves its range.
    """
    struct = encode_link_signer(sender, linked, nonce)
    digest, signature = signer.sign_struct(domain, struct)
    frame = (
        f'{{"link_signer":{{"tx":{{"sender":"{sender.hex}","signer":"{linked.hex}","nonce":"{nonce:d}"}},'
        f'"signature":"{signature}"}}}}'
    ).encode()
    return SignedRequest("0x" + digest.hex(), signature, frame)


def _checked_id(id: object) -> int:
    if not isinstance(id, int) or not 0 <= id <= MAX_U64:
        raise UsageError(f"id must be an unsigned integer of 64 bits, got {id!r}")
    return id


def _id_option(id: int | None) -> str:
    return "" if id is None else f',"id":{_checked_id(id):d}'


def _bool_option(name: str, value: bool) -> str:
    return f',"{name}":{"true" if value else "false"}'


def _amount_option(amount: object) -> str:
    if amount is None:
        return ""
    if not isinstance(amount, int) or not 0 <= amount <= MAX_I128:
        raise UsageError(
            f"required_unfilled_amount must be an x18 integer from 0 to 2**127 - 1, got {amount!r}"
        )
    return f',"required_unfilled_amount":"{amount:d}"'


def _product_list(product_ids: Sequence[object]) -> str:
    numbers = []
    for product_id in product_ids:
        if not isinstance(product_id, int) or not 0 <= product_id <= MAX_U32:
            raise UsageError(f"product_id must be an unsigned integer of 32 bits, got {product_id!r}")
        numbers.append(f"{product_id:d}")
    return f"[{','.join(numbers)}]"
