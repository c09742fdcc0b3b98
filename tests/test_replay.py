"""Replaying: the same inputs end in the same state, and real market data ends in the book it describes."""

from __future__ import annotations

import asyncio
import gzip
import json
import random
from pathlib import Path
from typing import Any

import pytest

from nadows.capture import Header, Reader, Record, Recorder
from nadows.client import Client, connect
from nadows.desk import GATEWAY, STREAMS, Desk, Reconnected
from nadows.errors import CaptureError, Rejected, UsageError
from nadows.messages import BookDepth, OrderUpdate, Stream
from nadows.replay import Replay, records_of
from nadows.signing import OrderType, Signer, Subaccount
from nadows.units import format_x18
from nadows.venue.exchange import ExchangeOptions
from nadows.venue.flow import FlowPreset
from nadows.venue.server import VenueOptions, VenueServer, serve

from .market_data import ETH_PERP, needs_market_data

SIGNER = Signer(b"\x0d" * 32)
HEADER = Header(network="sim", chain_id=1, endpoint="0x" + "11" * 20, started_ns=5, seed=5)
OWN = Subaccount.of(SIGNER.address, "default")


def replay(path: Path, *, partial: bool = False) -> Replay:
    with Reader(path) as reader:
        player = Replay(reader.header)
        for record in records_of(reader, partial=partial):
            player.take(record)
    return player


async def trade(client: Client, venue: VenueServer) -> None:
    """Do everything that a capture has a record for, a lost connection included."""
    listening = client.events()
    await client.book("ETH")
    await client.subscribe(Stream.trade(4), Stream.best_bid_offer(4))
    book = await client.book("BTC")
    resting = client.limit_order("BTC", "0.01", "80000", order_type=OrderType.POST_ONLY, client_id=5)
    await client.place_order(resting)
    await client.cancel_and_place((2, resting.digest), client.limit_order("BTC", "0.01", "81000"))
    await client.place_orders([client.limit_order("BTC", "0.01", price) for price in ("82000", "83000")])
    assert book.best_ask is not None
    await client.place_order(
        client.limit_order(
            "BTC", "0.002", format_x18(book.best_ask.price + 50 * 10**18), order_type=OrderType.IOC
        )
    )
    with pytest.raises(Rejected):
        await client.cancel_orders([(2, "0x" + "99" * 32)])
    await client.ping()
    await client.unsubscribe(Stream.trade(4))
    with pytest.raises(UsageError):
        client.submit(resting, print)
    for peer in list(venue._peers.values()):
        peer.transport.abort()
    lines = set()
    async for event in listening:
        if isinstance(event, Reconnected):
            lines.add(event.line)
        if len(lines) == 2 and all(each.is_live for each in client.desk.books.values()):
            break
    await client.cancel_product_orders()
    async for event in listening:
        if isinstance(event, OrderUpdate) and event.reason == "cancelled":
            break
    listening.close()


@pytest.mark.parametrize(("serial", "copies"), [(False, 1), (True, 1), (False, 2)])
async def test_a_replay_ends_in_the_state_of_the_live_client(
    tmp_path: Path, serial: bool, copies: int
) -> None:
    """Books, orders, fills and positions are the same after a replay, twice, whatever has happened."""
    path = tmp_path / "live.jsonl.gz"
    options = VenueOptions(exchange=ExchangeOptions(flow=FlowPreset.BUSY, limits=False))
    async with asyncio.timeout(60), serve(options) as venue:
        header = Header(
            network="sim",
            chain_id=venue.network.chain_id,
            endpoint=venue.network.endpoint,
            started_ns=1,
            seed=11,
            serial=serial,
            subaccount=OWN.hex,
            authenticated=True,
        )
        journal = tmp_path / "journal"
        async with connect(venue.network, SIGNER, journal=journal) as client:
            await client.place_order(client.limit_order("ETH", "0.1", "4000", order_type=OrderType.IOC))
            await client.place_order(client.limit_order("ETH", "0.1", "2000"))
        recorder = Recorder(path, header)
        async with connect(
            venue.network, SIGNER, serial=serial, copies=copies, seed=11, tap=recorder, journal=journal
        ) as client:
            assert 2 == len(client.account.orders)
            await trade(client, venue)
            live = client.desk.state_hash()
            live_books = {number: book.digest() for number, book in client.desk.books.items()}
            live_orders = list(client.account.orders)
            recorder.finish(live)

    for player in (replay(path), replay(path)):
        assert live_books == {number: book.digest() for number, book in player.desk.books.items()}
        assert player.desk.account is not None
        assert live_orders == list(player.desk.account.orders)
        assert live == player.desk.state_hash()
        assert player.end is not None
        assert live == player.end.state_hash
        assert {2: "BTC-PERP", 4: "ETH-PERP"} == dict(player.products())
        assert 2 == player.find("btc") == player.find("BTC-PERP") == player.find("2")
    with pytest.raises(UsageError, match="no book of 'DOGE': it has BTC-PERP, ETH-PERP"):
        player.find("DOGE")


