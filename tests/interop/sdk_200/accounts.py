"""What an account has, by REST."""

from __future__ import annotations

from typing import Any

from nado_protocol.engine_client.types.models import MaxOrderSizeDirection
from nado_protocol.engine_client.types.query import QueryMaxOrderSizeParams
from nado_protocol.utils.bytes32 import subaccount_to_hex
from nado_protocol.utils.margin_manager import MarginManager

from tests.interop.sdk_200.checks import BTC_PERP, Suite, World, holds, same

suite = Suite()


@suite("subaccount_info")
def subaccount_info(world: World) -> str:
    info = world.client.subaccount.get_engine_subaccount_summary(world.subaccount)
    same((world.subaccount, True), (info.subaccount, info.exists), "subaccount, exists")
    quote = int(info.parse_subaccount_balance(0).balance.amount)
    holds(quote > 0, "funded on sight")
    same((len(info.spot_balances), len(info.perp_balances)), (info.spot_count, info.perp_count), "counts")
    holds(int(info.healths[0].health) > 0, "initial health")
    return f"{quote / 1e18:g} USDT0"


@suite("subaccount_info of a subaccount that nobody has used")
def other_subaccount_info(world: World) -> str:
    other = str(subaccount_to_hex(world.client.context.signer.address, "unused")).lower()
    info = world.engine.get_subaccount_info(other)
    same(other, info.subaccount, "subaccount")
    same(info.exists, bool(info.spot_balances), "balances exactly when it exists")
    return "funded on sight" if info.exists else "exists: false"


@suite("fee_rates")
def fee_rates(world: World) -> str:
    answer = world.client.subaccount.get_subaccount_fee_rates(world.subaccount)
    taker, maker = int(answer.taker_fee_rates_x18[BTC_PERP]), int(answer.maker_fee_rates_x18[BTC_PERP])
    holds(taker > maker > 0, "taker pays more than maker")
    return f"taker {taker / 1e14:g} bp, maker {maker / 1e14:g} bp"


@suite("max_order_size")
def max_order_size(world: World) -> str:
    def ask(**flags: Any) -> int:
        params = QueryMaxOrderSizeParams(
            sender=world.subaccount,
            product_id=BTC_PERP,
            price_x18=str(world.touch(BTC_PERP)[0]),
            direction=MaxOrderSizeDirection.LONG,
            **flags,
        )
        return int(world.client.market.get_max_order_size(params).max_order_size)

    size = ask()
    holds(size >= world.size(BTC_PERP), "there is room for an order")
    same(0, ask(reduce_only=True), "reduce-only size without a position")
    return f"{size / 1e18:g} BTC"


@suite("max_withdrawable")
def max_withdrawable(world: World) -> str:
    amounts = [
        int(world.client.spot.get_max_withdrawable(0, world.subaccount, leverage).max_withdrawable)
        for leverage in (None, False)
    ]
    holds(all(amount > 0 for amount in amounts), f"something can be withdrawn: {amounts}")
    return f"{amounts[0] / 1e18:g} USDT0"


@suite("isolated_positions")
def isolated_positions(world: World) -> str:
    same([], world.client.market.get_isolated_positions(world.subaccount).isolated_positions, "positions")
    return "none"


@suite("MarginManager on an account without positions")
def margin(world: World) -> str:
    manager = MarginManager.from_client(
        world.client, subaccount=world.subaccount, include_indexer_events=False
    )
    summary = manager.calculate_account_summary()
    holds(summary.portfolio_value > 0, "portfolio value")
    same(0, len(summary.cross_positions), "positions")
    return f"portfolio value {summary.portfolio_value:.0f}"
