"""A request sent again is not carried out again; a key means nothing outside its install (alga-contract 7, fault 1)."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable

import anyio
import httpx
import msgpack
import pytest

from alga_runner import Runner
from alga_runner.bundles import Bundle, BundleSource
from alga_runner.errors import BundleNotFound
from alga_runner.service import create_service
from alga_runner.service.reply_cache import IdempotencyKey

pytestmark = pytest.mark.anyio

KEY = {"x-idempotency-key": "key-1"}


@pytest.fixture
def executions(runner: Runner) -> Callable[[], int]:
    """How many executions there were."""

    def count() -> int:
        lines = runner.telemetry.render().decode().splitlines()
        ended = [line for line in lines if line.startswith("alga_runner_executions_total{")]
        return int(sum(float(line.rsplit(" ", 1)[1]) for line in ended))

    return count


@pytest.fixture
def content_hash(publish) -> str:
    return publish()


async def test_a_request_sent_again_is_answered_from_memory(execute, content_hash, executions) -> None:
    first = await execute(content_hash, headers=KEY)
    again = await execute(content_hash, headers=KEY)

    assert executions() == 1
    assert again.json() == first.json()
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"


async def test_without_a_key_every_request_is_carried_out(execute, content_hash, executions) -> None:
    for headers in ({}, {"x-idempotency-key": ""}, {"x-idempotency-key": " "}):
        await execute(content_hash, headers=headers)

    assert executions() == 3


@pytest.mark.parametrize(
    ("headers", "members"),
    [
        ({"x-alga-tenant": "globex"}, {"tenant": "globex"}),
        ({"x-alga-extension": "other"}, {"context": {"extension_id": "other"}}),
        ({}, {"context": {"install_id": "install-2"}}),
        ({}, {"context": {"install_id": None}}),
        ({"x-idempotency-key": "key-2"}, {}),
    ],
)
async def test_a_key_belongs_to_one_install(
    execute, content_hash, executions, headers: dict, members: dict
) -> None:
    await execute(content_hash, headers=KEY)
    await execute(content_hash, headers=KEY | headers, **members)

    assert executions() == 2


async def test_a_caller_cannot_take_the_key_of_a_schedules_run(execute, content_hash, executions) -> None:
    await execute(content_hash, headers=KEY)
    run = await execute(content_hash, headers=KEY, context={"trigger": "schedule", "schedule_id": "s"})

    assert run.json()["error"] is None
    assert executions() == 2


RUN = {"trigger": "schedule", "schedule_id": "s", "nominal_time": "2026-01-01T00:00:00.000Z"}


async def test_a_schedules_run_that_succeeded_is_not_carried_out_again(
    execute, content_hash, executions
) -> None:
    await execute(content_hash, headers=KEY, context=RUN)
    again = await execute(content_hash, headers=KEY, context={**RUN, "attempt": 2})

    assert again.headers["idempotent-replayed"] == "true"
    assert executions() == 1


async def test_a_schedules_run_that_failed_is_carried_out_again(execute, publish, executions) -> None:
    data = msgpack.packb({"status": 500})
    failing = publish(f"(call $respond (i32.const 1024) (i32.const {len(data)}))", data=data)
    first = await execute(failing, headers=KEY, context=RUN)
    again = await execute(failing, headers=KEY, context={**RUN, "attempt": 2})

    assert (first.json()["status"], again.json()["status"]) == (500, 500)
    assert "idempotent-replayed" not in again.headers
    assert executions() == 2


async def test_ids_cannot_be_arranged_to_name_another_s_key(execute, content_hash, executions) -> None:
    await execute(content_hash, headers=KEY, context={"install_id": 'x","key-1'})
    await execute(content_hash, headers={"x-idempotency-key": '","key-1key-1'}, context={"install_id": "x"})

    assert executions() == 2


def by(user: str) -> dict[str, dict[str, str]]:
    return {"user": {"user_id": user, "user_email": "", "user_name": "", "user_type": ""}}


async def test_a_user_s_key_is_not_taken_by_another_s_guess(execute, content_hash, executions) -> None:
    guessed = await execute(content_hash, headers=KEY, http={"path": "/other"}, **by("mallory"))
    meant = await execute(content_hash, headers=KEY, **by("ada"))
    again = await execute(content_hash, headers=KEY, **by("ada"))

    assert [answer.json()["status"] for answer in (guessed, meant, again)] == [200, 200, 200]
    assert "idempotent-replayed" in again.headers
    assert executions() == 2


@pytest.mark.parametrize(
    "members",
    [
        {"http": {"path": "/other"}},
        {"http": {"method": "PUT"}},
        {"http": {"query": {"a": "b"}}},
        {"http": {"body_b64": ""}},
        {"http": {"body_b64": "YQ=="}},
        {"http": {"headers": {"Content-Type": "text/plain"}}},
        {"context": {"schedule_id": "s"}},
        {"context": {"nominal_time": "2026-01-01T01:00:00Z"}},
    ],
)
async def test_a_key_used_for_another_request_is_refused(
    execute, content_hash, executions, members: dict
) -> None:
    await execute(content_hash, headers=KEY)
    other = await execute(content_hash, headers=KEY, **members)

    assert other.status_code == 200
    reply = other.json()
    assert json.loads(base64.b64decode(reply.pop("body_b64"))) == {
        "error": "idempotency_key_reused",
        "message": "The idempotency key was used for another request.",
    }
    assert reply == {
        "status": 409,
        "headers": {"content-type": "application/json"},
        "error": "idempotency_key_reused",
    }
    assert executions() == 1


@pytest.mark.parametrize(
    "members",
    [
        {"context": {"request_id": "other"}},
        {"execution_token": "other"},
        {"http": {"headers": {"x-request-id": "other"}}},
        {"context": {"version_id": "v2"}},
        {"providers": ["cap:scheduler.manage"]},
        {"limits": {"timeout_ms": 5_000}},
    ],
)
async def test_what_differs_when_a_request_is_sent_again_does_not_count(
    execute, content_hash, executions, members: dict
) -> None:
    await execute(content_hash, headers=KEY)
    again = await execute(content_hash, headers=KEY, **members)

    assert again.json()["error"] is None
    assert executions() == 1


async def test_a_failure_is_not_kept(execute, publish, executions) -> None:
    content_hash = publish("unreachable")
    for _ in range(2):
        response = await execute(content_hash, headers=KEY)
        assert response.json()["error"].startswith("execute_failed: guest_trap")

    assert executions() == 2


async def test_a_guest_s_own_error_is_a_reply_and_kept(execute, publish, executions) -> None:
    data = msgpack.packb({"status": 500})
    content_hash = publish(f"(call $respond (i32.const 1024) (i32.const {len(data)}))", data=data)
    for _ in range(2):
        assert (await execute(content_hash, headers=KEY)).json()["status"] == 500

    assert executions() == 1


async def test_a_reply_is_forgotten_after_its_time(execute, content_hash, executions, clock) -> None:
    await execute(content_hash, headers=KEY)
    clock.now = 59.9
    await execute(content_hash, headers=KEY)
    assert executions() == 1

    clock.now = 60.0
    await execute(content_hash, headers=KEY)
    assert executions() == 2


async def test_the_fingerprint_of_a_large_body_is_taken_when_it_is_its_tenant_s_turn(
    execute, content_hash, runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[tuple[str, type]] = []

    async def run(owner: str, work: Callable[[], object]) -> object:
        result = work()
        done.append((owner, type(result)))
        return result

    monkeypatch.setattr("alga_runner.service.execute.LARGE_BYTES", len("YWJjZA=="))
    monkeypatch.setattr(runner.large_work, "run", run)
    await execute(content_hash, headers=KEY, http={"body_b64": "YQ=="})
    assert ("acme", IdempotencyKey) not in done
    await execute(content_hash, headers=KEY | {"x-idempotency-key": "key-2"}, http={"body_b64": "YWJjZA=="})

    assert ("acme", IdempotencyKey) in done


async def test_a_key_is_checked_after_the_routing_headers(execute, content_hash) -> None:
    await execute(content_hash, headers=KEY)
    other = await execute(content_hash, headers=KEY | {"x-alga-tenant": "globex"})

    assert other.json()["error"] == "routing_headers_mismatch"


class Held(BundleSource):
    """Returns its bundle once ``may_answer`` is set; the first ``failures`` fetches fail."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self.asked = 0
        self.may_answer = anyio.Event()
        self.failures = 0

    async def fetch(self, tenant_id: str, extension_id: str, content_hash: str) -> Bundle:
        self.asked += 1
        await self.may_answer.wait()
        if self.failures:
            self.failures -= 1
            raise BundleNotFound("not yet")
        return self.bundle


