from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from nadows.signing import Appendix, BadAppendix, OrderType, Trigger
from tests.signing.vectors import DATA

VALUES = {each["desc"]: int(each["value"]) for each in DATA["appendix_values"]}

DEFAULT, IOC, FOK, POST_ONLY = OrderType

OPTIONS: dict[str, dict[str, Any]] = {
    "default": {},
    "ioc": {"order_type": IOC},
    "fok": {"order_type": FOK},
    "post_only": {"order_type": POST_ONLY},
    "default reduce_only": {"reduce_only": True},
    "ioc reduce_only": {"order_type": IOC, "reduce_only": True},
    "fok reduce_only": {"order_type": FOK, "reduce_only": True},
    "post_only reduce_only": {"order_type": POST_ONLY, "reduce_only": True},
    "default isolated margin 250 USDT0": {"isolated": True, "margin_x6": 250_000_000},
    "ioc isolated reduce_only no margin": {"order_type": IOC, "isolated": True, "reduce_only": True},
    "price trigger default": {"trigger": Trigger.PRICE},
    "twap ioc 10 times 0.5% slippage": {
        "order_type": IOC,
        "trigger": Trigger.TWAP,
        "twap_times": 10,
        "twap_slippage_x6": 5_000,
    },
    "twap custom ioc 5 times 1% slippage": {
        "order_type": IOC,
        "trigger": Trigger.TWAP_CUSTOM_AMOUNTS,
        "twap_times": 5,
        "twap_slippage_x6": 10_000,
    },
    "post_only builder 4500 fee 10": {"order_type": POST_ONLY, "builder_id": 4500, "builder_fee_rate": 10},
    "ioc builder 65535 fee 1023": {"order_type": IOC, "builder_id": 65535, "builder_fee_rate": 1023},
}


def test_every_vector_is_compared() -> None:
    """The table covers all values that the SDK's vectors hold."""
    assert set(VALUES) == set(OPTIONS)


@pytest.mark.parametrize("name", VALUES)
def test_vector(name: str) -> None:
    """Options encode to the SDK's number, and the number decodes to them."""
    appendix = Appendix(**OPTIONS[name])

    assert VALUES[name] == appendix.value
    assert Appendix.decode(VALUES[name]) == appendix


def test_builder_is_nobody_unless_asked_for() -> None:
    """No order pays for routing by default: bits 38 to 63 are zero."""
    assert 0 == Appendix().value >> 14


@given(number=st.integers(0, 2**128 - 1), raw=st.booleans())
def test_decoding_is_exact(number: int, raw: bool) -> None:
    """A number is either refused or encodes back to itself."""
    if not raw:
        # Hardly any random number has version 1 and no reserved bits.
        number = number & ~((1 << 38) - (1 << 14)) & ~0xFF | 1
    try:
        appendix = Appendix.decode(number)
    except BadAppendix:
        assume(False)
    assert number == appendix.value


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"builder_fee_rate": 10}, 2118),
        ({"builder_id": 65536}, 2118),
        ({"builder_id": -1}, 2118),
        ({"builder_id": 1, "builder_fee_rate": 1024}, 2118),
        ({"builder_id": 1, "builder_fee_rate": -1}, 2118),
        ({"twap_times": 1}, 2098),
        ({"twap_slippage_x6": 1, "trigger": Trigger.PRICE}, 2098),
        ({"order_type": IOC, "trigger": Trigger.TWAP, "twap_times": 1, "isolated": True}, 2110),
        ({"trigger": Trigger.TWAP, "twap_times": 1}, 2099),
        ({"order_type": FOK, "trigger": Trigger.TWAP_CUSTOM_AMOUNTS, "twap_times": 1}, 2099),
        ({"order_type": IOC, "trigger": Trigger.TWAP}, 2100),
        ({"order_type": IOC, "trigger": Trigger.TWAP, "twap_times": 501}, 2100),
        ({"order_type": IOC, "trigger": Trigger.TWAP, "twap_times": 1, "twap_slippage_x6": 2**32}, 2098),
        ({"margin_x6": 1}, 2086),
        ({"margin_x6": -1, "isolated": True}, 2086),
        ({"margin_x6": 2**64, "isolated": True}, 2086),
    ],
)
def test_options_refused(options: dict[str, Any], code: int) -> None:
    """Options that exclude each other fail before they are signed, with the code the venue would use."""
    with pytest.raises(BadAppendix) as raised:
        Appendix(**options)

    assert code == raised.value.code


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (-1, 2038),
        (1 << 128, 2038),
        (0, 2095),
        (2, 2095),
        (1 << 14 | 1, 2038),
        (1 << 37 | 1, 2038),
        (1 << 38 | 1, 2118),
        (1 << 64 | 1, 2086),
    ],
)
def test_number_refused(number: int, code: int) -> None:
    """A number that is no appendix is refused with the code the venue would use."""
    with pytest.raises(BadAppendix) as raised:
        Appendix.decode(number)

    assert code == raised.value.code
