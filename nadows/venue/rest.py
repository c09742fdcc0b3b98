"""The routes of the REST interfaces: which path is answered by what.

Everything under ``/gateway`` is the same as without it. Source: protocol.md 1, 5.5, 5.7, 6.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

import msgspec

from nadows.messages.archive import decode_archive_request
from nadows.messages.wire import UnreadableRequest, encode
from nadows.venue.archive_queries import ArchiveQueries
from nadows.venue.gateway import Answer
from nadows.venue.limits import Limits
from nadows.venue.queries import Queries
from nadows.venue.refusal import Refusal
from nadows.venue.rest_v2 import RestV2
from nadows.venue.trigger_service import TriggerService

__all__ = ["GATEWAY_PATHS", "HttpAnswer", "HttpRequest", "Rest", "query_as_json"]

GATEWAY_PATHS: Final = {"/v1/query": "GET POST", "/v1/execute": "POST", "/v1/edge/query": "GET POST"}
"""Paths whose body is a request of the gateway, with the methods they take."""

_ENCODER: Final = msgspec.json.Encoder()
_HTTP_STATUS: Final = {1000: 429}

_NOT_SIMULATED: Final = re.compile(
    rb'\s*\{\s*"(account_snapshots|cash_incentives|direct_deposit_address|edge_candlesticks|'
    rb"edge_market_snapshots|fast_withdrawal_signature|funding_rate_history|ink_airdrop|leaderboard\w*|"
    rb"liquidation_feed|list_social_accounts|maker_statistics|nado_\w*points|nlp_snapshots|portfolio|"
    rb"positions|private_alpha_choice|product_snapshots|products|ratelimit|referral_code|"
    rb'revoke_social_account|rewards|social_connect|summary|tx_hashes)"'
)
"""Questions that the real archive knows (the official SDKs ask them) and this one does not answer."""


class HttpRequest(NamedTuple):
    """A request as any HTTP server can give it; *query* holds the first value of each name."""

    method: str
    path: str
    query: Mapping[str, str] = {}
    body: bytes = b""
    address: str = "127.0.0.1"
    """The client's IP address, which query weights are charged to."""


class HttpAnswer(NamedTuple):
    """An answer; the body is always JSON."""

    status: int
    body: bytes

    @property
    def headers(self) -> dict[str, str]:
        """The headers that belong to it."""
        return {"Content-Type": "application/json"}

    @classmethod
    def of(cls, answer: Answer) -> HttpAnswer:
        """Take an answer of the gateway."""
        return cls(answer.status, answer.body)


def query_as_json(query: Mapping[str, str]) -> bytes:
    """Turn the parameters of ``GET /query`` into the body that POST would have; all values are text."""
    return _ENCODER.encode(dict(query))


class Rest:
    """Serves every path that is not a request of the gateway."""

    def __init__(
        self,
        queries: Queries,
        archive: ArchiveQueries,
        v2: RestV2,
        triggers: TriggerService,
        limits: Limits,
    ) -> None:
        self._queries = queries
        self._triggers = triggers
        self._archive = archive
        self._limits = limits
        self._get: dict[str, Callable[[Mapping[str, str], int], object]] = {
            "/v1/symbols": lambda query, now_ns: self._queries.symbol_list(),
            # In no document, but the official SDK reads its clock from here.
            "/v1/time": lambda query, now_ns: now_ns // 10**6,
            **v2.routes,
        }

    def answer(self, request: HttpRequest, path: str, now_ns: int) -> HttpAnswer:
        """Answer a request for *path*, which is the request's without ``/gateway``."""
        if path == "/archive/v1":
            return self._archive_v1(request, now_ns) if request.method == "POST" else _bare(405, "use POST")
        if path in ("/trigger/v1/execute", "/trigger/v1/query"):
            return self._trigger_v1(request, path, now_ns)
        respond = self._get.get(path)
        if respond is None:
            return _bare(404, f"there is nothing at {path}")
        if request.method != "GET":
            return _bare(405, "use GET")
        try:
            return _json(200, respond(request.query, now_ns))
        except Refusal as refusal:
            return _bare(400, refusal.text, refusal.code)

    def _trigger_v1(self, request: HttpRequest, path: str, now_ns: int) -> HttpAnswer:
        if request.method != "POST":
            return _bare(405, "use POST")
        serve = self._triggers.execute if path.endswith("execute") else self._triggers.query
        envelope, code = serve(request.body, now_ns)
        return HttpAnswer(_HTTP_STATUS.get(code, 200), encode(envelope))

    def _archive_v1(self, request: HttpRequest, now_ns: int) -> HttpAnswer:
        try:
            query = decode_archive_request(request.body)
        except UnreadableRequest as error:
            known = _NOT_SIMULATED.match(request.body)
            if known is not None:
                return _bare(200, f"{known[1].decode()} is not simulated", 4001)
            return _bare(400, error.text, 1005)
        try:
            self._limits.spend_archive(query, request.address, now_ns)
            return _json(200, self._archive.answer(query, now_ns))
        except Refusal as refusal:
            return _bare(_HTTP_STATUS.get(refusal.code, 200), refusal.text, refusal.code)


def _json(status: int, body: object) -> HttpAnswer:
    return HttpAnswer(status, _ENCODER.encode(body))


def _bare(status: int, text: str, code: int = 1005) -> HttpAnswer:
    """Answer as the archive does: the error and its code, without an envelope."""
    return _json(status, {"error": text, "error_code": code})
