"""Routes: the handler of each method and path."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from wit_world.imports.types import ExecuteRequest, ExecuteResponse

from .host import Host
from .response import json_response, path_of

Handler: TypeAlias = Callable[[ExecuteRequest, Host], ExecuteResponse]


class Router:
    """Calls the handler of a request's method and path.

    router = Router().on("POST", "/setup", setup)
    """

    def __init__(self) -> None:
        self._routes: dict[str, dict[str, Handler]] = {}

    def on(self, method: str, path: str, handler: Handler) -> Router:
        """Have ``handler`` answer ``method`` on ``path``."""
        self._routes.setdefault(path, {})[method.upper()] = handler
        return self

    def __call__(self, request: ExecuteRequest, host: Host) -> ExecuteResponse:
        """Answer the request: 404 for a path without routes, 405 for a method that its path does not take."""
        path = path_of(request)
        methods = self._routes.get(path)
        if methods is None:
            return json_response({"error": f"There is nothing at {path}."}, 404)
        handler = methods.get(request.http.method.upper())
        if handler is None:
            allowed = ", ".join(sorted(methods))
            return json_response({"error": f"{path} takes {allowed}."}, 405, {"allow": allowed})
        return handler(request, host)
