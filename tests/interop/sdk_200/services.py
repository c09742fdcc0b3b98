"""Funds, isolated positions, the trigger service and the rest of the archive, read by the SDK's models."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from nado_protocol.contracts.types import NadoTxType
from nado_protocol.engine_client.types.execute import (
    BurnNlpParams,
    CancelProductOrdersParams,
    MintNlpParams,
    TransferQuoteParams,
    WithdrawCollateralParams,
)
from nado_protocol.indexer_client.types.models import (
    IndexerEvent,
    IndexerPerpContractInfo,
    IndexerTickerInfo,
    IndexerTradeInfo,
)
from nado_protocol.indexer_client.types.query import (
    IndexerEventsParams,
    IndexerEventsRawLimit,
    IndexerInterestAndFundingParams,
    IndexerMarketSnapshotInterval,
    IndexerMarketSnapshotsParams,
)
from nado_protocol.trigger_client.types.query import ListTriggerOrdersTx
from nado_protocol.utils.bytes32 import subaccount_to_hex
from nado_protocol.utils.expiration import OrderType
from nado_protocol.utils.math import to_x18

from tests.interop.sdk_200.checks import ETH_PERP, PERPS, SPOTS, Suite, World, holds, refused, same

suite = Suite()

KEY = "0x" + "5a" * 32
PATIENCE_S = 5.0


def _user(world: World) -> World:
    """Return the user of these checks, who has an allowance of requests of their own."""
    if "services" not in world.__dict__:
        world.__dict__["services"] = world.another(KEY)
    user: World = world.__dict__["services"]
    return user


def _until(what: Callable[[], Any]) -> Any:
    """Ask until there is something: the services trail each other."""
    end = time.monotonic() + PATIENCE_S
    while not (found := what()) and time.monotonic() < end:
        time.sleep(0.1)
    return found


@suite("withdraw, and more than there is")
def withdraw(world: World) -> str:
    spot = _user(world).client.spot
    sender = _user(world).subaccount
    spot.withdraw(WithdrawCollateralParams(sender=sender, productId=0, amount=10 * 10**6))
    too_much = WithdrawCollateralParams(sender=sender, productId=0, amount=10**13)
    return refused(2036, lambda: spot.withdraw(too_much))


@suite("transfer_quote to a second subaccount")
def transfer(world: World) -> str:
    user = _user(world)
    second = str(subaccount_to_hex(user.client.context.signer.address, "second")).lower()
    user.client.spot.transfer_quote(
        TransferQuoteParams(sender=user.subaccount, recipient=second, amount=to_x18(50))
    )
    info = user.engine.get_subaccount_info(second)
    same(str(to_x18(50)), info.parse_subaccount_balance(0).balance.amount, "balance")
    return "50 USDT0"


@suite("mint_nlp, its limits, its lock, and burn_nlp")
def nlp(world: World) -> str:
    user = _user(world)
    market = user.client.market
    holds(int(user.engine.get_max_nlp_burnable(user.subaccount).max_nlp_amount) == 0, "nothing yet")
    market.mint_nlp(MintNlpParams(sender=user.subaccount, quoteAmount=to_x18(100)))
    locked = user.engine.get_nlp_locked_balances(user.subaccount)
    same(str(to_x18(100)), locked.balance_locked.balance.amount, "locked")
    pools = user.engine.get_nlp_pool_info().nlp_pools
    holds(len(pools) == 1, "one pool")
    return refused(
        2096, lambda: market.burn_nlp(BurnNlpParams(sender=user.subaccount, nlpAmount=to_x18(100)))
    )


@suite("an isolated position, seen by isolated_positions and closed")
def isolated(world: World) -> str:
    user = _user(world)
    order = user.crossing(ETH_PERP)
    margin = {"isolated": True, "isolated_margin": 100 * 10**6}
    user.place(ETH_PERP, user.order(ETH_PERP, order.priceX18, order.amount, OrderType.IOC, **margin))
    (position,) = user.client.market.get_isolated_positions(user.subaccount).isolated_positions
    amount = int(position.base_balance.balance.amount)
    closing = user.crossing(ETH_PERP, -1)
    user.place(
        ETH_PERP,
        user.order(ETH_PERP, closing.priceX18, -amount, OrderType.IOC, isolated=True, reduce_only=True),
    )
    same([], user.client.market.get_isolated_positions(user.subaccount).isolated_positions, "afterwards")
    return f"{amount / 1e18:g} ETH on 100 USDT0"


@suite("trigger service: a price order placed, listed and cancelled")
def price_trigger(world: World) -> str:
    user = _user(world)
    bid, _ = user.touch(ETH_PERP)
    resting = user.resting(ETH_PERP)
    answer = user.client.market.place_price_trigger_order(
        product_id=ETH_PERP,
        price_x18=str(resting.priceX18),
        amount_x18=str(resting.amount),
        trigger_price_x18=str(bid * 2),
        trigger_type="oracle_price_above",
    )
    listed = _trigger_orders(user)
    same([(answer.data.digest, "waiting_price")], listed, "waiting orders")
    cancelled = user.client.market.cancel_trigger_product_orders(
        CancelProductOrdersParams(sender=user.subaccount, productIds=[ETH_PERP])
    )
    same(1, len(cancelled.data.cancelled_orders), "cancelled orders")
    return str(answer.data.digest)


@suite("trigger service: TWAP, part by part")
def twap(world: World) -> str:
    user = _user(world)
    _, ask = user.touch(ETH_PERP)
    size, tick = user.size(ETH_PERP), int(user.symbols[ETH_PERP].price_increment_x18)
    answer = user.client.market.place_twap_order(
        product_id=ETH_PERP,
        price_x18=str(ask * 11 // 10 // tick * tick),
        total_amount_x18=str(2 * size),
        times=2,
        slippage_frac=0.01,
        interval_seconds=1,
    )
    trigger = user.client.context.trigger_client
    digest = answer.data.digest

    def executed() -> list[Any]:
        rows = trigger.query({"type": "list_twap_executions", "digest": digest}).data.executions
        return [row for row in rows if hasattr(row.status, "executed")] if len(rows) == 2 else []

    rows = _until(executed)
    holds(rows, "a part was traded")
    return f"{len(rows)} of 2 parts so far"


def _trigger_orders(user: World) -> list[tuple[str, Any]]:
    # The SDK's own methods for the two queries cannot work: they make a `...Request` of a `...Params`, which
    # its models refuse. What it sends and reads is the same this way.
    trigger = user.client.context.trigger_client
    tx = ListTriggerOrdersTx(sender=user.subaccount, recvTime=int(time.time() * 1000) + 60_000)
    signature = trigger._sign(NadoTxType.LIST_TRIGGER_ORDERS, tx.dict())
    signed = {"sender": user.subaccount, "recvTime": str(tx.recvTime)}
    request = {"type": "list_trigger_orders", "tx": signed, "signature": signature}
    return [(each.order.digest, each.status) for each in trigger.query(request).data.orders]


@suite("events: deposit, withdrawal, transfer, mint, matches")
def events(world: World) -> str:
    user = _user(world)
    params = IndexerEventsParams(subaccounts=[user.subaccount], limit=IndexerEventsRawLimit(raw=100))
    kinds = {str(event.event_type.value) for event in user.archive.get_events(params).events}
    wanted = {"deposit_collateral", "withdraw_collateral", "transfer_quote", "mint_nlp", "match_orders"}
    same(set(), wanted - kinds, "missing types")
    page = user.archive.get_paginated_subaccount_events(user.subaccount, 2)
    holds(all(isinstance(event, IndexerEvent) for event in page.events), "events")
    return f"{len(kinds)} types"


@suite("interest_and_funding, market_snapshots, linked signer's limit, backlog, quote price")
def statistics(world: World) -> str:
    user = _user(world)
    payments = user.archive.get_interest_and_funding_payments(
        IndexerInterestAndFundingParams(subaccount=user.subaccount, product_ids=list(PERPS), limit=10)
    )
    same("0", payments.next_idx, "next page")
    interval = IndexerMarketSnapshotInterval(count=2, granularity=3600)
    snapshots = user.archive.get_market_snapshots(IndexerMarketSnapshotsParams(interval=interval)).snapshots
    same(2, len(snapshots), "snapshots")
    limit = user.archive.get_linked_signer_rate_limits(user.subaccount)
    same("50", limit.remaining_tx, "changes left")
    same("0", user.archive.get_sequencer_backlog().backlog_size, "backlog")
    same(str(10**18), user.archive.get_quote_price().price_x18, "price of the quote")
    return f"tvl {int(snapshots[0].tvl) / 1e18:.0f}"


@suite("the archive's v2: tickers, contracts, trades, symbols; and the interest rates")
def archive_v2(world: World) -> str:
    user = _user(world)
    tickers = {key: IndexerTickerInfo(**row) for key, row in user.archive.get_tickers().items()}
    same(len(PERPS + SPOTS), len(tickers), "tickers")
    contracts = user.archive.get_perp_contracts_info()
    holds(all(IndexerPerpContractInfo(**row) for row in contracts.values()), "contracts")
    trades = [IndexerTradeInfo(**row) for row in user.archive.get_historical_trades("ETH-PERP_USDT0", 10)]
    holds(trades, "trades")
    same(len(PERPS + SPOTS), len(user.archive.get_v2_symbols()), "symbols")
    holds(len(user.engine.get_spots_apr()) > len(SPOTS), "interest rates")
    return f"{len(trades)} trades"
