"""How errors of the runner are reported on the command line."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from alga_common.cli.commands import report as print_failure
from alga_common.cli.commands import unexpected
from alga_common.cli.failures import Failure

from ..errors import AdminRefused, AlgaError, ExecutionError, GuestAbort, GuestTrap
from ..frames import stack_lines

_FRAMES_SHOWN = 16


def explain(error: Exception) -> Failure:
    """Describe ``error``: its sentence, the guest's stack where it has one, and the next step."""
    if not isinstance(error, AlgaError):
        failure = unexpected(error, "alga-runner")
        failure.details = {"where": {}}
        return failure
    return Failure(
        error.code,
        str(error),
        hint=error.hint,
        sentence=error.sentence(),
        places=_places(error),
        details=_details(error),
    )


def report(error: Exception) -> None:
    """Print ``error`` on stderr."""
    print_failure(explain(error))


def error_document(error: Exception) -> dict[str, Any]:
    """Return ``error`` for machines."""
    return explain(error).document()


def _places(error: AlgaError) -> list[str]:
    lines = stack_lines(error.frames) if isinstance(error, ExecutionError) else []
    if len(lines) > _FRAMES_SHOWN:
        lines[_FRAMES_SHOWN:] = [f"{len(lines) - _FRAMES_SHOWN} more"]
    return lines


def _details(error: AlgaError) -> dict[str, Any]:
    details: dict[str, Any] = {"where": error.where}
    if isinstance(error, ExecutionError):
        details["frames"] = [asdict(frame) for frame in error.frames]
    if isinstance(error, GuestTrap):
        details["trapCode"] = error.trap_code
    if isinstance(error, GuestAbort):
        details["position"] = {"file": error.file, "line": error.line, "column": error.column}
    if isinstance(error, AdminRefused):
        details |= {"serverCode": error.server_code, "fieldErrors": error.field_errors}
    return details
