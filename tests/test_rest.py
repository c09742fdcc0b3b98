"""Requests over HTTP, against a server that answers what a case wants."""

from __future__ import annotations

import json

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from nadows.errors import ConnectionLost
from nadows.rest import Rest


async def post(status: int, body: bytes) -> bytes:
    """Ask a server that answers so."""

    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=status, body=body)

    app = web.Application()
    app.router.add_post("/", answer)
    rest = Rest(2 * 10**9)
    async with TestServer(app) as server:
        try:
            return await rest.post(str(server.make_url("/")), b"{}")
        finally:
            await rest.close()


@pytest.mark.parametrize(
    ("status", "body"),
    [
        pytest.param(200, b'{"matches":[]}', id="success"),
        pytest.param(500, b"<html>oops</html>", id="no refusal of a limit"),
        pytest.param(429, b'{"error":"slow down","error_code":1000}', id="the venue's own words"),
    ],
)
async def test_body_is_handed_on(status: int, body: bytes) -> None:
    """Whatever the status, the venue says in the body what it means."""
    assert body == await post(status, body)


async def test_refusal_of_the_proxy_reads_like_the_venues() -> None:
    """A web page with status 429 is a rate limit, not an answer that cannot be read."""
    told = json.loads(await post(429, b"<html>error code: 1015</html>"))

    assert {"status": "failure", "error": "HTTP 429", "error_code": 1015} == told


async def test_a_server_that_asks_for_patience_gets_it() -> None:
    """Nothing is sent to that address for so long, which is told as an answer that did not come."""
    bodies: list[bytes] = []
    headers = {"Retry-After": "30"}

    async def answer(request: web.Request) -> web.Response:
        bodies.append(await request.read())
        return web.Response(status=503, headers=headers, body=b"said")

    app, rest = web.Application(), Rest(2 * 10**9)
    app.router.add_post("/{any:.*}", answer)
    async with TestServer(app) as server:
        url, other = str(server.make_url("/query")), str(server.make_url("/archive"))
        try:
            assert b"said" == await rest.post(url, b"1")
            with pytest.raises(ConnectionLost, match=r"asked to be left alone for 29\d{3} ms more"):
                await rest.post(url, b"2")
            assert b"said" == await rest.post(other, b"3")
            headers.clear()
            rest._refused_until_ns[url] -= 30 * 10**9
            assert b"said" == await rest.post(url, b"4")
        finally:
            await rest.close()
    assert [b"1", b"3", b"4"] == bodies


async def test_no_answer_is_a_lost_connection() -> None:
    """Nobody listens there."""
    rest = Rest(10**9)
    with pytest.raises(ConnectionLost):
        await rest.post("http://127.0.0.1:9/", b"{}")
    await rest.close()
