"""Records that extensions store: revisions, time to live, pages (alga-contract 4, "Storage")."""

from __future__ import annotations

import itertools
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alga_common.time import rfc3339
from tests.support.storage import Storage, refusal

pytestmark = [pytest.mark.anyio, pytest.mark.postgres]

EXAMPLES = itertools.count()


async def test_a_put_answers_the_record_without_its_value(storage: Storage) -> None:
    assert await storage.put("a", {"text": "one"}, metadata={"kind": "note"}) == {
        "namespace": "notes",
        "key": "a",
        "revision": 1,
        "ttlExpiresAt": None,
        "createdAt": storage.now,
        "updatedAt": storage.now,
    }


async def test_a_value_is_answered_as_it_was_put(storage: Storage) -> None:
    values: list[Any] = [
        None,
        False,
        0,
        -1.5,
        "",
        "\0 and \N{GRINNING FACE}",
        [],
        {},
        {"a": [1, {"b": None}]},
        "aGVsbG8=",
    ]
    metadata = {"encoding": "base64-bytes"}
    for number, value in enumerate(values):
        await storage.put(str(number), value, metadata=metadata)

    records = [await storage.get(str(number)) or {} for number in range(len(values))]

    assert [record["value"] for record in records] == values
    assert all(record["metadata"] == metadata for record in records)


async def test_each_put_is_a_revision_and_keeps_when_the_record_was_made(storage: Storage) -> None:
    made = await storage.put("a", 1)
    storage.pass_time(5)

    again = await storage.put("a", 2)

    assert (again["revision"], again["createdAt"]) == (2, made["createdAt"])
    assert again["updatedAt"] == storage.now > made["updatedAt"]


async def test_a_put_replaces_metadata_and_time_to_live_as_well(storage: Storage) -> None:
    await storage.put("a", 1, metadata={"kind": "note"}, ttlSeconds=60)

    await storage.put("a", 2)

    record = await storage.get("a")
    assert record is not None
    assert (record["metadata"], record["ttlExpiresAt"]) == ({}, None)


async def test_a_put_with_the_revision_of_the_record_succeeds(storage: Storage) -> None:
    await storage.put("a", 1)

    assert (await storage.put("a", 2, ifRevision=1))["revision"] == 2


async def test_a_put_with_another_revision_is_a_mismatch_and_changes_nothing(storage: Storage) -> None:
    await storage.put("a", "first")
    await storage.put("a", "second")

    refusals = [
        refusal(await storage.call("put", key="a", value="third", ifRevision=revision))
        for revision in (0, 1, 3, 10**30)
    ]

    assert refusals == [(409, "REVISION_MISMATCH")] * 4
    assert (await storage.get("a") or {})["value"] == "second"


async def test_a_put_with_a_revision_of_an_absent_key_is_a_mismatch(storage: Storage) -> None:
    for revision in (0, 1):
        response = await storage.call("put", key="a", value=1, ifRevision=revision)

        assert refusal(response) == (409, "REVISION_MISMATCH")
        assert response.json()["success"] is False


async def test_an_absent_key_is_not_found(storage: Storage) -> None:
    response = await storage.call("get", key="a")

    assert response.status_code == 404
    assert response.json() == {"error": "Record not found", "code": "NOT_FOUND", "details": None}


async def test_a_deleted_record_is_gone_and_its_key_begins_anew(storage: Storage) -> None:
    await storage.put("a", 1)
    await storage.put("a", 2)

    response = await storage.call("delete", key="a")

    assert (response.status_code, response.json()) == (200, {"success": True})
    assert await storage.get("a") is None
    assert (await storage.put("a", 3))["revision"] == 1


async def test_deleting_an_absent_key_is_not_found_and_no_conflict(storage: Storage) -> None:
    response = await storage.call("delete", key="a")

    assert response.status_code == 404
    assert response.json() == {"success": False, "error": "Record not found", "code": "NOT_FOUND"}


async def test_namespaces_and_installs_do_not_see_each_other(storage: Storage, another: Storage) -> None:
    await storage.put("a", "mine")

    assert await storage.get("a", namespace="other") is None
    assert await another.get("a") is None
    assert refusal(await another.call("delete", key="a")) == (404, "NOT_FOUND")
    assert await another.keys() == [[]]


async def test_a_record_lives_until_its_time_and_no_longer(storage: Storage) -> None:
    written = await storage.put("a", 1, ttlSeconds=60)

    storage.pass_time(59)
    assert await storage.get("a") is not None
    storage.pass_time(1)

    assert written["ttlExpiresAt"] == storage.now
    assert await storage.get("a") is None
    assert await storage.keys() == [[]]
    assert refusal(await storage.call("delete", key="a")) == (404, "NOT_FOUND")


async def test_an_expired_record_counts_as_absent_for_a_put(storage: Storage) -> None:
    await storage.put("a", 1, ttlSeconds=60)
    storage.pass_time(60)

    assert refusal(await storage.call("put", key="a", value=2, ifRevision=1)) == (409, "REVISION_MISMATCH")
    assert (await storage.put("a", 2))["revision"] == 1


async def test_a_time_to_live_is_a_minute_to_thirty_days(storage: Storage) -> None:
    times = {59: 400, 60: 200, 30 * 86400: 200, 30 * 86400 + 1: 400}

    answers = {
        ttl: (await storage.call("put", key="a", value=1, ttlSeconds=ttl)).status_code for ttl in times
    }

    assert answers == times


