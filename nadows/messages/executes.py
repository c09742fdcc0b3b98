"""Requests that change something at the gateway. Names and spelling of members are the wire's.

Prices and amounts are x18 (positive buys, negative sells), ``expiration`` is Unix seconds,
``nonce`` is ``recv_time_ms << 20 | random`` for orders and cancellations and a counter for the
rest; every integer of a signed struct travels as a string. Optional members may be missing or
``null``, which mean the same to the venue.

On the wire an execute is ``{"<type>": {...}}``: `encode_execute` and `nadows.messages.gateway`
add and take off that envelope.

Source: protocol.md 3.2 to 3.9 (the venue's Executes pages; member types from the Rust SDK 1.0.0).
"""

from __future__ import annotations

from typing import Final

from nadows.messages.wire import UNSET, ProductId, RequestId, UnsetType, WireStruct, encode
from nadows.units import X18, StrInt

__all__ = [
    "EXECUTES",
    "BurnNlp",
    "BurnNlpTx",
    "CancelAndPlace",
    "CancelOrders",
    "CancelOrdersTx",
    "CancelProductOrders",
    "CancelProductOrdersTx",
    "Execute",
    "LinkSigner",
    "LinkSignerTx",
    "LiquidateSubaccount",
    "LiquidateSubaccountTx",
    "MintNlp",
    "MintNlpTx",
    "Order",
    "PlaceOrder",
    "PlaceOrders",
    "TransferQuote",
    "TransferQuoteTx",
    "WithdrawCollateral",
    "WithdrawCollateralTx",
    "WithdrawCollateralV2",
    "WithdrawCollateralV2Tx",
    "encode_execute",
    "execute_type",
]


class Order(WireStruct, frozen=True):
    """The signed part of an order."""

    sender: str
    """bytes32, hex: 20 bytes of address, 12 of subaccount name."""
    priceX18: X18  # noqa: N815 - the wire's name
    amount: X18
    expiration: StrInt
    nonce: StrInt
    appendix: StrInt


class PlaceOrder(WireStruct, frozen=True):
    """Place one order. Answered by `nadows.messages.PlacedOrder`."""

    product_id: ProductId
    order: Order
    signature: str
    id: RequestId | UnsetType | None = UNSET
    """The client's own number, not signed; comes back in the answer, in events and in order queries."""
    digest: str | UnsetType | None = UNSET
    spot_leverage: bool | UnsetType | None = UNSET
    """Spot only: ``false`` forbids borrowing and weighs 20 instead of 1. On perps it is refused (2019)."""
    borrow_margin: bool | UnsetType | None = UNSET
    """Isolated orders: whether the cross account may go negative to fund the margin."""


class PlaceOrders(WireStruct, frozen=True):
    """Place up to 50 orders of one sender. Answered by `nadows.messages.PlaceOrdersResult`."""

    orders: tuple[PlaceOrder, ...]
    stop_on_failure: bool | UnsetType | None = UNSET


class CancelOrdersTx(WireStruct, frozen=True):
    """The signed part of `CancelOrders` (``Cancellation``). Ids and digests pair up by index."""

    sender: str
    productIds: tuple[ProductId, ...]  # noqa: N815 - the wire's name
    digests: tuple[str, ...]
    nonce: StrInt


class CancelOrders(WireStruct, frozen=True):
    """Cancel orders by digest. Answered by `nadows.messages.CancelledOrders`."""

    tx: CancelOrdersTx
    signature: str
    id: RequestId | UnsetType | None = UNSET
    required_unfilled_amount: X18 | UnsetType | None = UNSET
    """Cancel only if this much is left, absolute."""


class CancelProductOrdersTx(WireStruct, frozen=True):
    """The signed part of `CancelProductOrders` (``CancellationProducts``). No ids: all products."""

    sender: str
    productIds: tuple[ProductId, ...]  # noqa: N815 - the wire's name
    nonce: StrInt


class CancelProductOrders(WireStruct, frozen=True):
    """Cancel all orders of some products. Answered by `nadows.messages.CancelledOrders`."""

    tx: CancelProductOrdersTx
    signature: str
    id: RequestId | UnsetType | None = UNSET
    digest: str | UnsetType | None = UNSET


class CancelAndPlace(WireStruct, frozen=True):
    """Replace orders atomically; sender and signer are the same in both parts. Answered by `PlacedOrder`."""

    cancel_tx: CancelOrdersTx
    cancel_signature: str
    place_order: PlaceOrder
    place_requires_unfilled: bool | UnsetType | None = UNSET
    """Do not place if an old order had a fill or could not be cancelled."""
    required_unfilled_amount: X18 | UnsetType | None = UNSET


