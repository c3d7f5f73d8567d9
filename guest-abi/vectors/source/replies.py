"""Replies of the host, as a guest must read them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .writing import Vector, payload_of_depth, valid, write

SCHEDULE_ID = "6f1c8f0e-2a1d-4f0a-9d3b-0c5b7f1a2e34"
CODES = (
    "denied",
    "not-found",
    "validation-failed",
    "quota-exceeded",
    "rate-limited",
    "conflict",
    "expired",
    "too-large",
    "timeout",
    "unavailable",
    "unsupported",
    "internal",
)
SCHEDULE = {
    "id": SCHEDULE_ID,
    "endpointPath": "/sync",
    "endpointMethod": "POST",
    "name": "Hourly sync",
    "cron": "0 * * * *",
    "timezone": "UTC",
    "enabled": True,
    "payload": {"full": False},
    "lastRunAt": "2026-01-02T03:00:00Z",
    "lastRunStatus": "error",
    "lastError": "Runner returned status 500",
    "createdAt": "2026-01-01T12:30:00Z",
}
ENDPOINT = {
    "id": "0b8a2f5e-31c5-4b0e-8a67-97d5d3a6c001",
    "method": "POST",
    "path": "/sync",
    "handler": "dist/main",
    "schedulable": True,
}


FETCHED = {
    "status": 404,
    "headers": [{"name": "content-type", "value": "text/plain"}, {"name": "set-cookie", "value": "a=b"}],
    "body": b"not found",
}

USER = {
    "tenantId": "acme",
    "userId": "u-1",
    "userEmail": "ada@example.com",
    "userName": "ada",
    "userType": "client",
    "clientName": "Analytical Engines",
    "clientId": "c-1",
    "additionalFields": {"locale": "en", "timezone": "Europe/London"},
}

ENTRY = {"namespace": "settings", "key": "theme", "value": b"\x00dark\xff", "revision": 3}

CLIENT = {
    "clientId": SCHEDULE_ID,
    "clientName": "Analytical Engines",
    "clientType": "company",
    "isInactive": False,
    "defaultCurrencyCode": "GBP",
    "accountManagerId": "u-1",
    "accountManagerName": "Charles",
    "billingEmail": "bills@example.com",
}
SERVICE = {
    "serviceId": SCHEDULE_ID,
    "serviceName": "Calculating",
    "itemKind": "service",
    "billingMethod": "hourly",
    "serviceTypeId": "t-1",
    "serviceTypeName": "Mathematics",
    "defaultRate": 12550.0,
    "unitOfMeasure": "hour",
    "isActive": True,
    "sku": "C-1",
}
PAGE = {"totalCount": 61, "page": 3, "pageSize": 30}
INVOICE = {
    "invoiceId": SCHEDULE_ID,
    "invoiceNumber": "INV-0007",
    "status": "draft",
    "subtotal": 18825.0,
    "tax": 0.0,
    "total": 18825.5,
}


def vectors() -> Iterator[Vector]:
    """Replies of the host, as a guest must read them."""
    for name, value, meaning in (
        ("no schedules", {"schedules": []}, "an empty list means that there are none"),
        ("one schedule", {"schedules": [SCHEDULE]}, "what list answers"),
        (
            "fifty schedules",
            {"schedules": [{**SCHEDULE, "name": f"Sync {number}"} for number in range(50)]},
            "array16",
        ),
        (
            "a schedule with a payload of depth 28",
            {"schedules": [{**SCHEDULE, "payload": payload_of_depth(28)}]},
            "a message nests at most 32 deep",
        ),
        ("a schedule", {"schedule": SCHEDULE}, "what get answers"),
        ("nothing", {}, "what get answers for an unknown id, and update and delete on success"),
        ("endpoints", {"endpoints": [ENDPOINT]}, "what get-endpoints answers"),
        ("created", {"scheduleId": SCHEDULE_ID}, "what create answers"),
        ("a secret", {"value": "hunter2"}, "what secrets get answers"),
        ("secret keys", {"keys": ["api_key", "token"]}, "what secrets list-keys answers"),
        ("an answer of another server", FETCHED, "what http fetch answers"),
        ("a user", {"user": USER}, "what user get answers"),
        ("a stored value", {"entry": ENTRY}, "what storage get answers"),
        ("a page of stored values", {"entries": [ENTRY], "nextCursor": "theme"}, "what storage list answers"),
        ("a revision", {"revision": 4}, "what storage put answers"),
        ("a page of clients", {"items": [CLIENT], **PAGE}, "what clients list answers"),
        ("a client", {"client": CLIENT}, "what clients get answers"),
        ("a page of services", {"items": [SERVICE], **PAGE}, "what services list answers"),
        ("a service", {"service": SERVICE}, "what services get answers"),
        ("an invoice", INVOICE, "what create-manual-invoice answers"),
        ("bytes", {"value": b"\x00\x01"}, "a member may be bytes"),
    ):
        yield valid(f"ok: {name}", write({"ok": value}), {"ok": value}, meaning)
    yield valid(
        "ok with an unknown member", write({"took": 3, "ok": {}}), {"ok": {}}, "unknown members are ignored"
    )
    for code in CODES:
        error: dict[str, Any] = {"code": code, "message": f"This is {code}."}
        yield valid(f"err: {code}", write({"err": error}), {"err": error}, "a code every guest knows")
    fields = {
        "code": "validation-failed",
        "message": "Invalid timezone",
        "fieldErrors": {"timezone": "Invalid timezone", "cron": "Cron expression too long"},
    }
    yield valid(
        "err with field errors", write({"err": fields}), {"err": fields}, "field to what is wrong with it"
    )
    later = {"code": "rate-limited", "message": "Too many requests", "retryAfterMs": 60000, "retryable": True}
    yield valid("err with a time to wait", write({"err": later}), {"err": later}, "milliseconds")
    yield valid(
        "err with a time to wait that is a float",
        write({"err": {**later, "retryAfterMs": 60000.0}}),
        {"err": later},
        "a float with an integral value counts as an integer",
    )
    unknown = {"code": "eaten-by-bear", "message": "A bear."}
    yield valid(
        "err: a code this guest does not know",
        write({"err": unknown}),
        {"err": {**unknown, "code": "internal"}},
        "an unknown code reads as internal; the message stays",
    )
    more = {**later, "docs": "x"}
    yield valid(
        "err with unknown members",
        write({"err": more, "v": 2}),
        {"err": later},
        "unknown members are ignored",
    )
    for name, data, meaning in (
        ("neither ok nor err", write({}), "a reply that is no envelope reads as internal"),
        ("not a map", write([1]), "a reply that is no envelope reads as internal"),
        ("ok is no map", write({"ok": [SCHEDULE]}), "a reply that is no envelope reads as internal"),
        ("ok is nil", write({"ok": None}), "a nil reads as absent, so this is no envelope"),
        ("truncated", write({"ok": {"name": "abc"}})[:-1], "a reply that cannot be read reads as internal"),
        ("err without members", write({"err": {}}), "missing members read as internal"),
    ):
        yield valid(name, data, {"err": {"code": "internal"}}, meaning)
