"""This runner as the host of the kit: in this process, with its own settings, and answers from the case."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any

import anyio
from pydantic import BaseModel

from alga_common.bundle_layout import MANIFEST, WASM

from ...bundles import Bundle, MemoryBundles
from ...capabilities import Execution, Gate, Operation
from ...capabilities.gate import Codec, ReplyT, RequestT
from ...errors import AlgaError, HostCallCode, HostCallError, ModuleError
from ...models import ExecuteRequest
from ...runner import Runner
from ...settings import Settings
from .kit import Case, Result, plain, tagged

_MANIFEST = b'{"name": "com.example.conformance", "version": "1.0.0", "runtime": "wasm-wat@1"}'
_GUESTS = 8


class _ScriptedGate(Gate):
    """The gate, with a case's answers behind it in place of what operations do."""

    answers: dict[str, Any]
    asked: list[dict[str, Any]]

    async def call(
        self,
        execution: Execution,
        operation: Operation[Any, Any],
        request: RequestT,
        codec: Codec[RequestT, ReplyT],
    ) -> ReplyT:
        answer = self.answers.get(operation.name)
        if answer is not None:

            async def run(_: Execution, given: BaseModel) -> BaseModel:
                document = given.model_dump(by_alias=True, exclude_unset=True)
                self.asked.append({"operation": operation.name, "input": tagged(document)})
                return _answered(operation, answer)

            operation = replace(operation, run=run)
        return await super().call(execution, operation, request, codec)


def _answered(operation: Operation[Any, Any], answer: dict[str, Any]) -> BaseModel:
    if "err" in answer:
        error = answer["err"]
        raise HostCallError(
            HostCallCode(error["code"]),
            error["message"],
            field_errors=error.get("fieldErrors"),
            retry_after_ms=error.get("retryAfterMs"),
        )
    output: BaseModel = operation.output.model_validate(plain(answer["ok"]))
    return output


class _ScriptedRunner(Runner):
    def _gate(self) -> Gate:
        self.scripted = _ScriptedGate(self.telemetry)
        return self.scripted


class OwnHost:
    """Carries cases out on a runner."""

    def __init__(self, runner: _ScriptedRunner, bundles: MemoryBundles) -> None:
        self._runner = runner
        self._bundles = bundles
        self._hashes: dict[tuple[str, int | None], str] = {}

    async def load(self, cases: Sequence[Case]) -> None:
        """Compile the cases' modules concurrently; the reason for one that does not load is met when it is executed."""

        async def warm_up(content_hash: str) -> None:
            async with slots:
                with suppress(AlgaError):
                    await self._runner.warm_up("tenant-1", "com.example.conformance", content_hash)

        slots = anyio.CapacityLimiter(2)
        async with anyio.create_task_group() as tasks:
            for content_hash in {self._hash(case) for case in cases}:
                tasks.start_soon(warm_up, content_hash)

    async def carry_out(self, case: Case) -> Result:
        """See ``Host``."""
        gate = self._runner.scripted
        gate.answers, gate.asked = dict(case.answers), []
        observation = await self._runner.observe(_request(case, self._hash(case)))
        result = Result(
            asked=gate.asked,
            log=[[line.level, line.message] for line in observation.log],
            seconds=observation.duration_s,
        )
        if (error := observation.error) is not None:
            result.message = error.sentence() + (f" {error.hint}" if isinstance(error, ModuleError) else "")
            if isinstance(error, ModuleError):
                result.refused = error.code
            else:
                result.ending = error.code
        elif (response := observation.response) is not None:
            body = None if response.body_b64 is None else response.body()
            result.response = {
                "status": response.status,
                "headers": [list(pair) for pair in response.header_pairs()],
                "body": tagged(body),
            }
        return result

    def _hash(self, case: Case) -> str:
        key = str(case.module), case.padded_to
        if key not in self._hashes:
            bundle = Bundle.from_files({MANIFEST: _MANIFEST, WASM: case.wasm()})
            self._hashes[key] = self._bundles.add(bundle)
        return self._hashes[key]


@asynccontextmanager
async def own_host() -> AsyncIterator[OwnHost]:
    """A host whose runner runs meanwhile. Raises what ``Runner`` raises."""
    bundles = MemoryBundles()
    settings = Settings.load(max_guests=_GUESTS, max_guests_per_tenant=_GUESTS)
    async with _ScriptedRunner(settings, bundles=bundles) as runner:
        yield OwnHost(runner, bundles)


def _request(case: Case, content_hash: str) -> ExecuteRequest:
    request = plain(dict(case.request))
    context, http, user = request["context"], request["http"], request.get("user")
    body = http["body"]
    return ExecuteRequest.model_validate(
        {
            "context": {**_snake(context), "content_hash": content_hash},
            "http": {
                "method": http["method"],
                "path": http["url"],
                "header_list": [(header["name"], header["value"]) for header in http["headers"]],
                "body_b64": None if body is None else base64.b64encode(body).decode(),
            },
            "limits": _snake(dict(case.limits)),
            "providers": list(case.grants),
            "user": None if user is None else _snake(user),
        }
    )


def _snake(members: dict[str, Any]) -> dict[str, Any]:
    return {
        "".join(f"_{c.lower()}" if c.isupper() else c for c in name): value for name, value in members.items()
    }
