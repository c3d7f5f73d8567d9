"""The bounds on executions, and the errors of those that are refused."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

import anyio
import anyio.lowlevel
import pytest

from alga_runner import Settings
from alga_runner.errors import Draining, Overloaded
from alga_runner.execution.admission import DEFAULT_RETRY_AFTER_MS, MAX_RETRY_AFTER_MS, Admission, Bounds
from alga_runner.telemetry import Telemetry

pytestmark = pytest.mark.anyio

LATER = 1_000_000.0


@pytest.fixture
def telemetry() -> Telemetry:
    return Telemetry()


@pytest.fixture
def admission(telemetry: Telemetry) -> Callable[..., Admission]:
    def build(
        executing: int = 1, per_tenant: int = 1, queued: int = 0, queued_per_tenant: int = 0, **bounds: float
    ) -> Admission:
        patience_s = bounds.get("patience_s", 60.0)
        return Admission(Bounds(executing, per_tenant, queued, queued_per_tenant, patience_s), telemetry)

    return build


async def refusal(admission: Admission, tenant: str, until: float = LATER) -> Overloaded:
    with pytest.raises(Overloaded) as raised:
        await admission.enter(tenant, until)
    return raised.value


def test_a_tenant_s_bounds_are_a_quarter_unless_they_are_set():
    assert Bounds.of(Settings(max_queued=10), 10) == Bounds(10, 3, 10, 3, 5.0)


def test_bounds_of_a_tenant_do_not_go_beyond_those_of_all():
    settings = Settings(
        max_guests_per_tenant=99, max_queued=5, max_queued_per_tenant=99, queue_timeout_ms=250
    )

    assert Bounds.of(settings, 10) == Bounds(10, 10, 5, 5, 0.25)


async def test_a_full_runner_says_what_it_may_have(admission):
    full = admission(executing=1)
    full.try_enter("acme")

    error = await refusal(full, "globex")

    assert str(error) == "There is no room: the runner may have 1 executions under way and 0 waiting."
    assert not error.of_tenant
    assert "max_guests" in (error.hint or "")


async def test_a_tenant_with_all_it_may_have_is_told_apart(admission):
    roomy = admission(executing=2, queued=4)
    roomy.try_enter("acme")

    error = await refusal(roomy, "acme")

    assert str(error) == "There is no room: the tenant may have 1 executions under way and 0 waiting."
    assert error.of_tenant
    assert "max_guests_per_tenant" in (error.hint or "")


async def test_who_waited_for_nothing_is_told_how_long(admission):
    full = admission(executing=1, queued=1, queued_per_tenant=1, patience_s=0.004)
    full.try_enter("acme")

    error = await refusal(full, "globex")

    assert str(error).startswith("No slot became free within 4 ms: the runner may have 1 executions")


async def test_nobody_waits_past_the_deadline(admission):
    full = admission(executing=1, queued=1, queued_per_tenant=1)
    full.try_enter("acme")

    error = await refusal(full, "globex", until=monotonic() - 1)

    assert str(error).startswith("No slot became free within 0 ms")
    assert full.queued == 0


async def test_where_nobody_waits_there_is_no_pace_to_go_by(admission):
    full = admission(executing=1)
    full.try_enter("acme")

    assert (await refusal(full, "globex")).retry_after_ms == DEFAULT_RETRY_AFTER_MS


async def test_when_to_try_again_follows_from_how_fast_slots_became_free(admission):
    full = admission(executing=1, queued=2, queued_per_tenant=2)
    full.try_enter("acme")
    async with anyio.create_task_group() as tasks:
        for _ in range(2):
            tasks.start_soon(full.enter, "globex", LATER)
        await anyio.lowlevel.checkpoint()
        full._slots._overall._since -= 4.0

        error = await refusal(full, "initech")
        full._slots._overall._since -= 4_000.0
        later = await refusal(full, "initech")
        tasks.cancel_scope.cancel()

    assert error.retry_after_ms == pytest.approx(3 * 4_000, abs=1_000)
    assert later.retry_after_ms == MAX_RETRY_AFTER_MS


async def test_one_that_drains_says_so_to_those_who_wait_and_those_who_come(admission):
    full = admission(executing=1, queued=1, queued_per_tenant=1)
    full.try_enter("acme")
    ended: list[str] = []

    async def wait() -> None:
        try:
            await full.enter("globex", LATER)
        except Draining as error:
            ended.append(str(error))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        await anyio.lowlevel.checkpoint()
        full.close()

    assert not full.try_enter("acme")
    with pytest.raises(Draining):
        await full.enter("acme", LATER)
    assert ended == ["The runner is shutting down and takes no more executions; nothing was carried out."]


async def test_refusals_are_counted_by_the_bound_that_said_so(admission, telemetry):
    roomy = admission(executing=3, per_tenant=1, queued=1, queued_per_tenant=1, patience_s=0.0)
    roomy.try_enter("acme")
    await refusal(roomy, "acme")
    full = admission(executing=1)
    full.try_enter("acme")
    await refusal(full, "acme")
    full.close()
    with pytest.raises(Draining):
        await full.enter("acme", LATER)

    metrics = telemetry.render().decode()

    for reason in ("tenant_queue_timeout", "queue_full", "draining"):
        assert f'alga_runner_executions_refused_total{{reason="{reason}"}} 1' in metrics


async def test_metrics_tell_who_is_in_and_who_waits(admission, telemetry):
    full = admission(executing=2, per_tenant=2, queued=2, queued_per_tenant=2)
    full.try_enter("acme")
    full.try_enter("acme")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(full.enter, "globex", LATER)
        await anyio.lowlevel.checkpoint()
        metrics = telemetry.render().decode()
        tasks.cancel_scope.cancel()

    assert "alga_runner_executions_admitted 2" in metrics
    assert "alga_runner_executions_queued 1" in metrics
