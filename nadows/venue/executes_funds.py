"""The executes that move money or rights instead of orders; they count up a nonce of their own per wallet.

Source: protocol.md 3.9.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nadows.errors import UsageError
from nadows.messages import executes as do
from nadows.signing import (
    Domain,
    hash_burn_nlp,
    hash_link_signer,
    hash_liquidate_subaccount,
    hash_mint_nlp,
    hash_transfer_quote,
    hash_withdraw_collateral,
    hash_withdraw_collateral_v2,
)
from nadows.units import ONE_X18
from nadows.venue.answers import Json
from nadows.venue.authority import Authority, parse_sender
from nadows.venue.engine import Engine
from nadows.venue.isolated import is_isolated_name
from nadows.venue.ledger import Account
from nadows.venue.liquidation import Liquidation
from nadows.venue.products import PRODUCTS
from nadows.venue.refusal import Refusal
from nadows.venue.treasury import Treasury

__all__ = ["FundExecutes"]

_MAY_LIQUIDATE_SPREADS = "Liquidation of spreads (isEncodedSpread) is not simulated."
_LEAST_VALUE = 5 * ONE_X18


class FundExecutes:
    """Verifies, checks the nonce, and hands on.

    Attributes:
        actions: Type of the request to what does it, given the request and ``now_ns``.
    """

    def __init__(
        self,
        engine: Engine,
        authority: Authority,
        domain: Domain,
        treasury: Treasury,
        liquidation: Liquidation,
    ) -> None:
        self._engine = engine
        self._authority = authority
        self._domain = domain
        self._treasury = treasury
        self._liquidation = liquidation
        self.actions: dict[type[Any], Callable[[Any, int], object]] = {
            do.WithdrawCollateral: self._withdraw,
            do.WithdrawCollateralV2: self._withdraw_v2,
            do.TransferQuote: self._transfer,
            do.MintNlp: self._mint,
            do.BurnNlp: self._burn,
            do.LiquidateSubaccount: self._liquidate,
            do.LinkSigner: self._link_signer,
        }

    def _authorize(
        self, request: Any, now_ns: int, hash_struct: Callable[..., bytes], *fields: object
    ) -> Account:
        """Return the sender's account if signature and nonce are good; the nonce counts on its own."""
        sender = parse_sender(request.tx.sender)
        try:
            hashed = hash_struct(sender, *fields)
        except UsageError as error:
            raise Refusal(2038, str(error)) from None
        account, _ = self._authority.check(sender, self._domain.digest(hashed), request.signature, now_ns)
        expected = self._authority.tx_nonce(sender.address)
        if request.tx.nonce != expected:
            raise Refusal(2022, f"The nonce must be {expected}.")
        return account

    def _done(self, account: Account) -> None:
        self._authority.count_tx(account.address)

    def _withdraw(self, request: do.WithdrawCollateral, now_ns: int) -> None:
        tx = request.tx
        fields = tx.productId, tx.amount, tx.nonce
        account = self._authorize(request, now_ns, hash_withdraw_collateral, *fields)
        self._take_out(request, account, now_ns)

    def _withdraw_v2(self, request: do.WithdrawCollateralV2, now_ns: int) -> None:
        tx = request.tx
        fields = tx.productId, tx.amount, tx.nonce, tx.sendTo, tx.appendix
        account = self._authorize(request, now_ns, hash_withdraw_collateral_v2, *fields)
        self._take_out(request, account, now_ns)

    def _take_out(
        self, request: do.WithdrawCollateral | do.WithdrawCollateralV2, account: Account, now_ns: int
    ) -> None:
        tx = request.tx
        said = _tx(request, product_id=tx.productId, amount=str(tx.amount))
        may_borrow = request.spot_leverage is not False
        self._treasury.withdraw(account, tx.productId, tx.amount, now_ns, may_borrow=may_borrow, tx=said)
        self._done(account)

    def _transfer(self, request: do.TransferQuote, now_ns: int) -> None:
        tx = request.tx
        recipient = parse_sender(tx.recipient)
        account = self._authorize(request, now_ns, hash_transfer_quote, recipient, tx.amount, tx.nonce)
        known = self._engine.ledger.account(recipient.hex)
        if known is None and is_isolated_name(recipient.hex):
            raise Refusal(2024, "There is no such isolated subaccount.")
        said = _tx(request, recipient=recipient.hex, amount=str(tx.amount))
        self._treasury.transfer(account, known or recipient.hex, int(tx.amount), now_ns, said)
        self._done(account)

    def _mint(self, request: do.MintNlp, now_ns: int) -> None:
        tx = request.tx
        account = self._authorize(request, now_ns, hash_mint_nlp, tx.quoteAmount, tx.nonce)
        said = _tx(request, quote_amount=str(tx.quoteAmount))
        may_borrow = request.spot_leverage is not False
        self._treasury.mint(account, int(tx.quoteAmount), now_ns, may_borrow=may_borrow, tx=said)
        self._done(account)

    def _burn(self, request: do.BurnNlp, now_ns: int) -> None:
        tx = request.tx
        account = self._authorize(request, now_ns, hash_burn_nlp, tx.nlpAmount, tx.nonce)
        self._treasury.burn(account, int(tx.nlpAmount), now_ns, _tx(request, nlp_amount=str(tx.nlpAmount)))
        self._done(account)

    def _liquidate(self, request: do.LiquidateSubaccount, now_ns: int) -> None:
        tx = request.tx
        liquidatee = parse_sender(tx.liquidatee)
        fields = liquidatee, tx.productId, tx.isEncodedSpread, tx.amount, tx.nonce
        account = self._authorize(request, now_ns, hash_liquidate_subaccount, *fields)
        if tx.isEncodedSpread:
            raise Refusal(4001, _MAY_LIQUIDATE_SPREADS)
        other = self._engine.ledger.account(liquidatee.hex)
        if other is None:
            raise Refusal(2042, "There is no such account to liquidate.")
        said = _tx(request, liquidatee=liquidatee.hex, mode=0, health_group=0, amount=str(tx.amount))
        self._liquidation.liquidate(account, other, tx.productId, int(tx.amount), now_ns, said)
        self._done(account)

    def _link_signer(self, request: do.LinkSigner, now_ns: int) -> None:
        signer = parse_sender(request.tx.signer)
        # The linked signer may do this too: the contract admits it for LinkSigner, and the official SDK,
        # once a signer is linked, has it sign everything, its own revocation included.
        account = self._authorize(request, now_ns, hash_link_signer, signer, request.tx.nonce)
        ledger = self._engine.ledger
        if sum(ledger.contributions(account, product)[2] for product in PRODUCTS.values()) < _LEAST_VALUE:
            raise Refusal(2025, "Your account must hold a minimum value of 5 USDT0 to link a signer.")
        linked = signer.address if int(signer.address, 16) else None
        self._engine.signers.link(account, linked, now_ns // 10**9)
        self._done(account)


def _tx(request: Any, **said: Any) -> Json:
    """Describe a request as the archive keeps it."""
    return {"sender": parse_sender(request.tx.sender).hex, **said, "nonce": int(request.tx.nonce)}
