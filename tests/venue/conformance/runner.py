"""What a case is, and how one is run."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from nadows.venue.switches import Switches
from tests.venue.rig import STREAM, V1, V2, Json, Rig, Trader

REST = 0
"""Stands for a REST request where the others are connections of the rig."""

GATEWAY: dict[str, int] = {"REST": REST, "v1": V1, "v2": V2}

Step = Callable[["World"], Any]
Expected = int | str | Json | Callable[["World", Any], None]


class LineRig(Rig):
    """A rig that also takes gateway requests by REST."""

    def ask(self, connection: int, frame: bytes | str | Json) -> Json:
        """Send a request on a connection, or by REST, and return its answer."""
        if connection != REST:
            return super().ask(connection, frame)
        body = frame.encode() if isinstance(frame, str) else frame
        is_query = (body.get("type") is not None) if isinstance(body, dict) else body.startswith(b'{"type"')
        _, answer = self.http_raw("POST", "/v1/query" if is_query else "/v1/execute", body=body)
        decoded: Json = answer
        return decoded


@dataclass(frozen=True)
class Case:
    """One sentence of the protocol."""

    section: str
    """Of protocol.md."""
    title: str
    when: Step
    then: Expected
    """An error code; ``"ok"``; members that the answer must have; or a check of its own."""
    given: tuple[Step, ...] = ()
    events: tuple[Json, ...] | None = None
    """Members of the events that *when* sends to the stream socket, in order; ``None``: not looked at."""
    watch: tuple[str, ...] = ()
    """Types of events to look at; those of the account are subscribed to for it."""
    lines: tuple[str, ...] = tuple(GATEWAY)
    switches: Switches = field(default_factory=Switches)


class World:
    """A venue and its users, seen through one of the gateway's lines."""

    def __init__(self, case: Case, line: str) -> None:
        self.rig = LineRig(switches=case.switches)
        self.line = GATEWAY.get(line, V2)
        self.me = Trader(self.rig, 1, connection=self.line)
        self.other = Trader(self.rig, 2, connection=self.line)
        self.digests: list[str] = []

    def send(self, frame: bytes | str | Json) -> Json:
        """Send a request on the line and return its answer."""
        return self.rig.ask(self.line, frame)

    def stream(self, body: Json) -> Json:
        """Send a request on the subscription socket and return its answer."""
        return self.rig.ask(STREAM, body)


def run(case: Case, line: str) -> None:
    """Run a case on a line; raises AssertionError where the venue differs."""
    world = World(case, line)
    for step in case.given:
        step(world)
    world.rig.take()
    if case.events is None:
        _check(case.then, world, case.when(world))
        return
    sent: list[Json] = []
    answer = _listening(world.rig, sent, lambda: case.when(world))
    _check(case.then, world, answer)
    told = [event for event in sent if event["type"] in case.watch]
    assert [event["type"] for event in case.events] == [event["type"] for event in told]
    for expected, event in zip(case.events, told, strict=True):
        _contains(expected, event, event["type"])


def _listening(rig: Rig, sent: list[Json], action: Callable[[], Any]) -> Any:
    """Do something and collect the events that go to the stream socket meanwhile."""
    drain = rig.exchange.frames_to_send

    def frames_to_send() -> list[tuple[int, bytes]]:
        frames = drain()
        for connection, frame in frames:
            event = json.loads(frame)
            if connection == STREAM and "type" in event:
                sent.append(event)
        return frames

    # Listening in on the one exchange of this case.
    rig.exchange.frames_to_send = frames_to_send  # type: ignore[method-assign]
    answer = action()
    rig.take()
    return answer


def _check(expected: Expected, world: World, answer: Any) -> None:
    if callable(expected):
        expected(world, answer)
    elif isinstance(expected, int):
        assert ("failure", expected) == (answer.get("status", "failure"), answer.get("error_code")), answer
        assert answer["error"]
    elif isinstance(expected, str):
        assert "success" == answer["status"], answer
    else:
        _contains(expected, answer, "answer")


def _contains(expected: Any, actual: Any, where: str) -> None:
    """Compare what is expected, and leave alone what else is there."""
    if isinstance(expected, dict):
        assert isinstance(actual, dict), where
        for name, value in expected.items():
            assert name in actual, f"{where} has no {name}: {actual}"
            _contains(value, actual[name], f"{where}.{name}")
    elif isinstance(expected, list):
        assert len(expected) == len(actual), f"{where}: {actual}"
        for index, value in enumerate(expected):
            _contains(value, actual[index], f"{where}[{index}]")
    else:
        assert expected == actual, where