@pytest.fixture
def held(publish, bundles) -> Held:
    return Held(bundles._bundles[None, publish()])


@pytest.fixture
async def held_post(settings, held: Held, headers, request_for):
    """Post one request with a key to a service whose bundle is held back."""
    async with Runner(settings, bundles=held) as runner:
        transport = httpx.ASGITransport(create_service(runner))
        async with httpx.AsyncClient(transport=transport, base_url="http://runner") as client:

            async def post(into: list, **members) -> None:
                body = request_for(held.bundle.content_hash, **members)
                response = await client.post("/v1/execute", json=body, headers=headers | KEY)
                into.append(response.json() | {"replayed": "idempotent-replayed" in response.headers})

            yield post


async def test_requests_under_one_key_wait_for_the_first(held_post, held: Held) -> None:
    replies: list[dict] = []
    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(held_post, replies)
        await anyio.wait_all_tasks_blocked()
        held.may_answer.set()

    assert [reply["status"] for reply in replies] == [200, 200, 200]
    assert sorted(reply["replayed"] for reply in replies) == [False, True, True]


async def test_another_request_under_the_key_does_not_wait(held_post, held: Held) -> None:
    replies: list[dict] = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(held_post, replies)
        await anyio.wait_all_tasks_blocked()
        await held_post(replies, http={"path": "/other"})
        held.may_answer.set()

    assert [reply["error"] for reply in replies] == ["idempotency_key_reused", None]


