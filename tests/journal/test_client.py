"""A client with a journal, over real sockets: what it keeps, and what ends it."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from nadows import driver as driver_module
from nadows.account import OrderStatus
from nadows.client import Client, connect
from nadows.errors import JournalError, TransportError, UsageError
from nadows.journal.file import JournalFile
from nadows.journal.journal import Sync
from nadows.journal.records import OrderRecord, Watermark, read_lines
from nadows.messages import Fill, JournaledFill, LateFill
from nadows.recovery import Recovery
from nadows.signing import OrderType
from tests.test_client import OTHER, SIGNER, until, venue


async def take(client: Client, amount: str = "0.1") -> str:
    """Trade at once; return the order's digest."""
    order = client.limit_order(
        "ETH", amount, "4000" if amount[0] != "-" else "2000", order_type=OrderType.IOC
    )
    await client.place_order(order)
    return order.digest


@pytest.mark.parametrize("copies", [1, 2])
async def test_what_happened_while_the_client_was_gone_is_told_once(tmp_path: Path, copies: int) -> None:
    """An order was filled meanwhile: it is found and settled, and told until it is confirmed."""
    path = tmp_path / "journal"
    async with venue() as server:
        async with connect(server.network, SIGNER, journal=path, copies=copies) as client:
            first = await take(client)
            await until(lambda: client.journal.fill_count == 1)
            resting = client.limit_order("ETH", "0.1", "3000.1")
            quiet = client.limit_order("ETH", "0.1", "2000")
            for order in (resting, quiet):
                await client.place_order(order)
        async with connect(server.network, OTHER) as other:
            await take(other, "-0.1")
        for unconfirmed in (2, 0):
            async with connect(server.network, SIGNER, journal=path, copies=copies) as client:
                told: list[Any] = []
                client.on(told.append, types=[Fill])
                client.redeliver()
                orders = client.account.orders
                await until(lambda orders=orders: orders[quiet.digest].status is OrderStatus.NEW)  # type: ignore[misc]
                await until(lambda told=told, n=unconfirmed: len(told) >= n)  # type: ignore[misc]

                assert [first, resting.digest][2 - unconfirmed :] == [fill.order_digest for fill in told]
                assert OrderStatus.FILLED is orders[resting.digest].status
                for fill in told:
                    client.journal.confirm(fill)
    assert [1, 2] == [entry.n for entry in client.journal.fills()]


async def test_fills_of_the_time_between_come_from_the_archive(tmp_path: Path) -> None:
    """Another session of the wallet trades while the client is gone."""
    path = tmp_path / "journal"
    async with venue() as server:
        async with connect(server.network, SIGNER, journal=path):
            pass
        async with connect(server.network, SIGNER) as other:
            digests = [await take(other) for _ in range(3)]
        async with connect(server.network, SIGNER, journal=path) as client:
            told: list[Any] = []
            client.on(told.append, types=[Fill])
            client.redeliver()
            await until(lambda: len(told) >= 3)
            assert digests == [fill.order_digest for fill in told]
            assert {LateFill, JournaledFill} >= {type(fill) for fill in told}
            assert digests == [entry.fill.order_digest for entry in client.journal.fills()]
            assert ["backfill"] * 3 == [entry.fill.source for entry in client.journal.fills()]


