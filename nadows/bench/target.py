"""What may be loaded: this machine, and nothing else.

The decision falls on the addresses a name resolves to, and the run then connects to one of those, so that a
name which means something else a moment later changes nothing.
"""

from __future__ import annotations

import ipaddress
import socket
from urllib.parse import urlsplit, urlunsplit

from nadows.errors import ConnectFailed, UsageError
from nadows.network import Network

__all__ = ["loopback_network"]


def loopback_network(url: str) -> Network:
    """Return the venue at a URL of this machine.

    Raises:
        UsageError: If it is no URL, or leads anywhere but to the loopback interface.
        ConnectFailed: If its host has no address.
    """
    parts = urlsplit(Network.from_url(url).gateway)
    host = parts.hostname or ""
    addresses = _resolve(host, parts.port)
    outside = [address for address in addresses if not ipaddress.ip_address(address).is_loopback]
    if outside:
        raise UsageError(
            f"a load test never leaves this machine, and {host} is {outside[0]}; "
            "leave --url out for the embedded venue, or run `nadows serve` here"
        )
    address = addresses[0]
    port = "" if parts.port is None else f":{parts.port}"
    netloc = f"[{address}]{port}" if ":" in address else f"{address}{port}"
    return Network.from_url(urlunsplit((parts.scheme, netloc, parts.path, "", "")))


def _resolve(host: str, port: int | None) -> list[str]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise ConnectFailed(f"{host} has no address: {error}; check the name") from error
    # IPv4 first, as `nadows serve` listens there.
    return sorted({str(sockaddr[0]).partition("%")[0] for *_, sockaddr in found}, key=lambda a: (":" in a, a))
