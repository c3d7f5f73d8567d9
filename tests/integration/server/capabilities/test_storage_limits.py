"""How much one install may store, concurrent writers included; and when its records are deleted."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from sqlalchemy import func, select, update

from alga_server.capabilities import records
from alga_server.storage import tables
from tests.support.server import Alga
from tests.support.storage import Storage, refusal

pytestmark = [pytest.mark.anyio, pytest.mark.postgres]

SPACE = tables.storage_namespace


async def run(alga: Alga, statement: Any) -> Any:
    return await alga.server._services.database.write(lambda connection: connection.execute(statement))


def of(storage: Storage, table: Any) -> Any:
    return table.c.install_id == storage.install.id


async def count(storage: Storage, table: Any) -> int:
    query = select(func.count()).select_from(table).where(of(storage, table))
    total: int = (await run(storage.install.alga, query)).scalar_one()
    return total


async def pretend(storage: Storage, **columns: int) -> None:
    """Have the install's namespaces hold as much as this."""
    await run(storage.install.alga, update(SPACE).where(of(storage, SPACE)).values(**columns))


SIZES: list[tuple[dict[str, Any], int]] = [
    ({"value": "x" * (records.MAX_VALUE_BYTES - 2)}, 200),
    ({"value": "x" * (records.MAX_VALUE_BYTES - 1)}, 400),
    ({"value": "\N{EURO SIGN}" * 21_844}, 200),
    ({"value": "\N{EURO SIGN}" * 21_845}, 400),
    ({"value": 1, "metadata": {"m": "x" * (records.MAX_METADATA_BYTES - 8)}}, 200),
    ({"value": 1, "metadata": {"m": "x" * (records.MAX_METADATA_BYTES - 7)}}, 400),
]


async def test_a_value_is_64_kib_of_json_and_metadata_4(storage: Storage) -> None:
    answers = [await storage.call("put", key="a", **members) for members, _ in SIZES]

    assert [answer.status_code for answer in answers] == [status for _, status in SIZES]
    assert {refusal(answer) for answer in answers[1::2]} == {(400, "LIMIT_EXCEEDED")}


async def test_a_bulk_put_is_512_kib_together(storage: Storage) -> None:
    items = [{"key": str(number), "value": "x" * 60_000} for number in range(9)]

    assert refusal(await storage.call("bulkPut", items=items)) == (400, "LIMIT_EXCEEDED")
    assert (await storage.call("bulkPut", items=items[:8])).status_code == 200


async def test_an_install_has_32_namespaces(storage: Storage) -> None:
    for number in range(32):
        await storage.put("a", namespace=f"n{number}")

    response = await storage.call("put", key="a", value=1, namespace="one more")

    assert refusal(response) == (429, "QUOTA_EXCEEDED")
    assert response.json()["error"] == "Too many namespaces (max 32 per extension install)"
    await storage.put("b", namespace="n0")
    await storage.call("delete", key="a", namespace="n1")
    await storage.put("a", namespace="one more")


async def test_a_namespace_has_5120_keys(storage: Storage) -> None:
    await storage.put("a")
    await pretend(storage, record_count=records.MAX_RECORDS)

    response = await storage.call("put", key="b", value=1)

    assert refusal(response) == (429, "QUOTA_EXCEEDED")
    assert response.json()["error"] == "Too many keys (max 5120 per namespace)"
    await storage.put("a", 2)
    await storage.put("b", namespace="another")


async def test_an_install_stores_256_mib_in_all(storage: Storage) -> None:
    await storage.put("a", "xxx")
    await pretend(storage, total_bytes=records.MAX_TOTAL_BYTES)

    response = await storage.call("put", key="a", value=1, namespace="another")

    assert refusal(response) == (429, "QUOTA_EXCEEDED")
    assert response.json()["error"] == "Storage full (max 268435456 bytes per extension install)"
    assert (await storage.call("put", key="a", value="xxxx")).status_code == 429
    await storage.put("a", "x")


async def test_what_expired_takes_no_room(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "_PURGED_BY_WRITER", 0)
    monkeypatch.setattr(records, "MAX_RECORDS", 2)
    monkeypatch.setattr(records, "MAX_NAMESPACES", 1)
    monkeypatch.setattr(records, "MAX_TOTAL_BYTES", 10)
    for key in ("a", "b"):
        await storage.put(key, "x", ttlSeconds=60)
    storage.pass_time(60)

    await storage.put("c", "xxx")
    await storage.put("d", 1)

    assert (await storage.call("put", key="e", value=1)).status_code == 429


@pytest.mark.parametrize("limit", ["MAX_RECORDS", "MAX_NAMESPACES"])
async def test_concurrent_writers_do_not_pass_a_limit_together(
    storage: Storage, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    monkeypatch.setattr(records, limit, 3)
    statuses: list[int] = []

    async def put(number: int) -> None:
        namespace = "notes" if limit == "MAX_RECORDS" else f"n{number}"
        response = await storage.call("put", key=str(number), value=1, namespace=namespace)
        statuses.append(response.status_code)

    async with anyio.create_task_group() as tasks:
        for number in range(12):
            tasks.start_soon(put, number)

    assert sorted(statuses) == [200] * 3 + [429] * 9


async def test_of_concurrent_puts_at_one_revision_one_succeeds(storage: Storage) -> None:
    await storage.put("a")
    statuses: list[int] = []

    async def put() -> None:
        statuses.append((await storage.call("put", key="a", value=2, ifRevision=1)).status_code)

    async with anyio.create_task_group() as tasks:
        for _ in range(8):
            tasks.start_soon(put)

    assert sorted(statuses) == [200] + [409] * 7


async def test_a_namespace_counts_what_it_holds(storage: Storage) -> None:
    await storage.put("a", "xxx")
    await storage.put("a", "x")
    await storage.put("b", "x", ttlSeconds=60)
    await storage.call("bulkPut", items=[{"key": "c", "value": 1}, {"key": "a", "value": 12}])
    await storage.call("delete", key="c")
    storage.pass_time(60)
    await storage.put("d", 1, metadata={"m": 1})

    [space] = (await run(storage.install.alga, select(SPACE).where(of(storage, SPACE)))).all()

    assert (space.record_count, space.total_bytes) == (2, len("12") + len("{}") + len('1{"m":1}'))


async def test_an_uninstalled_extension_leaves_no_records(alga: Alga, storage: Storage) -> None:
    await storage.put("a")

    await alga.admin("DELETE", storage.install.admin_path)

    assert await count(storage, tables.storage_record) == await count(storage, SPACE) == 0


async def test_the_reconciler_deletes_what_expired_and_nothing_else(
    alga: Alga, storage: Storage, another: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "_PURGED_AT_ONCE", 2)
    for number in range(5):
        await storage.put(f"old {number}", ttlSeconds=60)
    await storage.put("lasting")
    await another.put("old", ttlSeconds=60)
    await another.put("later", ttlSeconds=120)
    storage.pass_time(60)

    await alga.server._services.reconciler.reconcile()

    assert await count(storage, tables.storage_record) == await count(another, tables.storage_record) == 1
    assert await storage.keys() == [["lasting"]]
    assert await another.keys() == [["later"]]
