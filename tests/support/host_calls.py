"""Guests that make one host call, and a runner whose Alga server answers as a test wants."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
import msgpack
from pydantic import SecretStr

from alga_runner import Observation, Runner, Settings
from alga_runner.alga import DIALECTS, AlgaServer, HttpAlgaServer
from alga_runner.bundles import MemoryBundles
from alga_runner.egress import Egress
from tests.support.bundles import make_bundle
from tests.support.requests import execute_request

TOKEN = "token-of-the-runner"
INSTALL = "install-1"

_REQUEST = 1024
_HEAD = b"\x82\xa6status\xcc\xc8\xa4body\xc6"
_PAGE = 64 * 1024


def core_guest(operation: str, request: Mapping[str, Any]) -> str:
    """A core module that makes one host call with ``request``, and responds with the bytes of the reply."""
    group, _, function = operation.partition(".")
    data = msgpack.packb(request)
    head = _REQUEST + len(data)
    length, reply = head + len(_HEAD), head + len(_HEAD) + 4
    pages = 2 + len(data) // _PAGE + 32
    stores = " ".join(
        f"(i32.store8 (i32.const {length + place}) (i32.shr_u (local.get $n) (i32.const {24 - 8 * place})))"
        for place in range(4)
    )
    return f"""(module
      (import "alga:abi" "respond" (func $respond (param i32 i32)))
      (import "alga:{group}" "{function}" (func $call (param i32 i32 i32 i32) (result i32)))
      (memory (export "memory") {pages})
      (data (i32.const {_REQUEST}) "{_escaped(data)}") (data (i32.const {head}) "{_escaped(_HEAD)}")
      (func (export "alga_abi_v1"))
      (func (export "alga_handle") (param i32) (local $n i32)
        (local.set $n (call $call (i32.const {_REQUEST}) (i32.const {len(data)})
          (i32.const {reply}) (i32.const {pages * _PAGE - reply})))
        {stores}
        (call $respond (i32.const {head}) (i32.add (i32.const {reply - head}) (local.get $n)))))"""


def relaying_guest(*operations: str) -> str:
    """A core module that makes the host call that its request's body asks for (``relayed``), and responds with 204."""
    imports, calls = [], []
    for number, operation in enumerate(operations):
        group, _, function = operation.partition(".")
        imports.append(
            f'(import "alga:{group}" "{function}" (func $f{number} (param i32 i32 i32 i32) (result i32)))'
        )
        calls.append(
            f"(if (i32.eq (local.get $which) (i32.const {number})) (then (drop"
            f" (call $f{number} (local.get $at) (local.get $length) (i32.const 0) (i32.const 0)))))"
        )
    return f"""(module
      (import "alga:abi" "request" (func $request (param i32 i32) (result i32)))
      (import "alga:abi" "respond" (func $respond (param i32 i32))) {" ".join(imports)}
      (memory (export "memory") 32)
      (data (i32.const 16) "\\81\\a6status\\cc\\cc")
      (func (export "alga_abi_v1"))
      (func (export "alga_handle") (param $n i32) (local $which i32) (local $length i32) (local $at i32)
        (drop (call $request (i32.const {_REQUEST}) (local.get $n)))
        (local.set $n (i32.add (local.get $n) (i32.const {_REQUEST - 5})))
        (local.set $length (i32.load (local.get $n)))
        (local.set $which (i32.load8_u offset=4 (local.get $n)))
        (local.set $at (i32.sub (local.get $n) (local.get $length)))
        {" ".join(calls)} (call $respond (i32.const 16) (i32.const 10))))"""


def relayed(number: int, request: Mapping[str, Any]) -> bytes:
    """The body that has a relaying guest call its operation of that number.

    It is the end of the request's document, so length and number are behind the call's request.
    """
    data: bytes = msgpack.packb(request)
    return data + len(data).to_bytes(4, "little") + bytes([number])


def _escaped(data: bytes) -> str:
    return "".join(map("\\{:02x}".format, data))


