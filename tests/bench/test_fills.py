"""The fill benchmark: both sides notice every fill, and what goes wrong is said."""

from __future__ import annotations

import asyncio
import io
import json
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from nadows.bench import fills, fills_peer
from nadows.bench.fills import Contender, Result, main, measure, render
from nadows.bench.peer import PeerFailed, peer_process
from nadows.embedded import embedded_venue
from nadows.errors import UsageError
from tests.interop.runner import DEFAULT_PYTHON


def result(*noticed_ms: float) -> Result:
    contenders = tuple(
        Contender(f"c{number}", (int(each * 1e6),) * 3) for number, each in enumerate(noticed_ms)
    )
    return Result(contenders, 10.0, {}, {})


@pytest.mark.slow
@pytest.mark.skipif(
    not DEFAULT_PYTHON.exists(), reason="the official SDK is not in .venv-sdk; `make bench-fills` installs it"
)
async def test_events_are_noticed_sooner_than_polls() -> None:
    """Side by side on one venue: every fill is noticed by all, and by event at least three times sooner."""
    async with embedded_venue(flow="off") as venue:
        measured = await measure(venue.network, str(DEFAULT_PYTHON), rounds=4)

    assert [4, 4, 4] == [len(each.noticed_ns) for each in measured.contenders]
    assert "2.0.0" == measured.versions["sdk"]["nado-protocol"]
    for each in measured.contenders[1:]:
        assert measured.ratio(each) >= 3, render(measured)


class Fake:
    """A library that needs so many polls."""

    subaccount = "0x01"

    def __init__(self, setup: dict[str, Any]) -> None:
        self.polls: int = setup["polls"]

    def place(self, product_id: int, price_x18: int, amount: int) -> str:
        if price_x18 < 0:
            raise ValueError("a price")
        return f"{product_id} {price_x18} {amount}"

    def is_filled(self, product_id: int, digest: str) -> bool:
        self.polls -= 1
        return self.polls <= 0


def test_the_peer_answers_each_request() -> None:
    """Set-up, orders and watches in turn; a failure of the library is an answer."""
    requests = [
        {"set_up": {"polls": 3}},
        {"place": {"product_id": 2, "price_x18": "5", "amount": "-7"}},
        {"watch": {"product_id": 2, "digest": "0x", "every_s": 0}},
        {"place": {"product_id": 2, "price_x18": "-5", "amount": "7"}},
    ]
    out = io.StringIO()
    before_ns = time.monotonic_ns()

    fills_peer.serve([json.dumps(each) for each in requests], out, Fake)

    versions, placed, watched, failed = (json.loads(line) for line in out.getvalue().splitlines())
    assert "0x01" == versions["subaccount"]
    assert {"digest": "2 5 -7"} == placed
    assert (3, True) == (watched["polls"], watched["noticed_ns"] > before_ns)
    assert {"error": "ValueError('a price')"} == failed


@pytest.mark.parametrize(
    ("event", "arguments", "allowed"),
    [
        ("socket.getaddrinfo", ("127.0.0.1", 80), True),
        ("socket.getaddrinfo", ("gateway.example", 443), False),
        ("socket.connect", (None, ("::1", 80, 0, 0)), True),
        ("socket.connect", (None, ("203.0.113.7", 80)), False),
        ("socket.connect", (None, "/run/a socket"), True),
        ("open", ("203.0.113.7",), True),
    ],
)
def test_the_peer_stays_on_this_machine(event: str, arguments: tuple[object, ...], allowed: bool) -> None:
    """The SDK's own defaults are the public hosts."""
    if allowed:
        fills_peer.fence(event, arguments)
        return
    with pytest.raises(PermissionError, match="stays on this machine"):
        fills_peer.fence(event, arguments)


