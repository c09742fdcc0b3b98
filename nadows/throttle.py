"""Staying within the venue's rate limits: who may send now, who waits, and what a refusal teaches.

A `Bucket` counts what was sent against the windows of one limit. A `Gate` lets requests through in the order
in which they came, as the bucket has room. Neither reads a clock nor sends anything.

An address's limit on queries is cut in two: `own_queries` for what the clients ask on their own account
(snapshots, comparisons, orders in doubt), and the rest for the user. So neither can starve the other, and
what a desk asks when depends on nothing that is not in its capture.

Source: protocol.md 7.
"""

from __future__ import annotations

import enum
import random
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from nadows.errors import RateLimited, UsageError
from nadows.pacing import IP_QUERY_LIMITS, WALLET_EXECUTE_LIMITS, Backoff, Window, WindowLimit

__all__ = [
    "RATE_LIMIT_CODES",
    "Bucket",
    "Gate",
    "Limits",
    "Policy",
    "Throttled",
    "Waiting",
    "archive_queries",
    "own_queries",
]

RATE_LIMIT_CODES: Final = frozenset({1000, 1015})
"""Error codes of a limit that was exceeded: the venue's, and that of the proxy in front of it."""
CLOUDFLARE_LIMIT: Final = 1015

SLACK_NS: Final = 500_000_000
"""How much longer than the venue's our windows are.

The venue counts when a request arrives, we when it leaves: of two that leave a window apart the first may
take longer on its way.
"""
OWN_SHARE: Final = 4
"""One in so many parts of an address's queries at the gateway is for the clients' own questions."""
MAX_CLIENTS: Final = 20
"""Among more a share would not hold one page of the archive."""
_SECOND: Final = 10**9
_MAX_WAITING: Final = 1_000


class Throttled(NamedTuple):
    """The venue said that there were too many requests; told once until it answers again."""

    line: str
    text: str


class Policy(enum.Enum):
    """What happens to a request for which there is no room now."""

    WAIT = "wait"
    """Its caller waits with it; if the caller gives up, nothing is sent."""
    QUEUE = "queue"
    """It is sent when there is room, whether its caller still waits or not."""
    FAIL = "fail"
    """It is refused with `RateLimited`, and nothing is sent."""


class Bucket:
    """What was sent against one limit, and whether the venue has had enough.

    Args:
        name: For messages and the log.
        windows: Of the limit.
        rng: Source of jitter.
        slack_ns: See `SLACK_NS`.
    """

    def __init__(
        self, name: str, windows: Sequence[Window], rng: random.Random, *, slack_ns: int = SLACK_NS
    ) -> None:
        self.name = name
        self.refusals = 0
        """Answers that said that the limit was exceeded."""
        self.episodes = 0
        """How often that began anew: refusals that follow one another closely are one episode."""
        self._limit = WindowLimit(_with_slack(windows, slack_ns))
        self._pause_ns = min(each.span_ns for each in windows) + slack_ns
        self._backoff = Backoff(rng, base_ns=2 * self._pause_ns, cap_ns=6 * self._pause_ns)
        self._blocked_until_ns = 0
        self._episode_ends_ns = 0

    def wait_ns(self, weight: int, now_ns: int) -> int:
        """Return how long a request must wait, 0 if it may go.

        Raises:
            UsageError: If there will never be room for so much at once.
        """
        return max(self._limit.wait_ns(weight, now_ns), self._blocked_until_ns - now_ns, 0)

    def spend(self, weight: int, now_ns: int) -> None:
        """Count what is sent now."""
        self._limit.spend(weight, now_ns)

    def refused(self, now_ns: int, retry_after_ns: int = 0) -> bool:
        """Learn that the venue refused a request for its limit: somebody else spends it too, or it shrank.

        Everything waits until the shortest window has moved on, and longer each time that was not enough.
        Refusals while it waits are answers to what had been sent before and change nothing.

        Args:
            now_ns: Monotonic clock.
            retry_after_ns: The least wait that the venue asked for.

        Returns:
            Whether an episode begins: the moment to log it.
        """
        self.refusals += 1
        if now_ns < self._blocked_until_ns:
            self._blocked_until_ns = max(self._blocked_until_ns, now_ns + retry_after_ns)
            return False
        begins = now_ns >= self._episode_ends_ns
        if begins:
            self.episodes += 1
            self._backoff.reset()
        self._blocked_until_ns = now_ns + self._backoff.next(max(self._pause_ns, retry_after_ns))
        self._episode_ends_ns = self._blocked_until_ns + self._pause_ns
        return begins

    def blocked_ns(self, now_ns: int) -> int:
        """Return how long everything waits because of a refusal."""
        return max(self._blocked_until_ns - now_ns, 0)


@dataclass(slots=True, eq=False)
class Waiting:
    """A request that waits at a gate."""

    weight: int
    send: Callable[[], None]
    """Sends it; does not raise."""