ANSWERS_TEXT = """(i32.store16 (i32.const 0) (i32.const 200)) (i32.store (i32.const 12) (i32.const 1))
  (i32.store (i32.const 16) (i32.load (local.get $text)))
  (i32.store (i32.const 20) (i32.load (i32.add (local.get $text) (i32.const 4)))) (i32.const 0)"""
"""The end of a component's handler that answers with the text whose place and length are at ``$text``."""


ANSWERS_CASE = """(i32.store16 (i32.const 0) (i32.add (i32.const 200)
    (i32.add (i32.mul (i32.const 10) (i32.load8_u (i32.const 512))) (i32.load8_u (i32.const {case})))))
  (i32.const 0)"""
"""The end of a handler that answers 200 for a good result at 512, and 210 and the number of the case for an error."""


class Answering:
    """The Alga server's side of the wire: it answers what the test puts into ``answers``, the last one for ever.

    Each is a status and a document: JSON, a page in bytes, or a function that makes one of the request's document,
    or a status and one.
    """

    def __init__(self) -> None:
        self.start_again()

    def start_again(self) -> None:
        """Forget answers and requests."""
        self.answers: list[tuple[int, object]] = [(200, {})]
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        status, document = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if callable(document):
            document = document(json.loads(request.content))
        if isinstance(document, tuple):
            status, document = document
        if isinstance(document, bytes):
            return httpx.Response(status, content=document, headers={"content-type": "text/html"})
        return httpx.Response(status, json=document)

    def answer(self, document: object, status: int = 200) -> None:
        """Answer so from now on."""
        self.answers = [(status, document)]

    @property
    def sent(self) -> dict[str, Any]:
        """The document of the only request."""
        (request,) = self.requests
        document: dict[str, Any] = json.loads(request.content)
        return document


class Calling:
    """Runs guests on ``runner``, against ``server``."""

    def __init__(self, runner: Runner, bundles: MemoryBundles, server: Answering, alga: AlgaServer) -> None:
        self.runner, self.alga = runner, alga
        self._bundles = bundles
        self.server = server

    def start_again(self) -> None:
        """Forget answers and requests."""
        self.server.start_again()
        self.alga.token_refused = False

    async def observe(
        self, guest: str | bytes, *, grants: tuple[str, ...], install: str | None = INSTALL, **members: Any
    ) -> Observation:
        """One execution of ``guest``; ``members`` are those of the execute request."""
        request = execute_request(
            self._bundles.add(make_bundle(guest)),
            providers=list(grants),
            context={"install_id": install, "request_id": "request-1", **members.pop("context", {})},
            **members,
        )
        return await self.runner.observe(request)

    async def call(
        self, operation: str, request: Mapping[str, Any], *, grants: tuple[str, ...], **members: Any
    ) -> dict[str, Any]:
        """The envelope that a core guest gets for one host call."""
        observation = await self.observe(core_guest(operation, request), grants=grants, **members)
        assert observation.response is not None, observation.error
        envelope: dict[str, Any] = msgpack.unpackb(observation.response.body())
        return envelope


@asynccontextmanager
async def calling(
    dialect: str = "alga", *, egress: Egress | None = None, **settings: Any
) -> AsyncIterator[Calling]:
    """A runner, and a server that it asks in that dialect; ``egress`` is the guests' way to other servers."""
    server, bundles = Answering(), MemoryBundles()
    alga = HttpAlgaServer(
        "http://server", SecretStr(TOKEN), dialect=DIALECTS[dialect], transport=httpx.MockTransport(server)
    )
    defaults = {
        "max_guests": 2,
        "max_guests_per_tenant": 2,
        "max_memory_mb": 8,
        "code_cache": "off",
        "default_timeout_ms": 300_000,
        "queue_timeout_ms": 300_000,
    }
    of_runner = Settings.model_validate({**defaults, **settings})
    async with Runner(of_runner, bundles=bundles, alga=alga, egress=egress) as runner:
        yield Calling(runner, bundles, server, alga)
