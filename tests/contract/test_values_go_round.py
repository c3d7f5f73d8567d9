"""Every value that one door admits goes round every other: admins, guests, the gateway, firings, a stored row.

The server answers the runner on a real socket, and a real guest makes the host calls and echoes its request. A door
that refuses a value names the field. ``FUZZ_EXAMPLES`` is how many values each test gets (``make fuzz``).
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
import msgpack
import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydantic import SecretStr
from sqlalchemy import Connection, text

from alga_runner import ExecuteRequest, ExecuteResponse, Observation, Runner, Settings
from alga_runner.alga import HttpAlgaServer
from alga_runner.bundles import Bundle, MemoryBundles
from alga_runner.models import json_fault, readable
from alga_runner.service import Service, create_service
from alga_server import ManualClock, Server, ServerSettings
from tests.support.bundles import make_archive, manifest_api
from tests.support.guests import guest_wat
from tests.support.msgpack_forms import Form, documents, text_form
from tests.support.patience import PATIENT

from .conftest import ADMIN_TOKEN, RUNNER_TOKEN, Alga

pytestmark = pytest.mark.anyio

GATEWAY_TOKEN = "gateway-token-for-tests"
TENANT = "acme"
EVERY = hypothesis_settings(
    max_examples=int(os.environ.get("FUZZ_EXAMPLES", "10")),
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

# ---- A guest that makes the host call that its request's body asks for, and else answers with its request

CREATE, LIST = 1, 2
_HEAD = b"\x82\xa6status\xcc\xc8\xa4body\xc6\0"
_REPLY = 1024 + len(_HEAD) + 3
_REQUEST = 1 << 20
_ROOM = 900_000
_HANDLER = f"""
    (local $end i32) (local $length_of i32) (local $at i32) (local $size i32)
    (drop (call $request (i32.const {_REQUEST}) (i32.const 1000000)))
    (local.set $end (i32.add (i32.const {_REQUEST}) (local.get $length)))
    (local.set $length_of (i32.load (i32.sub (local.get $end) (i32.const 5))))
    (local.set $at (i32.sub (i32.sub (local.get $end) (i32.const 5)) (local.get $length_of)))
    (block $done
      (block $echo
        (block $list
          (block $create
            (br_if $create (i32.eq (i32.load8_u (i32.sub (local.get $end) (i32.const 1))) (i32.const {CREATE})))
            (br_if $list (i32.eq (i32.load8_u (i32.sub (local.get $end) (i32.const 1))) (i32.const {LIST})))
            (br $echo))
          (local.set $size
            (call $create (local.get $at) (local.get $length_of) (i32.const {_REPLY}) (i32.const {_ROOM})))
          (br $done))
        (local.set $size (call $list (local.get $at) (local.get $length_of) (i32.const {_REPLY}) (i32.const {_ROOM})))
        (br $done))
      (local.set $size (call $request (i32.const {_REPLY}) (i32.const {_ROOM}))))
    (i32.store8 (i32.const {_REPLY - 3}) (i32.shr_u (local.get $size) (i32.const 16)))
    (i32.store8 (i32.const {_REPLY - 2}) (i32.shr_u (local.get $size) (i32.const 8)))
    (i32.store8 (i32.const {_REPLY - 1}) (local.get $size))
    (call $respond (i32.const 1024) (i32.add (i32.const {len(_HEAD) + 3}) (local.get $size)))"""
_CALL = "(param i32 i32 i32 i32) (result i32)"
_IMPORTS = f"""
    (import "alga:abi" "request" (func $request (param i32 i32) (result i32)))
    (import "alga:scheduler" "create" (func $create {_CALL}))
    (import "alga:scheduler" "list" (func $list {_CALL}))"""
ARCHIVE = make_archive(
    guest_wat(_HANDLER, imports=_IMPORTS, data=_HEAD, pages=32),
    capabilities=["cap:scheduler.manage"],
    api=manifest_api("POST /go", "GET /go"),
)


class EchoedRunner(Runner):
    """Keeps the response of the last execution: of a firing nothing else shows it."""

    last: ExecuteResponse

    async def observe(self, request: ExecuteRequest, **options: int) -> Observation:
        observation = await super().observe(request, **options)
        self.last = observation.unwrap()
        return observation


@dataclass
class World:
    """Every door to one install."""

    alga: Alga
    runner: EchoedRunner
    extension_id: str
    install_id: str

    @property
    def path(self) -> str:
        return f"/api/admin/tenants/{TENANT}/installs/{self.install_id}"

    async def admin(self, method: str, path: str, members: Any = None) -> httpx.Response:
        content = None if members is None else json.dumps(members)
        return await self.alga.admin.request(method, self.path + path, content=content)

    async def gateway(self, body: bytes, **headers: str | bytes) -> Any:
        """The guest's answer to a call of the gateway."""
        given: dict[str, str | bytes] = {"authorization": f"Bearer {GATEWAY_TOKEN}", "x-alga-tenant": TENANT}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        url = f"/api/ext/{self.extension_id}/go"
        answer = await self.alga.admin.post(url, content=body, headers=given)
        assert answer.status_code == 200, answer.text
        return msgpack.unpackb(answer.content)

    async def guest(self, operation: int, request: bytes) -> Any:
        """The reply to a host call with these bytes."""
        return await self.gateway(request + struct.pack("<IB", len(request), operation))

    async def fired(self, schedule_id: str) -> Any:
        """The request that the guest gets when the schedule is fired."""
        answer = await self.admin("POST", f"/schedules/{schedule_id}/run-now")
        assert (answer.status_code, answer.json()["status"]) == (200, "success"), answer.text
        return msgpack.unpackb(self.runner.last.body())

    async def seen(self, member: str, schedule_id: str) -> list[Any]:
        """The member of the one schedule, as an admin, a guest and a handler see it; then the schedule is deleted."""
        try:
            [by_admin] = (await self.admin("GET", "/schedules")).json()["schedules"]
            [by_guest] = (await self.guest(LIST, b"\x80"))["ok"]["schedules"]
            request = await self.fired(schedule_id)
        finally:
            await self.admin("DELETE", f"/schedules/{schedule_id}")
        in_handler = {
            "payload": lambda: json.loads(request["http"]["body"] or b"null"),
            "name": lambda: request["context"].get("scheduleName"),
            "timezone": lambda: by_guest["timezone"],
        }[member]()
        return [by_admin[member], by_guest.get(member), in_handler]


