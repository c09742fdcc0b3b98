"""The matching engine: one transaction after another, each with its instant, its bookings and its events.

Events of one match leave in the order trade, fill (both sides), order_update (both), position_change
(both); the new best bid and offer follows once, after the whole transaction, and the depth with the next
50 ms batch. All events of a transaction carry its instant. Source: protocol.md 2.5 and 9.2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple

from nadows.signing import OrderType
from nadows.venue import event_frames, fees
from nadows.venue.archive import Archive, BalanceChange, Match, MatchSide
from nadows.venue.candles import GRANULARITIES
from nadows.venue.expiry import Expiry
from nadows.venue.feed import Feed, Topic
from nadows.venue.ledger import Account, Ledger
from nadows.venue.market import Market
from nadows.venue.orders import LiveOrder
from nadows.venue.products import FEE_TIERS, PRODUCTS, QUOTE_ID, Product, tradable
from nadows.venue.refusal import Refusal
from nadows.venue.signers import LinkedSigners
from nadows.venue.switches import Switches

__all__ = ["FIRST_SUBMISSION_IDX", "Engine", "Move"]

FIRST_SUBMISSION_IDX: Final = 1_000_000


class Move(NamedTuple):
    """What a transaction does to one balance: amount, and for a perpetual its virtual quote; signed x18."""

    account: Account
    product_id: int
    amount: int
    v_quote: int = 0


class Engine:
    """Markets, accounts and open orders.

    Every method that takes ``now_ns`` is one transaction (or none, when it refuses).

    Attributes:
        oracle: Oracle price by product, x18. The flow moves it.
        after_user: Called after a user's transaction changed a book, with the market and ``now_ns``; this is
            how standing quotes replenish themselves.
    """

    def __init__(self, feed: Feed, archive: Archive, switches: Switches, now_ns: int) -> None:
        self.feed = feed
        self.archive = archive
        self.switches = switches
        self.oracle = {product.product_id: int(product.start_price) for product in PRODUCTS.values()}
        self.ledger = Ledger(self.oracle)
        self.markets = {product.product_id: Market(product, now_ns) for product in tradable()}
        self.orders: dict[str, LiveOrder] = {}
        """Open orders of users by digest; the house's are only in the book."""
        self.expiry = Expiry()
        self.signers = LinkedSigners()
        self.ts = now_ns
        """Instant of the newest transaction, ns."""
        self.submission_idx = FIRST_SUBMISSION_IDX
        self.after_user: Callable[[Market, int], None] | None = None
        self._house_orders = 0
        # Isolated subaccounts that may have nothing left to hold margin for, since the transaction began.
        self._idle: dict[Account, None] = {}

    def stamp(self, now_ns: int) -> int:
        """Begin a transaction: return its instant, later than that of the one before."""
        self.ts = now_ns if now_ns > self.ts else self.ts + 1
        return self.ts

    def fund(self, subaccount: str, now_ns: int, amount: int) -> Account:
        """Create the account with paper money in it."""
        account = self.ledger.open(subaccount)
        account.created_s = now_ns // 10**9
        self.ledger.let_in(QUOTE_ID, amount)
        tx = {"sender": subaccount, "product_id": QUOTE_ID, "amount": str(amount)}
        self.transact("deposit_collateral", [Move(account, QUOTE_ID, amount)], tx, now_ns)
        return account

    def transact(
        self, kind: str, moves: Iterable[Move], tx: dict[str, Any], now_ns: int, *, reason: str | None = None
    ) -> int:
        """Change balances by something other than a match, all in one transaction, and tell of it.

        Args:
            kind: Why, as `events` spells it.
            moves: What changes; the caller sees to it that money is conserved.
            tx: What the transaction said, for the archive.
            now_ns: The venue's clock.
            reason: Why, as `position_change` spells it; *kind* by default.

        Returns:
            The transaction's instant, ns.
        """
        ts = self.stamp(now_ns)
        self.submission_idx += 1
        for account, product_id, amount, v_quote in moves:
            product = PRODUCTS[product_id]
            pre = account.balance(product)
            self.ledger.move(account, product, amount, v_quote)
            post = account.balance(product)
            if not account.house:
                change = BalanceChange(self.submission_idx, ts, kind, account, product, pre, post, {kind: tx})
                self.archive.changes.append(change)
            self._tell_balance(ts, account, product_id, *post, reason or kind)
        return ts

    def isolate(self, parent: Account, child: Account, product: Product, margin: int, now_ns: int) -> None:
        """Put margin into an isolated subaccount, entering it in the books if it is new."""
        product_id = product.product_id
        if product_id not in parent.isolated:
            child.created_s = now_ns // 10**9
            parent.isolated[product_id] = self.ledger.accounts[child.subaccount] = child
        if not margin:
            return
        tx = {"sender": parent.subaccount, "product_id": product_id, "amount": str(margin)}
        moves = [Move(parent, QUOTE_ID, -margin), Move(child, QUOTE_ID, margin)]
        self.transact("create_isolated_subaccount", moves, tx, now_ns, reason="transfer_quote")

    def release_idle(self, now_ns: int) -> None:
        """Close the isolated subaccounts that hold no position and back no order any more.

        What they have goes to their parents.
        """
        idle, self._idle = self._idle, {}
        for child in idle:
            parent = child.parent
            if parent is None or child.subaccount not in self.ledger.accounts:
                continue
            held = any(position.amount for position in child.perps.values())
            backed = (order for orders in parent.orders.values() for order in orders.values())
            if held or any(child.orders.values()) or any(order.holder is child for order in backed):
                continue
            self.ledger.settle(child)
            quote = child.spots[QUOTE_ID]
            # Isolated margin is all that its position can lose.
            returned = quote + self.ledger.claim_insurance(-quote)
            moves = [Move(child, QUOTE_ID, -quote), Move(parent, QUOTE_ID, returned)]
            tx = {"subaccount": child.subaccount, "amount": str(quote)}
            self.transact("close_isolated_subaccount", moves, tx, now_ns, reason="transfer_quote")
            del self.ledger.accounts[child.subaccount]
            parent.isolated = {number: each for number, each in parent.isolated.items() if each is not child}

    def watch_idle(self, account: Account) -> None:
        """Have `release_idle` look at an account, if it is an isolated one."""
        if account.parent is not None:
            self._idle[account] = None

    def house_order(
        self, account: Account, product: Product, price: int, amount: int, order_type: OrderType
    ) -> LiveOrder:
        """Make an order that nobody signed; *amount* is signed. It goes to `place` like any other."""
        self._house_orders += 1
        digest = f"0x{self._house_orders:064x}"
        return LiveOrder(account, product, price=price, amount=amount, digest=digest, order_type=order_type)

    def place(self, order: LiveOrder, now_ns: int) -> None:
        """Take an admitted order: match it, then rest or cancel what is left.

        Raises:
            Refusal: If its type forbids what would happen (2008, 2031, 2056, 2073). For IOC and FOK the
                ``(0, cancelled)`` event is sent all the same (protocol.md 2.5).
        """
        market = self.markets[order.product.product_id]
        if order.order_type is OrderType.POST_ONLY and market.book.crosses(order.is_bid, order.price):
            raise Refusal(
                2008, "A post-only order must not cross the book, and this one would trade at once."
            )
        if self.switches.own_match_is_refused and self._meets_own(order, market):
            raise Refusal(2073, "The order would trade with another order of the same subaccount.")
        ts = self.stamp(now_ns)
        if order.order_type is OrderType.FOK and not self._fills_whole(order, market):
            self._tell_update(ts, order, 0, "cancelled")
            raise Refusal(2031, "A fill-or-kill order must fill whole, and the book does not hold enough.")

        met, traded = self._match(order, market, ts)
        rests = order.leaves > 0 and order.order_type not in (OrderType.IOC, OrderType.FOK)
        if rests:
            self._rest(order, market, ts)
        elif order.leaves:
            self._tell_update(ts, order, 0, "cancelled")
        if met or rests:
            self._finish(market, ts)
        if self._idle:
            self.release_idle(now_ns)
        if met and self.after_user is not None and not order.account.house:
            self.after_user(market, now_ns)
        if order.order_type is OrderType.IOC and not traded:
            raise Refusal(2056, "An immediate-or-cancel order must cross the book, and this one does not.")

    def refill(self, order: LiveOrder, qty: int, now_ns: int) -> None:
        """Let a resting house order grow by *qty*, keeping its place in the queue."""
        market = self.markets[order.product.product_id]
        ts = self.stamp(now_ns)
        market.book.grow(order, qty)
        order.qty += qty
        self._finish(market, ts)

    def cancel(self, order: LiveOrder, now_ns: int) -> None:
        """Take an open order out of the book."""
        self.cancel_all([order], now_ns)

    def cancel_all(self, orders: list[LiveOrder], now_ns: int) -> None:
        """Cancel several orders in one transaction; nothing happens for none."""
        if not orders:
            return
        ts = self.stamp(now_ns)
        markets: dict[int, Market] = {}
        for order in orders:
            market = self.markets[order.product.product_id]
            markets[order.product.product_id] = market
            market.book.remove(order)
            self._forget(order)
            self._tell_update(ts, order, 0, "cancelled")
        if self._idle:
            self.release_idle(now_ns)
        for market in markets.values():
            self._finish(market, ts)
            if self.after_user is not None:
                self.after_user(market, now_ns)

    def expire(self, now_ns: int) -> None:
        """Cancel the orders whose expiration has passed."""
        self.cancel_all(self.expiry.due(now_ns // 10**9), now_ns)

    def publish_depth(self) -> None:
        """Send what changed in each book since the last call: the 50 ms batch."""
        for product_id, market in self.markets.items():
            batch = market.take_batch()
            if batch is None:
                continue
            audience = self.feed.audience(Topic("book_depth", product_id))
            if audience is not None:
                span = (batch.last_max_ns, batch.min_ns, batch.max_ns)
                frame = event_frames.book_depth(product_id, span, batch.bids, batch.asks)
                self.feed.publish(frame, audience)

    # The parts of a transaction.

    def _match(self, taker: LiveOrder, market: Market, ts: int) -> tuple[bool, bool]:
        """Trade *taker* as far as it goes; returns whether it met anybody, and whether it traded."""

        def vetoed(maker: LiveOrder, qty: int) -> bool:
            return maker.account is taker.account or not self._can_pay(maker, qty, 0, 0)

        met = traded = False
        for maker, qty in market.book.match(taker, vetoed):
            met = True
            if qty:
                self._settle(market, ts, taker, maker, qty)
                traded = True
            else:
                self._forget(maker)
                self._tell_update(ts, maker, 0, "cancelled")
        return met, traded

    def _can_pay(self, maker: LiveOrder, qty: int, base: int, quote: int) -> bool:
        """Whether a maker stays healthy when *qty* is filled, having traded *base* for *quote* just before.

        Initial health must not be negative afterwards, unless the fill improves it.
        """
        account, product_id = maker.holder, maker.product.product_id
        if account.house:
            return True
        before = self.ledger.health(account, product_id=product_id, base=base, quote=quote)
        after = self.ledger.health(
            account,
            product_id=product_id,
            base=base + maker.sign * qty,
            quote=quote + maker.quote_change(qty, maker.price),
        )
        return after >= min(0, before)

    def _meets_own(self, order: LiveOrder, market: Market) -> bool:
        wanted = order.leaves
        for maker in market.book.facing(order.is_bid, order.price):
            if maker.account is order.account:
                return True
            wanted -= maker.leaves
            if wanted <= 0:
                break
        return False

    def _fills_whole(self, order: LiveOrder, market: Market) -> bool:
        """Go through what `_match` would do, without doing it."""
        wanted = order.leaves
        moved: dict[Account, tuple[int, int]] = {}
        for maker in market.book.facing(order.is_bid, order.price):
            qty = min(maker.leaves, wanted)
            base, quote = moved.get(maker.holder, (0, 0))
            if maker.account is order.account or not self._can_pay(maker, qty, base, quote):
                continue
            moved[maker.holder] = (base + maker.sign * qty, quote + maker.quote_change(qty, maker.price))
            wanted -= qty
            if not wanted:
                return True
        return False

    def _settle(self, market: Market, ts: int, taker: LiveOrder, maker: LiveOrder, qty: int) -> None:
        """Book one match and tell of it."""
        self.submission_idx += 1
        product, price = market.product, maker.price
        value = fees.notional(price, qty)
        sides = [
            self._book(taker, qty, price, self._taker_fee(taker, value), value, is_taker=True),
            self._book(maker, qty, price, self._maker_fee(maker, value), value, is_taker=False),
        ]
        self.archive.record(Match(self.submission_idx, ts, product, sides[0], sides[1]))
        market.last_price = price
        market.trades += 1
        market.traded += qty
        market.traded_value += value
        market.candles.add(ts // 10**9, price, qty, value, self.submission_idx)
        if not maker.leaves:
            self._forget(maker)

        audience = self.feed.audience(Topic("trade", product.product_id))
        if audience is not None:
            frame = event_frames.trade(ts, product.product_id, price, qty, taker.is_bid)
            self.feed.publish(frame, audience)
        watched = [side for side in sides if self.feed.watches(side.order.account.subaccount)]
        for side in watched:
            self._tell_fill(ts, side, qty, price)
        for side in watched:
            self._tell_update(ts, side.order, side.order.leaves, "filled", (qty, price))
        for side in watched:
            self._tell_position(ts, side)
        if self.feed.listens("latest_candlestick"):
            self._tell_candles(market)

    def _taker_fee(self, order: LiveOrder, value: int) -> int:
        product = order.product
        return fees.taker_fee(
            value,
            FEE_TIERS[order.account.fee_tier][1],
            order.is_bid,
            matched=order.matched_quote,
            min_size=product.min_size,
        )

    def _maker_fee(self, order: LiveOrder, value: int) -> int:
        return fees.maker_fee(value, FEE_TIERS[order.account.fee_tier][0], order.is_bid)

    def _book(
        self, order: LiveOrder, qty: int, price: int, fee: int, value: int, *, is_taker: bool
    ) -> MatchSide:
        """Move the money of one side and count it in the order's totals."""
        builder_fee = fees.builder_fee(value, order.builder_rate)
        base, quote = order.sign * qty, order.quote_change(qty, price)
        booking = self.ledger.book(order.holder, order.product, base, quote, fee + builder_fee)
        if order.holder is not order.account or order.holder.parent is not None:
            self._idle[order.holder] = None
        order.matched_quote += value
        order.base_filled += base
        order.quote_filled += booking.quote
        order.fee += fee
        return MatchSide(
            order, booking, fee, builder_fee, order.fee, order.base_filled, order.quote_filled, is_taker
        )

    def _rest(self, order: LiveOrder, market: Market, ts: int) -> None:
        market.book.add(order)
        if order.account.house:
            return
        self.orders[order.digest] = order
        order.account.orders.setdefault(order.product.product_id, {})[order.digest] = order
        self.expiry.add(order)
        self._tell_update(ts, order, order.leaves, "placed")

    def _forget(self, order: LiveOrder) -> None:
        """Drop an order that is out of the book from the lists of open orders."""
        if self.orders.pop(order.digest, None) is not None:
            del order.account.orders[order.product.product_id][order.digest]
            self.expiry.discard(order)
            self.watch_idle(order.holder)

    def _finish(self, market: Market, ts: int) -> None:
        """End a transaction that changed the book of *market*: tell of a new top."""
        market.touch(ts)
        top = market.new_top()
        if top is not None:
            audience = self.feed.audience(Topic("best_bid_offer", market.product.product_id))
            if audience is not None:
                bid, ask = (top.bid_price, top.bid_qty), (top.ask_price, top.ask_qty)
                frame = event_frames.best_bid_offer(ts, market.product.product_id, bid, ask)
                self.feed.publish(frame, audience)

    # Events.

    def _shown(self, order: LiveOrder, qty: int) -> int:
        return qty * order.sign if self.switches.signed_quantities else qty

    def _tell_update(
        self, ts: int, order: LiveOrder, amount: int, reason: str, match: tuple[int, int] | None = None
    ) -> None:
        subaccount = order.account.subaccount
        if not self.feed.watches(subaccount):
            return
        product_id = order.product.product_id
        audience = self.feed.audience(*_account_topics("order_update", product_id, subaccount))
        if audience is not None:
            if match is not None and self.switches.fill_fields_in_order_update:
                match = (self._shown(order, match[0]), match[1])
            else:
                match = None
            frame = event_frames.order_update(
                ts,
                product_id,
                order.digest,
                self._shown(order, amount),
                reason,
                filled=match,
                client_id=order.client_id,
            )
            self.feed.publish(frame, audience)

    def _tell_fill(self, ts: int, side: MatchSide, qty: int, price: int) -> None:
        order = side.order
        product_id = order.product.product_id
        audience = self.feed.audience(*_account_topics("fill", product_id, order.account.subaccount))
        if audience is None:
            return
        idx = (
            f'"{self.submission_idx}"' if self.switches.submission_idx_as_string else str(self.submission_idx)
        )
        frame = event_frames.fill(
            ts,
            product_id,
            order.account.subaccount,
            order.digest,
            order.appendix,
            (self._shown(order, qty), self._shown(order, order.leaves), self._shown(order, order.qty)),
            price,
            is_taker=side.is_taker,
            is_bid=order.is_bid,
            fee=side.fee + side.builder_fee,
            submission_idx=idx,
            client_id=order.client_id,
        )
        self.feed.publish(frame, audience)

    def _tell_position(self, ts: int, side: MatchSide) -> None:
        account, product, booking = side.order.holder, side.order.product, side.booking
        v_quote = booking.post_quote if product.is_perp else 0
        self._tell_balance(ts, account, product.product_id, booking.post_amount, v_quote, "match_orders")
        if not product.is_perp:
            self._tell_balance(ts, account, QUOTE_ID, booking.post_quote, 0, "match_orders")

    def _tell_balance(
        self, ts: int, account: Account, product_id: int, amount: int, v_quote: int, reason: str
    ) -> None:
        audience = self.feed.audience(*_account_topics("position_change", product_id, account.shown))
        if audience is not None:
            isolated = account.parent is not None
            frame = event_frames.position_change(
                ts, product_id, account.shown, amount, v_quote, reason, isolated=isolated
            )
            self.feed.publish(frame, audience)

    def _tell_candles(self, market: Market) -> None:
        """Send the forming bars."""
        product_id = market.product.product_id
        for granularity in GRANULARITIES:
            topic = Topic("latest_candlestick", product_id, None, granularity)
            audience, bar = self.feed.audience(topic), market.candles.forming(granularity)
            if not audience or bar is None:
                continue
            start = str(bar.start * 1000) if self.switches.numeric_candle_time else f'"{bar.start}"'
            prices = (bar.open, bar.high, bar.low, bar.close)
            frame = event_frames.latest_candlestick(start, product_id, granularity, prices, bar.volume)
            self.feed.publish(frame, audience)


def _account_topics(type_: str, product_id: int, subaccount: str) -> tuple[Topic, Topic]:
    """The two topics by which an event of a subaccount is reached: of this product, and of all."""
    return Topic(type_, product_id, subaccount), Topic(type_, None, subaccount)
