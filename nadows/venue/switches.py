"""What nobody knows about the real venue, as named switches.

Each field answers one open question of protocol.md section 9, or sets a delay that sources disagree
about. The defaults are our best reading; a client that is right works with any setting.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields
from typing import Annotated, Any, Final, NamedTuple, get_type_hints

import msgspec

from nadows.errors import UsageError

__all__ = ["Switch", "Switches", "list_switches", "read_profile"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Switches:
    """Choices where protocol.md is silent or its sources differ; numbers are those of its section 9."""

    speed_bump_ms: Annotated[
        int,
        "(11) How long an order that is not post-only waits before matching; sources say 30 or 50.",
    ] = 0
    batch_penalty_ms: Annotated[
        int,
        "How long `place_orders` waits before it is processed; the docs say 50.",
    ] = 0
    place_orders_bare_list: Annotated[
        bool,
        '(7) Answer `place_orders` with a bare list (engine), not with {"place_orders": [...]} (docs).',
    ] = True
    submission_idx_as_string: Annotated[
        bool,
        "(4) Write `fill.submission_idx` as a string (TypeScript types) instead of a number (docs).",
    ] = False
    fill_fields_in_order_update: Annotated[
        bool,
        "(5) Send `filled_qty` and `filled_price` in `order_update` on fills.",
    ] = True
    signed_quantities: Annotated[
        bool,
        "(3) Write quantities of sells negative in `order_update` and `fill`.",
    ] = False
    numeric_candle_time: Annotated[
        bool,
        "Write `latest_candlestick.timestamp` as a number in ms (docs), not as a string in s (live).",
    ] = False
    funding_as_strings: Annotated[
        bool,
        "(4) Write `funding_payment.timestamp` and `dt` as strings (TypeScript), not as numbers (docs).",
    ] = False
    failures_echo_id: Annotated[bool, "(6) Echo the client's id in failures too."] = True
    v1_cancels_echo_id: Annotated[
        bool,
        "(6) Echo the client's id in answers to cancels on the v1 socket and REST.",
    ] = True
    cancel_and_place_echoes_id: Annotated[bool, "(6) Echo the id of the nested `place_order`."] = True
    one_unknown_digest_fails_all: Annotated[
        bool,
        "(14) Refuse a whole `cancel_orders` when one digest is not open, instead of cancelling the others.",
    ] = True
    oracle_band_percent: Annotated[
        tuple[int, int],
        "(11) Allowed order prices, in percent of the oracle price.",
    ] = (20, 500)
    own_match_is_refused: Annotated[
        bool,
        "Refuse (2073) an order that meets one's own, instead of cancelling the resting one.",
    ] = False
    evict_newest_session: Annotated[
        bool,
        "(2) Of more than five authenticated connections of a wallet close the new one, not the oldest.",
    ] = True
    linked_signer_authenticates: Annotated[
        bool,
        "(8) Accept the linked signer's signature on `authenticate`.",
    ] = True
    sessions_end_at_expiration: Annotated[
        bool, "(2) Disconnect an authenticated connection when the expiration it signed has passed."
    ] = False
    ping_timeout_s: Annotated[
        int,
        "(15) Disconnect a socket that has sent no ping for so long; 0: never. Docs ask for one each 30 s.",
    ] = 90
    list_names_default: Annotated[
        bool,
        '(13) Begin the answer to `list` with {"type": "default"}, as in the sample of the docs.',
    ] = True
    funded_on_query: Annotated[
        bool,
        "Fund a wallet when its `subaccount_info` is asked for, not only when it signs something.",
    ] = True
    nlp_lock_s: Annotated[
        int,
        "How long what was minted of the pool's token stays locked; four days.",
    ] = 345_600
    liquidation_sweep_ms: Annotated[
        int,
        "How often the house liquidates whoever is under maintenance health; 0: only users liquidate.",
    ] = 1000
    all_bbo_ms: Annotated[int, "How often `all_bbo` is sent."] = 500


class Switch(NamedTuple):
    """One of `Switches`, for showing."""

    name: str
    default: Any
    doc: str


def list_switches() -> list[Switch]:
    """Return every switch with its default and what it decides, in the order of their definition."""
    hints = get_type_hints(Switches, include_extras=True)
    return [Switch(each.name, each.default, hints[each.name].__metadata__[0]) for each in fields(Switches)]


_NAMES: Final = frozenset(each.name for each in fields(Switches))


def read_profile(text: str) -> Switches:
    """Read switches from TOML: a line ``name = value`` for each that is not at its default.

    Raises:
        UsageError: If it is not TOML, a name is unknown, or a value does not fit.
    """
    try:
        chosen = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"the profile is not TOML: {error}") from None
    unknown = sorted(set(chosen) - _NAMES)
    if unknown:
        raise UsageError(
            f"there is no switch {unknown[0]!r}; `nadows serve --help` and docs/venue.md list those there are"
        )
    for name, value in chosen.items():
        if isinstance(value, int) and not isinstance(value, bool) and value < 0:
            raise UsageError(f"the switch {name} must not be negative, got {value}")
    if chosen.get("all_bbo_ms") == 0:
        raise UsageError("the switch all_bbo_ms must be at least 1")
    try:
        return msgspec.convert(chosen, Switches)
    except msgspec.ValidationError as error:
        raise UsageError(f"a switch has a value of another kind: {error}") from None
