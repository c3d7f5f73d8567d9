"""An invocation's outcome, to read or as JSON."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from alga_common.cli.commands import say
from alga_common.cli.failures import print_document
from alga_common.cli.page import Page
from alga_common.text import body_text, counted, escape_controls, milliseconds, one_line

from ...capabilities import HostCallRecord
from ...execution.observation import Observation
from ...models import ExecuteResponse
from ..failures import error_document, report
from .invocation import Invocation, Outcome, carry_out

_VALUE_CHARACTERS = 2_000
"""How much of one host call's arguments or reply is shown; the JSON document has all of it."""


def invoke(invocation: Invocation, *, as_json: bool) -> bool:
    """Carry out ``invocation`` and print how it went; whether the extension responded with a status below 500."""
    outcome = carry_out(invocation)
    if as_json:
        _print_json(outcome)
    else:
        _print_text(outcome)
    _print_troubles(outcome)
    return outcome.succeeded


def _print_text(outcome: Outcome) -> None:
    """Print response, log, host calls and a summary."""
    page = Page()
    observation = outcome.observation
    if observation.response is not None:
        _print_response(page, observation.response)
    if observation.log:
        page.heading("Log")
        rows = [(line.level, line.message + (" (cut)" if line.truncated else "")) for line in observation.log]
        for level, message in rows:
            page.line(f"  {level:<5}  {message}", style={"warn": "yellow", "error": "red"}.get(level, ""))
    if calls := _besides_log(observation.host_calls):
        page.heading("Host calls")
        for call in calls:
            _print_call(page, call)
    page.gap()
    page.line(_summary(outcome), style="green" if outcome.succeeded else "red")


def _print_json(outcome: Outcome) -> None:
    observation, invocation = outcome.observation, outcome.invocation
    print_document(
        {
            "succeeded": outcome.succeeded,
            "extension": {
                "name": outcome.manifest.name,
                "version": outcome.manifest.version,
                "contentHash": outcome.content_hash,
            },
            "request": {
                "method": invocation.method,
                "route": invocation.route,
                "tenant": invocation.tenant_id,
                "grants": sorted(invocation.grants),
            },
            "response": _response_document(observation),
            "droppedHeaders": {
                "request": outcome.dropped_headers,
                "response": list(observation.dropped_headers),
            },
            "error": error_document(observation.error) if observation.error else None,
            "log": [
                {"level": line.level, "message": line.message, "truncated": line.truncated}
                for line in observation.log
            ],
            "hostCalls": [_call_document(call) for call in observation.host_calls],
            "systemCalls": observation.system_calls,
            "durationMs": round(observation.duration_s * 1000, 3),
            "hints": outcome.next_steps(),
        }
    )


def _print_response(page: Page, response: ExecuteResponse) -> None:
    colour = "green" if response.status < 400 else "yellow" if response.status < 500 else "red"
    page.line(f"{response.status} {_phrase(response.status)}".rstrip(), style=f"bold {colour}")
    for name, value in response.header_pairs():
        page.line(f"{name}: {value}", style="dim")
    page.line()
    page.block(body_text(response.body()))


def _print_call(page: Page, call: HostCallRecord) -> None:
    style = "" if call.status == "ok" else "yellow"
    page.line(f"  {call.operation}  {call.status}  {milliseconds(call.duration_s)}", style=style)
    if call.elided:
        page.line("    (arguments and reply were not kept: the execution's records are full)")
        return
    page.line(f"    -> {_shown(call.arguments, 'was not decoded')}")
    page.line(f"    <- {_shown(call.reply, 'no reply')}")


def _shown(value: Any, nothing: str) -> str:
    return f"({nothing})" if value is None else one_line(value, _VALUE_CHARACTERS)


def _summary(outcome: Outcome) -> str:
    observation = outcome.observation
    response, error = observation.response, observation.error
    calls = _besides_log(observation.host_calls)
    refused = sum(call.status != "ok" for call in calls)
    counts = counted(len(calls), "host call") + (f" ({refused} refused)" if refused else "")
    counts += f", {counted(len(observation.log), 'log line')}"
    if observation.system_calls:
        counts += f", {counted(observation.system_calls, 'system call')}"
    ending = f"responded with {response.status}" if response else f"failed ({error.code if error else ''})"
    call = f"{outcome.invocation.method} {outcome.invocation.route}"
    extension = f"{outcome.manifest.name} {outcome.manifest.version}"
    return f"{call} of {extension} {ending} after {milliseconds(observation.duration_s)}: {counts}."


def _print_troubles(outcome: Outcome) -> None:
    """Print on stderr what went wrong and what would help."""
    observation = outcome.observation
    if observation.error is not None:
        report(observation.error)
    elif observation.response is not None and not outcome.succeeded:
        say("error", f"The extension responded with status {observation.response.status}.")
    for step in outcome.next_steps():
        say("hint", step)
    if dropped := outcome.dropped_headers:
        say("hint", f"Alga's gateway does not forward these headers to an extension: {', '.join(dropped)}.")
    if unseen := observation.dropped_headers:
        names = escape_controls(", ".join(unseen))
        say("hint", f"A caller does not see these headers of the response through the gateway: {names}.")


def _besides_log(calls: Sequence[HostCallRecord]) -> list[HostCallRecord]:
    """Host calls without those that are shown as log lines."""
    return [call for call in calls if call.operation != "log.emit" or call.status != "ok"]


def _response_document(observation: Observation) -> dict[str, Any] | None:
    if (response := observation.response) is None:
        return None
    body = response.body()
    try:
        text, encoded = body.decode(), None
    except UnicodeDecodeError:
        text, encoded = None, base64.b64encode(body).decode()
    return {
        "status": response.status,
        "headers": response.headers,
        "headerList": [list(pair) for pair in observation.given_headers],
        "body": text,
        "bodyBase64": encoded,
    }


def _call_document(call: HostCallRecord) -> dict[str, Any]:
    return {
        "number": call.number,
        "operation": call.operation,
        "status": call.status,
        "arguments": call.arguments,
        "reply": call.reply,
        "durationMs": round(call.duration_s * 1000, 3),
        "elided": call.elided,
    }


def _phrase(status: int) -> str:
    try:
        return escape_controls(HTTPStatus(status).phrase)
    except ValueError:
        return ""
