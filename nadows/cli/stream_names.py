"""Streams as people name them on the command line: ``book_depth:ETH``, ``trade:2``, ``fill``, ``all``."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from nadows.errors import UsageError
from nadows.messages import STREAM_PARAMS, Stream, StreamParams
from nadows.products import Product, Products

__all__ = ["ALL", "DEFAULT", "check_names", "needs_key", "parse_streams"]

ALL: Final = "all"
"""Every public stream of every product, and with a key one's own."""
DEFAULT: Final = ("trade", "best_bid_offer")
_PRIVATE: Final = tuple(kind for kind, params in STREAM_PARAMS.items() if "subaccount" in params.required)
_PARTS: Final = {"product_id": "PRODUCT", "granularity": "SECONDS"}
_GRANULARITIES: Final = (60, 300, 900, 3600, 7200, 14400, 86400, 604800, 2419200)
"""Lengths of candles the venue makes (s). Source: protocol.md 2.4."""


def needs_key(names: Iterable[str]) -> bool:
    """Tell whether streams are among these that belong to a subaccount, so that a key must say which."""
    return any(name.partition(":")[0] in (*_PRIVATE, ALL) for name in names)


def parse_streams(names: Sequence[str], products: Products, own: str | None) -> list[Stream]:
    """Read stream names; each is ``TYPE``, ``TYPE:PRODUCT`` or ``latest_candlestick:PRODUCT:SECONDS``.

    Args:
        names: As typed; none stands for `DEFAULT`.
        products: What the venue lists. A type that needs a product and has none stands for all products.
        own: The user's subaccount (bytes32 hex), whose private streams are meant.

    Raises:
        UsageError: If a name is none, or its product is not listed, or it needs a key and there is none.
    """
    streams: dict[object, Stream] = {}
    for name in names or DEFAULT:
        for stream in _streams_of(name, products, own):
            streams.setdefault(stream.key, stream)
    return list(streams.values())


def check_names(names: Iterable[str]) -> None:
    """Find what is wrong with names whatever the venue lists. Raises as `parse_streams`."""
    for name in names:
        _split(name)


class _Named(NamedTuple):
    kind: str
    product: str | None
    granularity: int


def _split(name: str) -> _Named:
    kind, *parts = name.strip().split(":")
    if kind != ALL and kind not in STREAM_PARAMS:
        raise UsageError(f"no stream is called {kind!r}: {_hint(kind)}")
    params = STREAM_PARAMS.get(kind, StreamParams())
    takes = [part for part in _PARTS if part in params.required + params.optional]
    if len(parts) > len(takes) or "" in parts:
        raise UsageError(
            f"{name!r} is not a stream: write {':'.join([kind, *(_PARTS[part] for part in takes)])}"
        )
    return _Named(
        kind,
        product=parts[0] if parts else None,
        granularity=_granularity(parts[1]) if len(parts) > 1 else _GRANULARITIES[0],
    )


def _streams_of(name: str, products: Products, own: str | None) -> Iterator[Stream]:
    named = _split(name)
    if named.kind != ALL:
        product = products.find(named.product) if named.product is not None else None
        yield from _of_kind(named.kind, product, named.granularity, products, own)
        return
    for kind in STREAM_PARAMS:
        if own is not None or kind not in _PRIVATE:
            yield from _of_kind(kind, None, named.granularity, products, own)


def _of_kind(
    kind: str, product: Product | None, granularity: int, products: Products, own: str | None
) -> Iterator[Stream]:
    params = STREAM_PARAMS[kind]
    if "subaccount" in params.required:
        if own is None:
            raise UsageError(f"the stream {kind} is a subaccount's: give a key, so that it is known whose")
        make = {
            "order_update": Stream.order_update,
            "fill": Stream.fill,
            "position_change": Stream.position_change,
        }
        yield make[kind](own, product.product_id if product else None)
    elif "product_id" not in params.required:
        yield Stream(kind, product.product_id) if product else Stream(kind)
    else:
        for each in [product] if product else [listed for listed in products if listed.status == "live"]:
            if "granularity" in params.required:
                yield Stream.latest_candlestick(each.product_id, granularity)
            else:
                yield Stream(kind, each.product_id)


def _granularity(text: str) -> int:
    if not text.isdecimal() or int(text) not in _GRANULARITIES:
        listed = ", ".join(map(str, _GRANULARITIES))
        raise UsageError(f"no candles of {text!r} seconds are made: choose one of {listed}")
    return int(text)


def _hint(kind: str) -> str:
    near = difflib.get_close_matches(kind, [*STREAM_PARAMS, ALL])
    return f"did you mean {near[0]}?" if near else f"there are {', '.join(STREAM_PARAMS)} and {ALL}"
