"""The page that Prometheus scrapes, read back with Prometheus' own parser, and over a real socket."""

from __future__ import annotations

import asyncio
import json
import logging

import pytest
from aiohttp import ClientSession
from prometheus_client.parser import text_string_to_metric_families

from nadows.errors import UsageError
from nadows.metrics import Metrics
from nadows.metrics.endpoint import BOUNDS_NS, log_metrics, prometheus_text, serve_metrics
from tests.metrics.test_record import TRADE, Clock, Reader

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def parsed(page: bytes) -> tuple[dict[str, str], Samples]:
    """The families' kinds by name, and the samples by name and labels."""
    families = list(text_string_to_metric_families(page.decode()))
    kinds = {family.name: family.type for family in families}
    return kinds, {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def test_page_says_what_the_report_says() -> None:
    """Counts, times in seconds, quantiles and counters are there, each of its own kind."""
    reader = Reader(Clock(step_ns=3_000))
    reader.read(TRADE)
    reader.read(TRADE)

    kinds, samples = parsed(prometheus_text(reader.metrics, lambda: {"book_gaps": 2, "gateway_in_flight": 5}))

    labels = (("stage", "decoded_to_applied"), ("type", "trade"))
    assert {
        "nadows_events": "counter",
        "nadows_event_rate": "gauge",
        "nadows_stage_seconds": "histogram",
        "nadows_stage_quantile_seconds": "gauge",
        "nadows_book_gaps": "counter",
        "nadows_gateway_in_flight": "gauge",
    }.items() <= kinds.items()
    assert 2 == samples["nadows_events_total", (("type", "trade"),)]
    assert 2 == samples["nadows_stage_seconds_count", labels]
    assert 6e-6 == pytest.approx(samples["nadows_stage_seconds_sum", labels])
    assert 3e-6 == pytest.approx(
        samples["nadows_stage_quantile_seconds", (("quantile", "0.999"), *labels)], rel=0.001
    )
    assert 3e-6 == samples["nadows_stage_quantile_seconds", (("quantile", "1"), *labels)]
    assert (2, 5) == (samples["nadows_book_gaps_total", ()], samples["nadows_gateway_in_flight", ()])


def test_buckets_add_up() -> None:
    """A bucket holds everything up to its bound: nothing below 2 us, all from 5 us on."""
    reader = Reader(Clock(step_ns=3_000))
    reader.read(TRADE)

    _, samples = parsed(prometheus_text(reader.metrics))

    found = {
        dict(labels)["le"]: value
        for (name, labels), value in samples.items()
        if name == "nadows_stage_seconds_bucket" and ("stage", "socket_to_decoded") in labels
    }
    assert [*(f"{bound / 10**9:g}" for bound in BOUNDS_NS), "+Inf"] == list(found)
    assert (0, 1, 1) == (found["2e-06"], found["5e-06"], found["+Inf"])
    assert sorted(found.values()) == list(found.values())


def test_client_that_saw_nothing_has_a_page() -> None:
    """Before the first event the counters are there, at 0."""
    _, samples = parsed(prometheus_text(Metrics()))

    assert 0 == samples["nadows_orders_sent_total", ()]


async def test_pages_over_http() -> None:
    """Both pages are served on loopback; the port is free again afterwards."""
    reader = Reader(Clock())
    reader.read(TRADE)

    async with ClientSession() as session:
        async with serve_metrics(reader.metrics, lambda: {"book_gaps": 2}) as url:
            assert url.startswith("http://127.0.0.1:")
            async with session.get(url) as answer:
                assert answer.headers["Content-Type"].startswith("text/plain; version=")
                assert 1 == parsed(await answer.read())[1]["nadows_events_total", (("type", "trade"),)]
            async with session.get(f"{url}.json") as answer:
                assert "application/json" == answer.content_type
                assert 2 == json.loads(await answer.text())["counters"]["book_gaps"]
        port = int(url.split(":")[2].split("/")[0])
        async with serve_metrics(reader.metrics, port=port) as again:
            assert url == again


async def test_port_that_is_taken() -> None:
    """The error names the address and what to do."""
    async with serve_metrics(Metrics()) as url:
        port = int(url.split(":")[2].split("/")[0])
        with pytest.raises(UsageError, match=rf"127\.0\.0\.1:{port}: .*name another port"):
            async with serve_metrics(Metrics(), port=port):
                pass


async def test_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """It is written again and again, until the task is cancelled."""
    caplog.set_level(logging.INFO, "nadows.metrics")

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await log_metrics(Metrics(), lambda: {"book_gaps": 2}, every_s=0.01)

    assert len(caplog.messages) >= 2
    assert caplog.messages[0].startswith("metrics elapsed=")
    assert "book_gaps=2" in caplog.messages[0]
