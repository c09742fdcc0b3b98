"""The appendix of an order: its type and options in one 128-bit number.

======  ===================  ==========================================================
bits    field                values
======  ===================  ==========================================================
0-7     version              1
8       isolated             0, 1
9-10    order type           `OrderType`
11      reduce only          0, 1
12-13   trigger              `Trigger`
14-37   reserved             0
38-47   builder fee rate     units of 0.1 basis points
48-63   builder id           0 is none
64-127  upper half           isolated: margin (x6 USDT0); TWAP: times << 32 | slippage (x6)
======  ===================  ==========================================================

Source: protocol.md 3.3 (Appendix).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from nadows.errors import UsageError

__all__ = ["APPENDIX_VERSION", "Appendix", "BadAppendix", "OrderType", "Trigger"]

APPENDIX_VERSION: Final = 1
MAX_TWAP_TIMES: Final = 500

_RESERVED: Final = (2**38 - 1) & ~(2**14 - 1)

# Codes with which the venue refuses an appendix, protocol.md 3.11.
_INVALID_EXECUTE: Final = 2038
_INVALID_ISOLATED_MARGIN: Final = 2086
_INVALID_ORDER_VERSION: Final = 2095
_INVALID_TWAP: Final = 2098
_INVALID_TWAP_ORDER_TYPE: Final = 2099
_INVALID_TWAP_TIMES: Final = 2100
_INVALID_TWAP_ISOLATED: Final = 2110
_INVALID_BUILDER: Final = 2118


class BadAppendix(UsageError):
    """Options that exclude each other, or a number that is no appendix.

    Attribute ``code``: the number with which the venue refuses such an order.
    """

    def __init__(self, text: str, code: int) -> None:
        self.code = code
        super().__init__(text)


class OrderType(IntEnum):
    """How long an order may rest, and whether it may take."""

    DEFAULT = 0
    """Rests until filled, cancelled or expired."""
    IOC = 1
    """Takes what it can at once; the rest is cancelled."""
    FOK = 2
    """Takes the whole amount at once, or nothing."""
    POST_ONLY = 3
    """Only rests; refused if it would take."""


class Trigger(IntEnum):
    """What the trigger service waits for; such orders go there and not to the gateway."""

    NONE = 0
    PRICE = 1
    TWAP = 2
    TWAP_CUSTOM_AMOUNTS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Appendix:
    """The options of an order; checked when made, so that every instance has its number.

    Raises:
        BadAppendix: If the options exclude each other or leave their range.
    """

    order_type: OrderType = OrderType.DEFAULT
    reduce_only: bool = False
    isolated: bool = False
    margin_x6: int = 0
    """Isolated margin to transfer, in millionths of USDT0 (the only money that is not x18)."""
    trigger: Trigger = Trigger.NONE
    twap_times: int = 0
    """Number of parts, 1 to 500."""
    twap_slippage_x6: int = 0
    """Allowed slippage of each part in millionths: 5000 is 0.5 %."""
    builder_id: int = 0
    """Who is paid for routing the order; 0 for nobody, unless asked for."""
    builder_fee_rate: int = 0
    """Units of 0.1 basis points: 10 is 1 bp. Paid on top of the venue's fee."""

    value: int = field(init=False, repr=False, compare=False)
    """The number that is signed and sent."""

    def __post_init__(self) -> None:
        self._check_builder()
        self._check_twap()
        self._check_margin()
        object.__setattr__(self, "value", self._encode())

    @property
    def is_twap(self) -> bool:
        """Whether the trigger service cuts the order into parts."""
        return self.trigger >= Trigger.TWAP

    @classmethod
    def decode(cls, number: int) -> Appendix:
        """Unpack an appendix; the inverse of ``value``.

        Raises:
            BadAppendix: If *number* does not fit 128 bits, has another version or reserved bits set, or its
                options exclude each other. ``code`` is the venue's for that case.
        """
        if not 0 <= number < 2**128:
            raise BadAppendix(
                f"an appendix is an unsigned number of 128 bits, got {number}", _INVALID_EXECUTE
            )
        if number & 0xFF != APPENDIX_VERSION:
            raise BadAppendix(f"appendix version must be 1, got {number & 0xFF}", _INVALID_ORDER_VERSION)
        if number & _RESERVED:
            raise BadAppendix(f"bits 14 to 37 of an appendix must be 0, got {number:#x}", _INVALID_EXECUTE)
        trigger = Trigger(number >> 12 & 3)
        upper = number >> 64
        is_twap = trigger >= Trigger.TWAP
        return cls(
            order_type=OrderType(number >> 9 & 3),
            reduce_only=bool(number >> 11 & 1),
            isolated=bool(number >> 8 & 1),
            margin_x6=0 if is_twap else upper,
            trigger=trigger,
            twap_times=upper >> 32 if is_twap else 0,
            twap_slippage_x6=upper & 0xFFFF_FFFF if is_twap else 0,
            builder_id=number >> 48 & 0xFFFF,
            builder_fee_rate=number >> 38 & 0x3FF,
        )

    def _encode(self) -> int:
        upper = self.twap_times << 32 | self.twap_slippage_x6 if self.is_twap else self.margin_x6
        return (
            APPENDIX_VERSION
            | self.isolated << 8
            | self.order_type << 9
            | self.reduce_only << 11
            | self.trigger << 12
            | self.builder_fee_rate << 38
            | self.builder_id << 48
            | upper << 64
        )

    def _check_builder(self) -> None:
        _check_range("builder_id", self.builder_id, 2**16 - 1, _INVALID_BUILDER)
        _check_range("builder_fee_rate", self.builder_fee_rate, 2**10 - 1, _INVALID_BUILDER)
        if self.builder_fee_rate and not self.builder_id:
            raise BadAppendix("a builder fee rate needs a builder id; set both or neither", _INVALID_BUILDER)

    def _check_twap(self) -> None:
        if not self.is_twap:
            if self.twap_times or self.twap_slippage_x6:
                raise BadAppendix("twap_times and twap_slippage_x6 need a TWAP trigger", _INVALID_TWAP)
            return
        if self.isolated:
            raise BadAppendix("a TWAP order cannot have isolated margin", _INVALID_TWAP_ISOLATED)
        if self.order_type is not OrderType.IOC:
            raise BadAppendix(
                f"a TWAP order must be IOC, not {self.order_type.name}", _INVALID_TWAP_ORDER_TYPE
            )
        if not 1 <= self.twap_times <= MAX_TWAP_TIMES:
            raise BadAppendix(
                f"twap_times must lie between 1 and {MAX_TWAP_TIMES}, got {self.twap_times}",
                _INVALID_TWAP_TIMES,
            )
        _check_range("twap_slippage_x6", self.twap_slippage_x6, 2**32 - 1, _INVALID_TWAP)

    def _check_margin(self) -> None:
        _check_range("margin_x6", self.margin_x6, 2**64 - 1, _INVALID_ISOLATED_MARGIN)
        if self.margin_x6 and not self.isolated:
            raise BadAppendix("margin_x6 needs isolated=True", _INVALID_ISOLATED_MARGIN)


def _check_range(what: str, value: int, high: int, code: int) -> None:
    if not 0 <= value <= high:
        raise BadAppendix(f"{what} must lie between 0 and {high}, got {value}", code)
