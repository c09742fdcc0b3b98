"""The official SDK's half of the fill benchmark, run by the SDK's own interpreter.

Started as a script, isolated, in an environment that holds nado-protocol and not nadows; so it imports
nothing of nadows. It reads one JSON object a line and answers each with one::

    -> {"set_up": {"key", "gateway", "archive", "trigger"}}         first
    <- {"versions": {...}, "subaccount": "0x..."}
    -> {"place": {"product_id", "price_x18", "amount"}}             post-only, amounts signed, as text
    <- {"digest": "0x..."}
    -> {"watch": {"product_id", "digest", "every_s"}}               poll until it is filled
    <- {"noticed_ns": n, "polls": m}                                CLOCK_MONOTONIC

A watch polls as strategies do: the order is asked for, and when it is not open any more, the archive. What
goes wrong is answered as ``{"error": "..."}``.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable
from importlib import import_module, metadata
from typing import Any, Protocol, TextIO

Line = dict[str, Any]

_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class Library(Protocol):
    """What is measured: a library that places an order and asks for it."""

    subaccount: str

    def place(self, product_id: int, price_x18: int, amount: int) -> str:
        """Place a post-only order and return its digest."""

    def is_filled(self, product_id: int, digest: str) -> bool:
        """Ask whether an order was filled, as `get_order_info` of a strategy does."""


def official_sdk(setup: Line) -> Library:
    """Wrap the SDK as the public project's ``exchanges/nado.py`` uses it."""
    sdk = import_module("nado_protocol.client")
    types = import_module("nado_protocol.engine_client.types.execute")
    utils = import_module("nado_protocol.utils.expiration")
    order_utils = import_module("nado_protocol.utils.order")
    nonces = import_module("nado_protocol.utils.nonce")
    bytes32 = import_module("nado_protocol.utils.bytes32")
    failures = import_module("nado_protocol.utils.exceptions")
    options = sdk.NadoClientContextOpts(
        engine_endpoint_url=setup["gateway"],
        indexer_endpoint_url=setup["archive"],
        trigger_endpoint_url=setup["trigger"],
    )
    client = sdk.create_nado_client(sdk.NadoClientMode.TESTNET, setup["key"], options)

    class Sdk:
        subaccount = str(bytes32.subaccount_to_hex(client.context.signer.address, "default")).lower()

        def place(self, product_id: int, price_x18: int, amount: int) -> str:
            order = types.OrderParams(
                sender=self.subaccount,
                priceX18=price_x18,
                amount=amount,
                expiration=utils.get_expiration_timestamp(600),
                nonce=nonces.gen_order_nonce(),
                appendix=order_utils.build_appendix(order_type=utils.OrderType.POST_ONLY),
            )
            params = types.PlaceOrderParams(product_id=product_id, order=order)
            return str(client.market.place_order(params).data.digest)

        def is_filled(self, product_id: int, digest: str) -> bool:
            try:
                client.context.engine_client.get_order(product_id, digest)
            except (failures.QueryFailedException, failures.BadStatusCodeException):
                # Not open any more: the archive says what became of it.
                found = client.context.indexer_client.get_historical_orders_by_digest([digest]).orders
                return bool(found) and found[0].base_filled == found[0].amount
            return False

    return Sdk()


def versions() -> dict[str, str]:
    """Return the versions that a result must name; a library that is absent is named so."""
    found = {"python": sys.version.split()[0]}
    for name in ("nado-protocol", "requests"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "absent"
    return found


def watch(library: Library, product_id: int, digest: str, every_s: float) -> Line:
    """Poll until an order is filled; return when that was seen, and after how many polls."""
    polls = 1
    while not library.is_filled(product_id, digest):
        time.sleep(every_s)
        polls += 1
    return {"noticed_ns": time.monotonic_ns(), "polls": polls}


def serve(lines: Iterable[str], out: TextIO, make_library: Callable[[Line], Library]) -> None:
    """Answer the set-up and then every request, until there are no more lines."""
    requests = (json.loads(line) for line in lines)
    library = make_library(next(requests)["set_up"])
    _answer(out, {"versions": versions(), "subaccount": library.subaccount})
    for request in requests:
        try:
            if "place" in request:
                order = request["place"]
                digest = library.place(order["product_id"], int(order["price_x18"]), int(order["amount"]))
                _answer(out, {"digest": digest})
            else:
                _answer(out, watch(library, **request["watch"]))
        except Exception as error:  # noqa: BLE001 - whatever a foreign library raises is told, and ends the run
            _answer(out, {"error": repr(error)})


def fence(event: str, arguments: tuple[object, ...]) -> None:
    """Keep the SDK on this machine: its defaults are the public hosts. An audit hook."""
    host: object = None
    if event == "socket.getaddrinfo":
        host = arguments[0]
    elif event == "socket.connect" and isinstance(arguments[1], tuple):
        host = arguments[1][0]
    if host is not None and host not in _LOOPBACK:
        raise PermissionError(f"a benchmark stays on this machine, and somebody asked for {host!r}")


def _answer(out: TextIO, line: Line) -> None:
    out.write(json.dumps(line) + "\n")
    out.flush()


if __name__ == "__main__":
    sys.addaudithook(fence)
    serve(sys.stdin, sys.stdout, official_sdk)
