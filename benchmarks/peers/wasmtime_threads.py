"""wasmtime-py as its documentation has it used: a store and an instance for each request, in threads."""

from __future__ import annotations

import asyncio
import threading

from wasmtime import Caller, Engine, Func, FuncType, Linker, Memory, Module, Store, ValType

from ..contestants.workload import GUESTS
from .messages import answer_json, guest_input
from .serving import answering, serve

engine = Engine()
linker = Linker(engine)
thread = threading.local()
"""``request`` and ``response`` of the guest that runs in this thread."""


def request(caller: Caller, at: int, capacity: int) -> int:
    """``alga:abi request``: copy the request document into the guest."""
    memory = caller["memory"]
    assert isinstance(memory, Memory)  # noqa: S101 - the ABI has it so
    if len(thread.request) <= capacity:
        memory.write(caller, thread.request, at)
    return len(thread.request)


def respond(caller: Caller, at: int, length: int) -> None:
    """``alga:abi respond``: take the response document."""
    memory = caller["memory"]
    assert isinstance(memory, Memory)  # noqa: S101 - the ABI has it so
    thread.response = bytes(memory.read(caller, at, at + length))


i32 = ValType.i32()
linker.define_func("alga:abi", "request", FuncType([i32, i32], [i32]), request, access_caller=True)
linker.define_func("alga:abi", "respond", FuncType([i32, i32], []), respond, access_caller=True)
module = Module(engine, (GUESTS / "alga.wasm").read_bytes())
linker.define_unknown_imports_as_traps(module)
guest = linker.instantiate_pre(module)


def execute(body: bytes) -> bytes:
    """Handle one execute request in a fresh instance."""
    thread.request = guest_input(body)
    store = Store(engine)
    handle = guest.instantiate(store).exports(store)["alga_handle"]
    assert isinstance(handle, Func)  # noqa: S101 - the ABI has it so
    handle(store, len(thread.request))
    store.close()
    return answer_json(thread.response)


async def execute_in_thread(body: bytes) -> bytes:
    """The same, next to the event loop."""
    return await asyncio.get_running_loop().run_in_executor(None, execute, body)


if __name__ == "__main__":
    serve(answering(execute_in_thread))
