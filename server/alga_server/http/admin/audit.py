"""One log line for each admin call, refused ones included: who, what, on whose behalf, with what outcome."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any
from uuid import uuid4

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from alga_common.text import cut

from ..responses import single_header

PREFIX = "/api/admin"

_IDS = ("tenant_id", "install_id", "extension_id", "version_id", "schedule_id", "run_id")
_MAX_FIELD = 128

logger = logging.getLogger("alga_server")


def note(request: Request, **fields: str | None) -> None:
    """Add ``fields`` to the line of an admin call; of any other request nothing is kept."""
    if (call := request.scope.get("state", {}).get("audit")) is not None:
        call.update(fields)


class AuditTrail:
    """ASGI middleware that logs every request below ``/api/admin``, and answers it with its request id.

    Routes and error handlers ``note`` what they know: the token's name, the operation, the ids, the refusal's code.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        path = scope.get("path", "")
        if scope["type"] != "http" or not (path == PREFIX or path.startswith(PREFIX + "/")):
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        request_id = single_header(request, "x-request-id") or str(uuid4())
        call: dict[str, Any] = {"request_id": request_id}
        scope.setdefault("state", {})["audit"] = call
        services = scope["app"].state.services
        clock = services.clock
        started = clock.monotonic()
        http_status: int | None = None

        async def answer(message: Message) -> None:
            nonlocal http_status
            if message["type"] == "http.response.start":
                http_status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode())]
            await send(message)

        failed = True
        try:
            await self._app(scope, receive, answer)
            failed = False
        except Exception:
            http_status = int(HTTPStatus.INTERNAL_SERVER_ERROR)
            call["status"] = "internal_error"
            raise
        finally:
            if failed:
                call.setdefault("status", "cancelled")
            services.metrics.admin_call(call.setdefault("status", "success"))
            _log(scope["method"], call, http_status, clock.monotonic() - started)


def _log(method: str, call: dict[str, Any], http_status: int | None, duration_s: float) -> None:
    operation = call.get("operation") or f"{cut(method, 16)} of no route"
    status = call["status"]
    ids = {name: cut(str(call[name]), _MAX_FIELD) for name in _IDS if call.get(name) is not None}
    logger.log(
        logging.INFO if http_status is None or http_status not in {401, 403, 500} else logging.WARNING,
        "Admin call %s by %s: %s",
        operation,
        call.get("token_name") or "an unknown caller",
        status,
        extra={
            "action": "admin_call",
            "token_name": call.get("token_name"),
            "operation": operation,
            **ids,
            "request_id": call["request_id"],
            "status": status,
            "http_status": http_status,
            "duration_ms": round(duration_s * 1000, 3),
        },
    )