def test_versions_name_what_is_absent() -> None:
    """A result says with what it was made."""
    assert {"python", "nado-protocol", "requests"} == set(fills_peer.versions())


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ('import sys; sys.stdin.readline(); print(\'{"error": "no"}\')', "library: no"),
        ("import sys; sys.stdin.readline(); print('hello')", "library ended"),
        ("raise SystemExit(3)", "library ended"),
    ],
)
async def test_a_peer_that_fails_is_said(tmp_path: Path, script: str, told: str) -> None:
    """A library that cannot be measured is not measured."""
    (tmp_path / "peer.py").write_text(script)

    async with peer_process("library", sys.executable, tmp_path / "peer.py") as peer:
        with pytest.raises(PeerFailed, match=told):
            await peer.ask(set_up={})


async def test_a_peer_that_does_not_end_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The end of its input should end it; one that does not listen is killed."""
    monkeypatch.setattr("nadows.bench.peer._EXIT_S", 0.05)
    (tmp_path / "peer.py").write_text("import signal\nprint('{}', flush=True)\nsignal.pause()")

    async with peer_process("library", sys.executable, tmp_path / "peer.py") as peer:
        assert {} == await peer.ask(set_up={})
    assert peer._process.returncode is not None


async def test_a_peer_that_cannot_be_started() -> None:
    """Who has not made the environment is told so."""
    with pytest.raises(UsageError, match="cannot start /nowhere/python"):
        async with peer_process("library", "/nowhere/python", "peer.py"):
            pass


def test_each_ratio_must_reach_the_demand() -> None:
    """Slow polling does not make up for polling that is nearly as fast as events."""
    assert result(2, 600, 21).passed
    assert not result(2, 600, 19).passed


def test_table() -> None:
    """One row for each contender, and the verdict."""
    assert [
        "| a fill is noticed by | median | p99 | slowest | fills | times later |",
        "|---|---|---|---|---|---|",
        "| c0 | 2.0 ms | 2.0 ms | 2.0 ms | 3 |  |",
        "| c1 | 600.0 ms | 600.0 ms | 600.0 ms | 3 | 300 |",
        "",
        "demanded: 10 times sooner at the median; reached",
    ] == render(result(2, 600)).splitlines()


def test_percentiles_are_of_the_nearest_rank() -> None:
    """A percentile is a value that was measured."""
    contender = Contender("c", tuple(each * 10**6 for each in range(100, 0, -1)))

    assert (99.0, 100.0, 1.0) == tuple(contender.percentile(percent) for percent in (99, 100, 1))
    assert 50.5 == contender.median_ms


async def test_a_fill_that_nobody_notices_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """A benchmark does not wait for ever."""

    class Counterparty:
        def limit_order(self, *_: object, **__: object) -> None: ...

        async def place_order(self, _: object) -> None: ...

    class Nothing:
        product_id = 2

    async def never() -> int:
        await asyncio.Event().wait()
        return 0

    monkeypatch.setattr(fills, "_TIMEOUT_S", 0.01)
    with pytest.raises(PeerFailed, match="was not noticed"):
        await fills._match(Counterparty(), Nothing(), 1, 1, never, 0)  # type: ignore[arg-type] # stand-ins


def test_main(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The table goes to people, the result to programs, and the exit code says whether the demand was met."""
    outcomes: list[Any] = [
        result(2, 600),
        result(2, 3),
        PeerFailed("it ended"),
        UsageError("no such python"),
    ]

    async def run(python: str, rounds: int) -> Result:
        assert ("py", 3) == (python, rounds)
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        assert isinstance(outcome, Result)
        return outcome

    monkeypatch.setattr(fills, "_run", run)

    assert [0, 1, 1, 2] == [main(["--sdk-python", "py", "--rounds", "3"]) for _ in range(4)]
    told = capsys.readouterr()
    assert told.out.count('"passed"') == 2
    assert "error: it ended" in told.err
    with pytest.raises(SystemExit):
        main(["--sdk-python", "py", "--rounds", "0"])
