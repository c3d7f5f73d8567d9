"""Shared by every test: the one async backend the runner supports, guests written where they are tested, databases."""

from __future__ import annotations

import base64
import os
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import anyio
import msgpack
import pytest
from wasmtime import wat2wasm

from alga_runner import ExecuteRequest, Observation, Runner, Settings
from alga_runner.bundles import Bundle, MemoryBundles

MANIFEST = b'{"name": "com.example.test", "version": "1.0.0", "runtime": "wasm-wat@1"}'

POSTGRES = os.environ.get("ALGA_TEST_POSTGRES")
"""The URL of a PostgreSQL server on which the server's tests run, in place of SQLite; scripts/postgres.py gives one."""

Observe = Callable[..., Awaitable[Observation]]


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def empty_database_url(tmp_path: Path) -> Iterator[str]:
    """A database that nobody has touched."""
    if POSTGRES is None:
        yield f"sqlite:///{tmp_path / 'empty.db'}"
    else:
        with _postgres_database(POSTGRES) as url:
            yield url


@pytest.fixture(scope="session")
def postgres_template() -> Iterator[str | None]:
    """The name of a database with today's tables: to copy one takes a tenth of the time of making them."""
    if POSTGRES is None:
        yield None
        return
    with _postgres_database(POSTGRES) as url:
        anyio.run(_start_and_close, url)
        yield url.partition("?")[0].rpartition("/")[2]


@pytest.fixture
def database_url(tmp_path: Path, postgres_template: str | None) -> Iterator[str]:
    """A database that several servers can share."""
    if POSTGRES is None:
        yield f"sqlite:///{tmp_path / 'alga.db'}"
    else:
        with _postgres_database(POSTGRES, template=postgres_template) as url:
            yield url


@pytest.fixture
def quick_database_url(request: pytest.FixtureRequest) -> str:
    """A database for one server: in memory, where that can be."""
    return "sqlite://" if POSTGRES is None else str(request.getfixturevalue("database_url"))


@pytest.fixture(scope="module")
def lasting_database_url(postgres_template: str | None) -> Iterator[str]:
    """A database for one server that all tests of a file speak to: in memory, where that can be."""
    if POSTGRES is None:
        yield "sqlite://"
    else:
        with _postgres_database(POSTGRES, template=postgres_template) as url:
            yield url


@contextmanager
def _postgres_database(server: str, *, template: str | None = None) -> Iterator[str]:
    import psycopg  # noqa: PLC0415 - most tests need no database
    from sqlalchemy import make_url  # noqa: PLC0415

    name = f"test_{uuid4().hex}"
    like = f"TEMPLATE {template} STRATEGY FILE_COPY" if template else ""
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} {like}")
        try:
            yield make_url(server).set(database=name).render_as_string(hide_password=False)
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


async def _start_and_close(url: str) -> None:
    from alga_server.storage.database import Database  # noqa: PLC0415

    database = Database(url)
    await database.start()
    await database.aclose()


@pytest.fixture
def settings() -> Settings:
    """Few slots and little memory, so that limits are met quickly."""
    return Settings(max_guests=8, max_guests_per_tenant=8, max_memory_mb=4, default_timeout_ms=10_000)


@pytest.fixture
def bundles() -> MemoryBundles:
    return MemoryBundles()


@pytest.fixture
async def runner(settings: Settings, bundles: MemoryBundles) -> AsyncIterator[Runner]:
    async with Runner(settings, bundles=bundles) as running:
        yield running


@pytest.fixture
def observe(runner: Runner, bundles: MemoryBundles) -> Observe:
    """Execute a guest given as WAT (or wasm bytes) and return how it went."""

    async def run(
        guest: str | bytes, *, body: bytes | None = None, providers: tuple[str, ...] = (), **limits: int
    ) -> Observation:
        wasm = bytes(wat2wasm(guest)) if isinstance(guest, str) else guest
        content_hash = bundles.add(
            Bundle.from_files({"manifest.json": MANIFEST, "dist/main.wasm": wasm}), tenant_id="acme"
        )
        document: dict[str, Any] = {
            "context": {
                "tenant_id": "acme",
                "extension_id": "com.example.test",
                "install_id": "install-1",
                "version_id": "v1",
                "request_id": "request-1",
                "content_hash": content_hash,
            },
            "http": {"method": "POST", "path": "/test"},
            "providers": list(providers),
            "limits": limits,
        }
        if body is not None:
            document["http"]["body_b64"] = base64.b64encode(body).decode()
        return await runner.observe(ExecuteRequest.model_validate(document))

    return run


@pytest.fixture(scope="session")
def guest_wat() -> Callable[..., str]:
    """The text of a guest of ABI v1: give the handler's body, and what else the module needs.

    Memory: the reply ``{status: 200}`` stands at 0 and is ``$ok`` bytes long; data from ``data`` at 1024.
    """

    def build(
        handler: str = "(call $respond (i32.const 0) (global.get $ok))",
        *,
        imports: str = "",
        module: str = "",
        data: bytes = b"",
        pages: int = 1,
    ) -> str:
        ok = msgpack.packb({"status": 200})
        return f"""(module
          (import "alga:abi" "respond" (func $respond (param i32 i32)))
          {imports}
          (memory (export "memory") {pages})
          (global $ok i32 (i32.const {len(ok)}))
          (data (i32.const 0) "{_escaped(ok)}")
          (data (i32.const 1024) "{_escaped(data)}")
          (func (export "alga_abi_v1"))
          {module}
          (func (export "alga_handle") (param $length i32) {handler}))"""

    return build


def _escaped(data: bytes) -> str:
    return "".join(f"\\{byte:02x}" for byte in data)


@pytest.fixture(scope="session")
def slow_module() -> Callable[[int], bytes]:
    """A module that takes the compiler about 20 ms for each function: ten bytes declare 50,000 vectors."""

    def build(functions: int) -> bytes:
        return _module([b"\x60\0\0"], [b"\x01" + _unsigned(50_000) + b"\x7b\x0b"] * functions)

    return build


@pytest.fixture(scope="session")
def greedy_module() -> bytes:
    """Nine KiB that take the compiler 10 GiB: each of its loops hands on a thousand values."""
    thousand = _unsigned(1_000) + b"\x7f" * 1_000
    loops = b"\x03\x01\x41\0\x0d\0\x0b" * 600
    body = b"\0" + b"\x41\0" * 1_000 + loops + b"\x1a" * 1_000 + b"\x0b"
    return _module([b"\x60\0\0", b"\x60" + thousand + thousand], [body])


def _module(types: list[bytes], bodies: list[bytes]) -> bytes:
    """A module of functions without arguments, all of the first of ``types``."""
    sections = (
        (1, types),
        (3, [b"\0"] * len(bodies)),
        (10, [_unsigned(len(body)) + body for body in bodies]),
    )
    wasm = b"\0asm\1\0\0\0"
    for number, members in sections:
        content = _unsigned(len(members)) + b"".join(members)
        wasm += bytes([number]) + _unsigned(len(content)) + content
    return wasm


def _unsigned(number: int) -> bytes:
    """In LEB128."""
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*encoded, number])


@pytest.fixture(scope="session")
def as_text() -> Callable[[str], bytes]:
    """A string as AssemblyScript lays it out: its size in bytes, then UTF-16."""

    def encode(text: str) -> bytes:
        data = text.encode("utf-16-le")
        return struct.pack("<I", len(data)) + data

    return encode
