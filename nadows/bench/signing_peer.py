"""The official SDK's half of the signing benchmark, run by the SDK's own interpreter.

This file is started as a script, isolated (``python -I``), in an environment that holds nado-protocol
and not nadows; so it imports nothing of nadows. It reads one JSON object a line and answers each with
one: first the set-up, then rounds.

::

    -> {"key", "chain_id", "endpoint", "product_id", "id", "order": {...}}   all but the nonce
    <- {"versions": {...}}
    -> {"first_nonce": n, "count": m}                                        a round
    <- {"cpu_ns": [...], "frames": [...], "digests": [...]}                  one entry an order
"""

from __future__ import annotations

import gc
import json
import sys
import time
from collections.abc import Callable, Iterable
from importlib import import_module, metadata
from typing import Any, Protocol, TextIO

Line = dict[str, Any]


class Library(Protocol):
    """What is measured: a library that makes orders."""

    def frame(self, nonce: int) -> bytes:
        """Build, sign and encode one ``place_order``."""

    def digest(self, nonce: int) -> str:
        """Return the digest of the same order, hex."""


def official_sdk(setup: Line) -> Library:
    """Wrap the SDK's own ``place_order``, up to the bytes it would post."""
    engine = import_module("nado_protocol.engine_client.execute")
    types = import_module("nado_protocol.engine_client.types")
    product_id, client_id, fields = setup["product_id"], setup["id"], setup["order"]

    def encode(request: Any) -> bytes:
        # What `requests` does with the json= that the SDK gives it; sending is not measured.
        return json.dumps(request.dict()).encode()

    client = engine.EngineExecuteClient(
        types.EngineClientOpts(
            url="http://127.0.0.1:9/v1",
            signer=setup["key"],
            chain_id=setup["chain_id"],
            endpoint_addr=setup["endpoint"],
        )
    )
    client._execute = encode

    class Sdk:
        def frame(self, nonce: int) -> bytes:
            order = types.OrderParams(**fields, nonce=nonce)
            params = types.PlaceOrderParams(product_id=product_id, id=client_id, order=order)
            encoded: bytes = client.place_order(params)
            return encoded

        def digest(self, nonce: int) -> str:
            digest: str = client.get_order_digest(types.OrderParams(**fields, nonce=nonce), product_id)
            return digest

    return Sdk()


def versions() -> dict[str, str]:
    """Return the versions that a result must name; a library that is absent is named so."""
    found = {"python": sys.version.split()[0]}
    for name in ("nado-protocol", "eth-account", "coincurve"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "absent"
    return found


def serve(lines: Iterable[str], out: TextIO, make_library: Callable[[Line], Library]) -> None:
    """Answer the set-up and then every round, until there are no more lines."""
    requests = (json.loads(line) for line in lines)
    library = make_library(next(requests))
    _answer(out, {"versions": versions()})
    for request in requests:
        nonces = range(request["first_nonce"], request["first_nonce"] + request["count"])
        cpu_ns, frames = timed(library.frame, nonces)
        digests = [library.digest(nonce) for nonce in nonces]
        _answer(out, {"cpu_ns": cpu_ns, "frames": [frame.decode() for frame in frames], "digests": digests})


def timed(make: Callable[[int], bytes], nonces: Iterable[int]) -> tuple[list[int], list[bytes]]:
    """Make one frame for each nonce; return the CPU time of each, ns, and the frames.

    CPU time, because the machine is shared. The collector waits until the end, for it would charge the
    rubbish of all orders to one of them.
    """
    cpu_ns, frames = [], []
    gc.collect()
    gc.disable()
    try:
        for nonce in nonces:
            begin = time.process_time_ns()
            frame = make(nonce)
            cpu_ns.append(time.process_time_ns() - begin)
            frames.append(frame)
    finally:
        gc.enable()
    return cpu_ns, frames


def _answer(out: TextIO, line: Line) -> None:
    out.write(json.dumps(line) + "\n")
    out.flush()


if __name__ == "__main__":
    serve(sys.stdin, sys.stdout, official_sdk)
