"""Answers to the gateway's questions about one account: balances, limits, isolated positions, the pool.

Source: protocol.md 5.1 and 5.4; the pool's shapes from the official Python SDK.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from nadows.errors import MalformedFrame
from nadows.messages import queries as ask
from nadows.messages.wire import IntOrText, WireStruct, decode
from nadows.signing import Appendix, BadAppendix
from nadows.units import ONE_X18, X18
from nadows.venue import answers
from nadows.venue.answers import Json
from nadows.venue.archive_reading import given
from nadows.venue.authority import Authority, parse_sender
from nadows.venue.engine import Engine
from nadows.venue.isolated import is_isolated_name, isolated_account
from nadows.venue.ledger import Account
from nadows.venue.market import Market
from nadows.venue.orders import LiveOrder
from nadows.venue.products import NLP_ID, PRODUCTS, QUOTE_ID, Kind, Product
from nadows.venue.refusal import Refusal
from nadows.venue.rules import Candidate, admit
from nadows.venue.treasury import Treasury

__all__ = ["AccountQueries"]

_ZERO_ADDRESS: Final = "0x" + "00" * 20
_MOST_STEPS: Final = 1 << 64
"""More size steps than any account can pay for."""
_MOST_DELTAS: Final = 100
_ORDER_WORDS: Final = 6
"""Of an ABI-encoded order: sender, price, amount, expiration, nonce, appendix."""


class _Delta(WireStruct, frozen=True):
    product_id: IntOrText
    subaccount: str
    amount_delta: X18
    v_quote_delta: X18


class _DeltaTx(WireStruct, frozen=True):
    apply_delta: _Delta


class AccountQueries:
    """Reads accounts; changes nothing, but for funding a wallet that asks for its balance.

    Attributes:
        answers: Type of the question to what answers it, given the question and ``now_ns``.
    """

    def __init__(
        self, engine: Engine, authority: Authority, treasury: Treasury, builders: frozenset[int]
    ) -> None:
        self._engine = engine
        self._ledger = engine.ledger
        self._authority = authority
        self._treasury = treasury
        self._builders = builders
        self.answers: dict[type[Any], Callable[[Any, int], object]] = {
            ask.SubaccountInfoQuery: self._subaccount_info,
            ask.IsolatedPositionsQuery: self._isolated_positions,
            ask.FeeRatesQuery: self._fee_rates,
            ask.MaxOrderSizeQuery: self._max_order_size,
            ask.MaxWithdrawableQuery: self._max_withdrawable,
            ask.LinkedSignerQuery: self._linked_signer,
            ask.ValidateOrderQuery: self._validate_order,
            ask.MaxNlpMintableQuery: self._max_nlp_mintable,
            ask.MaxNlpBurnableQuery: self._max_nlp_burnable,
            ask.NlpPoolInfoQuery: self._nlp_pool_info,
            ask.CachedNlpPoolInfoQuery: self._nlp_pool_info,
            ask.NlpLockedBalancesQuery: self._nlp_locked_balances,
        }

    def _account(self, text: str, now_ns: int) -> tuple[str, Account | None]:
        sender = parse_sender(text)
        if self._engine.switches.funded_on_query and not is_isolated_name(sender.hex):
            return sender.hex, self._authority.account(sender, now_ns)
        return sender.hex, self._ledger.account(sender.hex)

    def _known(self, text: str) -> Account | None:
        return self._ledger.account(parse_sender(text).hex)

    def _market(self, product_id: int) -> Market:
        market = self._engine.markets.get(product_id)
        if market is None:
            raise Refusal(2015, f"There is no market of product {int(product_id)}.")
        return market

    # Balances.

    def _subaccount_info(self, query: ask.SubaccountInfoQuery, now_ns: int) -> Json:
        subaccount, account = self._account(query.subaccount, now_ns)
        text = given(query.txns)
        if not text:
            return answers.subaccount_info(self._engine, subaccount, account)
        supposed = self._suppose(account or Account(subaccount), text)
        info = answers.subaccount_info(self._engine, subaccount, supposed) | {"exists": account is not None}
        if _flag(query.pre_state):
            before = answers.subaccount_info(self._engine, subaccount, account)
            members = ("healths", "health_contributions", "spot_balances", "perp_balances")
            info["pre_state"] = {member: before[member] for member in members}
        return info

    def _suppose(self, account: Account, text: str) -> Account:
        """Return a copy of an account as it would be after the transactions that *text* lists."""
        try:
            deltas = [tx.apply_delta for tx in decode(text, tuple[_DeltaTx, ...])]
        except MalformedFrame as error:
            raise Refusal(1005, f"txns must be a list of apply_delta: {error.reason}") from None
        if len(deltas) > _MOST_DELTAS:
            raise Refusal(1005, f"txns may hold {_MOST_DELTAS} transactions, got {len(deltas)}.")
        copy = account.copy()
        for delta in deltas:
            product = PRODUCTS.get(delta.product_id)
            if product is None:
                raise Refusal(2016, f"There is no product {int(delta.product_id)}.")
            if parse_sender(delta.subaccount).hex == account.subaccount:
                copy.suppose(product, int(delta.amount_delta), int(delta.v_quote_delta))
        return copy

    def _isolated_positions(self, query: ask.IsolatedPositionsQuery, now_ns: int) -> Json:
        account = self._known(query.subaccount)
        children = {} if account is None else account.isolated
        return {
            "isolated_positions": [
                answers.isolated_position(self._engine, child, PRODUCTS[product_id])
                for product_id, child in children.items()
            ]
        }

    def _linked_signer(self, query: ask.LinkedSignerQuery, now_ns: int) -> Json:
        account = self._known(query.subaccount)
        linked = None if account is None else account.linked_signer
        return {"linked_signer": linked or _ZERO_ADDRESS}

    def _fee_rates(self, query: ask.FeeRatesQuery, now_ns: int) -> Json:
        account = self._known(query.sender)
        return answers.fee_rates(0 if account is None else account.fee_tier)

    # How much is possible.

    def _max_order_size(self, query: ask.MaxOrderSizeQuery, now_ns: int) -> Json:
        product = self._market(query.product_id).product
        if query.direction not in ("long", "short"):
            raise Refusal(1005, f"direction must be long or short, got {query.direction!r}.")
        if query.price_x18 <= 0:
            raise Refusal(2055, "price_x18 must be positive.")
        _, account = self._account(query.sender, now_ns)
        if account is not None and _flag(query.isolated) and product.is_perp:
            account = isolated_account(account, product, self._ledger.accounts)
        long = query.direction == "long"
        size = 0 if account is None else self._largest(account, product, query.price_x18, long)
        if account is not None and _flag(query.reduce_only):
            held, _ = account.balance(product)
            size = min(size, max(0, -held if long else held))
        return {"max_order_size": str(size - size % product.size_increment)}

    def _largest(self, account: Account, product: Product, price: int, long: bool) -> int:
        """Find by bisection the largest size that leaves initial health at zero or above."""
        low, high = 0, _MOST_STEPS
        while high - low > 1:
            middle = (low + high) // 2
            base = middle * product.size_increment * (1 if long else -1)
            quote = -base * price // ONE_X18
            if self._ledger.health(account, product_id=product.product_id, base=base, quote=quote) >= 0:
                low = middle
            else:
                high = middle
        return low * product.size_increment

    def _max_withdrawable(self, query: ask.MaxWithdrawableQuery, now_ns: int) -> Json:
        product = PRODUCTS.get(query.product_id)
        if product is None or product.is_perp or product.kind is Kind.POOL:
            raise Refusal(2016, f"Product {int(query.product_id)} has no token to withdraw.")
        _, account = self._account(query.sender, now_ns)
        if account is None:
            return {"max_withdrawable": "0"}
        may_borrow = query.spot_leverage is True or query.spot_leverage == "true"
        amount = self._treasury.givable(account, product, may_borrow=may_borrow)
        if product.product_id == QUOTE_ID:
            amount = max(0, amount - answers.WITHDRAW_FEE)
        return {"max_withdrawable": str(amount)}

    def _validate_order(self, query: ask.ValidateOrderQuery, now_ns: int) -> Json:
        market = self._market(query.product_id)
        valid = self._is_admissible(query.order, market, now_ns)
        return {"product_id": int(query.product_id), "order": query.order, "valid": valid}

    def _is_admissible(self, text: str, market: Market, now_ns: int) -> bool:
        """Whether an ABI-encoded order would be admitted, its signature aside."""
        try:
            words = bytes.fromhex(text.removeprefix("0x"))
            sender, price, amount, expiration, nonce, appendix = (
                words[at : at + 32] for at in range(0, 32 * _ORDER_WORDS, 32)
            )
            options = Appendix.decode(int.from_bytes(appendix))
        except (ValueError, BadAppendix):
            return False
        account = self._ledger.account("0x" + sender.hex())
        if account is None or len(appendix) != 32:
            return False
        order = LiveOrder(
            account,
            market.product,
            price=int.from_bytes(price, signed=True),
            amount=int.from_bytes(amount, signed=True),
            digest="",
            order_type=options.order_type,
            appendix=options.value,
            expiration=int.from_bytes(expiration),
        )
        try:
            self._authority.check_nonce(int.from_bytes(nonce), now_ns)
            admit(Candidate(order, options, market, None), self._engine, self._builders, now_ns)
        except Refusal:
            return False
        return True

    # The pool.

    def _max_nlp_mintable(self, query: ask.MaxNlpMintableQuery, now_ns: int) -> Json:
        _, account = self._account(query.sender, now_ns)
        may_borrow = given(query.spot_leverage) is None or _flag(query.spot_leverage)
        quote = PRODUCTS[QUOTE_ID]
        most = 0 if account is None else self._treasury.givable(account, quote, may_borrow=may_borrow)
        # The official SDK's model is that of the time when there were pools of two products.
        return {"max_base_amount": "0", "max_quote_amount": str(most)}

    def _max_nlp_burnable(self, query: ask.MaxNlpBurnableQuery, now_ns: int) -> Json:
        account = self._known(query.sender)
        most = 0 if account is None else self._treasury.burnable(account, now_ns // 10**9)
        return {"max_nlp_amount": str(most)}

    def _nlp_pool_info(self, query: object, now_ns: int) -> Json:
        pool = self._treasury.pool
        return {
            "nlp_pools": [
                {
                    "pool_id": 1,
                    "subaccount": pool.subaccount,
                    "owner": pool.address,
                    "balance_weight_x18": str(ONE_X18),
                    "subaccount_info": answers.subaccount_info(self._engine, pool.subaccount, pool),
                    "open_orders": [],
                }
            ]
        }

    def _nlp_locked_balances(self, query: ask.NlpLockedBalancesQuery, now_ns: int) -> Json:
        account = self._known(query.subaccount)
        locked = [] if account is None else self._treasury.locked(account, now_ns // 10**9)
        free = 0 if account is None else self._treasury.burnable(account, now_ns // 10**9)
        return {
            "balance_locked": _nlp(sum(amount for _, amount in locked)),
            "balance_unlocked": _nlp(free),
            "locked_balances": [
                {"balance": _nlp(amount), "unlocked_at": str(unlocked_s)} for unlocked_s, amount in locked
            ],
        }


def _nlp(amount: int) -> Json:
    return {"product_id": NLP_ID, "balance": {"amount": str(amount)}}


def _flag(value: object) -> bool:
    """Read a boolean that may come as text."""
    return value is True or value == "true"
