"""A venue in memory with a trader on it: signed requests in, plain JSON out, on a virtual clock."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

from nadows.network import TESTNET
from nadows.signing import (
    Appendix,
    NonceSource,
    OrderType,
    SignedOrder,
    Signer,
    Subaccount,
    hash_burn_nlp,
    hash_liquidate_subaccount,
    hash_mint_nlp,
    hash_transfer_quote,
    hash_withdraw_collateral,
    sign_authenticate,
    sign_cancel_orders,
    sign_cancel_product_orders,
    sign_order,
)
from nadows.units import to_x18
from nadows.venue.archive import DEFAULT_CAPACITY
from nadows.venue.exchange import ConnectionKind, Exchange, ExchangeOptions
from nadows.venue.flow import FlowPreset
from nadows.venue.ledger import Account
from nadows.venue.rest import HttpRequest
from nadows.venue.switches import Switches

Json = dict[str, Any]

T0 = 1_800_000_000 * 10**9
MS = 10**6
SECOND = 10**9
NEVER = 2**32 - 1
ETH, BTC, KBTC = 4, 2, 1
V1, V2, STREAM = 1, 2, 3
"""Connections that every rig has."""


class Rig:
    """One exchange, its clock, and what it has sent."""

    def __init__(
        self,
        *,
        switches: Switches | None = None,
        journal: Callable[[bytes], None] | None = None,
        recording: Iterable[bytes] | None = None,
        seed: int = 1,
        flow: FlowPreset = FlowPreset.OFF,
        limits: bool = False,
        archive_capacity: int = DEFAULT_CAPACITY,
    ) -> None:
        chosen = ExchangeOptions(
            flow=flow, limits=limits, archive_capacity=archive_capacity, switches=switches or Switches()
        )
        self.now_ns = T0
        self.exchange = Exchange(chosen, seed=seed, now_ns=T0, journal=journal, recording=recording)
        self.exchange.connection_made(V1, ConnectionKind.GATEWAY_V1, T0)
        self.exchange.connection_made(V2, ConnectionKind.GATEWAY_V2, T0)
        self.exchange.connection_made(STREAM, ConnectionKind.SUBSCRIBE, T0)
        self._http = 1000

    @property
    def now_ms(self) -> int:
        return self.now_ns // MS

    def take(self, connection: int | None = None) -> list[Json]:
        """Return what was sent since the last call, to one connection or to all."""
        frames = self.exchange.frames_to_send()
        return [json.loads(frame) for to, frame in frames if connection in (None, to)]

    def send(self, connection: int, frame: bytes | str | Json) -> list[Json]:
        """Send a frame and return everything that comes out at once."""
        if isinstance(frame, dict):
            frame = json.dumps(frame)
        self.exchange.frame_received(connection, frame, self.now_ns)
        return self.take()

    def ask(self, connection: int, frame: bytes | str | Json) -> Json:
        """Send a frame and return its answer, leaving out events."""
        if isinstance(frame, dict):
            frame = json.dumps(frame)
        self.exchange.frame_received(connection, frame, self.now_ns)
        (answer,) = [sent for sent in self.take(connection) if "type" not in sent]
        return answer

    def query(self, type_: str, **params: Any) -> Json:
        return self.ask(V2, {"type": type_, **params})

    def http(self, method: str, path: str, query: dict[str, str] | None = None, body: Any = b"") -> Json:
        """Make a REST request and return the decoded body, with the HTTP status under ``_status``."""
        status, decoded = self.http_raw(method, path, query, body)
        return (
            decoded | {"_status": status}
            if isinstance(decoded, dict)
            else {"_status": status, "list": decoded}
        )

    def http_raw(
        self, method: str, path: str, query: dict[str, str] | None = None, body: Any = b""
    ) -> tuple[int, Any]:
        self._http += 1
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        request = HttpRequest(method, path, query or {}, raw)
        answer = self.exchange.http_request(self._http, request, self.now_ns)
        assert answer is not None
        return answer.status, json.loads(answer.body)

    def archive(self, name: str, **params: Any) -> Json:
        return self.http("POST", "/archive/v1", body={name: params})

    def subscribe(self, type_: str, connection: int = STREAM, **params: Any) -> Json:
        return self.ask(connection, {"method": "subscribe", "id": 1, "stream": {"type": type_, **params}})

    def advance(self, ns: int) -> list[Json]:
        """Let time pass and return what was sent."""
        self.now_ns += ns
        self.exchange.tick(self.now_ns)
        return self.take()

    def skip(self, ns: int) -> list[Json]:
        """Let time pass without what the venue does every few milliseconds; its last timers still run."""
        self.now_ns += ns
        self.exchange.skip(self.now_ns - 1)
        self.exchange.tick(self.now_ns)
        return self.take()


class Trader:
    """A wallet that signs for one subaccount."""

    def __init__(self, rig: Rig, key: int = 1, name: str = "default", connection: int = V2) -> None:
        self.rig = rig
        self.signer = Signer(bytes([key]) * 32)
        self.sub = Subaccount.of(self.signer.address, name)
        self.connection = connection
        self.nonces = NonceSource(first=key << 12)

    def nonce(self, window_ms: int = 90_000) -> int:
        return self.nonces.next(self.rig.now_ms, window_ms)

    def sign(
        self,
        price: str | Decimal,
        amount: str | Decimal,
        *,
        product_id: int = ETH,
        kind: OrderType = OrderType.DEFAULT,
        appendix: int | None = None,
        expiration: int = NEVER,
        nonce: int | None = None,
        signer: Signer | None = None,
        **members: Any,
    ) -> SignedOrder:
        """Sign an order; *price* and *amount* as people write them, a negative amount sells."""
        return sign_order(
            signer or self.signer,
            TESTNET.domain,
            product_id,
            self.sub,
            to_x18(price),
            to_x18(amount),
            expiration,
            self.nonce() if nonce is None else nonce,
            Appendix(order_type=kind).value if appendix is None else appendix,
            **members,
        )

    def place(self, price: str | Decimal, amount: str | Decimal, **options: Any) -> Json:
        """Place an order and return the answer."""
        return self.rig.ask(self.connection, self.sign(price, amount, **options).frame)

    def cancel(self, *digests: str, product_id: int = ETH, **members: Any) -> Json:
        request = sign_cancel_orders(
            self.signer,
            TESTNET.domain,
            self.sub,
            [product_id] * len(digests),
            digests,
            self.nonce(),
            **members,
        )
        return self.rig.ask(self.connection, request.frame)

    def cancel_products(self, *product_ids: int, **members: Any) -> Json:
        request = sign_cancel_product_orders(
            self.signer, TESTNET.domain, self.sub, product_ids, self.nonce(), **members
        )
        return self.rig.ask(self.connection, request.frame)

    def authenticate(self, connection: int = STREAM, ahead_ms: int = 90_000) -> Json:
        request = sign_authenticate(self.signer, TESTNET.domain, self.sub, self.rig.now_ms + ahead_ms, id=77)
        return self.rig.ask(connection, request.frame)

    def fund_request(
        self, kind: str, hash_struct: Callable[..., bytes], *fields: Any, tx: Json, **members: Any
    ) -> Json:
        """Send an execute that counts the wallet's nonce, signed over *fields*, and return the answer."""
        address = self.signer.address.lower()
        nonce = int(self.rig.query("nonces", address=address)["data"]["tx_nonce"])
        digest = TESTNET.domain.digest(hash_struct(self.sub, *fields, nonce))
        body = {"tx": {"sender": self.sub.hex, **tx, "nonce": str(nonce)}, **members}
        return self.rig.ask(self.connection, {kind: body | {"signature": self.signer.sign(digest)}})

    def withdraw(self, product_id: int, units: int, **members: Any) -> Json:
        """Withdraw, in the token's own units."""
        tx = {"productId": product_id, "amount": str(units)}
        return self.fund_request(
            "withdraw_collateral", hash_withdraw_collateral, product_id, units, tx=tx, **members
        )

    def transfer(self, recipient: Subaccount, amount: str) -> Json:
        """Transfer USDT0."""
        x18 = to_x18(amount)
        tx = {"recipient": recipient.hex, "amount": str(x18)}
        return self.fund_request("transfer_quote", hash_transfer_quote, recipient, x18, tx=tx)

    def mint(self, amount: str, **members: Any) -> Json:
        """Put USDT0 into the pool."""
        x18 = to_x18(amount)
        return self.fund_request("mint_nlp", hash_mint_nlp, x18, tx={"quoteAmount": str(x18)}, **members)

    def burn(self, amount: str) -> Json:
        """Take USDT0 out of the pool."""
        x18 = to_x18(amount)
        return self.fund_request("burn_nlp", hash_burn_nlp, x18, tx={"nlpAmount": str(x18)})

    def liquidate(self, other: Subaccount, product_id: int, amount: str, *, spread: bool = False) -> Json:
        """Take over a position."""
        x18 = to_x18(amount)
        tx = {
            "liquidatee": other.hex,
            "productId": product_id,
            "isEncodedSpread": spread,
            "amount": str(x18),
        }
        return self.fund_request(
            "liquidate_subaccount", hash_liquidate_subaccount, other, product_id, spread, x18, tx=tx
        )

    @property
    def account(self) -> Account:
        """The ledger's account, which must exist."""
        return self.rig.exchange.engine.ledger.accounts[self.sub.hex]

    def set_quote(self, amount: str) -> None:
        """Leave the account with so much USDT0, by a deposit or withdrawal outside of all rules."""
        ledger = self.rig.exchange.engine.ledger
        ledger.deposit(self.account, 0, to_x18(amount) - self.account.spots[0])

    def watch(self) -> None:
        """Subscribe to everything that concerns this subaccount."""
        self.authenticate()
        for type_ in ("order_update", "fill", "position_change"):
            answer = self.rig.subscribe(type_, subaccount=self.sub.hex)
            assert "error" not in answer

    def perp(self, product_id: int = ETH) -> tuple[int, int]:
        """Return (amount, virtual quote) of a position, as the ledger has it."""
        account = self.rig.exchange.engine.ledger.accounts[self.sub.hex]
        position = account.perps[product_id]
        return position.amount, position.v_quote
