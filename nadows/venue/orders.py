"""An order as the venue keeps it: the book's link plus what was signed and what became of it."""

from __future__ import annotations

from typing import Final

from nadows.signing import OrderType
from nadows.units import ONE_X18
from nadows.venue.ledger import Account
from nadows.venue.matching import Order
from nadows.venue.products import Product

__all__ = ["MARGIN_UNIT", "NEVER_S", "LiveOrder"]

NEVER_S: Final = 2**32 - 1
"""The expiration that clients use for "never", seconds."""

MARGIN_UNIT: Final = 10**12
"""The appendix counts isolated margin in millionths of USDT0."""

_NO_SIGNATURE: Final = "0x" + "00" * 65


class LiveOrder(Order):
    """One order, from its admission on; it stays as it is after it left the book.

    Attributes:
        account: Whose order it is: who sent it, sees it and may cancel it.
        holder: Whose balances it trades: the account's, or those of its isolated subaccount.
        product: What it trades.
        digest: Its identity, 0x and 64 hex digits.
        qty: Its original size, x18, absolute.
        expiration: Unix seconds.
        nonce: As signed.
        appendix: As signed.
        order_type: Read from the appendix.
        builder_rate: Builder fee in units of 0.1 basis points.
        client_id: The client's own number, if any.
        signature: As received.
        signer: Address of who signed it; the account's own, or its linked signer's.
        placed_at_s: When it arrived, Unix seconds.
        base_filled: Signed base traded so far.
        quote_filled: Signed quote traded so far, net of fees.
        matched_quote: Absolute quote traded so far, before fees.
        fee: Fees paid so far.
    """

    __slots__ = (
        "account",
        "appendix",
        "base_filled",
        "builder_rate",
        "client_id",
        "digest",
        "expiration",
        "fee",
        "holder",
        "matched_quote",
        "nonce",
        "order_type",
        "placed_at_s",
        "product",
        "qty",
        "quote_filled",
        "signature",
        "signer",
    )

    def __init__(
        self,
        account: Account,
        product: Product,
        *,
        price: int,
        amount: int,
        digest: str,
        order_type: OrderType = OrderType.DEFAULT,
        appendix: int = 1,
        expiration: int = NEVER_S,
        nonce: int = 0,
        builder_rate: int = 0,
        client_id: int | None = None,
        signature: str = _NO_SIGNATURE,
        signer: str | None = None,
        holder: Account | None = None,
        placed_at_s: int = 0,
    ) -> None:
        super().__init__(account, amount > 0, price, abs(amount))
        self.account = account
        self.holder = account if holder is None else holder
        self.product = product
        self.digest = digest
        self.qty = self.leaves
        self.expiration = expiration
        self.nonce = nonce
        self.appendix = appendix
        self.order_type = order_type
        self.builder_rate = builder_rate
        self.client_id = client_id
        self.signature = signature
        self.signer = account.address if signer is None else signer
        self.placed_at_s = placed_at_s
        self.base_filled = 0
        self.quote_filled = 0
        self.matched_quote = 0
        self.fee = 0

    @property
    def sign(self) -> int:
        """1 for a buy, -1 for a sell."""
        return 1 if self.is_bid else -1

    @property
    def amount(self) -> int:
        """The size as signed: negative for a sell."""
        return self.qty if self.is_bid else -self.qty

    @property
    def is_isolated(self) -> bool:
        """Whether it trades the balances of an isolated subaccount."""
        return self.holder.parent is not None

    @property
    def margin(self) -> int:
        """The isolated margin that it brings, x18; 0 for all other orders."""
        return (self.appendix >> 64) * MARGIN_UNIT if self.appendix >> 8 & 1 else 0

    def quote_change(self, qty: int, price: int) -> int:
        """Return the quote received (negative: given) for trading *qty* at *price*, before fees."""
        value = qty * price // ONE_X18
        return -value if self.is_bid else value