class WithdrawCollateralTx(WireStruct, frozen=True):
    """The signed part of `WithdrawCollateral`."""

    sender: str
    productId: ProductId  # noqa: N815 - the wire's name
    amount: StrInt
    nonce: StrInt


class WithdrawCollateral(WireStruct, frozen=True):
    """Withdraw to the wallet."""

    tx: WithdrawCollateralTx
    signature: str
    spot_leverage: bool | UnsetType | None = UNSET


class WithdrawCollateralV2Tx(WireStruct, frozen=True):
    """The signed part of `WithdrawCollateralV2`."""

    sender: str
    productId: ProductId  # noqa: N815 - the wire's name
    amount: StrInt
    nonce: StrInt
    sendTo: str  # noqa: N815 - the wire's name
    appendix: StrInt


class WithdrawCollateralV2(WireStruct, frozen=True):
    """Withdraw to an address of one's choice."""

    tx: WithdrawCollateralV2Tx
    signature: str
    spot_leverage: bool | UnsetType | None = UNSET


class LiquidateSubaccountTx(WireStruct, frozen=True):
    """The signed part of `LiquidateSubaccount`."""

    sender: str
    liquidatee: str
    productId: ProductId  # noqa: N815 - the wire's name
    isEncodedSpread: bool  # noqa: N815 - the wire's name
    amount: X18
    nonce: StrInt


class LiquidateSubaccount(WireStruct, frozen=True):
    """Take over a position of a subaccount that is under maintenance health."""

    tx: LiquidateSubaccountTx
    signature: str


class MintNlpTx(WireStruct, frozen=True):
    """The signed part of `MintNlp`."""

    sender: str
    quoteAmount: X18  # noqa: N815 - the wire's name
    nonce: StrInt


class MintNlp(WireStruct, frozen=True):
    """Put quote into the liquidity pool."""

    tx: MintNlpTx
    signature: str
    spot_leverage: bool | UnsetType | None = UNSET


class BurnNlpTx(WireStruct, frozen=True):
    """The signed part of `BurnNlp`."""

    sender: str
    nlpAmount: X18  # noqa: N815 - the wire's name
    nonce: StrInt


class BurnNlp(WireStruct, frozen=True):
    """Take quote out of the liquidity pool."""

    tx: BurnNlpTx
    signature: str


class LinkSignerTx(WireStruct, frozen=True):
    """The signed part of `LinkSigner`."""

    sender: str
    signer: str
    """bytes32: address and 12 zero bytes; all zero to clear."""
    nonce: StrInt


class LinkSigner(WireStruct, frozen=True):
    """Let another key sign for a subaccount; there is one at a time."""

    tx: LinkSignerTx
    signature: str


class TransferQuoteTx(WireStruct, frozen=True):
    """The signed part of `TransferQuote`."""

    sender: str
    recipient: str
    amount: X18
    """At least 5 USDT0 (2077)."""
    nonce: StrInt


class TransferQuote(WireStruct, frozen=True):
    """Move USDT0 to another subaccount."""

    tx: TransferQuoteTx
    signature: str


Execute = (
    PlaceOrder
    | PlaceOrders
    | CancelOrders
    | CancelProductOrders
    | CancelAndPlace
    | WithdrawCollateral
    | WithdrawCollateralV2
    | LiquidateSubaccount
    | MintNlp
    | BurnNlp
    | LinkSigner
    | TransferQuote
)

EXECUTES: Final[dict[str, type[Execute]]] = {
    "place_order": PlaceOrder,
    "place_orders": PlaceOrders,
    "cancel_orders": CancelOrders,
    "cancel_product_orders": CancelProductOrders,
    "cancel_and_place": CancelAndPlace,
    "withdraw_collateral": WithdrawCollateral,
    "withdraw_collateral_v2": WithdrawCollateralV2,
    "liquidate_subaccount": LiquidateSubaccount,
    "mint_nlp": MintNlp,
    "burn_nlp": BurnNlp,
    "link_signer": LinkSigner,
    "transfer_quote": TransferQuote,
}
"""The envelope's key to the type of what is inside."""
_TYPE_NAMES: Final = {kind: name for name, kind in EXECUTES.items()}


def execute_type(execute: Execute) -> str:
    """Name an execute as the wire does, for example ``place_order``."""
    return _TYPE_NAMES[type(execute)]


def encode_execute(execute: Execute) -> bytes:
    """Write an execute in its envelope, ready to send."""
    return encode({execute_type(execute): execute})
