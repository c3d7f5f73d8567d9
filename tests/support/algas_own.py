"""A double of Alga's own server: the scheduler's route of runners (alga-contract 5), with faults of section 7.

Written from the contract alone; it fires nothing. What matters is where it differs from the reference server: an update
clears ``name`` and ``payload`` that it does not carry (fault 28), no array can be stored (fault 31), members it does
not know are ignored, refusals are 400 without a code (fault 29), capabilities are not checked (fault 26), ``get`` hides
errors of the database (fault 37), and any other route is a page of HTML.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import available_timezones

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Reply = tuple[int, dict[str, Any]]

ROUTE = re.compile(r"/api/internal/ext-scheduler/install/([^/]+)")
PAGE = b"<!DOCTYPE html><html><title>404: This page could not be found.</title></html>"
CHANGES_A_MINUTE = 10
ENDPOINTS = [
    {
        "id": str(uuid4()),
        "method": method,
        "path": path,
        "handler": "dist/main",
        "schedulable": ":" not in path,
    }
    for method, path in (("GET", "/report"), ("POST", "/sync"), ("DELETE", "/thing/:id"))
]
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[1-5][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", re.IGNORECASE)
_ZONES = available_timezones()


class Refused(Exception):
    """An answer that refuses."""

    def __init__(self, status: int, document: dict[str, Any]) -> None:
        super().__init__(document["error"])
        self.reply: Reply = (status, document)


def by_route(status: int, error: str, code: str) -> Refused:
    """A refusal of the route, before the operation."""
    return Refused(status, {"error": error, "code": code, "details": None})


def by_schema(name: str, fault: str) -> Refused:
    """A refusal of the request's shape."""
    details = {"formErrors": [], "fieldErrors": {name: [fault]}}
    return Refused(400, {"error": "Validation error", "details": details})


def by_result(error: str, name: str | None = None) -> Refused:
    """A result that did not succeed; without a field for the quota and an unknown id."""
    fields = {} if name is None else {"fieldErrors": {name: error}}
    return Refused(400, {"success": False, "error": error, **fields})


@dataclass
class AlgasOwnServer:
    """An ASGI app; ``installs`` are its installs' schedules, oldest first, as the database has them."""

    token: str
    max_schedules: int = 50
    installs: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    broken_reads: bool = False
    """Whether the database fails every read of one schedule."""
    asked: list[str] = field(default_factory=list)
    """The operations that got past the token, in order."""
    _changes: Counter[str] = field(default_factory=Counter)

    def install(self) -> str:
        """A new install's id."""
        install_id = str(uuid4())
        self.installs[install_id] = []
        return install_id

    def pass_a_minute(self) -> None:
        """Begin the next window of the rate limit."""
        self._changes.clear()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        body, more = b"", True
        while more:
            part = await receive()
            body += part.get("body", b"")
            more = part.get("more_body", False)
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        route = ROUTE.fullmatch(scope["path"])
        if route is None or scope["method"] != "POST":
            await _send(send, 404, "text/html; charset=utf-8", PAGE)
            return
        try:
            status, document = self._answer(route[1], headers.get("x-runner-auth"), body)
        except Refused as refused:
            status, document = refused.reply
        await _send(send, status, "application/json", json.dumps(document).encode())

    def _answer(self, install_id: str, token: str | None, body: bytes) -> Reply:
        """In the order of alga-contract 5.1."""
        if token != self.token:
            raise by_route(401, "Invalid runner token", "UNAUTHORIZED")
        try:
            request = json.loads(body)
        except ValueError:
            raise by_route(400, "Invalid JSON body", "VALIDATION_FAILED") from None
        operation = request.get("operation")
        if operation not in {"list", "get", "create", "update", "delete", "getEndpoints"}:
            raise by_schema("operation", "Invalid enum value")
        self.asked.append(operation)
        if operation in {"create", "update", "delete"}:
            self._changes[install_id] += 1
            if self._changes[install_id] > CHANGES_A_MINUTE:
                raise by_route(429, "Too many requests, please try again later", "RATE_LIMITED")
        try:
            UUID(install_id)
        except ValueError:
            raise by_route(500, "Internal error", "INTERNAL_ERROR") from None
        if install_id not in self.installs:
            raise by_route(404, "Install not found", "NOT_FOUND")
        rows = self.installs[install_id]
        if operation == "list":
            return 200, {"schedules": rows}
        if operation == "getEndpoints":
            return 200, {"endpoints": ENDPOINTS}
        if operation == "create":
            return 201, {"success": True, "scheduleId": self._create(rows, request)}
        return self._concerning_one(operation, rows, request)

    def _concerning_one(self, operation: str, rows: list[dict[str, Any]], request: dict[str, Any]) -> Reply:
        schedule_id = request.get("scheduleId")
        if not (isinstance(schedule_id, str) and _UUID.fullmatch(schedule_id)):
            raise by_schema("scheduleId", "Invalid scheduleId")
        row = next((row for row in rows if row["id"] == schedule_id), None)
        if operation == "get":
            return 200, {"schedule": None if self.broken_reads else row}
        if row is None:
            raise by_result("Schedule not found")
        if operation == "delete":
            rows.remove(row)
        else:
            row.update(_changes(rows, row, request))
        return 200, {"success": True}

    def _create(self, rows: list[dict[str, Any]], request: dict[str, Any]) -> str:
        row = {
            "id": str(uuid4()),
            "timezone": "UTC",
            "enabled": True,
            "lastRunAt": None,
            "lastRunStatus": None,
            "lastError": None,
            "createdAt": "2026-01-01T00:00:00.000Z",
        }
        row |= _changes(rows, row, request)
        if len(rows) >= self.max_schedules:
            raise by_result(f"Too many schedules (max {self.max_schedules} per extension install)")
        rows.append(row)
        return str(row["id"])


