"""Snapshots of several processes, summed in one page of metrics."""

from __future__ import annotations

import json

import pytest
from prometheus_client.parser import text_string_to_metric_families

from alga_runner.telemetry.exposition import add_up, render, without_gauges
from alga_runner.telemetry.metrics import FAMILIES, Metrics
from alga_runner.workers.totals import WORKER_FAMILIES, Totals


def samples(page: bytes) -> dict[str, float]:
    return {
        sample.name + "".join(f",{value}" for value in reversed(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(page.decode())
        for sample in family.samples
    }


@pytest.fixture
def two() -> tuple[Metrics, Metrics]:
    first, second = Metrics(), Metrics()
    first.host_call("scheduler.list", "ok", 0.0004)
    second.host_call("scheduler.list", "ok", 0.2)
    second.host_call("scheduler.list", "not-found", 99)
    first.execution_began()
    return first, second


def test_numbers_of_two_processes_add_up_though_they_came_as_json(two: tuple[Metrics, Metrics]):
    snapshots = [json.loads(json.dumps(metrics.snapshot())) for metrics in two]

    page = samples(render(FAMILIES, snapshots))

    assert page["alga_runner_host_calls_total,success,scheduler.list"] == 2
    assert page["alga_runner_host_calls_total,not_found,scheduler.list"] == 1
    assert page["alga_runner_executions_in_progress"] == 1


def test_buckets_count_all_that_is_no_longer_than_their_bound(two: tuple[Metrics, Metrics]):
    page = samples(render(FAMILIES, [metrics.snapshot() for metrics in two]))

    name = "alga_runner_host_call_seconds"
    assert page[f"{name}_bucket,scheduler.list,0.0001"] == 0
    assert page[f"{name}_bucket,scheduler.list,0.0005"] == 1
    assert page[f"{name}_bucket,scheduler.list,0.25"] == 2
    assert page[f"{name}_bucket,scheduler.list,+Inf"] == 3
    assert page[f"{name}_count,scheduler.list"] == 3
    assert page[f"{name}_sum,scheduler.list"] == pytest.approx(99.2004)


def test_an_observation_on_a_bound_is_within_it():
    metrics = Metrics()
    metrics.host_call("log.emit", "ok", 0.0001)

    page = samples(metrics.render())

    assert page["alga_runner_host_call_seconds_bucket,log.emit,0.0001"] == 1


def test_every_family_is_on_the_page_before_anything_was_counted():
    page = Metrics().render().decode()

    assert [family.name for family in FAMILIES if f"# TYPE {family.name}" not in page] == []


def test_a_sum_is_a_snapshot_too(two: tuple[Metrics, Metrics]):
    snapshots = [metrics.snapshot() for metrics in two]

    once = samples(render(FAMILIES, snapshots))
    twice = samples(render(FAMILIES, [json.loads(json.dumps(add_up(snapshots))), {}]))

    assert twice == once


def test_the_sum_of_nothing_is_nothing():
    assert add_up([]) == {}


def test_of_a_process_that_is_gone_its_counters_stay_and_its_gauges_do_not(two: tuple[Metrics, Metrics]):
    page = samples(render(FAMILIES, [without_gauges(FAMILIES, metrics.snapshot()) for metrics in two]))

    assert page["alga_runner_host_calls_total,success,scheduler.list"] == 2
    assert page["alga_runner_host_call_seconds_count,scheduler.list"] == 3
    assert "alga_runner_executions_in_progress" not in page


@pytest.mark.anyio
async def test_known_labels_of_several_fresh_workers_are_at_zero():
    page = samples(render(FAMILIES, [json.loads(json.dumps(Metrics().snapshot())) for _ in range(2)]))
    pool = samples(render(WORKER_FAMILIES, [await Totals(lambda: ()).collect()]))

    assert page["alga_runner_executions_total,guest_trap"] == 0
    assert page["alga_runner_executions_refused_total,queue_full"] == 0
    assert {name: value for name, value in pool.items() if "ended" in name} == {
        "alga_runner_workers_ended_total,crash": 0,
        "alga_runner_workers_ended_total,memory": 0,
        "alga_runner_workers_ended_total,asked": 0,
    }