def test_retries_fall_at_the_same_instants(tmp_path: Path) -> None:
    """What a client does by the clock and by chance is repeated too: here, asking again for a snapshot."""
    path = tmp_path / "retries.jsonl"
    desk, tap = Desk(rng=random.Random(5)), Recorder(path, HEADER)
    refusal = b'{"status":"failure","error":"busy","error_code":1000,"request_type":"query_market_liquidity"}'
    snapshot = (
        b'{"status":"success","request_type":"query_market_liquidity",'
        b'"data":{"product_id":4,"timestamp":"9","bids":[["1","1"]],"asks":[["2","1"]]}}'
    )

    def answer(frame: bytes, now_ns: int) -> None:
        tap.frame(GATEWAY, frame, now_ns)
        desk.gateway_frame(frame, now_ns)

    tap.asked("subscribe", Stream.book_depth(4), 0)
    desk.subscribe(Stream.book_depth(4), 0)
    tap.connected(GATEWAY, 1)
    desk.gateway_connected(1)
    tap.connected(STREAMS, 2)
    desk.streams_connected(2)
    tap.frame(STREAMS, b'{"result":null,"id":1}', 3)
    desk.stream_frame(b'{"result":null,"id":1}', 3)
    now_ns = 3
    for reply in [refusal] * 7 + [snapshot]:
        while not desk.gateway.frames_to_send():
            # Retries wait a random time; a venue that is busy is left alone for longer.
            now_ns = max(now_ns, desk.next_deadline() or 0)
            tap.tick(now_ns)
            desk.tick(now_ns)
        now_ns += 1
        answer(reply, now_ns)
    assert desk.books[4].is_live
    tap.finish(desk.state_hash())

    assert desk.state_hash() == replay(path).desk.state_hash()


def test_a_change_anywhere_changes_the_hash(tmp_path: Path) -> None:
    """One digit of one level is enough."""
    path = market_file(tmp_path, depth(1, 10, bids=[["100", "5"]]))
    before = replay(path).desk.state_hash()
    path = market_file(tmp_path, depth(1, 10, bids=[["100", "6"]]))
    assert before != replay(path).desk.state_hash()


# -- market data -----------------------------------------------------------------------------------


def depth(last: int, now: int, bids: Any = (), asks: Any = ()) -> dict[str, Any]:
    return {
        "type": "book_depth",
        "last_max_timestamp": str(last),
        "min_timestamp": str(now),
        "max_timestamp": str(now),
        "product_id": 4,
        "bids": bids,
        "asks": asks,
    }


