"""The words that cases are made of: each returns a step."""

from __future__ import annotations

import json
from typing import Any

from nadows.network import TESTNET
from nadows.signing import (
    Signer,
    Subaccount,
    sign_authenticate,
    sign_cancel_and_place,
    sign_cancel_orders,
    sign_link_signer,
    sign_place_orders,
)
from nadows.units import to_x18
from tests.venue.conformance.runner import Step, World
from tests.venue.rig import ETH, STREAM, Json

NOBODY = Subaccount.parse("0x" + "77" * 20 + b"default".hex().ljust(24, "0"))
UNKNOWN = "0x" + "ab" * 32


def place(price: str, amount: str, **options: Any) -> Step:
    """Place an order; its digest is kept."""

    def step(world: World) -> Json:
        order = world.me.sign(price, amount, **options)
        world.digests.append(order.digest)
        return world.send(order.frame)

    return step


def other_places(price: str, amount: str, **options: Any) -> Step:
    """Let somebody else place an order."""

    def step(world: World) -> Json:
        order = world.other.sign(price, amount, **options)
        world.digests.append(order.digest)
        return world.send(order.frame)

    return step


def again(step_: Step, times: int) -> Step:
    """Do a step several times; returns the last answer."""

    def step(world: World) -> Any:
        answers = [step_(world) for _ in range(times)]
        return answers[-1]

    return step


def resend(price: str, amount: str) -> Step:
    """Send the same bytes twice; returns the second answer."""

    def step(world: World) -> Json:
        order = world.me.sign(price, amount)
        world.send(order.frame)
        return world.send(order.frame)

    return step


def altered(at: str, size: str, /, **changes: Any) -> Step:
    """Place an order of which members were changed after signing."""

    def step(world: World) -> Json:
        body = json.loads(world.me.sign(at, size).frame)
        for name, value in changes.items():
            target = body["place_order"]
            if name in target["order"]:
                target = target["order"]
            target[name] = value
        return world.send(body)

    return step


def cancel(*indices: int, product_id: int = ETH, **members: Any) -> Step:
    """Cancel orders by when they were placed: 0 is the first."""
    return lambda world: world.me.cancel(
        *(world.digests[index] for index in indices), product_id=product_id, **members
    )


def cancel_unknown(*indices: int) -> Step:
    """Cancel an order that does not exist, beside some that do."""
    return lambda world: world.me.cancel(UNKNOWN, *(world.digests[index] for index in indices))


def cancel_products(*product_ids: int) -> Step:
    """Cancel by products; none is all."""
    return lambda world: world.me.cancel_products(*product_ids)


def replace(price: str, amount: str, *, place_requires_unfilled: bool | None = None, **options: Any) -> Step:
    """Replace the order placed last."""

    def step(world: World) -> Json:
        order = world.me.sign(price, amount, **options)
        cancelling = sign_cancel_orders(
            world.me.signer, TESTNET.domain, world.me.sub, [ETH], [world.digests[-1]], world.me.nonce()
        )
        request = sign_cancel_and_place(cancelling, order, place_requires_unfilled=place_requires_unfilled)
        return world.send(request.frame)

    return step


def batch(*orders: tuple[str, str], **members: Any) -> Step:
    """Place several orders in one request."""

    def step(world: World) -> Json:
        signed = [world.me.sign(price, amount) for price, amount in orders]
        return world.send(sign_place_orders(signed, **members).frame)

    return step


def link(number: int, nonce: int = 0) -> Step:
    """Link the signer whose key is *number*; 0 clears."""

    def step(world: World) -> Json:
        address = Signer(bytes([number]) * 32).address.lower() if number else "0x" + "00" * 20
        linked = Subaccount.parse(address + "00" * 12)
        return world.send(
            sign_link_signer(world.me.signer, TESTNET.domain, world.me.sub, linked, nonce).frame
        )

    return step


def query(type_: str, **params: Any) -> Step:
    """Ask; ``ME`` stands for the subaccount, ``#0`` for the digest of the first order."""

    def step(world: World) -> Json:
        return world.send({"type": type_, **{name: _filled(world, value) for name, value in params.items()}})

    return step


def edge(type_: str, **params: Any) -> Step:
    """Ask the edge."""
    return lambda world: world.rig.http("POST", "/v1/edge/query", body={"type": type_, **params})


def get(path: str, **params: str) -> Step:
    """Make a GET request; lists are under ``list``."""
    return lambda world: world.rig.http("GET", path, params)


def archive(name: str, **params: Any) -> Step:
    """Ask the archive."""

    def step(world: World) -> Json:
        return world.rig.archive(name, **{key: _filled(world, value) for key, value in params.items()})

    return step


def raw(frame: str) -> Step:
    """Send text as it is."""
    return lambda world: world.send(frame.encode())


def stream(method: str, **members: Any) -> Step:
    """Send a request on the subscription socket."""
    return lambda world: world.stream({"method": method, "id": 9, **_filled(world, members)})


def subscribe(type_: str, **params: Any) -> Step:
    """Subscribe to a stream."""
    return lambda world: world.rig.subscribe(type_, **_filled(world, params))


def stream_raw(frame: str) -> Step:
    """Send text on the subscription socket as it is."""
    return lambda world: world.rig.ask(STREAM, frame)


def watch(world: World) -> None:
    """Authenticate and subscribe to what concerns the account."""
    world.me.watch()


def wait(seconds: float) -> Step:
    """Let time pass."""
    return lambda world: world.rig.advance(int(seconds * 10**9))


def skip(seconds: int) -> Step:
    """Let much time pass."""
    return lambda world: world.rig.skip(seconds * 10**9)


def set_quote(amount: str) -> Step:
    """Leave the account with so much USDT0."""
    return lambda world: world.me.set_quote(amount)


def set_oracle(product_id: int, price: str) -> Step:
    """Move an oracle price."""

    def step(world: World) -> None:
        world.rig.exchange.engine.oracle[product_id] = to_x18(price)

    return step


def _filled(world: World, value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _filled(world, each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_filled(world, each) for each in value]
    if value == "ME":
        return world.me.sub.hex
    if isinstance(value, str) and value.startswith("#"):
        return world.digests[int(value[1:])]
    return value


def authenticate(*, ahead_ms: int = 90_000, key: int = 1, sender: int = 1) -> Step:
    """Authenticate the stream socket with a key, for the wallet of a key."""

    def step(world: World) -> Json:
        signer = Signer(bytes([key]) * 32)
        sub = Subaccount.of(Signer(bytes([sender]) * 32).address)
        expiration = world.rig.now_ms + ahead_ms
        return world.rig.ask(STREAM, sign_authenticate(signer, TESTNET.domain, sub, expiration, id=9).frame)

    return step