@pytest.fixture(scope="module")
async def alga() -> AsyncIterator[Alga]:
    settings = ServerSettings(
        runner_token=RUNNER_TOKEN,
        admin_token=SecretStr(ADMIN_TOKEN),
        gateway_token=SecretStr(GATEWAY_TOKEN),
        schedule_changes_burst=1_000_000,
        dispatch_schedules=False,
    )
    services: list[Service] = []

    async def runner_app(scope: Any, receive: Any, send: Any) -> None:
        await services[0](scope, receive, send)

    clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
    transport = httpx.ASGITransport(runner_app)
    async with (
        Server(settings, clock=clock, runner_transport=transport) as server,
        httpx.AsyncClient(
            transport=httpx.ASGITransport(server.app),
            base_url="http://admin",
            headers={"authorization": f"Bearer {ADMIN_TOKEN}"},
        ) as admin,
    ):
        server.app.state.runner_services = services
        yield Alga(server, admin, clock)


@pytest.fixture(scope="module")
async def world(alga: Alga, base_url: str) -> AsyncIterator[World]:
    bundles = MemoryBundles()
    bundles.add(Bundle.from_archive(ARCHIVE))
    published = (await alga.admin.post("/api/admin/extensions", content=ARCHIVE)).json()
    installed = await alga.install(TENANT, published["extensionId"], "cap:scheduler.manage")
    port = HttpAlgaServer(base_url, RUNNER_TOKEN)
    async with EchoedRunner(Settings(max_guests=4, **PATIENT), alga=port, bundles=bundles) as runner:
        alga.server.app.state.runner_services.append(create_service(runner, require_token=False))
        yield World(alga, runner, published["extensionId"], installed.identity.install_id or "")
    await port.aclose()


