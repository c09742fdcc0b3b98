"""What nobody knows about the real venue, as named switches.

Each field answers one open question of protocol.md section 9, or sets a delay that sources disagree
about. The defaults are our best reading; a client that is right works with any setting.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Switches"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Switches:
    """Choices where protocol.md is silent or its sources differ; numbers are those of its section 9."""

    speed_bump_ms: int = 0
    """(11) How long an order that is not post-only waits before matching; sources say 30 or 50."""
    batch_penalty_ms: int = 0
    """How long `place_orders` waits before it is processed; the docs say 50."""
    place_orders_bare_list: bool = True
    """(7) Answer `place_orders` with a bare list (engine), not with ``{"place_orders": [...]}`` (docs)."""
    submission_idx_as_string: bool = False
    """(4) Write `fill.submission_idx` as a string (TypeScript types) instead of a number (docs)."""
    fill_fields_in_order_update: bool = True
    """(5) Send `filled_qty` and `filled_price` in `order_update` on fills."""
    signed_quantities: bool = False
    """(3) Write quantities of sells negative in `order_update` and `fill`."""
    numeric_candle_time: bool = False
    """Write `latest_candlestick.timestamp` as a number in ms (docs), not as a string in s (live)."""
    funding_as_strings: bool = False
    """(4) Write `funding_payment.timestamp` and `dt` as strings (TypeScript), not as numbers (docs)."""
    failures_echo_id: bool = True
    """(6) Echo the client's id in failures too."""
    v1_cancels_echo_id: bool = True
    """(6) Echo the client's id in answers to cancels on the v1 socket and REST."""
    cancel_and_place_echoes_id: bool = True
    """(6) Echo the id of the nested `place_order`."""
    one_unknown_digest_fails_all: bool = True
    """(14) Refuse a whole `cancel_orders` when one digest is not open, instead of cancelling the others."""
    oracle_band_percent: tuple[int, int] = (20, 500)
    """(11) Allowed order prices, in percent of the oracle price."""
    own_match_is_refused: bool = False
    """Refuse (2073) an order that meets one's own, instead of cancelling the resting one."""
    evict_newest_session: bool = True
    """(2) Of more than five authenticated connections of a wallet close the new one, not the oldest."""
    linked_signer_authenticates: bool = True
    """(8) Accept the linked signer's signature on `authenticate`."""
    list_names_default: bool = True
    """(13) Begin the answer to `list` with ``{"type": "default"}``, as the docs' sample does."""
    funded_on_query: bool = True
    """Fund a wallet when its `subaccount_info` is asked for, not only when it signs something."""
    nlp_lock_s: int = 345_600
    """How long what was minted of the pool's token stays locked; four days."""
    liquidation_sweep_ms: int = 1000
    """How often the house liquidates whoever is under maintenance health; 0: only users liquidate."""
    all_bbo_ms: int = 500
    """How often `all_bbo` is sent."""
