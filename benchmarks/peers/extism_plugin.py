"""Extism as its documentation has it used: a compiled plugin, and host functions from bytes to bytes."""

from __future__ import annotations

import extism
from extism.extism import CompiledPlugin  # where 1.1.1 keeps it; its documentation has extism.CompiledPlugin

from ..contestants.workload import REPLIES, extism_guest


@extism.host_fn()  # type: ignore[untyped-decorator, unused-ignore]
def scheduler_create(request: bytes) -> bytes:
    """Answer with an id."""
    return REPLIES["create"]


@extism.host_fn()  # type: ignore[untyped-decorator, unused-ignore]
def scheduler_list(request: bytes) -> bytes:
    """Answer with one schedule."""
    return REPLIES["list"]


compiled = CompiledPlugin(extism_guest())
reused = extism.Plugin(compiled)


def call_fresh(given: bytes) -> bytes:
    """Call the guest in a plugin of its own: nothing that it leaves is there for the next call."""
    output: bytes = extism.Plugin(compiled).call("handle", given)
    return output


def call_reused(given: bytes) -> bytes:
    """Call the guest in the one plugin that all calls share."""
    output: bytes = reused.call("handle", given)
    return output
