"""Which venue, key and subaccount, from the environment variables that the public project's users set.

``NADO_PRIVATE_KEY``, ``NADO_MODE`` and ``NADO_SUBACCOUNT_NAME`` are those of its ``exchanges/nado.py``; the
addresses are ours. A mode that nobody knows is an error: the public file takes it for MAINNET in silence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final
from urllib.parse import urlsplit

from nadows.errors import UsageError
from nadows.network import MAINNET, TESTNET, Network
from nadows.signing import Signer, Subaccount

__all__ = ["Settings"]

_MODES: Final = {"MAINNET": MAINNET, "TESTNET": TESTNET}
_URLS: Final = {
    "NADO_ARCHIVE_URL": "archive",
    "NADO_SUBSCRIBE_URL": "subscribe",
    "NADO_WS_V2_URL": "ws_v2",
}
"""Variables that replace one address each, and the field of `Network` that they replace."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What an adapter needs to know before it connects."""

    network: Network
    signer: Signer = field(repr=False)
    subaccount_name: str

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """Read the variables.

        Args:
            environment: Such as ``os.environ``.

        Raises:
            ValueError: If one is missing or wrong; strategies catch this class. The key is not repeated.
        """
        key = environment.get("NADO_PRIVATE_KEY")
        if not key:
            raise ValueError("NADO_PRIVATE_KEY must be set in environment variables: 32 bytes of hex")
        try:
            name = environment.get("NADO_SUBACCOUNT_NAME") or "default"
            signer = Signer(key)
            Subaccount.of(signer.address, name)
            return cls(_network(environment), signer, name)
        except UsageError as error:
            raise ValueError(str(error)) from None


def _network(environment: Mapping[str, str]) -> Network:
    mode = (environment.get("NADO_MODE") or "MAINNET").upper()
    network = _MODES.get(mode)
    if network is None:
        raise ValueError(
            f"NADO_MODE must be {' or '.join(_MODES)}, got {mode!r}; "
            "for a venue of your own set TESTNET and NADO_GATEWAY_URL"
        )
    gateway = environment.get("NADO_GATEWAY_URL")
    if gateway:
        network = _moved(network, gateway)
    urls: dict[str, Any] = {
        field: environment[name] for name, field in _URLS.items() if environment.get(name)
    }
    return replace(network, **urls)


def _moved(network: Network, gateway: str) -> Network:
    """Take another gateway; where it is on another host, the other addresses are looked for there too."""
    elsewhere = Network.from_url(gateway, chain_id=network.chain_id, endpoint=network.endpoint)
    if urlsplit(gateway).netloc == urlsplit(network.gateway).netloc:
        return replace(network, gateway=elsewhere.gateway)
    return elsewhere
