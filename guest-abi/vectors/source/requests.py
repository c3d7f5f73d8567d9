"""Requests that a handler gets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .writing import Vector, valid, write

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
    "nominalTime": "2026-01-02T03:00:00Z",
    "scheduleName": "Nightly",
    "attempt": 2,
    "startedAt": "2026-01-02T03:01:00.000Z",
}
LEAST_CONTEXT = {"tenantId": "tenant-1", "extensionId": "ext-1", "config": {}}


def vectors() -> Iterator[Vector]:
    """Requests that a handler gets."""
    http: dict[str, Any] = {
        "method": "POST",
        "url": "/sync?full=1&q=a+b",
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
    least = {"context": LEAST_CONTEXT, "http": bare}
    yield valid(
        "unknown members",
        write({"v": 2, "context": {**LEAST_CONTEXT, "region": "eu"}, "http": {**bare, "version": "2"}}),
        least,
        "unknown members are ignored",
    )
