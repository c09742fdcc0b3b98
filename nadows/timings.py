"""How long a desk waits for what, and how much it asks for at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["Timings"]

_SECOND: Final = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """Times in ns; the defaults are for the real venue. A replay needs those of the recording."""

    request_ns: int = 10 * _SECOND
    """How long an answer on the gateway may take."""
    ack_ns: int = 10 * _SECOND
    """How long an acknowledgement on the subscription socket may take."""
    archive_ns: int = 5 * _SECOND
    """How long an answer of the archive may take."""
    reconcile_ns: int = 30 * _SECOND
    """Between two comparisons with the venue while everything seems well."""
    after_reconnect_ns: tuple[int, ...] = (0, _SECOND // 5, _SECOND // 2, _SECOND, 2 * _SECOND, 4 * _SECOND)
    """When to look for lost fills after a reconnect: often, because the archive trails (protocol.md 2.6)."""
    hold_ns: int = _SECOND
    """How long after a reconnect new fills may be held back for older ones that were lost."""
    settle_ns: int = 5 * _SECOND
    """How long the archive may trail: silence of that length is taken for an answer."""
    takes_effect_ns: int = 102 * _SECOND
    """After this a request that was sent cannot take effect: the venue takes no receive time further ahead
    than 100 s (code 2012)."""
    doubt_ns: tuple[int, ...] = (0, _SECOND // 4, _SECOND // 2, _SECOND, 2 * _SECOND)
    """Between questions about an order whose fate is unknown; the last one repeats."""
    audit_ns: int = 60 * _SECOND
    """Between two comparisons of a book with the venue's."""
    audit_patience_ns: int = 2 * _SECOND
    """How long a book may stay behind a snapshot of itself before that counts as drift."""
    poll_after_ns: int = 3 * _SECOND
    """How long a line may be down until REST is asked in its stead."""
    poll_ns: int = _SECOND
    """Between two questions about the same thing while the subscription line is degraded."""
    poll_weight_ns: int = 2 * _SECOND // 5
    """Time for each unit of weight that polling spends on books, and as much for each on balances and orders:
    together half of what a client asks by itself, so that there is room for its books at the take-over."""
    poll_patience_ns: int = 5 * _SECOND
    """How late the next answer about a POLLED book may be before the book is STALE."""
    calm_ns: int = 2 * _SECOND
    """Pause in questions of our own after the venue said that there were too many; doubles while it does."""
    calm_cap_ns: int = 10 * _SECOND
    page: int = 100
    """Matches asked of the archive at once: 100 weigh 12 of the 400 that an address has in 10 s."""
