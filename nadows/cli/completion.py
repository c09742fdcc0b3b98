"""What a shell offers for products and streams. Quick: nothing here knows a socket."""

from __future__ import annotations

from nadows.cli.symbol_cache import recall

__all__ = ["complete_product", "complete_stream"]


def complete_product(incomplete: str) -> list[str]:
    """Offer symbols, of perpetuals without ``-PERP`` too, in whichever case was begun."""
    symbols = recall()
    names = [*symbols, *(each.removesuffix("-PERP") for each in symbols if each.endswith("-PERP"))]
    found = sorted({name for name in names if name.upper().startswith(incomplete.upper())})
    # A shell drops what does not begin as it was typed.
    return [incomplete + name[len(incomplete) :] for name in found]


def complete_stream(incomplete: str) -> list[str]:
    """Offer the types of streams, and after a colon the products of those that have one."""
    from nadows.cli.stream_names import ALL  # noqa: PLC0415 - only here
    from nadows.messages.subscriptions import STREAM_PARAMS  # noqa: PLC0415 - only here

    kind, colon, product = incomplete.partition(":")
    if not colon:
        return [name for name in (*STREAM_PARAMS, ALL) if name.startswith(incomplete)]
    params = STREAM_PARAMS.get(kind)
    if params is None or "product_id" not in params.required + params.optional:
        return []
    return [f"{kind}:{name}" for name in complete_product(product)]
