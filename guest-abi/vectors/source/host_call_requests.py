"""Requests of operations: good, refused, broken."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .writing import (
    NIL,
    Vector,
    array,
    binary,
    breach,
    document,
    integer,
    mapping,
    nested,
    payload_of_depth,
    raw_text,
    refused,
    text,
    valid,
    write,
)

CREATE = {
    "endpoint": "/sync",
    "cron": "0 * * * *",
    "timezone": "UTC",
    "enabled": True,
    "name": "Hourly sync",
    "payload": {"full": False},
}
POLICIES = {
    "missedRuns": "all",
    "missedWindowSeconds": 86_400,
    "maxAttempts": 3,
    "retryDelaySeconds": 300,
    "retryFactor": 1,
}
SCHEDULE_ID = "6f1c8f0e-2a1d-4f0a-9d3b-0c5b7f1a2e34"


def vectors() -> Iterator[Vector]:
    """Requests of operations."""
    yield from _good_calls()
    yield from _calls_against_a_rule()
    yield from _calls_of_wrong_shape()
    yield from _payloads_that_are_not_json()
    yield from _broken_calls()


def _call(operation: str, name: str, value: dict[str, Any], meaning: str) -> Vector:
    return valid(name, write(value), value, meaning, operation=operation)


def _good_calls() -> Iterator[Vector]:
    yield _call("scheduler.list", "list", {}, "operations without input take an empty map")
    yield _call("scheduler.get-endpoints", "get-endpoints", {}, "operations without input take an empty map")
    yield _call("user.get", "user", {}, "operations without input take an empty map")
    yield _call("secrets.list-keys", "secret keys", {}, "operations without input take an empty map")
    yield _call("secrets.get", "secret", {"key": "api_key"}, "one secret")
    yield _call("ui-proxy.call-route", "route", {"route": "settings?tab=1"}, "a GET")
    payload = {"route": "/api/tickets", "payload": b"{}"}
    yield _call("ui-proxy.call-route", "route with a payload", payload, "a POST")
    fetch = {"method": "POST", "url": "https://api.example.com/items?page=2", "body": b"\x00\x01"}
    headers = [{"name": "accept", "value": "text/plain"}, {"name": "x-a", "value": ""}]
    yield _call("http.fetch", "fetch", {**fetch, "headers": headers, "redirects": 2}, "every member")
    yield _call(
        "http.fetch", "fetch with the least", {"method": "GET", "url": "https://a.example"}, "no body"
    )
    yield _call("scheduler.get", "get", {"scheduleId": SCHEDULE_ID}, "one schedule")
    yield _call("scheduler.delete", "delete", {"scheduleId": SCHEDULE_ID}, "one schedule")
    yield from _good_storage_calls()
    yield from _good_business_calls()
    create = "scheduler.create"
    yield _call(create, "create with everything", CREATE, "every member")
    key = {"endpoint": "/sync", "cron": "0 * * * *", "idempotencyKey": "import-7"}
    yield _call(create, "create with an idempotency key", key, "it may be sent again")
    least = {"endpoint": "/sync", "cron": "0 * * * *"}
    yield _call(create, "create with the least", least, "optional members are absent")
    yield _call(
        create,
        "create disabled, by method and path",
        {**least, "endpoint": "POST /sync", "enabled": False},
        "an endpoint may name its method",
    )
    yield _call(create, "create with policies", {**least, **POLICIES}, "for missed times and failed runs")
    yield valid(
        "create with policies that are floats",
        write({**least, **{name: float(value) for name, value in POLICIES.items() if name != "missedRuns"}}),
        {**least, **{name: value for name, value in POLICIES.items() if name != "missedRuns"}},
        "a float with an integral value counts as an integer",
        operation=create,
    )
    yield _call(create, "create with an array as payload", {**least, "payload": [1, "a", None]}, "JSON")
    numbers = {"most": 2**53, "least": -(2**53), "float": 0.1, "huge": 1e300}
    yield _call(create, "create with the edges of JSON numbers", {**least, "payload": numbers}, "2^53 is in")
    unicode = {**least, "name": "夜間同期 🌙", "payload": {"ключ": "ü"}}
    yield _call(create, "create in other scripts", unicode, "text is UTF-8")
    yield _call(
        create,
        "create with a payload of depth 28",
        {**least, "payload": payload_of_depth(28)},
        "a reply of list with it is 32 deep",
    )
    yield valid(
        "create with nils",
        write({**least, "timezone": None, "enabled": None, "name": None, "payload": None}),
        least,
        "an optional member that is nil reads as absent",
        operation=create,
    )
    yield valid(
        "create with an unknown member",
        write({**least, "colour": "red"}),
        least,
        "unknown members are ignored",
        operation=create,
    )
    update = "scheduler.update"
    yield _call(update, "update nothing", {"scheduleId": SCHEDULE_ID}, "an absent member is left as it is")
    yield _call(
        update,
        "update everything",
        {"scheduleId": SCHEDULE_ID, **CREATE, "enabled": False, **POLICIES},
        "every member is set",
    )
    yield _call(
        update,
        "update that clears",
        {"scheduleId": SCHEDULE_ID, "name": None, "payload": None, "missedWindowSeconds": None},
        "nil clears name, payload and window",
    )
    yield valid(
        "update with nils that clear nothing",
        write({"scheduleId": SCHEDULE_ID, "endpoint": None, "cron": None, "timezone": None, "enabled": None}),
        {"scheduleId": SCHEDULE_ID},
        "an optional member that is nil reads as absent, but for name, payload and window",
        operation=update,
    )


def _good_storage_calls() -> Iterator[Vector]:
    at = {"namespace": "settings", "key": "theme"}
    yield _call("storage.get", "storage get", at, "one value")
    yield _call("storage.delete", "storage delete", at, "one value")
    yield _call("storage.put", "storage put", {**at, "value": b"\x00dark\xff"}, "values are bytes")
    replacing = {**at, "value": b"", "revision": 3}
    yield _call("storage.put", "storage put in place of a revision", replacing, "it must be the stored one")
    yield _call("storage.list", "storage list", {"namespace": "settings"}, "the first page")
    page = {"namespace": "settings", "cursor": "theme", "limit": 100}
    yield _call("storage.list", "storage list from a cursor", page, "the next page")


INVOICE_ITEM = {"serviceId": SCHEDULE_ID, "quantity": 1.5, "description": "Calculating", "rate": 12550.0}


def _good_business_calls() -> Iterator[Vector]:
    for group, reference in (("clients", "clientId"), ("services", "serviceId")):
        yield _call(f"{group}.list", f"{group} list", {}, "the first page")
        yield _call(f"{group}.get", f"{group} get", {reference: SCHEDULE_ID}, "one of them")
    page = {"search": "Ana", "includeInactive": True, "page": 2, "pageSize": 100}
    yield _call("clients.list", "clients list with everything", page, "every member")
    page = {"search": "Ca", "itemKind": "service", "isActive": True, "billingMethod": "hourly", "page": 2}
    yield _call("services.list", "services list with everything", {**page, "pageSize": 100}, "every member")
    create = "invoicing.create-manual-invoice"
    least = {"clientId": SCHEDULE_ID, "items": [INVOICE_ITEM]}
    yield _call(create, "create-manual-invoice with the least", least, "optional members are absent")
    discount = {
        **INVOICE_ITEM,
        "isDiscount": True,
        "discountType": "fixed",
        "appliesToServiceId": SCHEDULE_ID,
    }
    dates = {"invoiceDate": "2026-03-01", "dueDate": "2026-03-29", "poNumber": "PO-7"}
    everything = {**least, "items": [INVOICE_ITEM, discount], **dates}
    yield _call(create, "create-manual-invoice with everything", everything, "every member")
    yield valid(
        "create-manual-invoice with integers",
        write({**least, "items": [{**INVOICE_ITEM, "quantity": 2, "rate": 12_550}]}),
        {**least, "items": [{**INVOICE_ITEM, "quantity": 2.0}]},
        "where a number is asked, an integer counts as one",
        operation=create,
    )


def _with(key: bytes, value: bytes) -> bytes:
    """A create that is good but for one more pair."""
    pairs = [(text(name), write(member)) for name, member in CREATE.items() if name != "payload"]
    return mapping(*pairs, (key, value))


def _calls_against_a_rule() -> Iterator[Vector]:
    create = {"operation": "scheduler.create"}
    for name, key in (("integer", integer(1)), ("bin", binary(b"payload")), ("nil", NIL)):
        yield refused(f"{name} key", _with(key, NIL), "keys are strings", rule="key", **create)
        yield refused(
            f"{name} key in the payload",
            _with(text("payload"), mapping((key, NIL))),
            "keys are strings, however deep",
            rule="key",
            **create,
        )
    yield refused("container as a key", _with(array(), NIL), "keys are strings", rule="key", **create)
    for name, data in (
        ("extension type 1", "d40100"),
        ("timestamp of 4 bytes", "d6ff6553f100"),
        ("timestamp of 8 bytes", "d7ff000000006553f100"),
        ("timestamp of 12 bytes", "c70cff00000000000000006553f100"),
    ):
        extension = bytes.fromhex(data)
        for place, request in (
            ("in the payload", _with(text("payload"), document(at=extension))),
            ("in an unknown member", _with(text("colour"), extension)),
        ):
            yield refused(
                f"{name} {place}",
                request,
                "extension types and timestamps have no place",
                rule="extension",
                **create,
            )
    yield refused(
        "payload too deep",
        _with(text("payload"), nested(32)),
        "with the message's own map it is 33 deep",
        rule="depth",
        **create,
    )
    yield refused(
        "unknown member too deep",
        _with(text("colour"), nested(100)),
        "the rule holds for ignored members, too",
        rule="depth",
        **create,
    )
    yield refused(
        "duplicate member",
        _with(text("cron"), text("5 * * * *")),
        "which of the two?",
        rule="duplicate",
        **create,
    )
    yield refused(
        "duplicate key in the payload",
        _with(text("payload"), mapping((text("a"), integer(1)), (text("a"), integer(1)))),
        "even if both say the same",
        rule="duplicate",
        **create,
    )
    yield refused(
        "invalid UTF-8 in a member",
        _with(text("colour"), raw_text(b"\xff")),
        "strings are UTF-8",
        rule="utf8",
        **create,
    )
    yield refused(
        "lone surrogate in the payload",
        _with(text("payload"), document(a=raw_text(b"\xed\xa0\x80"))),
        "half a pair has no UTF-8 form",
        rule="utf8",
        **create,
    )
    yield refused(
        "invalid UTF-8 in a key",
        _with(raw_text(b"colour\xc3"), NIL),
        "keys are UTF-8 too",
        rule="utf8",
        **create,
    )
    yield refused(
        "too many items",
        _with(text("payload"), array(*[NIL] * 10_001)),
        "more than 10,000 members (the default of the host's max_items)",
        code="too-large",
        rule="items",
        **create,
    )
    yield refused(
        "too many containers",
        _with(text("payload"), array(*[array(*[array()] * 100)] * 100)),
        "more than 10,000 containers (the default of the host's max_items)",
        code="too-large",
        rule="items",
        **create,
    )


def _calls_of_wrong_shape() -> Iterator[Vector]:
    for name, data in (("array", array()), ("string", text("/sync")), ("integer", integer(7)), ("nil", NIL)):
        yield refused(
            f"{name} instead of a map", data, "a request is a map", rule="shape", operation="scheduler.create"
        )
    yield refused(
        "array instead of an empty map",
        array(),
        "a request is a map",
        rule="shape",
        operation="scheduler.list",
    )
    for operation, member in (
        ("scheduler.create", "endpoint"),
        ("scheduler.create", "cron"),
        ("scheduler.update", "scheduleId"),
        ("scheduler.get", "scheduleId"),
        ("scheduler.delete", "scheduleId"),
    ):
        rest = {**CREATE, "scheduleId": SCHEDULE_ID}
        del rest[member]
        yield refused(
            f"{operation} without {member}",
            write(rest),
            f"{member} is required",
            rule="shape",
            operation=operation,
            field=member,
        )
    for member, wrong, what in (
        ("endpoint", 5, "an integer"),
        ("endpoint", None, "nil"),
        ("cron", ["0", "*"], "an array"),
        ("cron", b"0 * * * *", "bytes"),
        ("timezone", True, "a boolean"),
        ("enabled", 1, "an integer"),
        ("enabled", "true", "a string"),
        ("name", {"en": "x"}, "a map"),
        ("maxAttempts", 1.5, "a float with a fraction"),
        ("maxAttempts", float("inf"), "infinity"),
        ("maxAttempts", "3", "a string"),
        ("maxAttempts", True, "a boolean"),
        ("maxAttempts", 1e300, "a float beyond 2^53"),
        ("retryFactor", 2**53 + 1, "2^53 + 1"),
    ):
        yield refused(
            f"create with {what} as {member}",
            write({**CREATE, member: wrong}),
            "types are strict",
            rule="shape",
            operation="scheduler.create",
            field=member,
        )
    for member, wrong, what in (
        ("key", b"theme", "bytes"),
        ("key", "", "no character"),
        ("namespace", "n" * 129, "129 characters"),
        ("value", "dark", "a string"),
        ("value", None, "nil"),
        ("revision", -1, "a negative number"),
        ("revision", "3", "a string"),
    ):
        yield refused(
            f"storage put with {what} as {member}",
            write({"namespace": "settings", "key": "theme", "value": b"dark", member: wrong}),
            "types and limits are strict",
            rule="shape",
            operation="storage.put",
            field=member,
        )
    for member, wrong, what in (
        ("quantity", "2", "a string"),
        ("rate", float("nan"), "NaN"),
        ("rate", float("inf"), "infinity"),
        ("quantity", True, "a boolean"),
        ("serviceId", None, "nil"),
    ):
        yield refused(
            f"create-manual-invoice with {what} as {member}",
            write({"clientId": SCHEDULE_ID, "items": [{**INVOICE_ITEM, member: wrong}]}),
            "types are strict, however deep",
            rule="shape",
            operation="invoicing.create-manual-invoice",
            field=f"items.0.{member}",
        )
    for group in ("clients", "services"):
        for member, wrong, what in (
            ("page", 0, "0"),
            ("pageSize", 101, "101"),
            ("search", "s" * 201, "201 characters"),
        ):
            yield refused(
                f"{group} list with {what} as {member}",
                write({member: wrong}),
                "limits are strict",
                rule="shape",
                operation=f"{group}.list",
                field=member,
            )
    yield refused(
        "get with an integer as scheduleId",
        write({"scheduleId": 1}),
        "types are strict",
        rule="shape",
        operation="scheduler.get",
        field="scheduleId",
    )


def _payloads_that_are_not_json() -> Iterator[Vector]:
    for operation, base in (
        ("scheduler.create", {"endpoint": "/sync", "cron": "0 * * * *"}),
        ("scheduler.update", {"scheduleId": SCHEDULE_ID}),
    ):
        for name, value in (
            ("bytes", b"\x01"),
            ("NaN", float("nan")),
            ("infinity", float("inf")),
            ("minus infinity", float("-inf")),
            ("2^53 + 1", 2**53 + 1),
            ("-2^53 - 1", -(2**53) - 1),
            ("2^64 - 1", 2**64 - 1),
            ("containers of depth 29", payload_of_depth(27)),
        ):
            yield refused(
                f"{operation} with {name} in the payload",
                write({**base, "payload": {"a": [value]}}),
                "JSON has no form for it, or loses digits; or a reply of list with it would be 33 deep",
                rule="json",
                operation=operation,
                field="payload",
            )


def _broken_calls() -> Iterator[Vector]:
    create = {"operation": "scheduler.create"}
    whole = write(CREATE)
    yield breach("empty", b"", "no document", **create)
    yield breach(
        "empty, where no input is needed", b"", "an empty map is one byte", operation="scheduler.list"
    )
    for end, place in (
        (1, "after the head of the map"),
        (5, "in the first key"),
        (10, "before the first value"),
        (12, "in the first value"),
        (len(whole) // 2, "in the middle"),
        (len(whole) - 1, "before the last byte"),
    ):
        yield breach(f"truncated {place}", whole[:end], "the document is cut off", **create)
    yield breach("trailing byte", whole + b"\x00", "bytes follow the document", **create)
    yield breach("two documents", whole + whole, "bytes follow the document", **create)
    yield breach("0xc1", b"\xc1", "the byte that MessagePack never uses", **create)
    yield breach("0xc1 in the payload", _with(text("payload"), b"\xc1"), "at any place", **create)
    yield breach("JSON", b'{"endpoint": "/sync"}', "JSON is an integer and more bytes", **create)
    yield breach("map of 4 Gi pairs", b"\xdf\xff\xff\xff\xff", "must not be allocated", **create)
    yield breach("array of 4 Gi items", b"\xdd\xff\xff\xff\xff", "must not be allocated", **create)
    yield breach(
        "string of 2 GiB in a member",
        _with(text("payload"), b"\xdb\x7f\xff\xff\xff"),
        "must not be allocated",
        **create,
    )
