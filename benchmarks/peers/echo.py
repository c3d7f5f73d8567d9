"""A bare ASGI app that answers a request with its own body: ``python -m benchmarks.peers.echo [h11]``."""

from __future__ import annotations

import sys

from .serving import answering, serve


async def echo(body: bytes) -> bytes:
    """The body."""
    return body


if __name__ == "__main__":
    if sys.argv[1:] == ["h11"]:
        serve(answering(echo), http="h11", loop="asyncio")
    else:
        serve(answering(echo))
