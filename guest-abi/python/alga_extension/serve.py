"""The class that a component exports, around the handler that an author writes."""

from __future__ import annotations

import random
import sys
import traceback

import wit_world
from wit_world.imports.types import ExecuteRequest, ExecuteResponse

from .host import Host
from .response import json_response
from .router import Handler


def extension(handler: Handler) -> type[wit_world.WitWorld]:
    """The component's class, which answers each request by ``handler``.

        WitWorld = extension(handler)

    An exception that the handler raises is logged with its traceback, and answered with 500.
    """

    class Extension(wit_world.WitWorld):
        def handler(self, request: ExecuteRequest) -> ExecuteResponse:
            random.seed()  # the module's state is that of the build, the same in each execution
            host = Host()
            try:
                return handler(request, host)
            except Exception as error:  # noqa: BLE001 - logged, for the extension's author
                return _failed(host, error)
            finally:
                sys.stdout.flush()
                sys.stderr.flush()

    return Extension


def _failed(host: Host, error: Exception) -> ExecuteResponse:
    """Log why the handler failed, for the extension's author; the answer for its caller."""
    host.logging.error("".join(traceback.format_exception(error)).rstrip())
    return json_response({"error": "The extension failed; its log has the reason."}, 500)
