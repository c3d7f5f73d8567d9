"""The TypeScript sample as a component: what it is asked, what its host answers, and the only right answer to each.

The sample in the repository is built on QuickJS. ``ALGA_BENCH_SPIDERMONKEY`` is the path of the same built with
``alga-build --engine spidermonkey``, which is too large to be committed.
"""

from __future__ import annotations

import base64
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alga_runner import ExecuteRequest
from alga_runner.alga import Identity
from alga_runner.bundles import Bundle

from .alga import PromptServer
from .suspended import SAMPLES
from .workload import SCHEDULE_ID

SAMPLE = SAMPLES / "scheduler-typescript"
SPIDERMONKEY = "ALGA_BENCH_SPIDERMONKEY"
EXTENSION = "com.alga.sample.scheduler-typescript"

SCHEDULES = 9
"""Of the install: ``/cleanup`` lists them, deletes each and logs, which makes eleven host calls."""


@dataclass(frozen=True, slots=True)
class Case:
    """One request, how many host calls the handler makes, and what it answers."""

    method: str
    path: str
    host_calls: int
    status: int
    answer: bytes
    body: bytes = b""

    def request(self, content_hash: str, number: int = 0) -> ExecuteRequest:
        """The execute request."""
        return ExecuteRequest.model_validate(
            {
                "context": {
                    "request_id": f"request-{number}",
                    "tenant_id": "acme",
                    "extension_id": EXTENSION,
                    "install_id": "4f6f3a0e-9a2e-4e0c-a1c5-3c7d6b8f9e21",
                    "content_hash": content_hash,
                    "version_id": "1.0.0",
                },
                "http": {
                    "method": self.method,
                    "path": self.path,
                    "headers": {"accept": "*/*"},
                    "body_b64": base64.b64encode(self.body).decode(),
                },
                "limits": {"timeout_ms": 60_000},
                "providers": ["cap:scheduler.manage", "cap:context.read", "cap:log.emit"],
            }
        )

    @property
    def value(self) -> dict[str, Any]:
        """The request as the handler's argument."""
        return {
            "context": {
                "request-id": "request-0",
                "tenant-id": "acme",
                "extension-id": EXTENSION,
                "install-id": "4f6f3a0e-9a2e-4e0c-a1c5-3c7d6b8f9e21",
                "version-id": "1.0.0",
            },
            "http": {
                "method": self.method,
                "url": self.path,
                "headers": [{"name": "accept", "value": "*/*"}],
                "body": self.body,
            },
        }


_NOT_FOUND = b'{"error":"There is nothing at /nothing."}'

CASES = {
    "none": Case("GET", "/nothing", 0, 404, _NOT_FOUND),
    "eleven": Case("POST", "/cleanup", SCHEDULES + 2, 200, b'{"deleted":%d}' % SCHEDULES),
    "body64k": Case("POST", "/nothing", 0, 404, _NOT_FOUND, bytes(range(256)) * 256),
}
"""``eleven`` makes eleven host calls; ``body64k`` is given 64 KiB, and answers with little."""

ANSWERS: dict[tuple[str, str], Any] = {
    ("scheduler", "list-schedules"): (
        "ok",
        [
            {
                "id": SCHEDULE_ID,
                "endpoint-path": "/sync",
                "endpoint-method": "POST",
                "name": f"Sync {number}",
                "cron": "0 * * * *",
                "timezone": "UTC",
                "enabled": True,
                "payload": '{"full":false}',
                "last-run-at": None,
                "last-run-status": None,
                "last-error": None,
                "created-at": "2026-01-01T12:30:00.000Z",
            }
            for number in range(SCHEDULES)
        ],
    ),
    ("scheduler", "delete-schedule"): {"success": True, "error": None},
    ("logging", "log-info"): None,
}
"""What a host that does nothing else answers, as values of the component's types: on both sides the same."""


class CleanServer(PromptServer):
    """An Alga server in process whose ``SCHEDULES`` schedules can be deleted any number of times."""

    def __init__(self) -> None:
        super().__init__()
        self._schedules = [
            self._schedules[0].model_copy(update={"name": f"Sync {number}"}) for number in range(SCHEDULES)
        ]

    async def delete_schedule(self, identity: Identity, schedule_id: str, deadline: float) -> None:
        """Done."""
        self.answered += 1


def wasm(engine: str) -> bytes:
    """The component that was built on ``engine``: ``quickjs`` or ``spidermonkey``."""
    path = Path(os.environ[SPIDERMONKEY]) if engine == "spidermonkey" else SAMPLE / "dist" / "main.wasm"
    return path.read_bytes()


def bundle(component: bytes) -> Bundle:
    """The component as an extension."""
    return Bundle.from_files(
        {"manifest.json": (SAMPLE / "manifest.json").read_bytes(), "dist/main.wasm": component}
    )
