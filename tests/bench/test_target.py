"""Only this machine is ever loaded."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from nadows.bench.target import loopback_network
from nadows.errors import ConnectFailed, UsageError


def resolve_to(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    def getaddrinfo(host: str, port: int | None, **options: Any) -> list[tuple[Any, ...]]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


@pytest.mark.parametrize(
    ("url", "gateway"),
    [
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080/v1"),
        ("http://127.9.9.9:8080/v1", "http://127.9.9.9:8080/v1"),
        ("ws://[::1]:8080", "http://[::1]:8080/v1"),
    ],
)
def test_loopback_addresses_are_welcome(url: str, gateway: str) -> None:
    """Any address of the loopback interface may be loaded."""
    assert gateway == loopback_network(url).gateway


def test_name_is_replaced_by_the_address_it_was_judged_by(monkeypatch: pytest.MonkeyPatch) -> None:
    """The run connects to what was checked, not to what the name means later; IPv4 first."""
    resolve_to(monkeypatch, "::1", "127.0.0.1")

    assert "ws://127.0.0.1/ws/v2" == loopback_network("http://somewhere.test").ws_v2


@pytest.mark.parametrize("addresses", [("192.0.2.1",), ("127.0.0.1", "192.0.2.1"), ("0.0.0.0",)])
def test_anything_else_is_refused(monkeypatch: pytest.MonkeyPatch, addresses: tuple[str, ...]) -> None:
    """One address outside is enough, whatever the name looks like."""
    resolve_to(monkeypatch, *addresses)

    with pytest.raises(UsageError, match="never leaves this machine"):
        loopback_network("http://localhost.example:8080")


def test_name_without_an_address_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that cannot be resolved is a failure to connect."""

    def getaddrinfo(*args: Any, **options: Any) -> list[tuple[Any, ...]]:
        raise socket.gaierror("no such name")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)

    with pytest.raises(ConnectFailed, match="has no address"):
        loopback_network("http://nowhere.test")


def test_nonsense_is_no_url() -> None:
    """What is no URL is refused as such."""
    with pytest.raises(UsageError, match="must be a URL"):
        loopback_network("localhost:8080")
