"""Extism behind a bare ASGI app: ``python -m benchmarks.peers.extism_service loop|threads|reused``.

``loop`` and ``threads`` have a fresh plugin for each request. ``reused`` has one for all, on the event loop, since a
plugin is not for several threads; its requests find in its memory what those before them left.
"""

from __future__ import annotations

import asyncio
import sys

from .extism_plugin import call_fresh, call_reused
from .messages import answer_json, guest_input
from .serving import answering, serve


def execute(body: bytes) -> bytes:
    """Handle one execute request."""
    return answer_json(call_fresh(guest_input(body)))


async def on_loop(body: bytes) -> bytes:
    """Handle it here; nothing else runs meanwhile."""
    return execute(body)


async def in_thread(body: bytes) -> bytes:
    """Handle it next to the event loop."""
    return await asyncio.get_running_loop().run_in_executor(None, execute, body)


async def in_the_one_plugin(body: bytes) -> bytes:
    """Handle it in the plugin that all requests share."""
    return answer_json(call_reused(guest_input(body)))


if __name__ == "__main__":
    handlers = {"loop": on_loop, "threads": in_thread, "reused": in_the_one_plugin}
    serve(answering(handlers[sys.argv[1]]))
