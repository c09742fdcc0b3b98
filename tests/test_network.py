import dataclasses
import json
from typing import Any

import pytest

from nadows.errors import UsageError
from nadows.network import MAINNET, TESTNET, Network
from nadows.signing import Domain

# What `nadows serve` prints, by the command contract.
READY: dict[str, Any] = {
    "gateway": "http://127.0.0.1:8080/v1",
    "gateway_v2": "http://127.0.0.1:8080/v2",
    "ws": "ws://127.0.0.1:8080/v1/ws",
    "ws_v2": "ws://127.0.0.1:8080/ws/v2",
    "subscribe": "ws://127.0.0.1:8080/v1/subscribe",
    "archive": "http://127.0.0.1:8080/archive/v1",
    "archive_v2": "http://127.0.0.1:8080/archive/v2",
    "trigger": "http://127.0.0.1:8080/trigger/v1",
    "chain_id": 763373,
    "endpoint": "0x698D87105274292B5673367DEC81874Ce3633Ac2",
    "pid": 4711,
}


def test_mainnet() -> None:
    """Mainnet is what the exchange documents."""
    assert (
        Network(
            name="mainnet",
            chain_id=57073,
            endpoint="0x05ec92D78ED421f3D3Ada77FFdE167106565974E",
            gateway="https://gateway.prod.nado.xyz/v1",
            gateway_v2="https://gateway.prod.nado.xyz/v2",
            ws="wss://gateway.prod.nado.xyz/v1/ws",
            ws_v2="wss://gateway.prod.nado.xyz/ws/v2",
            subscribe="wss://gateway.prod.nado.xyz/v1/subscribe",
            archive="https://archive.prod.nado.xyz/v1",
            archive_v2="https://archive.prod.nado.xyz/v2",
            trigger="https://trigger.prod.nado.xyz/v1",
        )
        == MAINNET
    )


def test_testnet() -> None:
    """Testnet has hosts, a chain and a contract of its own."""
    assert {url.replace("prod", "test") for url in _urls(MAINNET)} == set(_urls(TESTNET))
    assert (763373, "0x698D87105274292B5673367DEC81874Ce3633Ac2") == (TESTNET.chain_id, TESTNET.endpoint)


def test_unified_hosts() -> None:
    """The newer layout puts gateway and archive under one host."""
    unified = Network.public("mainnet", "prod", 57073, MAINNET.endpoint, unified=True)

    assert [
        "https://api.prod.nado.xyz/gateway/v1",
        "https://api.prod.nado.xyz/gateway/v2",
        "wss://api.prod.nado.xyz/gateway/v1/ws",
        "wss://api.prod.nado.xyz/gateway/ws/v2",
        "wss://api.prod.nado.xyz/gateway/v1/subscribe",
        "https://api.prod.nado.xyz/archive/v1",
        "https://api.prod.nado.xyz/archive/v2",
        "https://trigger.prod.nado.xyz/v1",
    ] == _urls(unified)


def test_spare_zone() -> None:
    """The exchange's spare domain can stand in for the usual one."""
    spare = Network.public("mainnet", "prod", 57073, MAINNET.endpoint, zone="nado-backend.xyz")

    assert [url.replace("nado.xyz", "nado-backend.xyz") for url in _urls(MAINNET)] == _urls(spare)


def test_ready_line_round_trip() -> None:
    """What a venue prints tells the client all it needs, and only the process id is more."""
    network = Network.from_ready_line(json.loads(json.dumps(READY)))

    assert Network.local(8080) == network
    assert READY == network.ready_line() | {"pid": 4711}


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8080",
        "http://127.0.0.1:8080/",
        "http://127.0.0.1:8080/v1",
        "http://127.0.0.1:8080/v1/",
        "ws://127.0.0.1:8080",
    ],
)
def test_from_url(url: str) -> None:
    """Every spelling of the base leads to the URLs of the ready line."""
    network = Network.from_url(url)

    assert READY == network.ready_line() | {"pid": 4711}
    assert "127.0.0.1:8080" == network.name


@pytest.mark.parametrize("url", ["https://venue.example/exchange", "wss://venue.example/exchange/v1"])
def test_from_encrypted_url_with_a_path(url: str) -> None:
    """Encryption and a path apply to all URLs, sockets included."""
    network = Network.from_url(url, name="lab", chain_id=1337, endpoint="0x" + "22" * 20)

    assert ("lab", 1337, "0x" + "22" * 20) == (network.name, network.chain_id, network.endpoint)
    assert [
        "https://venue.example/exchange/v1",
        "https://venue.example/exchange/v2",
        "wss://venue.example/exchange/v1/ws",
        "wss://venue.example/exchange/ws/v2",
        "wss://venue.example/exchange/v1/subscribe",
        "https://venue.example/exchange/archive/v1",
        "https://venue.example/exchange/archive/v2",
        "https://venue.example/exchange/trigger/v1",
    ] == _urls(network)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "127.0.0.1:8080",
        "localhost",
        "ftp://127.0.0.1:8080",
        "http://",
        "http://:8080",
        "http://127.0.0.1:0",
        "http://127.0.0.1:port",
        "http://127.0.0.1:70000",
        "http://[::1",
        "http://a b",
        "http://host/?query",
        "http://host/#fragment",
    ],
)
def test_url_refused(url: str) -> None:
    """What is no plain URL is refused with an example of one."""
    with pytest.raises(UsageError, match=r"url must be a URL such as http://127\.0\.0\.1:8080"):
        Network.from_url(url)


def test_url_with_password_refused_without_repeating_it() -> None:
    """Credentials in a URL would end in logs; the message must not begin with that."""
    with pytest.raises(UsageError, match="leave out user name") as raised:
        Network.from_url("http://me:secret@host")

    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("ws", "http://host/v1/ws", r"mainnet: ws must be a URL such as ws://"),
        ("archive", "wss://host", r"mainnet: archive must be a URL such as http://"),
        ("chain_id", 0, "chain id is a positive integer, got 0"),
        ("endpoint", "0x12", "mainnet: endpoint contract must be 20 bytes"),
    ],
)
def test_field_refused(field: str, value: Any, words: str) -> None:
    """Every URL can be replaced, by one of its own kind."""
    with pytest.raises(UsageError, match=words):
        dataclasses.replace(MAINNET, **{field: value})


@pytest.mark.parametrize("key", [key for key in READY if key != "pid"])
@pytest.mark.parametrize("broken", ["missing", "of another type"])
def test_ready_line_refused(key: str, broken: str) -> None:
    """A line that is not the venue's names the key that shows it."""
    line = {name: value for name, value in READY.items() if name != key}
    if broken != "missing":
        line[key] = None

    with pytest.raises(UsageError, match=f"ready line needs '{key}'"):
        Network.from_ready_line(line)


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_port_refused(port: int) -> None:
    """A port has 16 bits and is not 0."""
    with pytest.raises(UsageError, match="between 1 and 65535"):
        Network.local(port)


def test_domain_is_made_once() -> None:
    """All users of a network share the cache of separators."""
    assert Domain(57073, MAINNET.endpoint) == MAINNET.domain
    assert MAINNET.domain is MAINNET.domain
    assert MAINNET.domain != TESTNET.domain


def _urls(network: Network) -> list[str]:
    return [str(value) for key, value in network.ready_line().items() if key not in ("chain_id", "endpoint")]
