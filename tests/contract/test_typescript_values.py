"""Values survive the way from the host to the TypeScript sample's JavaScript and back.

The sample's own ``/try`` makes the host call that the request's body names and answers what it saw. ``SAMPLE_WASM``
names another build of it; one on SpiderMonkey drops a leading U+FEFF.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from alga_runner import Runner, Settings
from alga_runner.alga import AlgaServer, Identity
from alga_runner.bundles import Bundle, MemoryBundles
from alga_runner.errors import HostCallCode, HostCallError
from tests.support.patience import PATIENT
from tests.support.requests import execute_request

pytestmark = [pytest.mark.anyio, pytest.mark.components]

SAMPLE = Path(__file__).parents[2] / "sample-extensions" / "scheduler-typescript"
WASM = Path(os.environ.get("SAMPLE_WASM", SAMPLE / "dist" / "main.wasm")).read_bytes()
DROPS_MARK = len(WASM) > 5_000_000
"""Only SpiderMonkey is that large."""
EVERY = hypothesis_settings(
    max_examples=int(os.environ.get("FUZZ_EXAMPLES", "15")),
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


class GivenAlga(AlgaServer):
    """Answers every call with ``answer``, or fails it; keeps what it was asked for."""

    answer: Mapping[str, object] | HostCallError
    members: Mapping[str, object]

    async def ask(
        self, operation: str, members: Mapping[str, object], identity: Identity, deadline: float
    ) -> Mapping[str, object]:
        self.members = members
        if isinstance(self.answer, HostCallError):
            raise self.answer
        return self.answer


class Sample:
    """The sample on a runner, in front of a server that gives the answers of the test."""

    def __init__(self, runner: Runner, alga: GivenAlga, content_hash: str) -> None:
        self.alga = alga
        self._runner = runner
        self._content_hash = content_hash

    async def tries(self, answer: Mapping[str, object] | HostCallError, **body: object) -> Any:
        """Have it make the host call of ``body``, which gets ``answer``; what it saw."""
        self.alga.answer = answer
        sent = base64.b64encode(json.dumps(body).encode()).decode()
        response = await self._runner.execute(
            execute_request(
                self._content_hash,
                http={"path": "/try", "body_b64": sent},
                providers=["cap:scheduler.manage"],
            )
        )
        assert response.status == 200, response.body()
        return json.loads(response.body())


@pytest.fixture
async def sample() -> AsyncIterator[Sample]:
    bundles, alga = MemoryBundles(), GivenAlga()
    manifest = (SAMPLE / "manifest.json").read_bytes()
    content_hash = bundles.add(Bundle.from_files({"manifest.json": manifest, "dist/main.wasm": WASM}))
    async with Runner(Settings(max_guests=4, **PATIENT), alga=alga, bundles=bundles) as runner:
        yield Sample(runner, alga, content_hash)


any_text = st.text(st.characters(exclude_categories=("Cs",)), max_size=8)
texts = any_text | st.sampled_from(
    ["", "\0", "\ufeffmark", "in\ufeffside", "\U0001f600", "a\U0010ffff", "\u2028", "\ufffe"]
)
if DROPS_MARK:
    texts = texts.filter(lambda text: not text.startswith("\ufeff"))
numbers = st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(allow_nan=False, allow_infinity=False).filter(
    lambda number: (
        not 2**53 <= abs(number) < 1e21
    )  # JavaScript writes these as integers, which the host refuses
)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
payloads = st.lists(values, max_size=3) | st.dictionaries(texts, values, max_size=3)
schedules = st.fixed_dictionaries(
    {
        "id": texts,
        "endpointPath": texts,
        "endpointMethod": texts,
        "cron": texts,
        "timezone": texts,
        "enabled": st.booleans(),
    },
    optional={
        "name": texts,
        "payload": values.filter(lambda value: value is not None),
        "lastRunAt": texts,
        "lastRunStatus": texts,
        "lastError": texts,
        "createdAt": texts,
    },
)


@EVERY
@given(listed=st.lists(schedules, max_size=4))
async def test_a_list_of_schedules_reaches_the_handler(sample: Sample, listed: list[dict[str, Any]]) -> None:
    assert await sample.tries({"schedules": listed}, operation="list") == {"ok": listed}


@EVERY
@given(
    given_input=st.fixed_dictionaries(
        {"endpoint": texts, "cron": texts},
        optional={"timezone": texts, "enabled": st.booleans(), "name": texts, "payload": payloads},
    ),
    schedule_id=texts.filter(bool),
)
@example(
    {"endpoint": "/sync", "cron": "* * * * *", "payload": {"__proto__": {"a": 1}, "1": 0, "0": 1}},
    "\U0001f600",
)
async def test_what_the_handler_creates_reaches_the_server(
    sample: Sample, given_input: dict[str, Any], schedule_id: str
) -> None:
    answer = {"success": True, "scheduleId": schedule_id}

    assert await sample.tries(answer, operation="create", **given_input) == {
        "ok": {"scheduleId": schedule_id}
    }
    assert sample.alga.members == given_input


@EVERY
@given(message=texts.filter(bool), field_errors=st.dictionaries(texts, texts, min_size=1, max_size=4))
@example("\U0001f600", {"__proto__": "x", "1": "y", "": "z"})
async def test_a_refusal_reaches_the_handler_with_its_message_and_fields(
    sample: Sample, message: str, field_errors: dict[str, str]
) -> None:
    refusal = HostCallError(HostCallCode.VALIDATION_FAILED, message, field_errors=field_errors)

    seen = await sample.tries(refusal, operation="create", endpoint="/sync", cron="x")

    assert seen == {"error": {"message": message, "fieldErrors": field_errors}}


@pytest.mark.parametrize("code", ["denied", "not-found", "quota-exceeded", "validation-failed", "internal"])
async def test_a_code_of_the_interface_reaches_the_handler(sample: Sample, code: str) -> None:
    seen = await sample.tries(HostCallError(HostCallCode(code), "no"), operation="list")

    assert seen["error"]["code"] == code