# ---- Payloads

EDGES = (2**53, -(2**53), 2**53 + 1, 2**64, -(2**63), 10**400, 0)
any_text = st.text(st.characters(exclude_categories=()), max_size=6)
texts = any_text | st.sampled_from(["", "\0", "\ufffe", "\ud800", "\udfff\ud800", "a\U0010ffff", "\u2028"])
scalars = st.none() | st.booleans() | st.floats() | st.sampled_from(EDGES) | texts
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)
payloads = st.lists(values, max_size=3) | st.dictionaries(texts, values, max_size=3)


def nested(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels - 1):
        value = [value]
    return value


@EVERY
@given(payload=payloads)
@example(payload=["\ud800"])
@example(payload={"\udfff": 1})
@example(payload=[float("inf"), -0.0])
@example(payload=[2**53 + 1])
@example(payload=nested(28))
@example(payload=nested(29))
@example(payload={"": ["\0", "\ufffe", 2**53, -0.0, 1e308, 5e-324]})
async def test_a_payload_that_an_admin_may_give_is_read_by_all(world: World, payload: Any) -> None:
    created = await world.admin(
        "POST", "/schedules", {"endpoint": "POST /go", "cron": "0 * * * *", "payload": payload}
    )

    assert (created.status_code == 201) == (json_fault(payload) is None)
    if created.status_code == 201:
        assert list(map(repr, await world.seen("payload", created.json()["id"]))) == [repr(payload)] * 3
    elif b"NaN" not in created.request.content and b"Infinity" not in created.request.content:
        assert list(created.json()["fieldErrors"]) == ["payload"]


@EVERY
@given(payload=documents)
@example(payload=Form(b"\x91" * 27 + b"\x90", None))
@example(payload=Form(b"\x91" * 28 + b"\x90", None))
@example(payload=Form(b"\x81\xa1a\xca\x80\0\0\0", None))
@example(payload=Form(b"\x83\xa1a\xca\x3f\x80\0\0\xa1b\xcc\x80\xa1b\xcc\x81", None))
async def test_a_payload_that_a_guest_may_give_is_read_by_all(world: World, payload: Form) -> None:
    request = b"\x83" + msgpack.packb("endpoint") + msgpack.packb("POST /go") + msgpack.packb("cron")
    reply = await world.guest(
        CREATE, request + msgpack.packb("0 * * * *") + msgpack.packb("payload") + payload.data
    )

    if "err" in reply:
        assert reply["err"]["code"] == "validation-failed"
        return
    given = msgpack.unpackb(payload.data)
    assert list(map(repr, await world.seen("payload", reply["ok"]["scheduleId"]))) == [repr(given)] * 3


@EVERY
@given(payload=payloads)
@example(payload=["\ud800", {"\udfff": 10**400}, float("nan"), nested(40)])
async def test_a_payload_in_a_row_of_an_older_version_is_read_by_all(world: World, payload: Any) -> None:
    created = await world.admin(
        "POST", "/schedules", {"endpoint": "POST /go", "cron": "0 * * * *", "payload": []}
    )
    schedule_id = created.json()["id"]
    statement = text("UPDATE tenant_extension_schedule SET payload = :payload WHERE id = :id")

    def store(connection: Connection) -> None:
        connection.execute(statement, {"payload": json.dumps(payload), "id": schedule_id})

    await world.alga.server._services.database.write(store)

    assert list(map(repr, await world.seen("payload", schedule_id))) == [repr(readable(payload))] * 3