async def test_when_the_first_fails_the_next_is_carried_out(held_post, held: Held) -> None:
    held.failures = 1
    replies: list[dict] = []
    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(held_post, replies)
        await anyio.wait_all_tasks_blocked()
        held.may_answer.set()

    assert sorted(reply["status"] for reply in replies) == [200, 200, 502]
    assert held.asked == 2


async def test_when_the_first_is_given_up_the_next_is_carried_out(held_post, held: Held) -> None:
    replies: list[dict] = []
    async with anyio.create_task_group() as tasks:
        with anyio.CancelScope() as impatient:
            async with anyio.create_task_group() as first:
                first.start_soon(held_post, replies)
                await anyio.wait_all_tasks_blocked()
                tasks.start_soon(held_post, replies)
                await anyio.wait_all_tasks_blocked()
                impatient.cancel()
        held.may_answer.set()

    assert [reply["status"] for reply in replies] == [200]
    assert replies[0]["replayed"] is False


async def test_waiting_for_the_first_has_an_end(held_post, held: Held) -> None:
    replies: list[dict] = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(held_post, replies)
        await anyio.wait_all_tasks_blocked()
        await held_post(replies, limits={"timeout_ms": 1})
        held.may_answer.set()

    assert replies[0]["error"].startswith("execute_failed: deadline_exceeded: ")
    assert replies[1]["status"] == 200
