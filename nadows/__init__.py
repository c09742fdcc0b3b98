"""The toolkit for the WebSocket API of Nado: a client, a book, an account, and a venue to try them on.

Public names live here; everything else may change. They are imported when first used, so that
``nadows --help`` does not wait for sockets and curves.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nadows.account import Account, OrderStatus, Position, TrackedOrder
    from nadows.book import Book, BookState, Level, Slippage, Sweep
    from nadows.client import Client, connect
    from nadows.delivery import SlowConsumer, Subscription
    from nadows.desk import (
        BookChanged,
        BookDrifted,
        BookGapped,
        BookPolled,
        CopyLost,
        CopyRestored,
        Degraded,
        DepthGap,
        Disconnected,
        FillsBackfilled,
        OrderSettled,
        Reconnected,
        Throttled,
    )
    from nadows.errors import (
        BookNotLive,
        CaptureError,
        ConnectFailed,
        InvalidRequest,
        JournalDamaged,
        JournalError,
        MalformedFrame,
        NadowsError,
        OrderUnknown,
        ProtocolError,
        RateLimited,
        Rejected,
        TransientError,
        TransportError,
        Unauthorized,
        UsageError,
        VenueError,
    )
    from nadows.inbox import Overflow
    from nadows.journal.file import JournalFile
    from nadows.journal.journal import Journal, Sync
    from nadows.lifecycle import ClientState, LifeOptions, LifeState
    from nadows.messages import LateFill, Stream
    from nadows.metrics import Metrics
    from nadows.metrics.endpoint import log_metrics, serve_metrics
    from nadows.network import MAINNET, TESTNET, Network
    from nadows.pool import Pool, connect_pool
    from nadows.products import Product, Products
    from nadows.quotes import Quotes, SpreadTrend
    from nadows.signing import OrderType, SignedOrder, Signer, Subaccount
    from nadows.throttle import Limits, Policy
    from nadows.timings import Timings
    from nadows.units import format_x18, from_x18, to_x18

__version__ = "0.1.0"

_HOME = {
    "nadows.account": ("Account", "OrderStatus", "Position", "TrackedOrder"),
    "nadows.book": ("Book", "BookState", "Level", "Slippage", "Sweep"),
    "nadows.client": ("Client", "connect"),
    "nadows.delivery": ("SlowConsumer", "Subscription"),
    "nadows.desk": (
        "BookChanged",
        "BookDrifted",
        "BookGapped",
        "CopyLost",
        "CopyRestored",
        "BookPolled",
        "Degraded",
        "DepthGap",
        "Disconnected",
        "FillsBackfilled",
        "OrderSettled",
        "Reconnected",
        "Throttled",
    ),
    "nadows.errors": (
        "BookNotLive",
        "CaptureError",
        "ConnectFailed",
        "InvalidRequest",
        "JournalDamaged",
        "JournalError",
        "MalformedFrame",
        "NadowsError",
        "OrderUnknown",
        "ProtocolError",
        "RateLimited",
        "Rejected",
        "TransientError",
        "TransportError",
        "Unauthorized",
        "UsageError",
        "VenueError",
    ),
    "nadows.inbox": ("Overflow",),
    "nadows.journal.file": ("JournalFile",),
    "nadows.journal.journal": ("Journal", "Sync"),
    "nadows.lifecycle": ("ClientState", "LifeOptions", "LifeState"),
    "nadows.messages": ("LateFill", "Stream"),
    "nadows.metrics": ("Metrics",),
    "nadows.metrics.endpoint": ("log_metrics", "serve_metrics"),
    "nadows.network": ("MAINNET", "TESTNET", "Network"),
    "nadows.pool": ("Pool", "connect_pool"),
    "nadows.products": ("Product", "Products"),
    "nadows.quotes": ("Quotes", "SpreadTrend"),
    "nadows.signing": ("OrderType", "SignedOrder", "Signer", "Subaccount"),
    "nadows.throttle": ("Limits", "Policy"),
    "nadows.timings": ("Timings",),
    "nadows.units": ("format_x18", "from_x18", "to_x18"),
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}

__all__ = [
    "MAINNET",
    "TESTNET",
    "Account",
    "Book",
    "BookChanged",
    "BookDrifted",
    "BookGapped",
    "BookNotLive",
    "BookPolled",
    "BookState",
    "CaptureError",
    "Client",
    "ClientState",
    "ConnectFailed",
    "CopyLost",
    "CopyRestored",
    "Degraded",
    "DepthGap",
    "Disconnected",
    "FillsBackfilled",
    "InvalidRequest",
    "Journal",
    "JournalDamaged",
    "JournalError",
    "JournalFile",
    "LateFill",
    "Level",
    "LifeOptions",
    "LifeState",
    "Limits",
    "MalformedFrame",
    "Metrics",
    "NadowsError",
    "Network",
    "OrderSettled",
    "OrderStatus",
    "OrderType",
    "OrderUnknown",
    "Overflow",
    "Policy",
    "Pool",
    "Position",
    "Product",
    "Products",
    "ProtocolError",
    "Quotes",
    "RateLimited",
    "Reconnected",
    "Rejected",
    "SignedOrder",
    "Signer",
    "Slippage",
    "SlowConsumer",
    "SpreadTrend",
    "Stream",
    "Subaccount",
    "Subscription",
    "Sweep",
    "Sync",
    "Throttled",
    "Timings",
    "TrackedOrder",
    "TransientError",
    "TransportError",
    "Unauthorized",
    "UsageError",
    "VenueError",
    "connect",
    "connect_pool",
    "format_x18",
    "from_x18",
    "log_metrics",
    "serve_metrics",
    "to_x18",
]


def __getattr__(name: str) -> Any:
    module = _MODULE_OF.get(name)
    if module is None:
        raise AttributeError(f"module 'nadows' has no attribute {name!r}")
    value = getattr(import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
