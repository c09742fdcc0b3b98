"""When a socket stays away: what is asked over REST meanwhile, and when that begins and ends.

A line that has been down for longer than `Timings.poll_after_ns` is *degraded*. While any line is, `Polling`
is open: the same questions that the gateway socket takes can be asked over HTTP, one at a time, each answered
or given up before the next is sent. It closes by itself when every line is back; what has not been answered
by then is given up and asked for again over the sockets, so that no late answer meets newer state.

Only questions go this way. An order is never sent over HTTP instead: whether it had gone out over the socket
already might not be known, and sending it again could place it twice.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

from nadows import messages
from nadows.errors import MalformedFrame, TransportError
from nadows.messages import GeoBlock, Query, Reply
from nadows.pacing import Backoff
from nadows.session import OnReply
from nadows.timings import Timings

__all__ = ["Degraded", "Polling"]

_RETRY_NS: Final = 250_000_000
"""The longest pause after the second question in a row that got no answer; doubles."""


class Degraded(NamedTuple):
    """A line has been down for long: from now on, until `Reconnected`, REST is asked in its stead.

    Books that are asked for so are POLLED, and never LIVE; own fills come late, from the archive.
    """

    line: str
    since_ns: int
    """When the line was lost (monotonic)."""


class _Question(NamedTuple):
    body: bytes
    on_reply: OnReply


class Polling:
    """The second way to ask, and when it is taken.

    Args:
        tell: Takes what happens.
        answered: Looks at every answer before whoever asked gets it.
        rng: Source of jitter.
        timings: How long to wait for what.
    """

    def __init__(
        self,
        tell: Callable[[Degraded], None],
        answered: Callable[[Reply], None],
        rng: random.Random,
        timings: Timings,
    ) -> None:
        self.degraded: dict[str, int] = {}
        """When each line that is degraded was lost (ns, monotonic)."""
        self.asked = 0
        """Questions sent over HTTP."""
        self.failures = 0
        """Of those, the ones that got no answer, or none that can be read."""
        self._tell = tell
        self._answered = answered
        self._timings = timings
        self._backoff = Backoff(rng, base_ns=_RETRY_NS, cap_ns=timings.calm_cap_ns)
        self._calm_until_ns = 0
        self._down: dict[str, int] = {}
        self._waiting: deque[_Question] = deque()
        self._out: _Question | None = None
        """What is out; its taker is replaced when it is given up, for its place is taken until it ends."""

    @property
    def is_open(self) -> bool:
        """Whether anything is asked this way."""
        return bool(self.degraded)

    # -- the lines ----------------------------------------------------------------------------

    def lost(self, line: str, now_ns: int) -> None:
        """A line is down; if it was already, that counts from then."""
        self._down.setdefault(line, now_ns)

    def back(self, line: str) -> None:
        """A line is back, everything asked for on it restored."""
        self._down.pop(line, None)
        if self.degraded.pop(line, None) is not None and not self.is_open:
            self._give_up("the socket is back")

    # -- questions ----------------------------------------------------------------------------

    def wait_ns(self, now_ns: int) -> int:
        """Return how long HTTP is to be left alone because it gave no answers, 0 if it may be asked."""
        return max(self._calm_until_ns - now_ns, 0)

    def ask(self, query: Query, on_reply: OnReply) -> None:
        """Send a query when those before it are done; *on_reply* is called exactly once."""
        self._waiting.append(_Question(messages.encode(query), on_reply))

    def requests(self) -> list[bytes]:
        """Take what is to be posted now: at most one body, until `answer` or `failed` is told."""
        if self._out is not None or not self._waiting:
            return []
        self._out = self._waiting.popleft()
        self.asked += 1
        return [self._out.body]

    def answer(self, body: bytes, now_ns: int) -> None:
        """Take the answer to what is out."""
        try:
            reply = messages.decode_reply(body)
        except MalformedFrame as broken:
            self.failed(f"the answer cannot be read ({broken.reason})", now_ns)
            return
        if isinstance(reply, GeoBlock):
            reply = Reply(status="failure", error=f"blocked: {reply.reason}")
        out, self._out = self._out, None
        self._backoff.reset()
        if out is not None:
            self._answered(reply)
            out.on_reply(reply)

    def failed(self, reason: str, now_ns: int) -> None:
        """What is out will not be answered; leave HTTP alone for a while, and what waited for it as well."""
        self.failures += 1
        self._calm_until_ns = now_ns + self._backoff.next()
        self._give_up(reason)
        self._out = None

    # -- time ---------------------------------------------------------------------------------

    def next_deadline(self) -> int | None:
        """When `tend` has something to do (ns), ``None`` if nothing is due ever."""
        waits = (since for line, since in self._down.items() if line not in self.degraded)
        first = min(waits, default=None)
        return None if first is None else first + self._timings.poll_after_ns

    def tend(self, now_ns: int) -> None:
        """Declare those lines degraded that have been down for too long."""
        for line, since_ns in self._down.items():
            if line not in self.degraded and now_ns >= since_ns + self._timings.poll_after_ns:
                self.degraded[line] = since_ns
                self._tell(Degraded(line, since_ns))

    # -- inside -------------------------------------------------------------------------------

    def _give_up(self, reason: str) -> None:
        questions = [*([self._out] if self._out else []), *self._waiting]
        self._waiting.clear()
        if self._out is not None:
            self._out = _Question(self._out.body, _nobody)
        for question in questions:
            question.on_reply(TransportError(f"{reason}; nothing was changed by the request, ask again"))


def _nobody(reply: object) -> None:
    """Take an answer that is not wanted any more."""