# ---- Texts

names = any_text | st.sampled_from(
    [
        *(
            "",
            " ",
            "\t\n",
            "\0",
            "\ud800",
            "\ufffe",
            "a\u202eb",
            "\x1b[31m",
            "a\nb",
            "\ufeffa",
            "\u00a0a\u3000",
        ),
        *("n" * 128, "n" * 129, "\N{ROCKET}" * 64, "\N{ROCKET}" * 65, "ü" * 128, "\u3042" * 128),
    ]
)


@EVERY
@given(name=names)
@example(name="\N{ROCKET}" * 64)
@example(name="\N{ROCKET}" * 65)
@example(name="\ud800")
@example(name="a\x1b\u202e\ufffe\nb")
async def test_a_name_means_the_same_to_admins_guests_and_handlers(world: World, name: str) -> None:
    members = {"endpoint": "POST /go", "cron": "0 * * * *", "name": name}
    created = await world.admin("POST", "/schedules", members)
    seen = None
    if created.status_code == 201:
        seen = await world.seen("name", created.json()["id"])
        assert seen == [name.strip() or None] * 3
    else:
        assert list(created.json()["fieldErrors"]) == ["name"]
    try:
        request = b"\x83" + b"".join(text_form(part).data for pair in members.items() for part in pair)
    except UnicodeEncodeError:
        assert seen is None
        return
    reply = await world.guest(CREATE, request)
    if "err" in reply:
        assert (seen, list(reply["err"]["fieldErrors"])) == (None, ["name"])
    else:
        assert await world.seen("name", reply["ok"]["scheduleId"]) == seen


@EVERY
@given(
    zone=names
    | st.sampled_from(["UTC", " Europe/Berlin ", "europe/berlin", "../UTC", "localtime", "Etc/GMT+5"])
)
async def test_a_time_zone_is_known_to_all_or_refused_on_its_field(world: World, zone: str) -> None:
    members = {"endpoint": "POST /go", "cron": "0 * * * *", "timezone": zone}
    created = await world.admin("POST", "/schedules", members)

    if created.status_code == 201:
        assert set(await world.seen("timezone", created.json()["id"])) == {zone.strip() or "UTC"}
    else:
        assert list(created.json()["fieldErrors"]) == ["timezone"]


@EVERY
@given(config=st.dictionaries(texts, texts, max_size=3))
@example(config={"": "\ufffe\u202e", "\U0010ffff": "a\nb"})
@example(config={"key": "\ud800"})
@example(config={"\0": "a"})
async def test_a_configuration_reaches_the_guest_as_it_was_given(
    world: World, config: dict[str, str]
) -> None:
    changed = await world.admin("PATCH", "", {"config": config})

    if changed.status_code == 200:
        shown = await world.admin("GET", "")
        assert (shown.json()["config"], (await world.gateway(b"{}"))["context"]["config"]) == (config, config)
    else:
        assert changed.status_code == 400
        assert all(field.startswith("config") for field in changed.json()["fieldErrors"])


@EVERY
@given(name=st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0\r\n"), max_size=260))
@example(name="\N{ROCKET}" * 256)
@example(name="Zoë\u202e\ufffe\x1b")
async def test_a_user_s_name_reaches_the_guest_as_it_was_sent(world: World, name: str) -> None:
    headers = {
        "authorization": f"Bearer {GATEWAY_TOKEN}",
        "x-alga-tenant": TENANT,
        "x-alga-user-id": str(uuid4()),
    }
    url = f"/api/ext/{world.extension_id}/go"
    sent = [*headers.items(), (b"x-alga-user-name", name.encode())]
    answer = await world.alga.admin.post(url, content=b"{}", headers=sent)  # type: ignore[arg-type]

    assert answer.status_code in {200, 400}
    if answer.status_code == 200:
        assert msgpack.unpackb(answer.content)["user"]["userName"] == name
