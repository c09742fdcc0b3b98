"""Crashes of the client: it keeps a journal on a disk that outlives it, and starts again.

A crash falls at any moment, or on any write of the journal: before it, in the middle of it, or after it. A
crash of the machine, moreover, takes away what was not synced. The application that the client works for
notes each fill it is told and then confirms it; it can crash in between.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Final

from nadows.desk import DeskEvent
from nadows.journal.journal import Journal, Sync
from nadows.journal.records import Header
from nadows.journal.scribe import Scribe
from nadows.messages import Fill, JournaledFill
from nadows.network import TESTNET
from tests.faults.wire import MS, SECOND
from tests.faults.world import OWN_SENDER, START, WORK_NS, World

__all__ = ["SHARE", "CrashingClient"]

SHARE: Final = 0.3
"""Of the seeds, in which the client crashes."""
HEADER: Final = Header(
    network=TESTNET.name, chain_id=TESTNET.chain_id, endpoint=TESTNET.endpoint, subaccount=OWN_SENDER.hex
)
TEND_NS: Final = 50 * MS
LIMIT_NS: Final = 10 * SECOND
"""Span of the venue's limits."""


class Crash(Exception):
    """The process is gone."""


class Disk:
    """A `Storage` that can be told to crash the process at its next write.

    Args:
        rng: Draws how much of that write there is afterwards.
        loses_unsynced: Whether the machine crashes with the process.
    """

    name = "journal"

    def __init__(self, rng: random.Random, *, loses_unsynced: bool) -> None:
        self.data = b""
        self.doomed_in: int | None = None
        """How many writes come before the one that it crashes at."""
        self.doomed_kind = b""
        """What stands in the writes that count."""
        self._rng = rng
        self._loses_unsynced = loses_unsynced
        self._synced = 0

    def read(self) -> bytes:
        return self.data

    def append(self, data: bytes) -> None:
        if self._strikes(data):
            self.data += data[: self._rng.choice([0, self._rng.randrange(len(data)), len(data)])]
            self.crash()
        self.data += data

    def sync(self) -> None:
        self._synced = len(self.data)

    def cut(self, size: int) -> None:
        self.data = self.data[:size]
        self.sync()

    def replace(self, data: bytes) -> None:
        if self._strikes(data):
            self.data = self._rng.choice([self.data, data])
            self._synced = len(self.data)
            self.crash()
        self.data = data
        self.sync()

    def close(self) -> None:
        self.sync()

    def crash(self) -> None:
        self.doomed_in = None
        if self._loses_unsynced:
            self.data = self.data[: self._rng.randint(self._synced, len(self.data))]
        self._synced = len(self.data)
        raise Crash

    def spare(self) -> None:
        """Do not crash after all."""
        self.doomed_in = None

    def _strikes(self, data: bytes) -> bool:
        if self.doomed_in is None or self.doomed_kind not in data:
            return False
        self.doomed_in -= 1
        return self.doomed_in < 0


