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
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from nadows.bench import signing_peer
from nadows.bench.signing_peer import Line, timed
from nadows.errors import NadowsError, UsageError
from nadows.network import TESTNET
from nadows.signing import Signer, SignedOrder, Subaccount, sign_order

__all__ = ["DEMANDED_RATIO", "Peer", "PeerFailed", "Result", "Round", "main", "measure", "render"]

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


class Peer:
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

    def __enter__(self) -> Peer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # The end of its input ends the peer; one that does not listen is ended.
        self._process.stdin.close()  # type: ignore[union-attr]  # a pipe was asked for
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()  # type: ignore[union-attr]  # a pipe was asked for

    def ask(self, line: Line) -> Line:
        """Send one object and return the answer.

        Raises:
            PeerFailed: If the peer ended or answers something else than JSON.
        """
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None and stdout is not None
        try:
            stdin.write(json.dumps(line) + "\n")
            stdin.flush()
            answer: Line = json.loads(stdout.readline())
        except (BrokenPipeError, json.JSONDecodeError):
            raise PeerFailed("the SDK's process ended; what it says is above") from None
        return answer
