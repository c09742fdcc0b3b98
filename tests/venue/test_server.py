"""Tests of nadows.venue.server: the venue over real sockets, with clients that are not ours."""

from __future__ import annotations

import asyncio
import gc
import gzip
import json
import os
from collections.abc import AsyncIterator, Callable
from fractions import Fraction
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from nadows.errors import CaptureError, UsageError
from nadows.network import Network
from nadows.signing import NonceSource, Signer, Subaccount, sign_authenticate, sign_order
from nadows.units import to_x18
from nadows.venue.exchange import ExchangeOptions
from nadows.venue.flow import FlowPreset
from nadows.venue.server import VenueOptions, VenueServer, calm_collector, serve
from nadows.venue.switches import Switches
from tests.venue.rig import ETH, NEVER
from tests.venue.test_replay import FRAMES, HEADER

QUIET = ExchangeOptions(flow=FlowPreset.OFF, limits=False)
SIGNER = Signer(b"\x01" * 32)
SUB = Subaccount.of(SIGNER.address)
NONCES = NonceSource(first=5)


@pytest.fixture
async def venue() -> AsyncIterator[VenueServer]:
    async with serve(VenueOptions(exchange=QUIET)) as venue:
        yield venue


async def _ask(socket: ClientConnection, request: dict[str, Any] | bytes) -> dict[str, Any]:
    """Send a request and return its answer, passing over events."""
    await socket.send(json.dumps(request) if isinstance(request, dict) else request.decode())
    async with asyncio.timeout(10):
        while True:
            answer: dict[str, Any] = json.loads(await socket.recv())
            if "type" not in answer:
                return answer


