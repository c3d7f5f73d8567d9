"""What the TypeScript SDK promises an author holds on both engines, for a handler that makes mistakes, too."""

from __future__ import annotations

import json
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from alga_runner import Observation, Runner, Settings
from alga_runner.bundles import Bundle, MemoryBundles
from alga_runner.cli.precompile.report import precompile
from tests.support.language_relay import TYPESCRIPT
from tests.support.requests import execute_request

pytestmark = pytest.mark.anyio

MANIFEST = (
    b'{"name": "com.example.mistakes", "publisher": "Example", "version": "1.0.0", "runtime": "wasm-js@1",'
    b' "api": {"endpoints": [{"method": "GET", "path": "/nothing", "handler": "dist/main"}]}}'
)
HOUR_NS = 3_600 * 10**9


@pytest.fixture(scope="module", params=["quickjs", "spidermonkey"], ids="through-{}".format)
def component(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """``handler.js``, built as an author builds."""
    if not (TYPESCRIPT / "dist").exists():
        pytest.skip("the SDK is not built: `make components` builds it")
    folder = tmp_path_factory.mktemp("mistakes")
    (folder / "handler.js").write_text(Path(__file__).with_name("handler.js").read_text())
    (folder / "manifest.json").write_bytes(MANIFEST)
    command = ["node", str(TYPESCRIPT / "build.mjs"), "handler.js", "--engine", request.param]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert precompile([str(folder)], code_cache=None, jobs=1, as_json=False)
    return (folder / "dist" / "main.wasm").read_bytes()


@dataclass
class Clock:
    """The time that guests see."""

    now_ns: int = 0


class Author:
    """Calls the handler."""

    def __init__(self, runner: Runner, content_hash: str, clock: Clock) -> None:
        self.clock = clock
        self._runner = runner
        self._content_hash = content_hash

    async def calls(self, path: str, *granted: str) -> Observation:
        providers = ["cap:log.emit", "cap:context.read", *granted]
        request = execute_request(self._content_hash, http={"path": path}, providers=providers)
        return await self._runner.observe(request)

    async def json(self, path: str, *granted: str) -> Any:
        return json.loads((await self.calls(path, *granted)).unwrap().body())


@pytest.fixture
async def author(component: bytes) -> AsyncIterator[Author]:
    bundles = MemoryBundles()
    content_hash = bundles.add(Bundle.from_files({"manifest.json": MANIFEST, "dist/main.wasm": component}))
    clock = Clock()
    async with Runner(Settings(max_guests=2), bundles=bundles, clock_ns=lambda: clock.now_ns) as runner:
        yield Author(runner, content_hash, clock)


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/nothing", "TypeError: The handler's response must be an object, not undefined"),
        (
            "/status",
            "TypeError: The handler's response.status must be a whole number from 200 to 599, not 65736",
        ),
        ("/body", "TypeError: The handler's response.body must be a Uint8Array, not string"),
        ("/header", "TypeError: The handler's response.headers[0].value holds half of a surrogate pair"),
        ("/throw", "Error: a\ufffdb"),
        ("/reject", 'The handler threw {"code":7}.'),
    ],
)
async def test_what_is_no_response_is_logged_and_answered_with_500(
    author: Author, path: str, why: str
) -> None:
    seen = await author.calls(path)

    assert seen.unwrap().status == 500
    (line,) = seen.log
    assert line.level == "error"
    assert line.message.splitlines()[0] == why


async def test_an_exception_is_logged_with_its_stack_and_its_cause(author: Author) -> None:
    (line,) = (await author.calls("/throw")).log

    assert "handler.js:14" in line.message
    assert "Caused by: RangeError: too far" in line.message


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/create", "scheduler.create was not called: input must be an object, not undefined."),
        ("/update", "scheduler.update was not called: input.cron must be text, not number."),
        ("/delete", "scheduler.delete was not called: scheduleId holds half of a surrogate pair."),
        (
            "/invoice",
            "invoicing.createManualInvoice was not called: input.items[0].serviceId must be text, not undefined.",
        ),
    ],
)
async def test_a_write_that_cannot_be_sent_is_an_answer(author: Author, path: str, why: str) -> None:
    answer = await author.json(path, "cap:scheduler.manage", "cap:invoice.manual.create")

    assert answer == {"success": False, "error": why}


async def test_a_payload_that_json_has_no_form_for_is_an_answer(author: Author) -> None:
    answer = await author.json("/payload", "cap:scheduler.manage")

    assert not answer["success"]
    assert answer["error"].startswith("scheduler.create was not called: ")


async def test_a_read_without_the_grant_rejects_with_its_code(author: Author) -> None:
    assert await author.json("/denied") == {
        "name": "HostError",
        "code": "denied",
        "message": "scheduler.list was refused: denied",
    }


async def test_a_call_of_a_server_that_is_not_there_rejects_with_a_code_of_its_interface(
    author: Author,
) -> None:
    assert (await author.json("/unavailable", "cap:storage.kv"))["code"] == "internal"


async def test_any_value_can_be_logged(author: Author) -> None:
    seen = await author.calls("/log")

    assert [(line.level, line.message) for line in seen.log[:2]] == [
        ("info", "a\ufffdb"),
        ("warn", "[object Object]"),
    ]
    assert seen.log[2].message == "plain a\ufffdb"


async def test_time_is_the_hosts_and_random_numbers_are_new_in_each_execution(author: Author) -> None:
    author.clock.now_ns = HOUR_NS
    first = await author.json("/platform")
    author.clock.now_ns = 2 * HOUR_NS
    second = await author.json("/platform")

    assert (first["now"], second["now"]) == (3_600_000, 7_200_000)
    assert first["random"] != second["random"]
    assert first["uuid"] != second["uuid"]
