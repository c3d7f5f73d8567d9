"""Any other host of the kit: a process that reads a case a line and writes a result a line."""

from __future__ import annotations

import json
import os
import shlex
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from alga_common.cli.failures import Failure

from .kit import Case, Result

LONGEST_S = 60.0
"""How long a host may take for one case."""

_LAST_WORDS_S = 5.0
"""How long a host that closed its output may take to end."""

_MAX_LINE_BYTES = 64 * 1024 * 1024
_STDERR_CHARACTERS = 500


class OtherHost:
    """Carries cases out in a process of ``command``, which is started again when it has ended."""

    def __init__(self, command: str, folder: Path) -> None:
        self._command = shlex.split(command)
        self._folder = folder
        self._process: Process | None = None
        self._lines: BufferedByteReceiveStream | None = None

    async def start(self) -> None:
        """Start the process. Raises ``Failure``."""
        try:
            self._process = await anyio.open_process(self._command, stderr=None)
        except (OSError, IndexError) as error:
            raise Failure(
                "host_not_started",
                f"The host {shlex.join(self._command)} cannot be started: {error}.",
                hint="Give the command of an adapter (guest-abi/conformance/README.md).",
            ) from None
        assert self._process.stdout is not None  # noqa: S101 - a pipe is the default
        self._lines = BufferedByteReceiveStream(self._process.stdout)

    async def stop(self) -> None:
        """End the process, if there is one."""
        process, self._process = self._process, None
        if process is not None:
            with anyio.CancelScope(shield=True):
                if process.returncode is None:
                    process.kill()
                await process.aclose()

    async def carry_out(self, case: Case) -> Result:
        """See ``Host``."""
        if self._process is None:
            await self.start()
        assert self._process is not None  # noqa: S101 - it was started
        assert self._process.stdin is not None  # noqa: S101 - a pipe is the default
        assert self._lines is not None  # noqa: S101 - they come with the process
        began = anyio.current_time()
        try:
            with anyio.fail_after(LONGEST_S):
                await self._process.stdin.send(json.dumps(self._line(case)).encode() + b"\n")
                line = await self._lines.receive_until(b"\n", _MAX_LINE_BYTES)
        except TimeoutError:
            await self.stop()
            return Result(broken=f"no result within {LONGEST_S:.0f} s")
        except anyio.DelimiterNotFound:
            await self.stop()
            return Result(broken=f"a line of more than {_MAX_LINE_BYTES} bytes")
        except (anyio.BrokenResourceError, anyio.EndOfStream, anyio.IncompleteRead):
            with anyio.move_on_after(_LAST_WORDS_S):
                await self._process.wait()
            status = self._process.returncode
            await self.stop()
            ended = "the host closed its output" if status is None else f"the host ended with status {status}"
            return Result(broken=ended)
        result = _result(line)
        result.seconds = anyio.current_time() - began
        return result

    def _line(self, case: Case) -> dict[str, Any]:
        module = case.module
        if case.padded_to is not None:
            module = self._folder / f"{module.stem}-{case.padded_to}.wasm"
            if not module.exists():
                module.write_bytes(case.wasm())
        return {
            "name": case.name,
            "wasm": os.fspath(module.absolute()),
            "grants": list(case.grants),
            "request": case.request,
            "answers": case.answers,
            "limits": case.limits,
        }


def _result(line: bytes) -> Result:
    try:
        document = json.loads(line)
        return Result(
            refused=document.get("refused"),
            ending=document.get("ending"),
            response=document.get("response"),
            message=str(document.get("message", "")),
            asked=list(document.get("asked", ())),
            log=list(document.get("log", ())),
            broken=""
            if any(map(document.get, ("refused", "ending", "response")))
            else f"no outcome in {document}",
        )
    except (ValueError, AttributeError, TypeError) as error:
        shown = line[:_STDERR_CHARACTERS].decode("utf-8", "replace")
        return Result(broken=f"a line that is no result ({error}): {shown}")


@asynccontextmanager
async def other_host(command: str) -> AsyncIterator[OtherHost]:
    """A host whose process runs meanwhile. Raises ``Failure`` if it cannot be started."""
    with tempfile.TemporaryDirectory(prefix="conformance-") as folder:
        host = OtherHost(command, Path(folder))
        await host.start()
        try:
            yield host
        finally:
            await host.stop()
