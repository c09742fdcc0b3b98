"""Where a venue is: its URLs, its chain, and the contract that signatures name.

A `Network` is made from what is at hand: the two public ones are constants, `Network.from_ready_line`
reads what ``nadows serve`` prints, and `Network.from_url` derives everything from one base, as the
official SDK does. Every URL can be replaced with `dataclasses.replace`.

Source: protocol.md section 1 (Endpoints), 1.1 (Chains and contracts).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, TypeVar
from urllib.parse import urlsplit

from nadows.errors import UsageError
from nadows.signing import Domain, parse_address

__all__ = [
    "AUTHENTICATED_CONNECTIONS",
    "AUTHENTICATE_WINDOW_MS",
    "CLOSE_TIMEOUT_NS",
    "CONNECT_TIMEOUT_NS",
    "MAINNET",
    "PING_INTERVAL_NS",
    "PONG_TIMEOUT_NS",
    "REQUEST_TIMEOUT_NS",
    "TESTNET",
    "Network",
]

CONNECT_TIMEOUT_NS: Final = 10_000_000_000
"""How long a connection with its handshakes may take."""
REQUEST_TIMEOUT_NS: Final = 5_000_000_000
"""How long an answer may take; the slowest documented one, an order's speed bump, takes 50 ms."""
PING_INTERVAL_NS: Final = 20_000_000_000
"""How often the client sends a PING frame; the venue drops those silent for 30 s (protocol.md 1.2)."""
PONG_TIMEOUT_NS: Final = 10_000_000_000
"""How long a pong may take before the connection counts as dead."""
CLOSE_TIMEOUT_NS: Final = 2_000_000_000
"""How long a closing handshake may take before the socket is cut."""
AUTHENTICATE_WINDOW_MS: Final = 90_000
"""How far ahead an ``authenticate`` expires; the venue allows 100 s (protocol.md 2.3)."""

AUTHENTICATED_CONNECTIONS: Final = 5
"""How many authenticated subscription sockets a wallet may have; more are cut off (protocol.md 7)."""

_T = TypeVar("_T", int, str)

_MAINNET_CHAIN: Final = 57073
_MAINNET_ENDPOINT: Final = "0x05ec92D78ED421f3D3Ada77FFdE167106565974E"
_TESTNET_CHAIN: Final = 763373
_TESTNET_ENDPOINT: Final = "0x698D87105274292B5673367DEC81874Ce3633Ac2"