class Gate:
    """Lets requests through to a bucket in the order in which they came.

    A light request does not overtake a heavy one: an order and the cancellation that follows it must not
    change places.

    Args:
        bucket: What they count against.
        policy: What happens to those for which there is no room.
        max_waiting: How many may wait; one more is refused.
    """

    def __init__(self, bucket: Bucket, policy: Policy, *, max_waiting: int = _MAX_WAITING) -> None:
        self.bucket = bucket
        self.policy = policy
        self.delayed = 0
        """Requests that had to wait."""
        self.failed = 0
        """Requests that were refused with `RateLimited`."""
        self._max_waiting = max_waiting
        self._line: deque[Waiting] = deque()

    def __len__(self) -> int:
        return len(self._line)

    def enter(self, weight: int, now_ns: int) -> bool:
        """Count a request that goes now; return ``False`` if it must `join` the line instead.

        Raises:
            RateLimited: If there is no room and the policy is to fail, or too many wait already.
            UsageError: If there will never be room for so much at once.
        """
        wait_ns = self.bucket.wait_ns(weight, now_ns)
        if not wait_ns and not self._line:
            self.bucket.spend(weight, now_ns)
            return True
        if self.policy is Policy.FAIL or len(self._line) >= self._max_waiting:
            self.failed += 1
            waiting = f", {len(self._line)} waiting" if self._line else ""
            raise RateLimited(
                f"{self.bucket.name}: no room for weight {weight} within the venue's limit for "
                f"{wait_ns / _SECOND:.1f} s{waiting}; nothing was sent",
                wait_ns=wait_ns,
            )
        return False

    def join(self, weight: int, send: Callable[[], None]) -> Waiting:
        """Wait in line; *send* is among what `release` returns when there is room."""
        self.delayed += 1
        waiting = Waiting(weight, send)
        self._line.append(waiting)
        return waiting

    def withdraw(self, waiting: Waiting) -> bool:
        """Leave the line; return ``False`` if it has been let through."""
        if waiting not in self._line:
            return False
        self._line.remove(waiting)
        return True

    def next_deadline(self, now_ns: int) -> int | None:
        """When the first in line may go (ns, monotonic), ``None`` if nobody waits."""
        return now_ns + self.bucket.wait_ns(self._line[0].weight, now_ns) if self._line else None

    def release(self, now_ns: int) -> list[Waiting]:
        """Let through whoever has room now, in order; they are counted."""
        released = []
        while self._line and not self.bucket.wait_ns(self._line[0].weight, now_ns):
            waiting = self._line.popleft()
            self.bucket.spend(waiting.weight, now_ns)
            released.append(waiting)
        return released


def _with_slack(windows: Iterable[Window], slack_ns: int = SLACK_NS) -> list[Window]:
    return [Window(each.weight, each.span_ns + slack_ns) for each in windows]


def own_queries(clients: int) -> list[Window]:
    """Return what one of several clients of an address may ask at the gateway on its own account."""
    share = OWN_SHARE * clients
    return _with_slack(Window(each.weight // share, each.span_ns) for each in IP_QUERY_LIMITS)


def archive_queries(clients: int) -> list[Window]:
    """Return what one of several clients of an address may ask at the archive."""
    return _with_slack(Window(each.weight // clients, each.span_ns) for each in IP_QUERY_LIMITS)


class Limits:
    """The venue's limits on what users send from one wallet and one address.

    Clients of one wallet, and all clients of one address, should share them: give each the same object.

    Args:
        policy: What happens to executes and queries for which there is no room.
        clients: How many clients share the address: each has that part of what clients ask by themselves.
        rng: Source of jitter; one of its own by default.
        max_waiting: How many requests may wait at each gate.

    Raises:
        UsageError: If *clients* is not 1 to 20.
    """

    def __init__(
        self,
        policy: Policy = Policy.WAIT,
        *,
        clients: int = 1,
        rng: random.Random | None = None,
        max_waiting: int = _MAX_WAITING,
    ) -> None:
        if not 1 <= clients <= MAX_CLIENTS:
            raise UsageError(f"limits are shared by 1 to {MAX_CLIENTS} clients, got {clients}")
        self.clients = clients
        rng = rng if rng is not None else random.Random()
        users = [Window(each.weight - each.weight // OWN_SHARE, each.span_ns) for each in IP_QUERY_LIMITS]
        self.executes, self.queries = (
            Gate(Bucket(name, windows, rng), policy, max_waiting=max_waiting)
            for name, windows in (
                ("executes of the wallet", WALLET_EXECUTE_LIMITS),
                ("queries at the gateway", users),
            )
        )

    @property
    def gates(self) -> tuple[Gate, Gate]:
        """Both of them."""
        return self.executes, self.queries

    def refused_by(self, request_type: str | None, code: int) -> tuple[Gate, ...]:
        """Tell what a refusal with a rate limit's code is about.

        The proxy's code is about the address, hence about everything; so is an answer that does not say what
        it answers.
        """
        if code == CLOUDFLARE_LIMIT or request_type is None:
            return self.gates
        return (self.executes if request_type.startswith("execute_") else self.queries,)
