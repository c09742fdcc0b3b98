"""Run the public project's own hedge mode with nothing faked but its other exchange, Lighter.

Started in a copy of the project: ``python hedge_driver.py TICKER SIZE ITERATIONS MAX_POSITION``. Each order
on the faked Lighter is one JSON line on stdout, with the instant (ns, monotonic) at which it was asked for.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from decimal import Decimal
from importlib import import_module
from types import ModuleType
from typing import Any

held = Decimal(0)


class SignerClient:
    """Lighter's client, as far as the hedge mode calls it: every order fills at once."""

    ORDER_TYPE_LIMIT = 0
    ORDER_TIME_IN_FORCE_GOOD_TILL_TIME = 1
    bot: Any = None

    def __init__(self, **_: object) -> None:
        pass

    def check_client(self) -> None:
        pass

    async def create_order(
        self, *, base_amount: int, price: int, is_ask: bool, client_order_index: int, **_: object
    ) -> tuple[None, str, None]:
        global held  # noqa: PLW0603 - the faked exchange's whole state
        now_ns = time.monotonic_ns()
        amount = Decimal(base_amount) / 10**6
        held += -amount if is_ask else amount
        print(json.dumps({"hedge": "sell" if is_ask else "buy", "size": str(amount), "at_ns": now_ns}))  # noqa: T201
        self.bot.handle_lighter_order_result(
            {
                "filled_base_amount": str(amount),
                "filled_quote_amount": str(amount * price),
                "is_ask": is_ask,
                "client_order_id": client_order_index,
            }
        )
        return None, "0x0", None


async def order_book(bot: Any) -> None:
    bot.lighter_order_book = {"bids": {Decimal(1): Decimal(9)}, "asks": {Decimal(2): Decimal(9)}}
    bot.lighter_order_book_ready = True
    while not bot.stop_flag:  # noqa: ASYNC110 - as the loop that it stands for
        await asyncio.sleep(0.1)


async def main(ticker: str, size: str, iterations: str, max_position: str) -> None:
    lighter = ModuleType("lighter")
    lighter.signer_client = ModuleType("lighter.signer_client")  # type: ignore[attr-defined] # a fake package
    lighter.signer_client.SignerClient = SignerClient
    sys.modules |= {"lighter": lighter, "lighter.signer_client": lighter.signer_client}
    hedge_bot: Any = import_module("hedge.hedge_mode_nado").HedgeBot
    hedge_bot.handle_lighter_ws = order_book
    hedge_bot.get_lighter_market_config = lambda _: (1, 10**6, 1, Decimal("0.1"))
    hedge_bot.get_lighter_position = lambda _: held
    bot = hedge_bot(
        ticker, Decimal(size), iterations=int(iterations), max_position=Decimal(max_position), sleep_time=0
    )
    SignerClient.bot = bot
    await bot.run()


if __name__ == "__main__":
    sys.path.insert(0, ".")
    asyncio.run(main(*sys.argv[1:]))
