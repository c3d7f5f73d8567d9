"""A large module that is compiled, then loaded from the code cache, and how late the event loop is meanwhile."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import anyio

from alga_runner import ExecuteRequest, Runner, Settings
from alga_runner.bundles import Bundle, MemoryBundles

from ..child import Contestant, Counts, Work, WrongAnswer
from ..large_module import large_module
from .fairness import check, probed
from .workload import alga_guest, works

QUIET_S = 3.0
LONG_MS = 600_000


class Compiling(Contestant):
    """An order names the ``size`` of the module in bytes, and how often it is ``loaded`` once it was compiled."""

    async def prepare(self, order: Mapping[str, Any]) -> Work:
        """Make the module, and a runner that has never seen it."""
        bundle = Bundle.from_files({"dist/main.wasm": large_module(order["size"])})
        bundles = MemoryBundles()
        light = bundles.add(alga_guest())
        large = bundles.add(bundle)
        document = {**works("/", large)[0].document, "limits": {"timeout_ms": LONG_MS}}
        request = ExecuteRequest.model_validate(document)

        async def first_execution(runner: Runner) -> float:
            """Seconds."""
            started = perf_counter()
            if (await runner.execute(request)).status != 200:
                raise WrongAnswer(request)
            return perf_counter() - started

        async def run() -> Counts:
            async with AsyncExitStack() as stack:
                folder = Path(stack.enter_context(TemporaryDirectory()))
                settings = Settings(code_cache=str(folder / "code"), max_timeout_ms=LONG_MS)
                runner = await stack.enter_async_context(Runner(settings, bundles=bundles))
                tasks = works("/echo", light)
                await check(runner, tasks[0])  # loaded
                async with probed(runner, tasks) as quiet:
                    await anyio.sleep(min(QUIET_S, order["size"] / 1e6))
                async with probed(runner, tasks) as compiling:
                    compiled_s = await first_execution(runner)
                loaded_s = []
                for _ in range(order["loaded"]):
                    async with Runner(settings, bundles=bundles) as fresh:
                        loaded_s.append(await first_execution(fresh))
                code_bytes = max(path.stat().st_size for path in (folder / "code").glob("*.cwasm"))
            return {
                "done": 1,
                "module_bytes": len(bundle.wasm),
                "code_bytes": code_bytes,
                "compiled_s": compiled_s,
                "loaded": len(loaded_s),
                "loaded_ms": min(loaded_s) * 1000,
                **quiet.counts("quiet"),
                **compiling.counts("compiling"),
            }

        return run
