"""Counters, histograms and gauges in the text format of Prometheus (exposition format 0.0.4)."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.samples import Sample

STAGE_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
SENT = ("200", "206", "304", "307")
"""The statuses of a picture that a viewer has got: here, from a cache, or from S3."""


@dataclass(frozen=True, slots=True)
class Totals:
    """Uploads stored, pictures sent, refusals by code."""

    uploads: int
    views: int
    refusals: Mapping[str, int]


class Metrics:
    """The server's counters, histograms and gauges; gauges are read when metrics are scraped."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        self._requests = Counter("iuserver_requests", "Requests answered", ["route", "status"], registry=registry)
        self._refusals = Counter("iuserver_refusals", "Refusals by code", ["code"], registry=registry)
        self._received = Counter("iuserver_received_bytes", "Bytes of files received", registry=registry)
        self._stored = Counter("iuserver_stored_bytes", "Bytes of images stored", registry=registry)
        self._swept = Counter("iuserver_swept", "What the janitor has removed or repaired", ["kind"], registry=registry)
        self._failed = Counter(
            "iuserver_janitor_failures", "Steps of the janitor that have failed", ["step"], registry=registry
        )
        self._stages = Histogram(
            "iuserver_upload_stage_seconds",
            "How long uploads took",
            ["stage"],
            buckets=STAGE_SECONDS,
            registry=registry,
        )

        # To look a child up by its labels takes longer than to count, so those that every request needs are kept.
        self._stage = functools.cache(self._stages.labels)
        self._request = functools.cache(lambda route, status: self._requests.labels(route, str(status)))

    def request(self, route: str, status: int) -> None:
        """Count a request that was answered."""
        self._request(route, status).inc()

    def refusal(self, code: str) -> None:
        """Count a refusal."""
        self._refusals.labels(code).inc()

    def stage(self, name: str, seconds: float) -> None:
        """Measure a stage of an upload: receive, work, store."""
        self._stage(name).observe(seconds)

    def uploaded(self, received: int, stored: int) -> None:
        """Count the bytes of an upload that has been stored."""
        self._received.inc(received)
        self._stored.inc(stored)

    def swept(self, kind: str, number: int) -> None:
        """Count what the janitor has done."""
        self._swept.labels(kind).inc(number)

    def step_failed(self, step: str) -> None:
        """Count a step of the janitor, or a part of one, that has failed."""
        self._failed.labels(step).inc()

    def gauge(self, name: str, text: str, value: Callable[[], float]) -> None:
        """Register a gauge whose value is read at each scrape."""
        Gauge(f"iuserver_{name}", text, registry=self._registry).set_function(value)

    def totals(self) -> Totals:
        """What has been counted since the start."""
        sent = [one for one in _samples(self._requests, "_total") if one.labels["route"] == "file"]
        refusals = {one.labels["code"]: int(one.value) for one in _samples(self._refusals, "_total")}
        commits = [one.value for one in _samples(self._stages, "_count") if one.labels["stage"] == "commit"]
        views = sum(one.value for one in sent if one.labels["status"] in SENT)
        return Totals(int(sum(commits)), int(views), refusals)

    def text(self) -> bytes:
        """Everything, as Prometheus reads it."""
        return generate_latest(self._registry)


def _samples(metric: Counter | Histogram, ending: str) -> Iterator[Sample]:
    """A metric's values by label, of those whose name ends so: it has others beside."""
    return (sample for family in metric.collect() for sample in family.samples if sample.name.endswith(ending))
