"""What every request passes first: targets in absolute form become origin form, and HEAD is GET without the body."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from alga_common.http.semantics import origin_form

from .gateway.gateway import PREFIX


class Edge:
    """Passes requests on to ``app`` in the form that its routes know.

    A route that takes GET takes HEAD as well (RFC 9110, 9.3.2). Extensions may declare HEAD, so the gateway decides
    for itself.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or (scope["path"].startswith("/") and scope["method"] != "HEAD"):
            await self._app(scope, receive, send)
            return
        scope = {**scope, "path": origin_form(scope["path"])}
        if scope.get("raw_path"):
            scope["raw_path"] = origin_form(scope["raw_path"].decode("latin-1")).encode("latin-1")
        if scope["method"] == "HEAD" and not scope["path"].startswith(PREFIX):
            scope["method"] = "GET"
            send = _without_body(send)
        await self._app(scope, receive, send)


def _without_body(send: Send) -> Send:
    async def send_head(message: Message) -> None:
        if message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await send(message)

    return send_head