_URL_SCHEMES: Final = {
    "gateway": ("http", "https"),
    "gateway_v2": ("http", "https"),
    "ws": ("ws", "wss"),
    "ws_v2": ("ws", "wss"),
    "subscribe": ("ws", "wss"),
    "archive": ("http", "https"),
    "archive_v2": ("http", "https"),
    "trigger": ("http", "https"),
}
"""The fields that hold URLs, named as in the ready line of ``nadows serve``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """One venue.

    Raises:
        UsageError: If a URL is not one, the chain id not positive, or the endpoint not an address.
    """

    name: str
    """``mainnet``, ``testnet``, ``sim``, or the host of a URL."""
    chain_id: int
    endpoint: str
    """Address of the endpoint contract, which signatures of everything but orders name."""
    gateway: str
    """Gateway REST; ``/query``, ``/execute``, ``/symbols`` and ``/edge/query`` follow."""
    gateway_v2: str
    """Gateway REST v2; ``/assets``, ``/pairs``, ``/orderbook`` and ``/apr`` follow."""
    ws: str
    """Gateway socket v1: answers in the order of the requests."""
    ws_v2: str
    """Gateway socket v2: answers as they are ready."""
    subscribe: str
    """Subscription socket; demands permessage-deflate."""
    archive: str
    """Archive (indexer): one POST address."""
    archive_v2: str
    """Archive v2; ``/tickers``, ``/contracts``, ``/trades`` and ``/symbols`` follow."""
    trigger: str
    """Trigger service; ``/execute`` and ``/query`` follow."""

    def __post_init__(self) -> None:
        if self.chain_id < 1:
            raise UsageError(f"{self.name}: a chain id is a positive integer, got {self.chain_id}")
        parse_address(self.endpoint, f"{self.name}: endpoint contract")
        for field, schemes in _URL_SCHEMES.items():
            _check_url(getattr(self, field), schemes, f"{self.name}: {field}")

    @property
    def domain(self) -> Domain:
        """The EIP-712 domain of this venue; the same object each time, for it caches separators."""
        return _domain(self.chain_id, self.endpoint)

    @classmethod
    def public(
        cls,
        name: str,
        env: str,
        chain_id: int,
        endpoint: str,
        *,
        unified: bool = False,
        zone: str = "nado.xyz",
    ) -> Network:
        """Describe a venue of the exchange's own hosts.

        Args:
            name: What to call it.
            env: The part of the host names: ``prod`` or ``test``.
            chain_id: Of its chain.
            endpoint: Address of its endpoint contract.
            unified: Use the newer host layout, everything under ``api.{env}``, instead of the documented one.
                No trigger service has been seen there, so that one keeps its host.
            zone: The domain; ``nado-backend.xyz`` is the exchange's spare.
        """
        if unified:
            gateway, archive = f"api.{env}.{zone}/gateway", f"api.{env}.{zone}/archive"
        else:
            gateway, archive = f"gateway.{env}.{zone}", f"archive.{env}.{zone}"
        return cls(
            name=name,
            chain_id=chain_id,
            endpoint=endpoint,
            gateway=f"https://{gateway}/v1",
            gateway_v2=f"https://{gateway}/v2",
            ws=f"wss://{gateway}/v1/ws",
            # Not "v2/ws": the venue swaps the order here.
            ws_v2=f"wss://{gateway}/ws/v2",
            subscribe=f"wss://{gateway}/v1/subscribe",
            archive=f"https://{archive}/v1",
            archive_v2=f"https://{archive}/v2",
            trigger=f"https://trigger.{env}.{zone}/v1",
        )

    @classmethod
    def from_url(
        cls,
        url: str,
        *,
        name: str | None = None,
        chain_id: int = _TESTNET_CHAIN,
        endpoint: str = _TESTNET_ENDPOINT,
    ) -> Network:
        """Derive all URLs from one base, for a venue that serves everything there, as ``nadows serve`` does.

        Args:
            url: ``http://host:port`` or ``https://host``, with or without a path and a final ``/v1``; for the
                schemes ``ws`` and ``wss`` the fitting one of HTTP is taken.
            name: What to call it; the host and port by default.
            chain_id: The testnet's by default, as the simulated venue's.
            endpoint: The testnet's by default.

        Raises:
            UsageError: If *url* is not such a URL.
        """
        _check_url(url, ("http", "https", "ws", "wss"), "url")
        parts = urlsplit(url)
        suffix = "s" if parts.scheme in ("https", "wss") else ""
        base = f"{parts.netloc}{parts.path.rstrip('/').removesuffix('/v1')}"
        http, ws = f"http{suffix}://{base}", f"ws{suffix}://{base}"
        return cls(
            name=parts.netloc if name is None else name,
            chain_id=chain_id,
            endpoint=endpoint,
            gateway=f"{http}/v1",
            gateway_v2=f"{http}/v2",
            ws=f"{ws}/v1/ws",
            ws_v2=f"{ws}/ws/v2",
            subscribe=f"{ws}/v1/subscribe",
            archive=f"{http}/archive/v1",
            archive_v2=f"{http}/archive/v2",
            trigger=f"{http}/trigger/v1",
        )

    @classmethod
    def local(
        cls, port: int, *, chain_id: int = _TESTNET_CHAIN, endpoint: str = _TESTNET_ENDPOINT
    ) -> Network:
        """Describe a simulated venue on this machine.

        Raises:
            UsageError: If *port* is not one.
        """
        if not 1 <= port <= 65535:
            raise UsageError(f"a port lies between 1 and 65535, got {port}")
        return cls.from_url(f"http://127.0.0.1:{port}", name="sim", chain_id=chain_id, endpoint=endpoint)

    @classmethod
    def from_ready_line(cls, line: Mapping[str, object], name: str = "sim") -> Network:
        """Read the JSON object that ``nadows serve`` prints when it is ready.

        Args:
            line: The decoded object; keys that are not needed here, such as ``pid``, are ignored.
            name: What to call the venue.

        Raises:
            UsageError: If a key is missing or holds something else than it should.
        """
        chain_id = _entry(line, "chain_id", int)
        endpoint = _entry(line, "endpoint", str)
        urls = {field: _entry(line, field, str) for field in _URL_SCHEMES}
        return cls(name=name, chain_id=chain_id, endpoint=endpoint, **urls)

    def ready_line(self) -> dict[str, str | int]:
        """Return what ``nadows serve`` prints of this venue, but for the process id."""
        urls: dict[str, str | int] = {field: getattr(self, field) for field in _URL_SCHEMES}
        return urls | {"chain_id": self.chain_id, "endpoint": self.endpoint}


@lru_cache(maxsize=16)
def _domain(chain_id: int, endpoint: str) -> Domain:
    return Domain(chain_id, endpoint)


def _entry(line: Mapping[str, object], key: str, kind: type[_T]) -> _T:
    value = line.get(key)
    if not isinstance(value, kind):
        raise UsageError(
            f"the venue's ready line needs {key!r} as {kind.__name__}, got {value!r}; "
            "give the line of `nadows serve` unchanged"
        )
    return value


def _check_url(url: str, schemes: tuple[str, ...], what: str) -> None:
    """Refuse what is not a plain URL of one of *schemes*."""
    wanted = f"{what} must be a URL such as {schemes[0]}://127.0.0.1:8080"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise UsageError(f"{wanted}, got {url!r}: {error}") from None
    if parts.scheme not in schemes:
        raise UsageError(f"{wanted}, got {url!r}: it must begin with {' or '.join(schemes)}")
    if not parts.hostname or port == 0 or any(character.isspace() for character in url):
        raise UsageError(f"{wanted}, got {url!r}: it names no host and port")
    if parts.username is not None or parts.query or parts.fragment:
        raise UsageError(f"{wanted}: leave out user name, query and fragment")


MAINNET: Final = Network.public("mainnet", "prod", _MAINNET_CHAIN, _MAINNET_ENDPOINT)
TESTNET: Final = Network.public("testnet", "test", _TESTNET_CHAIN, _TESTNET_ENDPOINT)
