"""The client with metrics, on real sockets against the venue."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from nadows import OrderType, Rejected, Signer, UsageError, connect
from nadows.client import Client
from nadows.messages import Fill
from nadows.metrics import Metrics, Stage
from nadows.venue.exchange import ExchangeOptions
from nadows.venue.flow import FlowPreset
from nadows.venue.server import VenueOptions, serve

SIGNER = Signer(b"\x0b" * 32)


@asynccontextmanager
async def measured() -> AsyncIterator[tuple[Client, Metrics]]:
    options = VenueOptions(exchange=ExchangeOptions(flow=FlowPreset.OFF, limits=False))
    metrics = Metrics()
    async with serve(options) as server, connect(server.network, SIGNER, metrics=metrics) as client:
        yield client, metrics


async def test_an_orders_life_is_measured() -> None:
    """Answers, first fills and the stages of every event are there, each under its name."""
    async with measured() as (client, metrics):
        events = client.events()
        await client.place_order(client.limit_order("ETH", "0.1", "3100", order_type=OrderType.IOC))
        resting = client.limit_order("ETH", "0.1", "2900")
        await client.place_order(resting)
        better = client.limit_order("ETH", "0.1", "3100", order_type=OrderType.IOC)
        await client.cancel_and_place((4, resting.digest), better)
        async with asyncio.timeout(10):
            fills = 0
            while fills < 2:
                fills += isinstance(await anext(events), Fill)

        report = metrics.report(client.stats())

    found = {key: times.count for key, times in report.stages.items() if key[1] is not Stage.ORDER_TO_FILL}
    assert (2, 1) == (found["place_order", Stage.ORDER_TO_ACK], found["cancel_and_place", Stage.ORDER_TO_ACK])
    for event in ("fill", "order_update", "position_change", "control"):
        stages = (Stage.SOCKET_TO_DECODED, Stage.DECODED_TO_APPLIED, Stage.APPLIED_TO_CALLBACK)
        assert {report.events[event].total} == {found[event, stage] for stage in stages}
    assert 1 == report.summary("place_order", Stage.ORDER_TO_FILL).samples
    assert 1 == report.summary("cancel_and_place", Stage.ORDER_TO_FILL).samples
    assert (3, 0) == (report.counters["orders_sent"], report.counters["orders_refused"])
    assert 1 == report.counters["stream_connects"]


async def test_refusals_and_mistakes() -> None:
    """A refusal is an answer; an order that was not taken for sending is no order."""
    async with measured() as (client, metrics):
        crossing = client.limit_order("ETH", "0.1", "3100", order_type=OrderType.POST_ONLY)
        with pytest.raises(Rejected):
            await client.place_order(crossing)
        with pytest.raises(UsageError, match="new nonce"):
            await client.place_order(crossing)

        counters = metrics.report().counters

    assert (1, 1) == (counters["orders_sent"], counters["orders_refused"])
    assert {} == metrics._watched


async def test_client_without_metrics_runs_bare() -> None:
    """Nothing of the metrics is between the reader and the desk, or the desk and the listeners."""
    options = VenueOptions(exchange=ExchangeOptions(flow=FlowPreset.OFF, limits=False))
    async with serve(options) as server, connect(server.network) as client:
        assert client.desk.stream_frame == client._driver._take_stream_frame
        assert client.router.deliver == client._driver._hand_over
