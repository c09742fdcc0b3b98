"""Which venue, key and subaccount: from the environment, and never a guess."""

from __future__ import annotations

import pytest

from nadows.network import MAINNET, TESTNET, Network
from nadows.perpdex.settings import Settings
from tests.perpdex.strategy import KEY

LOCAL = Network.from_url("http://127.0.0.1:9/v1")


def settings(**environment: str) -> Settings:
    return Settings.from_environment({"NADO_PRIVATE_KEY": KEY, **environment})


@pytest.mark.parametrize(
    ("environment", "expected"),
    [({}, MAINNET), ({"NADO_MODE": "mainnet"}, MAINNET), ({"NADO_MODE": "TESTNET"}, TESTNET)],
)
def test_modes(environment: dict[str, str], expected: Network) -> None:
    """MAINNET unless another is named, as in the public project."""
    assert expected == settings(**environment).network


@pytest.mark.parametrize("mode", ["DEVNET", "MAINET", "prod"])
def test_a_mode_that_nobody_knows_is_an_error(mode: str) -> None:
    """The public file takes it for MAINNET, and trades with real money."""
    with pytest.raises(ValueError, match="NADO_MODE must be MAINNET or TESTNET"):
        settings(NADO_MODE=mode)


def test_a_gateway_elsewhere_brings_its_other_addresses() -> None:
    """One variable is enough for a venue that serves everything at one place; the chain is the mode's."""
    network = settings(NADO_MODE="TESTNET", NADO_GATEWAY_URL="http://127.0.0.1:9/v1").network

    assert (LOCAL.ws_v2, LOCAL.subscribe, LOCAL.archive) == (
        network.ws_v2,
        network.subscribe,
        network.archive,
    )
    assert (TESTNET.chain_id, TESTNET.endpoint) == (network.chain_id, network.endpoint)


def test_the_same_gateway_changes_nothing() -> None:
    """Who writes out the address that is the default keeps the others."""
    assert MAINNET == settings(NADO_GATEWAY_URL=MAINNET.gateway).network


def test_each_address_can_be_given() -> None:
    """Each variable replaces one address, and is looked at last."""
    network = settings(
        NADO_GATEWAY_URL="http://127.0.0.1:9",
        NADO_ARCHIVE_URL="http://127.0.0.1:10/a",
        NADO_SUBSCRIBE_URL="ws://127.0.0.1:11/s",
        NADO_WS_V2_URL="ws://127.0.0.1:12/w",
    ).network

    assert (
        "http://127.0.0.1:9/v1",
        "http://127.0.0.1:10/a",
        "ws://127.0.0.1:11/s",
        "ws://127.0.0.1:12/w",
    ) == (
        network.gateway,
        network.archive,
        network.subscribe,
        network.ws_v2,
    )


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({"NADO_PRIVATE_KEY": ""}, "NADO_PRIVATE_KEY must be set"),
        ({"NADO_PRIVATE_KEY": "0xabc"}, "key"),
        ({"NADO_SUBACCOUNT_NAME": "much too long a name"}, "subaccount"),
        ({"NADO_GATEWAY_URL": "nowhere"}, "URL"),
        ({"NADO_WS_V2_URL": "http://127.0.0.1:9"}, "ws_v2"),
    ],
)
def test_mistakes_are_value_errors(environment: dict[str, str], told: str) -> None:
    """Strategies catch that class, and nothing repeats the key."""
    with pytest.raises(ValueError, match=told) as error:
        settings(**environment)

    assert "0xabc" not in str(error.value)


def test_the_key_is_not_shown() -> None:
    """Settings may be printed."""
    assert KEY[2:] not in repr(settings())