async def test_an_order_is_in_the_journal_before_it_is_on_the_wire(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a new journal knows where the archive stands before the first order can be placed."""
    path = tmp_path / "journal"
    async with venue() as server, connect(server.network, SIGNER, journal=path) as client:
        assert isinstance(read_lines(path.read_bytes(), "j").records[0], Watermark)
        order = client.limit_order("ETH", "0.1", "2000")
        socket = client._driver.gateway.socket
        assert socket is not None
        seen: list[Any] = []
        real = type(socket).send

        def send(self: Any, frames: Any) -> None:
            if any(b"place_order" in frame for frame in frames):
                seen.extend(read_lines(path.read_bytes(), "j").records)
            real(self, frames)

        monkeypatch.setattr(type(socket), "send", send)
        await client.place_order(order)
        assert [order.digest] == [each.digest for each in seen if isinstance(each, OrderRecord)]


@asynccontextmanager
async def stopped_by_a_full_disk(client: AbstractAsyncContextManager[Client]) -> AsyncIterator[Client]:
    """Use a client until it is ended by its journal."""
    with pytest.raises(JournalError, match="could not be written: No space left"):  # noqa: PT012
        async with client as used:
            yield used
            await asyncio.Event().wait()


def fill_the_disk(broken: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> int:
        raise OSError(28, "No space left on device")

    broken.setattr("nadows.journal.file.os.write", full)


@pytest.mark.parametrize(
    ("sync", "copies"), [(Sync.ALWAYS, 1), (Sync.INTERVAL, 1), (Sync.NEVER, 1), (Sync.ALWAYS, 2)]
)
async def test_a_full_disk_ends_the_client(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sync: Sync, copies: int
) -> None:
    """The fill that could not be written is not delivered, and whoever uses the client hears why."""
    told: list[Any] = []
    file = JournalFile(path=tmp_path / "journal", sync=sync)
    async with (
        venue() as server,
        connect(server.network, SIGNER) as watcher,
        stopped_by_a_full_disk(connect(server.network, SIGNER, journal=file, copies=copies)) as client,
    ):
        client.on(told.append, types=[Fill])
        fill_the_disk(monkeypatch)
        await take(watcher)
    assert [] == told
    assert (0, []) == (client.journal.fill_count, list(client.journal.fills()))


async def test_an_order_that_could_not_be_written_is_not_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does it leave later."""
    async with venue() as server:
        journal = tmp_path / "journal"
        async with stopped_by_a_full_disk(connect(server.network, SIGNER, journal=journal)) as client:
            order = client.limit_order("ETH", "0.1", "2000")
            with monkeypatch.context() as broken:
                fill_the_disk(broken)
                with pytest.raises(JournalError):
                    client.submit(order, lambda reply: None)
        assert {} == server.exchange.engine.orders


async def test_an_error_of_the_user_is_still_the_users(tmp_path: Path) -> None:
    """And the journal is let go of."""
    async with venue() as server:
        for _ in range(2):
            with pytest.raises(KeyError):
                async with connect(server.network, SIGNER, journal=tmp_path / "journal"):
                    raise KeyError


async def test_a_torn_line_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A crash may leave one; the log says that it was removed."""
    path = tmp_path / "journal"
    async with venue() as server:
        async with connect(server.network, SIGNER, journal=str(path)):
            pass
        with path.open("ab") as file:
            file.write(b"0badc0de {")
        with caplog.at_level(logging.WARNING, "nadows"):
            async with connect(server.network, SIGNER, journal=path) as client:
                assert 10 == client.journal.torn_bytes
    assert "10 bytes of a line that a crash had cut short were removed" in caplog.text


async def test_a_journal_has_one_client(tmp_path: Path) -> None:
    """Of the subaccount that it belongs to."""
    path = tmp_path / "journal"
    async with venue() as server, connect(server.network, SIGNER, journal=path):
        with pytest.raises(UsageError, match=f"in use by process {os.getpid()}"):
            async with connect(server.network, SIGNER, journal=path):
                pass
    async with venue() as server:
        with pytest.raises(UsageError, match="belongs to subaccount"):
            async with connect(server.network, OTHER, journal=path):
                pass


async def test_who_has_no_fills_has_no_journal(tmp_path: Path) -> None:
    """Nor does a client without one pretend."""
    path = tmp_path / "journal"
    async with venue() as server:
        for signer, private in ((None, True), (SIGNER, False)):
            with pytest.raises(UsageError, match="a journal keeps own fills"):
                async with connect(server.network, signer, private=private, journal=path):
                    pass
        async with connect(server.network, SIGNER) as client:
            for use in (lambda: client.journal, client.redeliver):
                with pytest.raises(UsageError, match="journal=PATH"):
                    use()
    assert not path.exists()


async def test_a_new_journal_needs_the_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it nobody could tell later what was missed; an older one begins without."""
    path = tmp_path / "journal"
    async with venue() as server:
        async with connect(server.network, SIGNER, journal=path):
            pass
        monkeypatch.setattr(Recovery, "_ask_archive", lambda self, now_ns: None)
        async with connect(server.network, SIGNER, journal=path):
            pass
        monkeypatch.setattr(driver_module, "_TICK_S", 0.001)
        with pytest.raises(TransportError, match="did not say where the archive stands"):
            async with connect(
                server.network, SIGNER, journal=tmp_path / "new", connect_timeout_ns=200_000_000
            ):
                pass
