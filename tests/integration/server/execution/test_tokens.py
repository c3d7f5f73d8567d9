"""Execution tokens: a host call is accepted only for the execution that makes it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import anyio
import pytest
from sqlalchemy import insert

from alga_server import ManualClock, ServerSettings
from alga_server.errors import DatabaseUnavailable, ExecutionTokenInvalid
from alga_server.execution.tokens import ExecutionTokens
from alga_server.storage.database import Database
from alga_server.storage.tables import server_secret
from tests.support.server import Alga, Install

pytestmark = pytest.mark.anyio

CLAIMS = {"tenant_id": "tenant-a", "install_id": "install-1", "request_id": "request-1"}


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def database(quick_database_url: str) -> AsyncIterator[Database]:
    database = Database(quick_database_url)
    yield database
    await database.aclose()


@pytest.fixture
def tokens(database: Database, clock: ManualClock) -> ExecutionTokens:
    return ExecutionTokens(database, clock)


async def issue(tokens: ExecutionTokens, **changes: Any) -> str:
    return await tokens.issue(**{**CLAIMS, "lifetime_s": 40.0, **changes})


async def test_a_token_holds_for_what_it_was_issued_for(tokens: ExecutionTokens) -> None:
    await tokens.verify(await issue(tokens), **CLAIMS)


@pytest.mark.parametrize("claim", sorted(CLAIMS))
async def test_a_token_holds_for_nothing_else(tokens: ExecutionTokens, claim: str) -> None:
    token = await issue(tokens)

    with pytest.raises(ExecutionTokenInvalid):
        await tokens.verify(token, **{**CLAIMS, claim: "another"})


async def test_what_is_signed_cannot_be_divided_differently(tokens: ExecutionTokens) -> None:
    token = await issue(tokens, tenant_id="a", install_id="b-c")

    with pytest.raises(ExecutionTokenInvalid):
        await tokens.verify(token, **{**CLAIMS, "tenant_id": "a-b", "install_id": "c"})


async def test_a_token_lasts_until_its_expiry_and_no_longer(
    tokens: ExecutionTokens, clock: ManualClock
) -> None:
    token = await issue(tokens)

    clock.advance(timedelta(seconds=40, milliseconds=-1))
    await tokens.verify(token, **CLAIMS)
    clock.advance(timedelta(milliseconds=1))
    with pytest.raises(ExecutionTokenInvalid):
        await tokens.verify(token, **CLAIMS)


async def test_an_expiry_put_off_is_a_forgery(tokens: ExecutionTokens, clock: ManualClock) -> None:
    version, generation, expiry, signature = (await issue(tokens)).split(".")

    with pytest.raises(ExecutionTokenInvalid):
        await tokens.verify(f"{version}.{generation}.{int(expiry) + 1}.{signature}", **CLAIMS)


@pytest.mark.parametrize(
    "change",
    [
        lambda token: "",
        lambda token: token[:-1],
        lambda token: token + "=",
        lambda token: token + "\n",
        lambda token: token.replace("v1", "v2"),
        lambda token: token.replace("v1.1.", "v1.2."),
        lambda token: token.replace("v1.1.", "v1.01."),
        lambda token: token[:-43] + "A" * 43,
        lambda token: token[:-1] + ("A" if token[-1] != "A" else "B"),
        lambda token: "v1.1.99999999999999999999." + token[-43:],
    ],
)
async def test_a_token_changed_in_any_way_is_a_forgery(tokens: ExecutionTokens, change: Any) -> None:
    forged = change(await issue(tokens))

    with pytest.raises(ExecutionTokenInvalid):
        await tokens.verify(forged, **CLAIMS)


async def test_a_token_travels_in_a_header(tokens: ExecutionTokens) -> None:
    token = await issue(tokens, tenant_id="t" * 128, request_id="r" * 128)

    assert token.isascii()
    assert token.isprintable()
    assert len(token) <= 128


async def test_two_servers_on_one_database_agree(database_url: str, clock: ManualClock) -> None:
    databases = [Database(database_url) for _ in range(4)]
    servers = [ExecutionTokens(database, clock) for database in databases]
    issued: list[str] = []

    async def start(server: ExecutionTokens) -> None:
        issued.append(await issue(server))

    async with anyio.create_task_group() as tasks:
        for server in servers:
            tasks.start_soon(start, server)

    assert len(set(issued)) == 1
    for server, token in zip(reversed(servers), issued, strict=True):
        await server.verify(token, **CLAIMS)
    for database in databases:
        await database.aclose()


async def test_executions_that_begin_together_read_the_key_once(
    tokens: ExecutionTokens, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = 0
    read = database.read

    async def counted(fn: Any) -> Any:
        nonlocal reads
        reads += 1
        return await read(fn)

    monkeypatch.setattr(database, "read", counted)

    async with anyio.create_task_group() as tasks:
        for _ in range(10):
            tasks.start_soon(issue, tokens)

    assert reads == 1


class Outage:
    """A database's reads, of which the first waits, and then fails."""

    def __init__(self, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reads = 0
        self.ends = anyio.Event()
        self._read = database.read
        monkeypatch.setattr(database, "read", self.read)

    async def read(self, fn: Any) -> Any:
        self.reads += 1
        if self.reads > 1:
            return await self._read(fn)
        await self.ends.wait()
        raise DatabaseUnavailable


async def test_executions_that_begin_in_an_outage_share_one_try(
    tokens: ExecutionTokens, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    outage, failures = Outage(database, monkeypatch), list[DatabaseUnavailable]()

    async def begin() -> None:
        with pytest.raises(DatabaseUnavailable) as caught:
            await issue(tokens)
        failures.append(caught.value)

    async with anyio.create_task_group() as tasks:
        for _ in range(100):
            tasks.start_soon(begin)
        await anyio.wait_all_tasks_blocked()
        outage.ends.set()

    assert outage.reads == 1
    assert len(set(map(id, failures))) == 100
    await issue(tokens)  # a failure is not kept


async def test_an_execution_that_is_cancelled_while_it_reads_the_key_leaves_the_try_to_another(
    tokens: ExecutionTokens, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    outage, first, issued = Outage(database, monkeypatch), anyio.CancelScope(), list[str]()

    async def begin(scope: anyio.CancelScope) -> None:
        with scope:
            issued.append(await issue(tokens))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(begin, first)
        await anyio.wait_all_tasks_blocked()
        for _ in range(3):
            tasks.start_soon(begin, anyio.CancelScope())
        await anyio.wait_all_tasks_blocked()
        first.cancel()

    assert outage.reads == 2
    assert len(issued) == 3


async def test_two_databases_do_not_believe_each_other(
    tokens: ExecutionTokens, clock: ManualClock, empty_database_url: str
) -> None:
    other = Database(empty_database_url)

    with pytest.raises(ExecutionTokenInvalid):
        await tokens.verify(await issue(ExecutionTokens(other, clock)), **CLAIMS)
    await other.aclose()


async def test_a_newer_generation_signs_and_an_older_one_still_verifies(
    tokens: ExecutionTokens, database: Database, clock: ManualClock
) -> None:
    old = await issue(tokens)
    row = {"name": "execution-token", "generation": 2, "secret": b"n" * 32, "created_at": clock.now()}
    await database.write(lambda connection: connection.execute(insert(server_secret).values(row)))
    restarted = ExecutionTokens(database, clock)

    new = await issue(restarted)

    assert new.startswith("v1.2.")
    await restarted.verify(new, **CLAIMS)
    await restarted.verify(old, **CLAIMS)


@pytest.fixture
def settings() -> ServerSettings:
    return ServerSettings(runner_token="runner-token-of-the-test", admin_token="admin-token-of-the-test")


async def host_call(install: Install, **headers: str | None) -> Any:
    response = await install.alga.client.post(
        install.path, json={"operation": "list"}, headers=install.headers(**headers)
    )
    return response.status_code, response.json().get("code")


async def token_for(install: Install, *, request_id: str = "request-1", lifetime_s: float = 40.0) -> str:
    tokens: ExecutionTokens = install.alga.server._services.tokens
    return await tokens.issue(
        tenant_id=install.tenant, install_id=install.id, request_id=request_id, lifetime_s=lifetime_s
    )


REFUSED = (401, "EXECUTION_TOKEN_INVALID")


async def test_a_host_call_with_its_executions_token_is_answered(install: Install) -> None:
    assert await host_call(install, x_alga_execution_token=await token_for(install)) == (200, None)


async def test_the_runners_token_alone_is_worth_nothing(install: Install) -> None:
    assert await host_call(install) == REFUSED


async def test_a_token_without_the_runners_token_is_worth_nothing(install: Install) -> None:
    token = await token_for(install)

    assert await host_call(install, x_runner_auth=None, x_alga_execution_token=token) == (401, "UNAUTHORIZED")


async def test_a_token_of_another_tenants_install_is_refused(install: Install, alga: Alga) -> None:
    other = await alga.install("tenant-b")

    assert await host_call(install, x_alga_execution_token=await token_for(other)) == REFUSED


async def test_a_token_of_the_tenants_other_install_is_refused(install: Install, alga: Alga) -> None:
    sibling = await alga.install("tenant-a", name="com.example.sibling")

    assert await host_call(install, x_alga_execution_token=await token_for(sibling)) == REFUSED


async def test_a_token_of_another_request_is_refused(install: Install) -> None:
    token = await token_for(install, request_id="request-2")

    assert await host_call(install, x_alga_execution_token=token) == REFUSED


async def test_a_call_that_names_no_request_is_refused(install: Install) -> None:
    token = await token_for(install)

    assert await host_call(install, x_alga_execution_token=token, x_request_id=None) == REFUSED


async def test_an_expired_token_is_refused(install: Install, alga: Alga) -> None:
    token = await token_for(install, lifetime_s=40)

    alga.clock.advance(timedelta(seconds=40))

    assert await host_call(install, x_alga_execution_token=token) == REFUSED


async def test_a_refused_token_does_not_reach_the_log(
    install: Install, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    token = await token_for(install, request_id="request-2")

    await host_call(install, x_alga_execution_token=token)

    assert token[-43:] not in caplog.text + str([vars(record) for record in caplog.records])


async def test_a_refused_token_is_counted(install: Install, alga: Alga) -> None:
    await host_call(install)

    assert 'status="execution_token_invalid"} 1.0' in await alga.metrics()
