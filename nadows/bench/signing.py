"""Measure one order built, signed and encoded, beside the official SDK on the same order.

``make bench-signing`` installs the SDK in an environment of its own and runs this module. Both sides
take turns, round by round, so that a busy moment of the machine hits both; a round's ratio compares the
medians of its orders' CPU times. Every order of the SDK is compared with ours: same digest, same
signature, same request.

The table goes to stderr and the result, as JSON, to stdout. Exit codes: 0 done, 1 slower than demanded,
different bytes, or a peer that failed, 2 wrong usage.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Final

from nadows import __version__
from nadows.bench import signing_peer
from nadows.bench.signing_peer import Line, timed
from nadows.errors import NadowsError, UsageError
from nadows.network import TESTNET
from nadows.signing import SignedOrder, Signer, Subaccount, sign_order

__all__ = ["DEMANDED_RATIO", "PeerFailed", "PeerProcess", "Result", "Round", "main", "measure", "render"]

DEMANDED_RATIO: Final = 30.0
"""How many times faster than the SDK an order must be."""
ROUNDS: Final = 15
ORDERS: Final = 1500
"""Our orders in a round, about as much time as the SDK's take."""
PEER_ORDERS: Final = 15
PEER_EXIT_TIMEOUT_S: Final = 10

# The key of the published test vectors: it owns nothing.
_KEY: Final = "0x" + "01" * 32
_PRODUCT: Final = 2
_CLIENT_ID: Final = 100
_FIRST_NONCE: Final = 1887436800000001000
_SIGNER: Final = Signer(_KEY)
_SENDER: Final = Subaccount.of(_SIGNER.address)
_FIELDS: Final = {"priceX18": 95_000 * 10**18, "amount": 10**16, "expiration": 4294967295, "appendix": 1}
# Isolated, for the script's folder holds modules of ours; and without a complaint of the SDK's old libraries.
_PEER_OPTIONS: Final = ("-I", "-W", "ignore::UserWarning:eth_keyfile")
_PEER_SCRIPT: Final = Path(signing_peer.__file__)


class PeerFailed(NadowsError):
    """The other library could not be started, ended, or made something else of the same order."""


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


class PeerProcess:
    """The other library, in a process and environment of its own."""

    def __init__(self, command: Sequence[str]) -> None:
        """Start *command*, which speaks the protocol of `signing_peer`.

        Raises:
            UsageError: If it cannot be started.
        """
        # Keys and tokens of whoever runs this are none of the peer's business.
        environment = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        try:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
            )
        except OSError as error:
            raise UsageError(
                f"cannot start {command[0]}: {error.strerror}; `make bench-signing` makes that environment"
            ) from error
        assert self._process.stdin is not None  # Pipes were asked for.
        assert self._process.stdout is not None
        self._stdin, self._stdout = self._process.stdin, self._process.stdout

    def __enter__(self) -> PeerProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # The end of its input ends the peer; one that does not listen is ended.
        with suppress(BrokenPipeError):
            self._stdin.close()
        try:
            self._process.wait(PEER_EXIT_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._stdout.close()

    def ask(self, line: Line) -> Line:
        """Send one object and return the answer.

        Raises:
            PeerFailed: If the peer ended, or answers something else than JSON.
        """
        try:
            self._stdin.write(json.dumps(line) + "\n")
            self._stdin.flush()
            answer: Line = json.loads(self._stdout.readline())
        except (BrokenPipeError, json.JSONDecodeError):
            raise PeerFailed("the SDK's process ended or talks nonsense; its own words are above") from None
        return answer


def measure(
    peer: PeerProcess, *, rounds: int = ROUNDS, orders: int = ORDERS, peer_orders: int = PEER_ORDERS
) -> Result:
    """Let both sides make the same orders in turns, and compare bytes and times.

    Raises:
        PeerFailed: If the peer ended, or made something else of an order.
    """
    their_versions = peer.ask(_setup())["versions"]
    pairs: list[Round] = []
    for number in range(rounds):
        first_nonce = _FIRST_NONCE + number * max(orders, peer_orders)
        theirs = peer.ask({"first_nonce": first_nonce, "count": peer_orders})
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
    parser = argparse.ArgumentParser(
        prog="python -m nadows.bench.signing",
        description="Measure one order built, signed and encoded, beside the official SDK.",
    )
    parser.add_argument(
        "--sdk-python",
        required=True,
        metavar="PATH",
        help="interpreter of the environment that holds the SDK",
    )
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"turns of each side (default {ROUNDS})")
    options = parser.parse_args(arguments)
    if options.rounds < 1:
        parser.error(f"--rounds must be at least 1, got {options.rounds}")
    try:
        with PeerProcess([options.sdk_python, *_PEER_OPTIONS, str(_PEER_SCRIPT)]) as peer:
            result = measure(peer, rounds=options.rounds)
    except NadowsError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2 if isinstance(error, UsageError) else 1
    sys.stderr.write(render(result) + "\n")
    sys.stdout.write(json.dumps(asdict(result) | {"passed": result.passed}, indent=2) + "\n")
    return 0 if result.passed else 1


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