async def _until(condition: Callable[[], bool]) -> None:
    """Let the venue run until *condition* holds."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - the counters of the venue do not notify
            await asyncio.sleep(0.01)


async def _event(socket: ClientConnection, type_: str) -> dict[str, Any]:
    async with asyncio.timeout(10):
        while True:
            event: dict[str, Any] = json.loads(await socket.recv())
            if event.get("type") == type_:
                return event


def _port(venue: VenueServer) -> int:
    return urlsplit(venue.network.gateway).port or 0


def _order(venue: VenueServer, price: str, amount: str) -> bytes:
    nonce = NONCES.next(venue.now_ns() // 10**6)
    network = venue.network
    return sign_order(
        SIGNER, network.domain, ETH, SUB, to_x18(price), to_x18(amount), NEVER, nonce, 1, id=7
    ).frame


class TestSockets:
    """The three sockets."""

    async def test_an_order_is_answered_and_its_fill_comes_back(self, venue: VenueServer) -> None:
        """The whole path: authenticate, subscribe, place, fill."""
        async with connect(venue.network.subscribe) as stream, connect(venue.network.ws_v2) as gateway:
            expiration = venue.now_ns() // 10**6 + 60_000
            request = sign_authenticate(SIGNER, venue.network.domain, SUB, expiration, id=1)
            assert {"result": None, "id": 1} == await _ask(stream, request.frame)
            for type_ in ("fill", "order_update"):
                stream_object = {"type": type_, "subaccount": SUB.hex}
                await _ask(stream, {"method": "subscribe", "id": 2, "stream": stream_object})

            answer = await _ask(gateway, _order(venue, "3001", "0.1"))
            fill = await _event(stream, "fill")
            update = await _event(stream, "order_update")

        assert ("success", 7) == (answer["status"], answer["id"])
        assert answer["data"]["digest"] == fill["order_digest"] == update["digest"]
        assert ("0", "filled") == (update["amount"], update["reason"])

    @pytest.mark.parametrize("path", ["/v1/ws", "/ws/v2", "/gateway/v1/ws", "/gateway/ws/v2"])
    async def test_the_gateway_under_both_layouts(self, venue: VenueServer, path: str) -> None:
        """Gateway sockets do without compression."""
        base = venue.network.ws.removesuffix("/v1/ws")
        async with connect(base + path, compression=None) as socket:
            assert "active" == (await _ask(socket, {"type": "status"}))["data"]

    async def test_subscribing_needs_compression(self, venue: VenueServer) -> None:
        """A handshake that does not offer permessage-deflate is refused with 403 and code 2080."""
        with pytest.raises(InvalidStatus) as refused:
            async with connect(venue.network.subscribe, compression=None):
                pass

        response = refused.value.response
        assert 403 == response.status_code
        assert response.body is not None
        assert 2080 == json.loads(response.body)["error_code"]

    async def test_long_frames_come_compressed_and_whole(self, venue: VenueServer) -> None:
        """A snapshot of both sides survives the compression."""
        async with connect(venue.network.ws_v2) as socket:
            query = {"type": "market_liquidity", "product_id": ETH, "depth": 100}
            first, second = await _ask(socket, query), await _ask(socket, query)

        assert [100, 100] == [len(first["data"]["bids"]), len(second["data"]["asks"])]
        assert first == second

    async def test_binary_frames_are_refused(self, venue: VenueServer) -> None:
        """There is no binary protocol."""
        async with connect(venue.network.ws) as socket:
            await socket.send(b"\x00")
            with pytest.raises(ConnectionClosed) as closed:
                await socket.recv()

        assert closed.value.rcvd is not None
        assert 1003 == closed.value.rcvd.code

    async def test_an_oversized_frame_ends_the_connection(self) -> None:
        """Frames are bounded."""
        async with (
            serve(VenueOptions(exchange=QUIET, max_frame=1000)) as venue,
            connect(venue.network.ws) as socket,
        ):
            await socket.send("x" * 5000)
            with pytest.raises(ConnectionClosed) as closed:
                await socket.recv()

        assert closed.value.rcvd is not None
        assert 1009 == closed.value.rcvd.code

    async def test_pings_are_answered(self, venue: VenueServer) -> None:
        """Control frames work as in any WebSocket server."""
        async with connect(venue.network.subscribe) as socket, asyncio.timeout(10):
            await (await socket.ping())

    async def test_a_burst_is_answered_in_order(self, venue: VenueServer) -> None:
        """Many requests at once, as many answers."""
        async with connect(venue.network.ws) as socket, asyncio.timeout(10):
            for _ in range(50):
                await socket.send('{"type":"status"}')
                await socket.send('{"type":"contracts"}')
            answers = [json.loads(await socket.recv())["request_type"] for _ in range(100)]

        assert ["query_status", "query_contracts"] * 50 == answers

    async def test_connections_are_bounded_and_forgotten(self) -> None:
        """One too many is refused with 503, and a closed one makes room."""
        async with serve(VenueOptions(exchange=QUIET, max_connections=1)) as venue:
            async with connect(venue.network.ws):
                assert 1 == venue.connections
                with pytest.raises(InvalidStatus) as refused:
                    async with connect(venue.network.ws):
                        pass
            await _until(lambda: not venue.connections)
            async with connect(venue.network.ws):
                pass

        assert 503 == refused.value.response.status_code

    async def test_a_sixth_session_is_closed(self, venue: VenueServer) -> None:
        """The venue ends the connection with 1008 and says why."""
        sockets = [await connect(venue.network.subscribe) for _ in range(6)]
        expiration = venue.now_ns() // 10**6 + 60_000
        request = sign_authenticate(SIGNER, venue.network.domain, SUB, expiration, id=1)
        for socket in sockets[:5]:
            await _ask(socket, request.frame)

        with pytest.raises(ConnectionClosed) as closed:
            await _ask(sockets[5], request.frame)
        for socket in sockets:
            await socket.close()

        assert closed.value.rcvd is not None
        assert 1008 == closed.value.rcvd.code
        assert "5 authenticated" in closed.value.rcvd.reason

    async def test_a_reader_that_does_not_read_is_cut(self) -> None:
        """What waits for one connection is bounded; the others are not harmed."""
        options = VenueOptions(
            exchange=ExchangeOptions(flow=FlowPreset.STORM, limits=False), max_queued=20_000
        )
        async with serve(options) as venue, connect(venue.network.ws) as other:
            _, writer = await asyncio.open_connection("127.0.0.1", _port(venue), limit=1)
            writer.transport.pause_reading()  # type: ignore[attr-defined]  # a socket's transport has it
            writer.write(
                b"GET /v1/subscribe HTTP/1.1\r\nHost: localhost\r\n"
                b"Upgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n"
                b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
            )
            streams = [
                {"type": t, "product_id": p} for t in ("book_depth", "trade") for p in (1, 2, 3, 4, 5, 8)
            ]
            body = json.dumps({"method": "subscribe_multi", "id": 1, "streams": streams}).encode()
            mask = b"\0\0\0\0"
            writer.write(bytes((0x81, 0x80 | 126)) + len(body).to_bytes(2, "big") + mask + body)
            await _until(lambda: venue.cut > 0)
            alive = await _ask(other, {"type": "status"})
            writer.close()

        assert 1 == venue.cut
        assert "success" == alive["status"]


class TestHttp:
    """REST over a real server."""

    async def test_get_and_post(self, venue: VenueServer) -> None:
        """Both forms of a query, compressed when large and asked for."""
        async with aiohttp.ClientSession() as session:
            async with session.get(f"{venue.network.gateway}/query", params={"type": "status"}) as small:
                status = await small.json()
            async with session.post(
                f"{venue.network.gateway}/query",
                json={"type": "all_products"},
                headers={"Accept-Encoding": "gzip"},
            ) as large:
                products = await large.json()

        assert "active" == status["data"]
        assert "Content-Encoding" not in small.headers
        assert "gzip" == large.headers["Content-Encoding"]
        assert 5 == len(products["data"]["spot_products"])

    async def test_an_order_by_rest(self, venue: VenueServer) -> None:
        """An execute is one POST."""
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{venue.network.gateway}/execute", data=_order(venue, "2990", "0.1")) as answer,
        ):
            assert "success" == (await answer.json())["status"]

    async def test_a_held_order_is_answered_when_it_is_done(self) -> None:
        """The speed bump delays the answer and nothing else."""
        bump = ExchangeOptions(flow=FlowPreset.OFF, switches=Switches(speed_bump_ms=30))
        async with serve(VenueOptions(exchange=bump)) as venue, aiohttp.ClientSession() as session:
            url = f"{venue.network.gateway}/execute"
            held = asyncio.ensure_future(session.post(url, data=_order(venue, "2990", "0.1")))
            async with session.get(f"{venue.network.gateway}/query", params={"type": "status"}) as status:
                assert 200 == status.status
            async with asyncio.timeout(10), await held as answer:
                assert "success" == (await answer.json())["status"]

    async def test_going_down_does_not_wait_for_held_orders(self) -> None:
        """A venue that ends lets its clients go."""
        bump = ExchangeOptions(flow=FlowPreset.OFF, switches=Switches(speed_bump_ms=60_000))
        async with aiohttp.ClientSession() as session, asyncio.timeout(20):
            async with serve(VenueOptions(exchange=bump)) as venue:
                socket = await connect(venue.network.ws)
                url = f"{venue.network.gateway}/execute"
                held = asyncio.ensure_future(session.post(url, data=_order(venue, "2990", "0.1")))
                await _ask(socket, {"type": "status"})
                await _until(lambda: venue.held > 0)
            with pytest.raises(aiohttp.ClientError):
                await held
            with pytest.raises(ConnectionClosed) as closed:
                await socket.recv()

        assert closed.value.rcvd is not None
        assert 1001 == closed.value.rcvd.code

    @pytest.mark.parametrize(
        ("headers", "status"),
        [
            ({}, 200),
            ({"Host": "localhost:1"}, 200),
            ({"Host": "evil.example"}, 403),
            ({"Host": "["}, 403),
            ({"Origin": "http://localhost:3000"}, 200),
            ({"Origin": "https://evil.example"}, 403),
            ({"Origin": "null"}, 403),
            ({"Origin": "http://["}, 403),
        ],
        ids=str,
    )
    async def test_only_local_names_are_served(
        self, venue: VenueServer, headers: dict[str, str], status: int
    ) -> None:
        """Another site's pages, or names that it points here, get nothing."""
        async with aiohttp.ClientSession() as session:
            url = f"{venue.network.gateway}/query"
            async with session.get(url, params={"type": "status"}, headers=headers) as answer:
                assert status == answer.status

    async def test_a_body_is_bounded(self) -> None:
        """A body that is too large is refused in JSON."""
        async with (
            serve(VenueOptions(exchange=QUIET, max_frame=1000)) as venue,
            aiohttp.ClientSession() as session,
        ):
            url = f"{venue.network.gateway}/query"
            async with session.post(url, data=b"x" * 5000) as answer:
                assert 413 == answer.status
                assert 1005 == (await answer.json())["error_code"]

    async def test_a_socket_path_without_an_upgrade_is_not_found(self, venue: VenueServer) -> None:
        """A plain GET of a socket's path is told so in JSON."""
        async with aiohttp.ClientSession() as session, session.get(f"{venue.network.gateway}/ws") as answer:
            assert 404 == answer.status