class CrashingClient:
    """The client of a world, with a journal and an application, in as many lives as it takes.

    Args:
        world: Whose client it is.
        rng: Draws when it crashes and how.
    """

    def __init__(self, world: World, rng: random.Random) -> None:
        self._world = world
        self._rng = rng
        self._machine = rng.random() < 0.4
        self._sync = Sync.ALWAYS if self._machine else rng.choice(list(Sync))
        self._compact_bytes = rng.choice([0, 2**30])
        self._disk = Disk(rng, loses_unsynced=self._machine)
        self._confirmed: set[tuple[int, str]] = set()
        self._is_up = True
        self._excused_until = START
        self.crashes = 0
        self.ends_ns = START
        """When the last crash is over, and the client is there again."""
        self._begin()

    def schedule(self) -> None:
        """Draw when it crashes."""
        for _ in range(self._rng.randint(1, 4)):
            at = START + SECOND // 2 + self._rng.randrange(WORK_NS)
            # A crash is often followed by the next one: what an earlier life left undone is being done.
            for _ in range(self._rng.choice([1, 1, 2, 4])):
                self._world.wires.at(at, self._rng.choice([self._strike, self._doom, self._doom]))
                self.ends_ns = max(self.ends_ns, at + 3 * SECOND)
                at += self._rng.randrange(SECOND)

    def run(self, until_ns: int) -> None:
        """Let time pass."""
        while True:
            try:
                self._world.wires.run(until_ns)
                return
            except Crash:
                self._restart()

    def check(self) -> list[str]:
        """Tell what is wrong with the journal, and with what was told again."""
        self._scribe.tend(self._world.now_ns)
        problems = []
        expected = self._world.expected_fills()
        held = [entry.fill.key for entry in self._journal.fills()]
        # Compacting leaves out what is confirmed.
        left_out = self._confirmed if self._compact_bytes == 0 else set()
        if len(held) != len(set(held)) or set(held) | left_out != expected:
            problems.append(f"the journal holds {len(held)} fills, {len(expected)} happened")
        if list(self._journal.unconfirmed()):
            problems.append("the journal has fills that nobody was told")
        account, engine = self._world.desk.account, self._world.exchange.engine
        assert account is not None
        own = {order.digest for order in account.orders.values() if order.is_sent}
        sent = self._world.placed & {order.digest for order in engine.orders.values()}
        return problems + [f"order {digest[:10]} was sent and is forgotten" for digest in sent - own]

    # -- its lives ----------------------------------------------------------------------------

    def _begin(self) -> None:
        world, wires = self._world, self._world.wires
        desk, now_ns = world.desk, world.now_ns
        assert desk.account is not None
        assert desk.recovery is not None
        self._journal = Journal(self._disk, HEADER, sync=self._sync, compact_bytes=self._compact_bytes)
        desk.restore(self._journal.past, now_ns)
        scribe = Scribe(self._journal, desk.account, desk.recovery, self._told, self._soon, now_ns)
        self._scribe = scribe
        wires.deliver, wires.before_sending = scribe.deliver, scribe.before_sending
        self._tend(scribe)
        scribe.redeliver()

    def _restart(self) -> None:
        world = self._world
        self.crashes += 1
        self._is_up = False
        world.restart()
        world.wires.deliver, world.wires.before_sending = world.wires.events.extend, _nothing
        world.wires.at(world.now_ns + self._rng.randrange(SECOND // 2), self._up)

    def _up(self) -> None:
        self._is_up = True
        # What its earlier life has spent of the limits, it cannot know: the venue may say so for a while.
        world = self._world
        if world.now_ns >= self._excused_until:
            world.problems += world.wires.violations
            world.wires.violations.clear()
        self._excused_until = world.now_ns + LIMIT_NS
        world.wires.at(self._excused_until, self._excuse)
        self._begin()
        for life in self._world.wires.lives.values():
            life.start(self._world.now_ns)

    def _excuse(self) -> None:
        if self._world.now_ns < self._excused_until:
            return
        violations = self._world.wires.violations
        violations[:] = [each for each in violations if not each.startswith("over the")]

    def _tend(self, scribe: Scribe) -> None:
        if self._is_up and self._scribe is scribe:
            scribe.tend(self._world.now_ns)
            self._world.wires.at(self._world.now_ns + TEND_NS, lambda: self._tend(scribe))

    def _soon(self, work: Callable[[], None]) -> None:
        scribe = self._scribe

        def do() -> None:
            if self._is_up and self._scribe is scribe:
                work()

        self._world.wires.at(self._world.now_ns, do)

    def _told(self, events: Sequence[DeskEvent]) -> None:
        """Be the application: note what is told, then confirm it."""
        for event in events:
            # A crash of the machine may take away that it was confirmed.
            if isinstance(event, JournaledFill) and event.key in self._confirmed and not self._machine:
                self._world.problems.append(f"fill {event.key} was confirmed, and told again")
            self._world.wires.events.append(event)
            if isinstance(event, Fill):
                self._journal.confirm(event)
                self._confirmed.add(event.key)

    # -- its deaths ---------------------------------------------------------------------------

    def _strike(self) -> None:
        if self._is_up:
            self._disk.crash()

    def _doom(self) -> None:
        self._disk.doomed_kind = self._rng.choice([b"", b'"fill"', b'"watermark"'])
        self._disk.doomed_in = self._rng.choice([0, 0, 1, self._rng.randrange(8)])
        self._world.wires.at(self._world.now_ns + SECOND, self._disk.spare)


def _nothing() -> None:
    pass
