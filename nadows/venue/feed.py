"""Who listens to what: subscriptions, and the fan-out of events to them.

An event is written once, however many connections want it, and not at all when nobody does. A
connection that reaches one event by several of its streams gets it once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Final, NamedTuple

__all__ = ["Audience", "Feed", "Topic"]


Audience = dict[int, None]
"""Connections in the order in which they subscribed; a dictionary, as the order must not depend on hashes."""

_JOURNAL_ONLY: Final[Audience] = {}


class Topic(NamedTuple):
    """What a stream carries; ``None`` means all, or not applicable."""

    type: str
    product_id: int | None = None
    subaccount: str | None = None
    granularity: int | None = None


class Feed:
    """Subscriptions by topic, and the frames that are due to connections.

    Attributes:
        outbox: ``(connection, frame)`` in the order of sending; the owner drains it. Frames to several
            connections are one and the same object, so that a shell can prepare each only once.
        journal: Told of every event, subscribed or not, in order, but for bars nobody listens to, which
            follow from the trades; ``None`` for no journal.
    """

    def __init__(self, journal: Callable[[bytes], None] | None = None) -> None:
        self.outbox: list[tuple[int, bytes]] = []
        self.journal = journal
        self._listeners: dict[Topic, Audience] = {}
        self._topics: dict[int, dict[Topic, None]] = {}
        # How many listened-to topics there are of each type and of each subaccount: most events of most
        # accounts interest nobody, and this says so with one look.
        self._types: Counter[str] = Counter()
        self._subaccounts: Counter[str | None] = Counter()

    def subscribe(self, connection: int, topic: Topic) -> None:
        """Send *topic* to *connection* from now on; a second time changes nothing."""
        if topic not in self._listeners:
            self._listeners[topic] = {}
            self._types[topic.type] += 1
            self._subaccounts[topic.subaccount] += 1
        self._listeners[topic][connection] = None
        self._topics.setdefault(connection, {})[topic] = None

    def unsubscribe(self, connection: int, topic: Topic) -> None:
        """Stop sending *topic* to *connection*; not an error when it was not subscribed."""
        listeners = self._listeners.get(topic)
        if listeners is None or connection not in listeners:
            return
        del listeners[connection]
        if not listeners:
            del self._listeners[topic]
            self._types[topic.type] -= 1
            self._subaccounts[topic.subaccount] -= 1
            if not self._subaccounts[topic.subaccount]:
                del self._subaccounts[topic.subaccount]
        del self._topics[connection][topic]

    def drop(self, connection: int) -> None:
        """Forget a connection that is gone."""
        for topic in list(self._topics.get(connection, ())):
            self.unsubscribe(connection, topic)
        self._topics.pop(connection, None)

    def topics(self, connection: int) -> list[Topic]:
        """Return what *connection* is subscribed to, oldest first."""
        return list(self._topics.get(connection, ()))

    def listens(self, type_: str) -> bool:
        """Whether anybody listens to any topic of this type; the journal does not count."""
        return self._types[type_] > 0

    def watches(self, subaccount: str) -> bool:
        """Whether events of this subaccount interest anybody, the journal included."""
        return self.journal is not None or subaccount in self._subaccounts

    def audience(self, topic: Topic, other: Topic | None = None) -> Audience | None:
        """Return who gets an event of *topic* (or of *other*, each connection once); ``None`` for nobody.

        Ask before writing the event, and pass what comes back to `publish`.
        """
        found = self._listeners.get(topic)
        if other is not None:
            more = self._listeners.get(other)
            if more is not None:
                found = more if found is None else found | more
        if found is None and self.journal is not None:
            return _JOURNAL_ONLY
        return found

    def publish(self, frame: bytes, audience: Audience) -> None:
        """Send *frame* to those whom `audience` found."""
        if self.journal is not None:
            self.journal(frame)
        self.outbox.extend([(connection, frame) for connection in audience])

    def send(self, connection: int, frame: bytes) -> None:
        """Send one frame, an answer for example, to one connection."""
        self.outbox.append((connection, frame))

    def drain(self) -> list[tuple[int, bytes]]:
        """Return and forget what is due to be sent."""
        due, self.outbox = self.outbox, []
        return due
