"""Small extensions, written where they are tested."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgpack
import pytest

from alga_runner.bundles import Bundle
from tests.support.bundles import make_bundle, manifest_api

Build = Callable[..., Bundle]

_HEAD = b"\x82\xa6status\xcc\xc8\xa4body\xc6\x00\x00\x00\x00"
_BODY = _SCHEDULE = 1024 + len(_HEAD)
_REQUEST = '(import "alga:abi" "request" (func $request (param i32 i32) (result i32)))'
_ECHO = f"""
    (drop (call $request (i32.const {_BODY}) (i32.const 60000)))
    (i32.store8 (i32.const {_BODY - 2}) (i32.shr_u (local.get $length) (i32.const 8)))
    (i32.store8 (i32.const {_BODY - 1}) (local.get $length))
    (call $respond (i32.const 1024) (i32.add (i32.const {len(_HEAD)}) (local.get $length)))"""


@pytest.fixture(scope="session")
def extension(guest_wat: Callable[..., str]) -> Build:
    """An extension with ``endpoints``, each a method and a path, whose guest runs ``handler``."""

    def build(handler: str, *, endpoints: Sequence[str] = ("POST /run",), **guest: Any) -> Bundle:
        return make_bundle(
            guest_wat(handler, **guest),
            name="com.example.items",
            capabilities=["cap:scheduler.manage"],
            api=manifest_api(*endpoints),
        )

    return build


@pytest.fixture(scope="session")
def echo(extension: Build) -> Callable[..., Bundle]:
    """An extension that logs a line and answers with the request it got, as MessagePack."""
    handler = "(call $emit (i32.const 1) (i32.const 1026) (i32.const 6))" + _ECHO
    imports = '(import "alga:log" "emit" (func $emit (param i32 i32 i32)))' + _REQUEST

    def build(*endpoints: str) -> Bundle:
        return extension(handler, endpoints=endpoints or ("POST /run",), imports=imports, data=_HEAD)

    return build


@pytest.fixture(scope="session")
def creating(extension: Build) -> Callable[..., Bundle]:
    """An extension that creates a schedule in each execution, and then answers with the request it got."""

    def build(schedule: dict[str, Any], *endpoints: str) -> Bundle:
        document = msgpack.packb(schedule)
        return extension(
            f"(drop (call $create (i32.const {_SCHEDULE}) (i32.const {len(document)}) (i32.const 0) (i32.const 0)))"
            + _ECHO,
            endpoints=endpoints,
            imports='(import "alga:scheduler" "create" (func $create (param i32 i32 i32 i32) (result i32)))'
            + _REQUEST,
            data=_HEAD + document,
        )

    return build


@pytest.fixture(scope="session")
def responding(extension: Build) -> Callable[..., Bundle]:
    """An extension that answers ``document``."""

    def build(document: object, *endpoints: str) -> Bundle:
        data = msgpack.packb(document)
        return extension(
            f"(call $respond (i32.const 1024) (i32.const {len(data)}))",
            endpoints=endpoints or ("POST /run",),
            data=data,
        )

    return build
