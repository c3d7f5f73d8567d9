"""A naive host of guest ABI v1 on wasmtime, and its adapter for ``alga-runner conformance --host``.

It is an example of the adapter's few lines, and of what a host looks like that never read the rules: the kit finds
where it breaks them. Run ``alga-runner conformance --host "python guest-abi/conformance/naive_host.py"``.
"""

from __future__ import annotations

import json
import sys
from functools import cache
from typing import Any

import msgpack
import wasmtime

CONFIG = wasmtime.Config()
CONFIG.consume_fuel = True
ENGINE = wasmtime.Engine(CONFIG)
FUEL = 20_000_000
"""Instructions of one execution: the one limit that this host has."""

LEVELS = ("debug", "info", "warn", "error")


@cache
def compiled(path: str) -> wasmtime.Module:
    """The module, compiled once."""
    return wasmtime.Module.from_file(ENGINE, path)


class Stopped(Exception):
    """The guest is to end with a code."""


def plain(value: Any) -> Any:
    """The request in Python: ``{"$bin": "00ff"}`` is bytes."""
    if isinstance(value, dict):
        return bytes.fromhex(value["$bin"]) if "$bin" in value else {k: plain(v) for k, v in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value


def as_json(value: Any) -> Any:
    """Bytes in JSON, and anything else as a text."""
    return {"$bin": value.hex()} if isinstance(value, bytes) else repr(value)


def execute(case: dict[str, Any]) -> dict[str, Any]:
    """One execution: what came of it."""
    store = wasmtime.Store(ENGINE)
    store.set_fuel(FUEL)
    linker = wasmtime.Linker(ENGINE)
    asked: list[Any] = []
    log: list[Any] = []
    state: dict[str, bytes] = {"request": msgpack.packb(plain(case["request"])), "reply": b""}

    def read(at: int, length: int) -> bytes:
        return bytes(memory.read(store, at, at + length))

    def give(document: bytes, at: int, room: int) -> int:
        if len(document) <= room:
            memory.write(store, document, at)
        return len(document)

    def respond(at: int, length: int) -> None:
        state["response"] = read(at, length)

    def fail(at: int, length: int) -> None:
        raise Stopped("guest_failed", read(at, length).decode())

    def call(operation: str, at: int, length: int, reply_at: int, room: int) -> int:
        document = msgpack.unpackb(read(at, length))
        if operation in case["answers"]:
            asked.append({"operation": operation, "input": document})
            state["reply"] = msgpack.packb(plain(case["answers"][operation]))
        else:
            state["reply"] = msgpack.packb({"err": {"code": "denied", "message": "no"}})
        return give(state["reply"], reply_at, room)

    try:
        module = compiled(case["wasm"])
        answers = {
            "alga:abi request": lambda at, room: give(state["request"], at, room),
            "alga:abi reply": lambda at, room: give(state["reply"], at, room),
            "alga:abi respond": respond,
            "alga:abi fail": fail,
            "alga:log emit": lambda level, at, length: log.append([LEVELS[level], read(at, length).decode()]),
        }
        for needed in module.imports:
            name = f"{needed.module} {needed.name}"
            operation = name.removeprefix("alga:").replace(" ", ".")
            answer = answers.get(name, lambda *given, operation=operation: call(operation, *given))
            linker.define(store, needed.module, needed.name, wasmtime.Func(store, needed.type, answer))
        instance = linker.instantiate(store, module)
        memory = instance.exports(store)["memory"]
        handle = instance.exports(store)["alga_handle"]
    except Exception as error:  # noqa: BLE001 - of any kind
        return {"refused": True, "message": str(error)}
    try:
        handle(store, len(state["request"]))
        given = msgpack.unpackb(state["response"])
        headers = [[header["name"], header["value"]] for header in given.get("headers") or ()]
        body = {"$bin": given["body"].hex()} if given.get("body") is not None else None
        outcome = {"response": {"status": given["status"], "headers": headers, "body": body}}
    except Stopped as stopped:
        outcome = {"ending": stopped.args[0], "message": stopped.args[1]}
    except Exception as error:  # noqa: BLE001 - of any kind
        outcome = {"ending": "guest_trap", "message": str(error)}
    return {**outcome, "asked": asked, "log": log}


def main() -> None:
    """Answer each case with a line."""
    for line in sys.stdin:
        sys.stdout.write(json.dumps(execute(json.loads(line)), default=as_json, skipkeys=True) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
