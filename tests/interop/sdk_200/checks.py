"""Checks, what they share, and the lines they print."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from nado_protocol.client import NadoClientContextOpts, NadoClientMode, create_nado_client
from nado_protocol.engine_client.types.execute import OrderParams, PlaceOrderParams
from nado_protocol.utils.bytes32 import subaccount_to_hex
from nado_protocol.utils.exceptions import ExecuteFailedException, QueryFailedException
from nado_protocol.utils.expiration import OrderType, get_expiration_timestamp
from nado_protocol.utils.math import round_x18, to_x18
from nado_protocol.utils.order import build_appendix

KBTC = 1
BTC_PERP = 2
ETH_PERP = 4
SPOTS = (1, 3, 5)
NLP = 11
PERPS = (2, 4, 8)

NOTIONAL = 1000
"""Size of all orders, in USDT0: ten times the venue's minimum, and a small part of its book."""


class CheckFailed(Exception):
    """The venue answered something else than a user of the SDK needs."""


@dataclass
class World:
    """The one user that all checks play, and what earlier checks leave for later ones."""

    ready: dict[str, Any]
    """The ready line of `nadows serve`."""
    key: str
    """Any will do: the venue is fresh, and funds wallets on sight."""
    name: str = "default"
    digests: dict[str, str] = field(default_factory=dict)
    """Orders by what they are to later checks."""

    @cached_property
    def client(self) -> Any:
        """The SDK's client, made when it is first used."""
        options = NadoClientContextOpts(
            engine_endpoint_url=self.ready["gateway"],
            indexer_endpoint_url=self.ready["archive"],
            trigger_endpoint_url=self.ready["trigger"],
        )
        return create_nado_client(NadoClientMode.TESTNET, self.key, options)

    def another(self, key: str) -> World:
        """Play another user, with an allowance of requests of their own."""
        return World(self.ready, key)

    @property
    def engine(self) -> Any:
        """The client of the gateway's REST interface."""
        return self.client.context.engine_client

    @property
    def archive(self) -> Any:
        """The client of the archive."""
        return self.client.context.indexer_client

    @property
    def subaccount(self) -> str:
        """Of the user, as hex."""
        return str(subaccount_to_hex(self.client.context.signer.address, self.name)).lower()

    @cached_property
    def symbols(self) -> dict[int, Any]:
        """The venue's markets by product id."""
        return {int(each.product_id): each for each in self.engine.get_symbols().symbols.values()}

    def size(self, product_id: int) -> int:
        """Return a size that is worth about `NOTIONAL`, x18."""
        bid, _ = self.touch(product_id)
        return int(round_x18(to_x18(NOTIONAL) * 10**18 // bid, self.symbols[product_id].size_increment))

    def touch(self, product_id: int) -> tuple[int, int]:
        """Return best bid and best ask of now, x18."""
        top = self.client.market.get_latest_market_price(product_id)
        return int(top.bid_x18), int(top.ask_x18)

    def order(
        self, product_id: int, price_x18: int, amount: int, order_type: Any = OrderType.DEFAULT, **flags: Any
    ) -> OrderParams:
        """Describe an order; its price is rounded down to the tick."""
        return OrderParams(
            sender=self.subaccount,
            priceX18=round_x18(price_x18, self.symbols[product_id].price_increment_x18),
            amount=amount,
            expiration=get_expiration_timestamp(600),
            nonce=self.engine.order_nonce(),
            appendix=build_appendix(order_type, **flags),
        )

    def resting(self, product_id: int, side: int = 1) -> OrderParams:
        """Describe a post-only order that nobody will trade with: a tenth away from the touch."""
        bid, ask = self.touch(product_id)
        price = bid * 9 // 10 if side > 0 else ask * 11 // 10
        return self.order(product_id, price, side * self.size(product_id), OrderType.POST_ONLY)

    def crossing(self, product_id: int, side: int = 1) -> OrderParams:
        """Describe an IOC order that trades at once: its limit is half a percent through the touch."""
        bid, ask = self.touch(product_id)
        price = ask * 1005 // 1000 if side > 0 else bid * 995 // 1000
        return self.order(product_id, price, side * self.size(product_id), OrderType.IOC)

    def place(self, product_id: int, order: OrderParams, **members: Any) -> str:
        """Place an order and return its digest, which must be the one the SDK computes."""
        params = PlaceOrderParams(product_id=product_id, order=order, **members)
        answer = self.client.market.place_order(params)
        same(self.engine.get_order_digest(order, product_id), answer.data.digest, "digest")
        return str(answer.data.digest)

    def open_digests(self, product_id: int) -> list[str]:
        """Return the digests of the user's open orders."""
        found = self.client.market.get_subaccount_open_orders(product_id, self.subaccount)
        return [order.digest for order in found.orders]

    def position(self, product_id: int) -> int:
        """Return the size of a perpetual position, x18."""
        info = self.engine.get_subaccount_info(self.subaccount)
        return int(info.parse_subaccount_balance(product_id).balance.amount)


Body = Callable[[World], str]


class Suite:
    """Checks in the order of their definition."""

    def __init__(self) -> None:
        self.checks: list[tuple[str, Body]] = []

    def __call__(self, title: str) -> Callable[[Body], Body]:
        """Add the decorated function, which returns what is worth showing when all is well."""

        def add(body: Body) -> Body:
            self.checks.append((title, body))
            return body

        return add


def run(suites: Iterable[Suite], world: World) -> bool:
    """Perform all checks, one printed line of JSON each; returns whether all went well."""
    checks = [check for suite in suites for check in suite.checks]
    failed = 0
    for number, (title, body) in enumerate(checks, 1):
        begin = time.perf_counter()
        ok, detail = True, ""
        try:
            detail = body(world)
        except Exception as error:  # noqa: BLE001 - whatever the SDK raises is the finding
            ok, detail = False, f"{type(error).__name__}: {error}"
            failed += 1
        line = {"check": number, "of": len(checks), "title": title, "ok": ok, "detail": detail}
        line["ms"] = round((time.perf_counter() - begin) * 1000)
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()
    return not failed


def same(expected: object, actual: object, what: str) -> None:
    """Demand that two values are equal."""
    if expected != actual:
        raise CheckFailed(f"{what}: expected {expected!r}, got {actual!r}")


def holds(condition: object, what: str) -> None:
    """Demand that *what* is so."""
    if not condition:
        raise CheckFailed(f"not so: {what}")


def refused(code: int, request: Callable[[], object]) -> str:
    """Demand that the venue refuses a request with *code*; returns its text."""
    try:
        answer = request()
    except (ExecuteFailedException, QueryFailedException) as error:
        failure = json.loads(error.message)
        same(code, failure["error_code"], f"error code ({failure['error']})")
        return f"{code}: {failure['error']}"
    raise CheckFailed(f"expected error {code}, but it was accepted: {answer!r}")
