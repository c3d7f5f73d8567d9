"""Requests that a handler gets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .writing import Vector, double, mapping, text, valid, write

SCHEDULE_ID = "6f1c8f0e-2a1d-4f0a-9d3b-0c5b7f1a2e34"
CONTEXT = {
    "requestId": "req-1",
    "tenantId": "tenant-1",
    "extensionId": "ext-1",
    "installId": "install-1",
    "versionId": "version-1",
    "config": {"intervalHours": "6"},
    "trigger": "schedule",
    "scheduleId": SCHEDULE_ID,
    "nominalTime": "2026-01-02T03:00:00.000Z",
    "scheduleName": "Nightly",
    "scheduleTimezone": "Europe/Berlin",
    "attempt": 2,
    "startedAt": "2026-01-02T03:01:00.000Z",
}
LEAST_CONTEXT = {"tenantId": "tenant-1", "extensionId": "ext-1", "config": {}}


def vectors() -> Iterator[Vector]:
    """Requests that a handler gets."""
    http: dict[str, Any] = {
        "method": "POST",
        "url": "/sync?full=1&q=a%20b",
        "headers": [
            {"name": "Content-Type", "value": "application/json"},
            {"name": "x-a", "value": "ü"},
            {"name": "X-A", "value": "2"},
        ],
        "body": b'{"full":false}',
    }
    user = {
        "userId": "user-1",
        "userEmail": "ada@example.com",
        "userName": "Ada",
        "userType": "internal",
        "clientName": "Acme",
        "clientId": "client-1",
        "additionalFields": {"locale": "de"},
    }
    bare: dict[str, Any] = {"method": "GET", "url": "/", "headers": [], "body": None}

    def request(name: str, value: dict[str, Any], meaning: str) -> Vector:
        return valid(name, write(value), value, meaning)

    yield request("everything", {"context": CONTEXT, "http": http, "user": user}, "every member")
    yield request("the least", {"context": LEAST_CONTEXT, "http": bare}, "members without a value are absent")
    empty = {**bare, "method": "POST", "body": b""}
    yield request("empty body", {"context": LEAST_CONTEXT, "http": empty}, "an empty body is not no body")
    long = {**bare, "method": "POST", "body": bytes(range(256)) * 20}
    yield request("body of 5,120 bytes", {"context": LEAST_CONTEXT, "http": long}, "bodies are bytes")
    yield request(
        "scheduled run", {"context": CONTEXT, "http": {**bare, "method": "POST", "url": "/sync"}}, "no user"
    )
    query = "payload=%7B%22name%22%3A%22a%20%2B%20b%22%2C%22full%22%3Afalse%7D"
    yield request(
        "scheduled run of a GET",
        {"context": CONTEXT, "http": {**bare, "url": f"/report?{query}"}},
        'its payload is JSON text, percent-encoded: {"name":"a + b","full":false}',
    )
    least = {"context": LEAST_CONTEXT, "http": bare}
    as_float = mapping(*((text(key), write(member)) for key, member in CONTEXT.items() if key != "attempt"))
    as_float = bytes([as_float[0] + 1]) + as_float[1:] + text("attempt") + double(2.0)
    yield valid(
        "an attempt that is a float",
        mapping((text("context"), as_float), (text("http"), write(bare))),
        {"context": CONTEXT, "http": bare},
        "a float with an integral value counts as an integer",
    )
    yield valid(
        "unknown members",
        write({"v": 2, "context": {**LEAST_CONTEXT, "region": "eu"}, "http": {**bare, "version": "2"}}),
        least,
        "unknown members are ignored",
    )