def _changes(rows: list[dict[str, Any]], row: dict[str, Any], request: dict[str, Any]) -> dict[str, Any]:
    """The columns that a create or an update sets, in the order of alga-contract 5.2."""
    values: dict[str, Any] = {}
    if "cron" in request:
        values["cron"] = _cron(request["cron"])
    if "timezone" in request:
        values["timezone"] = _timezone(request["timezone"])
    # Fault 28: the route hands on both keys, absent or not, and the service looks for the keys.
    values["payload"] = _payload(request.get("payload"))
    values["name"] = _name(rows, row, request.get("name"))
    if "endpoint" in request:
        values |= _endpoint(request["endpoint"])
    if "enabled" in request:
        values["enabled"] = request["enabled"]
    return values


def _cron(value: str) -> str:
    fields = value.split()
    if len(fields) != 5:
        raise by_result("Invalid cron expression (expected 5 fields: m h dom mon dow)", "cron")
    if fields[1:] == ["*"] * 4 and fields[0] in {"*", *(f"*/{minutes}" for minutes in range(1, 5))}:
        raise by_result("Cron too frequent (minimum interval is 5 minutes)", "cron")
    return value.strip()


def _timezone(value: str) -> str:
    if value.strip() and value.strip() not in _ZONES:
        raise by_result("Invalid timezone", "timezone")
    return value.strip() or "UTC"


def _payload(value: object) -> object:
    if value is None:
        return None
    if not isinstance(value, dict | list):
        raise by_result("Payload must be a JSON object or array", "payload")
    if len(json.dumps(value, ensure_ascii=False, separators=(",", ":"))) > 100_000:
        raise by_result("Payload too large", "payload")
    if value == []:
        return {}  # fault 31
    if isinstance(value, list):
        raise by_result("insert into tenant_extension_schedule: invalid input syntax for type json")
    return value


def _name(rows: list[dict[str, Any]], row: dict[str, Any], value: str | None) -> str | None:
    name = (value or "").strip() or None
    if name is not None and len(name) > 128:
        raise by_result("Name too long", "name")
    if name is not None and any(other["name"] == name for other in rows if other["id"] != row["id"]):
        raise by_result("Schedule name already in use for this extension", "name")
    return name


def _endpoint(text: str) -> dict[str, str]:
    method, _, path = text.rpartition(" ")
    for endpoint in ENDPOINTS:
        if endpoint["schedulable"] and endpoint["path"] == path and method in {"", endpoint["method"]}:
            return {"endpointPath": str(endpoint["path"]), "endpointMethod": str(endpoint["method"])}
    raise by_result("Endpoint not found or not schedulable", "endpoint")


async def _send(send: Send, status: int, content_type: str, body: bytes) -> None:
    headers = [(b"content-type", content_type.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