def market_file(folder: Path, *frames: dict[str, Any], **header: Any) -> Path:
    path = folder / "market.jsonl"
    snapshot = {
        "product_id": 4,
        "timestamp": "1",
        "bids": [["100", "1"], ["99", "1"]],
        "asks": [["101", "2"]],
    }
    lines = [
        {"product_id": 4, "snapshot": snapshot} | header,
        *([1000 + at, f] for at, f in enumerate(frames)),
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_market_data_starts_from_its_snapshot_and_follows_its_frames(tmp_path: Path) -> None:
    """The whole book of the header is known, and each batch changes it."""
    path = market_file(tmp_path, depth(1, 10, bids=[["100", "0"]]), depth(10, 20, asks=[["102", "7"]]))

    player = replay(path)

    book = player.desk.books[4]
    assert (2, 0, "ETH-PERP") == (player.frames, player.gaps, player.symbol(4))
    assert [(99, 1)] == list(book.bids)
    assert [(101, 2), (102, 7)] == list(book.asks)
    assert book.bids.edge is None
    assert book.asks.edge is None


def test_a_hole_in_market_data_is_counted(tmp_path: Path) -> None:
    """A batch that does not follow the one before it takes the book out of service."""
    player = replay(market_file(tmp_path, depth(1, 10), depth(15, 20)))
    assert 1 == player.gaps
    assert not player.desk.books[4].is_live


@pytest.mark.parametrize(
    ("header", "name"), [({"product_id": 4}, "ETH-PERP"), ({"symbol": "MINE"}, "MINE"), ({}, "ETH-PERP")]
)
def test_market_data_may_name_its_product(tmp_path: Path, header: dict[str, Any], name: str) -> None:
    """The symbol is the file's, else the known one of the id."""
    assert name == replay(market_file(tmp_path, depth(1, 10), **header)).symbol(4)


def test_a_product_that_nobody_names_goes_by_its_number(tmp_path: Path) -> None:
    """There is always something to call it."""
    player = replay(market_file(tmp_path, depth(1, 10)))
    assert ("77", 77) == (player.symbol(77), player.product(77).product_id)


@pytest.mark.parametrize(
    ("snapshot", "message"),
    [
        ({"bids": []}, "line 1: the snapshot is not a book of product 4"),
        (
            {"product_id": 4, "timestamp": "1", "bids": [["5", "1"]], "asks": [["5", "1"]]},
            "line 1: the snapshot is not a book of product 4",
        ),
    ],
)
def test_a_snapshot_that_is_no_book_is_refused(
    tmp_path: Path, snapshot: dict[str, Any], message: str
) -> None:
    """Without a sound beginning nothing that follows means anything."""
    with pytest.raises(CaptureError, match=message):
        replay(market_file(tmp_path, depth(1, 10), snapshot=snapshot))


def rebuilt(path: Path) -> tuple[dict[int, int], dict[int, int]]:
    """Rebuild the final book by the shortest means there are."""
    sides: tuple[dict[int, int], dict[int, int]] = ({}, {})
    with gzip.open(path, "rt") as lines:
        changes = [json.loads(next(lines))["snapshot"]]
        changes += (frame for _, frame in map(json.loads, lines) if frame["type"] == "book_depth")
    for change in changes:
        for side, levels in zip(sides, (change["bids"], change["asks"]), strict=True):
            side.update((int(price), int(qty)) for price, qty in levels)
    for side in sides:
        for price in [price for price, qty in side.items() if not qty]:
            del side[price]
    return sides


@needs_market_data
def test_the_real_data_ends_in_the_book_it_describes() -> None:
    """No gap, never crossed, every level equal to an independent rebuild, twice the same."""
    with Reader(ETH_PERP) as reader:
        player = Replay(reader.header)
        book = player.desk.books[4]
        records: list[Record] = list(records_of(reader))
    depths = 0
    for record in records:
        for event in player.take(record):
            if isinstance(event, BookDepth):
                depths += 1
                assert book.is_live
                assert not book.is_crossed

    bids, asks = rebuilt(ETH_PERP)
    assert (73762, 5727, 0) == (player.frames, depths, player.gaps)
    assert 0 == player.desk.streams.malformed
    assert sorted(bids.items(), reverse=True) == list(book.bids)
    assert sorted(asks.items()) == list(book.asks)
    assert player.desk.state_hash() == replay(ETH_PERP).desk.state_hash()