async def test_a_list_is_ordered_by_key_and_shows_what_is_asked_for(storage: Storage) -> None:
    for key in ("b", "B", "a", "\N{LATIN SMALL LETTER E WITH ACUTE}", "-", "_"):
        await storage.put(key, key, metadata={"is": key})

    plain = (await storage.page())["items"]
    whole = (await storage.page(includeValues=True, includeMetadata=True))["items"]

    assert [item["key"] for item in plain] == ["-", "B", "_", "a", "b", "\N{LATIN SMALL LETTER E WITH ACUTE}"]
    assert not {"value", "metadata"} & plain[0].keys()
    assert all(item["value"] == item["key"] == item["metadata"]["is"] for item in whole)


async def test_a_list_has_25_records_unless_it_is_asked_for_more(storage: Storage) -> None:
    items = [{"key": f"{number:03}", "value": number} for number in range(30)]
    for start in (0, 20):
        await storage.call("bulkPut", items=items[start : start + 20])

    assert [len(page) for page in await storage.keys()] == [25, 5]
    assert [len(page) for page in await storage.keys(limit=100)] == [30]


@given(
    keys=st.sets(
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0/"), min_size=1), max_size=12
    ),
    limit=st.integers(1, 5),
)
@settings(max_examples=20, suppress_health_check=list(HealthCheck), deadline=None)
async def test_pages_skip_no_record_and_repeat_none(storage: Storage, keys: set[str], limit: int) -> None:
    storage.namespace = f"example {next(EXAMPLES)}"
    if keys:
        response = await storage.call("bulkPut", items=[{"key": key, "value": key} for key in keys])
        assert response.status_code == 200, response.text

    pages = await storage.keys(limit=limit)

    assert [key for page in pages for key in page] == sorted(keys)
    assert all(len(page) == limit for page in pages[:-1])


async def test_a_page_of_large_values_ends_early_and_skips_none(storage: Storage) -> None:
    items = [{"key": f"{number:03}", "value": "x" * 60_000} for number in range(20)]
    for start in range(0, 20, 5):
        response = await storage.call("bulkPut", items=items[start : start + 5])
        assert response.status_code == 200, response.text

    pages = await storage.keys(limit=100, includeValues=True)

    assert [len(page) for page in pages] == [17, 3]
    assert [key for page in pages for key in page] == [item["key"] for item in items]
    assert [len(page) for page in await storage.keys(limit=100)] == [20]


async def test_a_bulk_put_answers_the_key_and_revision_of_each(storage: Storage) -> None:
    await storage.put("a", 1)
    in_a_minute = rfc3339(storage.install.alga.clock.now() + timedelta(seconds=60))

    response = await storage.call(
        "bulkPut",
        items=[{"key": "b", "value": 2, "ttlSeconds": 60}, {"key": "a", "value": 2, "ifRevision": 1}],
    )

    assert response.status_code == 200
    assert response.json() == {
        "namespace": "notes",
        "items": [
            {"key": "b", "revision": 1, "ttlExpiresAt": in_a_minute},
            {"key": "a", "revision": 2, "ttlExpiresAt": None},
        ],
    }


async def test_a_bulk_put_with_one_mismatch_writes_nothing(storage: Storage) -> None:
    response = await storage.call(
        "bulkPut", items=[{"key": "a", "value": 1}, {"key": "b", "value": 1, "ifRevision": 4}]
    )

    assert refusal(response) == (409, "REVISION_MISMATCH")
    assert await storage.keys() == [[]]


BROKEN: list[tuple[str, dict[str, Any], str]] = [
    ("get", {}, "key"),
    ("get", {"key": ""}, "key"),
    ("get", {"key": "a/b"}, "key"),
    ("get", {"key": "a\0"}, "key"),
    ("get", {"key": "\ud800"}, "key"),
    ("get", {"key": 1}, "key"),
    ("get", {"key": "a", "namespace": ""}, "namespace"),
    ("get", {"key": "a", "namespace": "n" * 129}, "namespace"),
    ("put", {"key": "k" * 257, "value": 1}, "key"),
    ("put", {"key": "a"}, "value"),
    ("put", {"key": "a", "value": 2**60}, "value"),
    ("put", {"key": "a", "value": ["\ud800"]}, "value"),
    ("put", {"key": "a", "value": 1, "metadata": []}, "metadata"),
    ("put", {"key": "a", "value": 1, "ttlSeconds": "60"}, "ttlSeconds"),
    ("put", {"key": "a", "value": 1, "ifRevision": -1}, "ifRevision"),
    ("list", {"limit": 0}, "limit"),
    ("list", {"limit": 101}, "limit"),
    ("list", {"cursor": 5}, "cursor"),
    ("bulkPut", {"items": []}, "items"),
    ("bulkPut", {"items": [{"key": "a", "value": 1}] * 2}, "items"),
    ("bulkPut", {"items": [{"key": str(number), "value": 1} for number in range(21)]}, "items"),
    ("bulkPut", {"items": [{"key": "a"}]}, "items.0.value"),
]


async def test_a_request_that_breaks_a_rule_names_the_field(storage: Storage) -> None:
    for operation, members, field in BROKEN:
        response = await storage.call(operation, **members)

        assert refusal(response) == (400, "VALIDATION_FAILED"), (operation, members)
        assert list(response.json()["details"]["fieldErrors"]) == [field], (operation, members)


async def test_unknown_members_are_ignored(storage: Storage) -> None:
    await storage.put("a", 1, ifRevision=None, ttlSeconds=None, colour="blue")

    assert await storage.get("a") is not None


async def test_a_disabled_install_is_unauthorized_and_no_absent_key(storage: Storage) -> None:
    await storage.put("a", 1)
    await storage.install.alga.admin("PATCH", storage.install.admin_path, json={"enabled": False})

    response = await storage.call("get", key="a")

    assert refusal(response) == (401, "UNAUTHORIZED")
    assert response.json()["error"] == "Install not found"
