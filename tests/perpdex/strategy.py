"""The strategy's side, in the shape that the adapter must fit: written from its description, not copied."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from nadows.perpdex import NadoAdapter

KEY = "0x" + "21" * 32


@dataclass
class OrderResult:
    success: bool
    order_id: str | None = None
    side: str | None = None
    size: Decimal | None = None
    price: Decimal | None = None
    status: str | None = None
    error_message: str | None = None
    filled_size: Decimal | None = None


@dataclass
class OrderInfo:
    order_id: str
    side: str
    size: Decimal
    price: Decimal
    status: str
    filled_size: Any = 0.0
    remaining_size: Any = 0.0
    cancel_reason: str = ""


class BaseExchangeClient(ABC):
    def __init__(self, config: Any) -> None:
        self.config = config
        self._validate_config()

    def round_to_tick(self, price: Decimal) -> Decimal:
        raise AssertionError("its rounding goes by the tick's decimals, so the adapter's own must be used")

    @abstractmethod
    def _validate_config(self) -> None: ...

    @abstractmethod
    async def connect(self) -> None: ...

    @abstractmethod
    async def disconnect(self) -> None: ...

    @abstractmethod
    async def place_open_order(self, contract_id: str, quantity: Decimal, direction: str) -> OrderResult: ...

    @abstractmethod
    async def place_close_order(
        self, contract_id: str, quantity: Decimal, price: Decimal, side: str
    ) -> OrderResult: ...

    @abstractmethod
    async def cancel_order(self, order_id: str) -> OrderResult: ...

    @abstractmethod
    async def get_order_info(self, order_id: str) -> OrderInfo | None: ...

    @abstractmethod
    async def get_active_orders(self, contract_id: str) -> list[OrderInfo]: ...

    @abstractmethod
    async def get_account_positions(self) -> Decimal: ...

    @abstractmethod
    def setup_order_update_handler(self, handler: Callable[[dict[str, Any]], None]) -> None: ...

    @abstractmethod
    def get_exchange_name(self) -> str: ...


class NadoClient(NadoAdapter, BaseExchangeClient):
    order_result, order_info = OrderResult, OrderInfo


@dataclass
class Config:
    ticker: str = "BTC"
    contract_id: Any = ""
    quantity: Decimal = Decimal("0.01")
    tick_size: Decimal = Decimal(0)
    direction: str = "buy"

    @property
    def close_order_side(self) -> str:
        return "sell" if self.direction == "buy" else "buy"
