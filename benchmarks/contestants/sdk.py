"""Guests that the SDKs built, in the runner: a request for a hello, and one that creates a schedule."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from alga_runner import ExecuteRequest
from alga_runner.bundles import Bundle, MemoryBundles

from ..child import Counts, Work, WrongAnswer
from .alga import Execute
from .workload import EXTENSION, MANIFEST


class Sdk(Execute):
    """The order's ``wasm`` answers its ``method``, ``path`` and ``body_b64`` with 200 or 201."""

    def bundles(self) -> MemoryBundles:
        """Empty: each order names its module."""
        self._bundles = MemoryBundles()
        return self._bundles

    async def prepare(self, order: Mapping[str, Any]) -> Work:
        """The work is one request again and again: nothing is kept between executions."""
        wasm = Path(order["wasm"]).read_bytes()  # noqa: ASYNC240 - between orders nothing else runs
        content_hash = self._bundles.add(
            Bundle.from_files({"manifest.json": MANIFEST, "dist/main.wasm": wasm})
        )
        request = ExecuteRequest.model_validate(
            {
                "context": {
                    "tenant_id": "acme",
                    "extension_id": EXTENSION,
                    "install_id": "4f6f3a0e-9a2e-4e0c-a1c5-3c7d6b8f9e21",
                    "content_hash": content_hash,
                },
                "http": {key: order[key] for key in ("method", "path", "body_b64")},
                "providers": ["cap:scheduler.manage", "cap:context.read", "cap:log.emit"],
            }
        )

        async def run() -> Counts:
            answered = self.server.answered
            for _ in range(order["count"]):
                response = await self.runner.execute(request)
                if response.status not in {200, 201}:
                    raise WrongAnswer(response)
            return {
                "done": order["count"],
                "checked": order["count"],
                "host_calls": self.server.answered - answered,
            }

        return run
