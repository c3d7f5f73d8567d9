"""The replies that ``/v1/execute`` sends with HTTP 200, with the contract's strings (alga-contract 1.2 and 1.3)."""

from __future__ import annotations

import base64
from collections.abc import Sequence

from pydantic_core import to_json

from alga_common.text import utf8_tail
from alga_common.wire import MAX_ERROR_CHARACTERS

from ..capabilities import LogLine
from ..errors import (
    AlgaError,
    BodyNotBase64,
    BundleError,
    EngineError,
    ExecutionError,
    ModuleError,
    UnknownCapabilities,
)
from ..frames import stack_line
from ..models import ExecuteResponse, unknown_capabilities
from .http import Answer

_CONTRACT_DETAILS = ("archive hash mismatch: ", "verify_archive_sha256 fetch failed: ")
"""How details begin that the contract has (alga-contract 1.3): no code goes before them."""


def guest_reply(response: ExecuteResponse, log_tail: str | None = None) -> Answer:
    """The reply that carries the guest's response, of any status; and ``log_tail`` unless that is ``None``."""
    body = response.body_b64
    # Base64 has no character that JSON escapes, so the body need not be searched for one.
    parts = (
        b'{"status":%d,"headers":' % response.status,
        to_json(response.headers),
        b',"body_b64":null' if body is None else b',"body_b64":"%b"' % body.encode("ascii"),
        b',"error":null',
        b"" if response.header_list is None else b',"header_list":' + to_json(response.header_list),
        b"" if log_tail is None else b',"log_tail":' + to_json(log_tail),
        b"}",
    )
    return Answer(200, b"".join(parts), outcome="ok")


def failed_reply(status: int, error: str, log_tail: str | None = None) -> Answer:
    """A reply without a guest's response. ``error`` begins with one of the contract's strings."""
    if len(error) > MAX_ERROR_CHARACTERS:
        error = error[: MAX_ERROR_CHARACTERS - 1] + "…"
    document: dict[str, object] = {"status": status, "headers": {}, "body_b64": None, "error": error}
    if log_tail is not None:
        document["log_tail"] = log_tail
    return Answer(200, to_json(document), outcome=error.partition(":")[0])


def key_reused_reply() -> Answer:
    """The reply to a request whose idempotency key was used for another one. Callers pass on its status and body."""
    document = {
        "error": "idempotency_key_reused",
        "message": "The idempotency key was used for another request.",
    }
    body = base64.b64encode(to_json(document)).decode()
    reply = {"status": 409, "headers": {"content-type": "application/json"}, "body_b64": body}
    return Answer(200, to_json({**reply, "error": document["error"]}), outcome=document["error"])


def error_reply(error: AlgaError, providers: Sequence[str], log_tail: str | None = None) -> Answer:
    """The reply for an execution of a request with ``providers`` that ended with ``error``.

    It has ``log_tail`` unless that is ``None``.
    """
    sentence = _explained(error)
    coded = f"{error.code}: {sentence}"
    status = 500
    match error:
        case UnknownCapabilities():
            status, text = 400, f"unknown_capabilities: {', '.join(unknown_capabilities(providers))}"
        case BundleError() if str(error).startswith(_CONTRACT_DETAILS):
            status, text = 502, f"bundle_fetch_failed: {sentence}"
        case BundleError():
            status, text = 502, f"bundle_fetch_failed: {coded}"
        case EngineError():
            text = f"engine_init_failed: {coded}"
        case BodyNotBase64():
            text = f"execute_failed: invalid body base64: {sentence}"
        case _:
            text = f"execute_failed: {coded}"
    return failed_reply(status, text, log_tail)


def log_tail(lines: Sequence[LogLine], limit: int) -> str:
    """The end of a guest's log in at most ``limit`` bytes, a line each: ``error: no such customer``."""
    tail: list[str] = []
    size = 0
    for line in reversed(lines):
        if size >= limit:
            break
        tail.append(f"{line.level}: {line.message}")
        size += len(tail[-1]) + 1
    return utf8_tail("\n".join(reversed(tail)), limit)


def _explained(error: AlgaError) -> str:
    """The error's sentence; for a module or an execution the hint, too, and the guest's stack if it had one."""
    parts = [error.sentence()]
    if isinstance(error, ModuleError | ExecutionError):
        parts.append(error.hint)
    if isinstance(error, ExecutionError) and error.frames:
        parts.append(f"Stack: {stack_line(error.frames)}")
    return " ".join(parts)
