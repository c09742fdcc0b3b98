"""Measure one order built, signed and encoded, beside the official SDK on the same order.

``make bench-signing`` installs the SDK in an environment of its own and runs this module. Both sides
take turns, round by round, so that a busy moment of the machine hits both; a round's ratio compares the
medians of its orders' CPU times. Every order of the SDK is compared with ours: same digest, same
signature, same request.

The table goes to stderr and the result, as JSON, to stdout. Exit codes: 0 done, 1 slower than demanded,
different bytes, or a peer that failed, 2 wrong usage.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Final

from nadows import __version__
from nadows.bench import signing_peer
from nadows.bench.peer import Peer, PeerFailed, peer_process, run_beside
from nadows.bench.signing_peer import Line, timed
from nadows.network import TESTNET
from nadows.signing import SignedOrder, Signer, Subaccount, sign_order

__all__ = ["DEMANDED_RATIO", "Result", "Round", "main", "measure", "render"]

DEMANDED_RATIO: Final = 30.0
"""How many times faster than the SDK an order must be."""
ROUNDS: Final = 15
ORDERS: Final = 1500
"""Our orders in a round, about as much time as the SDK's take."""
PEER_ORDERS: Final = 15

# The key of the published test vectors: it owns nothing.
_KEY: Final = "0x" + "01" * 32
_PRODUCT: Final = 2
_CLIENT_ID: Final = 100
_FIRST_NONCE: Final = 1887436800000001000
_SIGNER: Final = Signer(_KEY)
_SENDER: Final = Subaccount.of(_SIGNER.address)
_FIELDS: Final = {"priceX18": 95_000 * 10**18, "amount": 10**16, "expiration": 4294967295, "appendix": 1}
_PEER_SCRIPT: Final = Path(signing_peer.__file__)


@dataclass(frozen=True, slots=True)
class Round:
    """Medians of one round, ns of CPU time an order."""

    ours_ns: float
    theirs_ns: float

    @property
    def ratio(self) -> float:
        """How many times faster ours was."""
        return self.theirs_ns / self.ours_ns


@dataclass(frozen=True, slots=True)
class Spread:
    """A median with the range that it comes from."""

    median: float
    min: float
    max: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Summarize *values*, at least one."""
        return cls(statistics.median(values), min(values), max(values))


@dataclass(frozen=True, slots=True)
class Result:
    """A whole benchmark."""

    ours_us: Spread
    """CPU time an order, microseconds; median and range over the rounds."""
    theirs_us: Spread
    ratio: Spread
    """Range of the rounds' own ratios."""
    rounds: int
    compared: int
    """Orders of which digest, signature and request were found equal."""
    demanded_ratio: float
    versions: dict[str, dict[str, str]]

    @property
    def passed(self) -> bool:
        """Whether the median ratio reaches what is demanded."""
        return self.ratio.median >= self.demanded_ratio


async def measure(
    peer: Peer, *, rounds: int = ROUNDS, orders: int = ORDERS, peer_orders: int = PEER_ORDERS
) -> Result:
    """Let both sides make the same orders in turns, and compare bytes and times.

    Raises:
        PeerFailed: If the peer ended, or made something else of an order.
    """
    their_versions = (await peer.ask(**_setup()))["versions"]
    pairs: list[Round] = []
    for number in range(rounds):
        first_nonce = _FIRST_NONCE + number * max(orders, peer_orders)
        theirs = await peer.ask(first_nonce=first_nonce, count=peer_orders)
        ours_ns, _ = timed(lambda nonce: _order(nonce).frame, range(first_nonce, first_nonce + orders))
        for offset, (frame, digest) in enumerate(zip(theirs["frames"], theirs["digests"], strict=True)):
            _compare(_order(first_nonce + offset), frame, digest)
        pairs.append(Round(statistics.median(ours_ns), statistics.median(theirs["cpu_ns"])))
    return Result(
        ours_us=Spread.of([each.ours_ns / 1000 for each in pairs]),
        theirs_us=Spread.of([each.theirs_ns / 1000 for each in pairs]),
        ratio=Spread.of([each.ratio for each in pairs]),
        rounds=rounds,
        compared=rounds * peer_orders,
        demanded_ratio=DEMANDED_RATIO,
        versions={"nadows": _our_versions(), "sdk": their_versions},
    )


def render(result: Result) -> str:
    """Write the table that people read."""
    sdk = result.versions["sdk"]
    rows = [
        ("", "median", "range over rounds"),
        ("nadows", f"{result.ours_us.median:.1f} us", _range(result.ours_us, " us")),
        (
            f"nado-protocol {sdk['nado-protocol']}",
            f"{result.theirs_us.median:.1f} us",
            _range(result.theirs_us, " us"),
        ),
        ("times faster", f"{result.ratio.median:.1f}", _range(result.ratio, "")),
    ]
    lines = [f"{name:<22}{median:>12}   {spread}" for name, median, spread in rows]
    verdict = "reached" if result.passed else "NOT REACHED"
    return "\n".join(
        [
            "CPU time to build, sign and encode one place_order",
            *lines,
            f"{result.rounds} rounds in turns; {result.compared} orders equal in digest and signature",
            f"demanded: {result.demanded_ratio:g} times faster; {verdict}",
        ]
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark from the command line and return the exit code."""
    return run_beside(
        arguments,
        program="python -m nadows.bench.signing",
        description="Measure one order built, signed and encoded, beside the official SDK.",
        rounds=(ROUNDS, "turns of each side"),
        measure=_run,
        render=render,
    )


async def _run(python: str, rounds: int) -> Result:
    async with peer_process("the SDK", python, _PEER_SCRIPT) as peer:
        return await measure(peer, rounds=rounds)


def _order(nonce: int) -> SignedOrder:
    return sign_order(
        _SIGNER,
        TESTNET.domain,
        _PRODUCT,
        _SENDER,
        _FIELDS["priceX18"],
        _FIELDS["amount"],
        _FIELDS["expiration"],
        nonce,
        _FIELDS["appendix"],
        id=_CLIENT_ID,
    )


def _setup() -> Line:
    """Describe the order to the peer."""
    return {
        "key": _KEY,
        "chain_id": TESTNET.chain_id,
        "endpoint": TESTNET.endpoint,
        "product_id": _PRODUCT,
        "id": _CLIENT_ID,
        "order": {"sender": _SENDER.hex, **_FIELDS},
    }


def _compare(order: SignedOrder, frame: str, digest: str) -> None:
    """Check that both sides made the same request, signature and all, and the same digest."""
    if (json.loads(frame), digest) != (json.loads(order.frame), order.digest):
        raise PeerFailed(
            f"the two differ for nonce {order.nonce}:\n  nadows {order.digest} {order.frame.decode()}"
            f"\n  sdk    {digest} {frame}"
        )


def _our_versions() -> dict[str, str]:
    return {
        "python": sys.version.split()[0],
        "nadows": __version__,
        **{name: metadata.version(name) for name in ("coincurve", "safe-pysha3")},
    }


def _range(spread: Spread, unit: str) -> str:
    return f"{spread.min:.1f} to {spread.max:.1f}{unit}"


if __name__ == "__main__":
    sys.exit(main())
