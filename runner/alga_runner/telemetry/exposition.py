"""Metric families, and snapshots of them: what one process counted, summed over processes, in Prometheus' text form."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

Sample = list[float]
"""A counter's or gauge's value; a histogram's counts by bucket, each alone, the last without a bound, then the sum."""

Snapshot = dict[str, list[tuple[list[str], Sample]]]
"""By family: the values of its labels, and the sample. It goes through JSON, which makes lists of tuples."""


@dataclass(frozen=True, slots=True)
class Family:
    """One metric: its name, its help text, its labels; a histogram has upper ``bounds``, in seconds."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    documentation: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()


def render(families: Iterable[Family], snapshots: Iterable[Snapshot]) -> bytes:
    """The sum of ``snapshots`` in Prometheus' text form."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Sum(tuple(families), _by_labels(snapshots)))
    return generate_latest(registry)


def add_up(snapshots: Iterable[Snapshot]) -> Snapshot:
    """The sum of ``snapshots`` as one."""
    return {
        name: [(list(labels), sample) for labels, sample in samples.items()]
        for name, samples in _by_labels(snapshots).items()
    }


def without_gauges(families: Iterable[Family], snapshot: Snapshot) -> Snapshot:
    """The part of ``snapshot`` that stays when its process has ended: its counters."""
    lasting = {family.name for family in families if family.kind != "gauge"}
    return {name: samples for name, samples in snapshot.items() if name in lasting}


def _by_labels(snapshots: Iterable[Snapshot]) -> dict[str, dict[tuple[str, ...], Sample]]:
    total: dict[str, dict[tuple[str, ...], Sample]] = {}
    for snapshot in snapshots:
        for name, samples in snapshot.items():
            added = total.setdefault(name, {})
            for labels, sample in samples:
                key = tuple(labels)
                known = added.get(key)
                added[key] = sample if known is None else [a + b for a, b in zip(known, sample, strict=True)]
    return total


class _Sum(Collector):
    """A collector of metrics that were counted elsewhere."""

    def __init__(self, families: tuple[Family, ...], total: dict[str, dict[tuple[str, ...], Sample]]) -> None:
        self._families = families
        self._total = total

    def collect(self) -> Iterator[Metric]:
        """Every family, those without a sample too."""
        for family in self._families:
            samples = self._total.get(family.name, {})
            metric: CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily
            if family.kind == "histogram":
                metric = HistogramMetricFamily(family.name, family.documentation, labels=family.labels)
                for labels, (*counts, total) in samples.items():
                    bounds = [*map(str, map(float, family.bounds)), "+Inf"]
                    buckets = list(zip(bounds, accumulate(counts), strict=True))
                    metric.add_metric(labels, buckets, total)
            else:
                kind = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
                metric = kind(family.name, family.documentation, labels=family.labels)
                for labels, (value,) in samples.items():
                    metric.add_metric(labels, value)
            yield metric