class TestRunning:
    """Starting, playing a file, ending."""

    async def test_the_ready_line_leads_a_client_here(self, venue: VenueServer) -> None:
        """What `serve` prints is a network."""
        line = venue.ready_line()

        assert os.getpid() == line["pid"]
        assert venue.network.ws == Network.from_ready_line(line).ws

    async def test_a_port_in_use_is_a_usage_error(self, venue: VenueServer) -> None:
        """The message names the port and the remedy."""
        port = _port(venue)

        with pytest.raises(UsageError, match=f"{port}.*choose another port"):
            async with serve(VenueOptions(port=port, exchange=QUIET)):
                pass

    async def test_a_port_that_is_none_is_a_usage_error(self) -> None:
        """A number beyond 65535 is refused the same way."""
        with pytest.raises(UsageError):
            async with serve(VenueOptions(port=70_000, exchange=QUIET)):
                pass

    async def test_ipv6(self) -> None:
        """An IPv6 loopback gives URLs in brackets."""
        async with (
            serve(VenueOptions(host="::1", exchange=QUIET)) as venue,
            connect(venue.network.ws) as socket,
        ):
            assert "active" == (await _ask(socket, {"type": "status"}))["data"]

    @pytest.mark.parametrize("packed", [True, False])
    async def test_a_recording_is_played_to_real_sockets(self, tmp_path: Path, packed: bool) -> None:
        """A market file, plain or packed, reaches subscribers as recorded."""
        path = tmp_path / "market.jsonl"
        data = "".join(json.dumps(line) + "\n" for line in (HEADER, *FRAMES)).encode()
        path.write_bytes(gzip.compress(data) if packed else data)
        options = VenueOptions(exchange=QUIET, replay=path, speed=Fraction(100))

        async with serve(options) as venue, connect(venue.network.subscribe) as socket:
            stream = {"type": "book_depth", "product_id": ETH}
            await _ask(socket, {"method": "subscribe", "id": 1, "stream": stream})
            batches = [await _event(socket, "book_depth") for _ in range(2)]

        assert [FRAMES[0][1], FRAMES[2][1]] == batches

    async def test_a_file_that_is_not_there(self, tmp_path: Path) -> None:
        """The path is named."""
        with pytest.raises(CaptureError, match=r"no\.jsonl"):
            async with serve(VenueOptions(replay=tmp_path / "no.jsonl")):
                pass

    async def test_a_file_that_is_cut_off_is_told(self, tmp_path: Path) -> None:
        """Damage further on is found while playing: `failed` raises it, and the venue goes on without."""
        path = tmp_path / "market.jsonl.gz"
        lines = [HEADER, *FRAMES, *[FRAMES[3]] * 2000]
        data = gzip.compress("".join(json.dumps(line) + "\n" for line in lines).encode(), 0)
        path.write_bytes(data[: len(data) * 3 // 4])
        options = VenueOptions(exchange=QUIET, replay=path, speed=Fraction(1000))

        async with serve(options) as venue, connect(venue.network.subscribe) as socket, asyncio.timeout(20):
            stream = {"type": "book_depth", "product_id": ETH}
            await _ask(socket, {"method": "subscribe", "id": 1, "stream": stream})
            with pytest.raises(CaptureError, match="damaged"):
                await venue.failed()
            alive = await _ask(socket, {"method": "time", "id": 2})

        assert 2 == alive["id"]

    def test_a_calm_collector_is_put_back(self) -> None:
        """The settings of the process are as before when the venue has ended."""
        before = gc.get_threshold()

        with calm_collector():
            during = gc.get_threshold()

        assert during > before == gc.get_threshold()

    async def test_a_stalled_process_resumes(
        self, venue: VenueServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """After a long stop the venue goes on from now."""
        ahead = 3600 * 10**9
        now_ns = venue.now_ns
        monkeypatch.setattr(venue, "now_ns", lambda: now_ns() + ahead)

        async with connect(venue.network.ws) as socket:
            await asyncio.sleep(0.1)
            assert "success" == (await _ask(socket, {"type": "status"}))["status"]

        assert venue.exchange.next_deadline() > now_ns() + ahead - 10**9


class TestPings:
    """Sockets live as long as their pings come."""

    async def test_silence_is_cut(self) -> None:
        """A socket without pings is closed with a reason after the time-out; one with pings lives on."""
        switches = Switches(ping_timeout_s=1)
        options = VenueOptions(exchange=ExchangeOptions(flow=FlowPreset.OFF, switches=switches))
        async with (
            serve(options) as venue,
            connect(venue.network.ws_v2, ping_interval=None) as silent,
            connect(venue.network.ws_v2, ping_interval=0.2) as alive,
        ):
            with pytest.raises(ConnectionClosed):
                async with asyncio.timeout(10):
                    await silent.recv()
            answer = await _ask(alive, {"type": "status"})

        assert (1008, "no ping for 1 s") == (silent.close_code, silent.close_reason)
        assert "active" == answer["data"]
