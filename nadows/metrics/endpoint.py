"""Metrics for others: a page that Prometheus scrapes, the same as JSON, and a line in the log.

The page is served by the client's own loop, without a thread, on this machine unless told otherwise: it says
how much is traded, and has no password.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from nadows.distribution import Distribution
from nadows.errors import UsageError
from nadows.metrics.record import Metrics
from nadows.metrics.report import QUANTILES, Report

__all__ = ["BOUNDS_NS", "LEVELS", "MetricsCollector", "log_metrics", "prometheus_text", "serve_metrics"]

BOUNDS_NS: Final = tuple(step * 10**power for power in range(3, 11) for step in (1, 2, 5))
"""Upper bounds of the buckets shown to Prometheus: 1 us to 50 s in steps of 1, 2, 5."""
LEVELS: Final = frozenset({"gateway_in_flight", "held_fills", "orders_in_doubt"})
"""Names among the counters that go up and down, and are gauges to Prometheus."""

_LOCAL: Final = "127.0.0.1"

_log = logging.getLogger("nadows.metrics")

Counters = Callable[[], Mapping[str, int]]
"""Gives what the client counts itself: `Client.stats`."""


class MetricsCollector(Collector):
    """Metrics for a registry of `prometheus_client`, for programs that serve one already.

    Args:
        metrics: To be reported at each scrape.
        counters: Counted elsewhere, and shown beside it.
    """

    def __init__(self, metrics: Metrics, counters: Counters = dict) -> None:
        self._metrics = metrics
        self._counters = counters

    def collect(self) -> Iterator[Metric]:
        """Give the metric families of this moment; times are in seconds, as Prometheus wants them."""
        report = self._metrics.report(self._counters())
        yield from _event_families(report)
        yield from _stage_families(report)
        for name, value in report.counters.items():
            kind = GaugeMetricFamily if name in LEVELS else CounterMetricFamily
            yield kind(f"nadows_{name}", name.replace("_", " "), value=value)


def prometheus_text(metrics: Metrics, counters: Counters = dict) -> bytes:
    """The metrics of this moment in Prometheus' text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(MetricsCollector(metrics, counters))
    return generate_latest(registry)


@asynccontextmanager
async def serve_metrics(
    metrics: Metrics, counters: Counters = dict, *, port: int = 0, host: str = _LOCAL
) -> AsyncIterator[str]:
    """Serve ``/metrics`` for Prometheus and ``/metrics.json``, as long as the block lasts.

    Args:
        metrics: What was given to `nadows.connect`.
        counters: ``client.stats``.
        port: 0 for any that is free.
        host: Address to listen on. Whoever can reach it can read the metrics.

    Yields:
        The address of the page.

    Raises:
        UsageError: If the port cannot be had.
    """

    async def page(_: web.Request) -> web.Response:
        return web.Response(
            body=prometheus_text(metrics, counters), headers={"Content-Type": CONTENT_TYPE_LATEST}
        )

    async def data(_: web.Request) -> web.Response:
        return web.Response(text=metrics.report(counters()).as_json(), content_type="application/json")

    app = web.Application()
    app.add_routes([web.get("/metrics", page), web.get("/metrics.json", data)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        try:
            await site.start()
        except OSError as error:
            raise UsageError(f"cannot serve metrics on {host}:{port}: {error}; name another port") from error
        yield f"http://{host}:{runner.addresses[0][1]}/metrics"
    finally:
        await runner.cleanup()


async def log_metrics(metrics: Metrics, counters: Counters = dict, *, every_s: float = 60.0) -> None:
    """Write the metrics into the log ``nadows.metrics`` again and again, until cancelled."""
    while True:
        await asyncio.sleep(every_s)
        _log.info("%s", metrics.report(counters()).as_line())


def _event_families(report: Report) -> Iterator[Metric]:
    totals = CounterMetricFamily("nadows_events", "Events received.", labels=["type"])
    rates = GaugeMetricFamily("nadows_event_rate", "Events a second, over the last seconds.", labels=["type"])
    for name, count in report.events.items():
        totals.add_metric([name], count.total)
        rates.add_metric([name], count.per_s)
    yield totals
    yield rates


def _stage_families(report: Report) -> Iterator[Metric]:
    labels = ["type", "stage"]
    buckets = HistogramMetricFamily("nadows_stage_seconds", "Time that a stage took.", labels=labels)
    quantiles = GaugeMetricFamily(
        "nadows_stage_quantile_seconds",
        "Time that a stage took, since the start, to three digits; quantile 1 is the maximum.",
        labels=[*labels, "quantile"],
    )
    for (event, stage), times in report.stages.items():
        names = [event, stage.value]
        buckets.add_metric(names, _buckets(times), sum_value=times.total / 10**9)
        values = times.percentiles((*QUANTILES.values(), 100.0))
        for percentile, value in values.items():
            quantiles.add_metric([*names, f"{percentile / 100:g}"], value / 10**9)
    yield buckets
    yield quantiles


def _buckets(times: Distribution) -> list[tuple[str, float]]:
    within: list[tuple[str, float]] = [
        (f"{bound / 10**9:g}", times.count_within(bound)) for bound in BOUNDS_NS
    ]
    return [*within, ("+Inf", times.count)]
