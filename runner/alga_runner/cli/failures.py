"""How commands fail: a sentence on stderr, an exit status, and no traceback."""

from __future__ import annotations

import os
import sys
from dataclasses import asdict
from typing import Any

import click

from ..errors import AdminRefused, AlgaError, ExecutionError, GuestAbort, GuestTrap
from ..frames import stack_lines
from .values import tame

INTERRUPTED = 130
_OUTPUT = "alga_runner.output"
_LINES_SHOWN = 16


class Failed(click.ClickException):
    """A command that did its work and found that something does not hold: a sentence, and exit status 1."""

    def show(self, file: Any = None) -> None:
        """Print the sentence."""
        failure(self.message)


class Commands(click.Group):
    """A group of commands in which every failure ends with a sentence.

    Exit status: 1 for a failure, 2 for bad usage (click's own), 130 for Ctrl-C. With ``--debug`` the exception goes
    on its way, traceback and all.
    """

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that ``ctx`` names."""
        try:
            value = super().invoke(ctx)
            sys.stdout.flush()
        except BaseException as raised:
            error = _single(raised)
            if isinstance(error, KeyboardInterrupt):
                ctx.exit(INTERRUPTED)
            if _clicks_own(error):
                raise error from None
            if ctx.params.get("debug") or not isinstance(error, Exception):
                raise
            if ctx.meta.get(_OUTPUT) == "json":
                _print_document(error)
            report(error)
            ctx.exit(1)
        return value


def note_output(ctx: click.Context, _option: click.Parameter, value: str) -> str:
    """Remember the chosen form of output, for failures that come before any."""
    ctx.meta[_OUTPUT] = value
    return value


def report(error: BaseException) -> None:
    """Say on stderr what happened, where in the guest, and what to do next."""
    if isinstance(error, OSError):
        failure(str(error))
        return
    if not isinstance(error, AlgaError):
        _say("error[internal]", f"{type(error).__name__}: {error}")
        _say(
            "hint",
            "This is a fault of alga-runner; run it again as `alga-runner --debug ...` for a traceback.",
        )
        return
    _say(f"error[{error.code}]", error.sentence())
    if isinstance(error, ExecutionError):
        lines = stack_lines(error.frames)
        for line in lines[:_LINES_SHOWN]:
            _say("  in", line, colon=False)
        if len(lines) > _LINES_SHOWN:
            _say("  in", f"{len(lines) - _LINES_SHOWN} more", colon=False)
    if error.hint:
        hint(error.hint)


def failure(text: str) -> None:
    """What went wrong where no error has a code for it, on stderr."""
    _say("error", text)


def hint(text: str) -> None:
    """A next step, on stderr."""
    _say("hint", text)


def error_document(error: BaseException) -> dict[str, Any]:
    """An error for machines."""
    if not isinstance(error, AlgaError):
        return {"code": "internal", "message": f"{type(error).__name__}: {error}", "hint": None, "where": {}}
    document: dict[str, Any] = {
        "code": error.code,
        "message": str(error),
        "hint": error.hint,
        "where": error.where,
    }
    if isinstance(error, ExecutionError):
        document["frames"] = [asdict(frame) for frame in error.frames]
    if isinstance(error, GuestTrap):
        document["trapCode"] = error.trap_code
    if isinstance(error, GuestAbort):
        document["position"] = {"file": error.file, "line": error.line, "column": error.column}
    if isinstance(error, AdminRefused):
        document |= {"serverCode": error.server_code, "fieldErrors": error.field_errors}
    return document


def _single(error: BaseException) -> BaseException:
    """What a task group wrapped; of several, the first."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _clicks_own(error: BaseException) -> bool:
    """Whether click ends the command by itself: usage, exit, a reader of the pipe that is gone."""
    return isinstance(error, click.ClickException | click.exceptions.Exit | SystemExit | BrokenPipeError)


def _print_document(error: BaseException) -> None:
    from .page import Page  # noqa: PLC0415 - rich only where something is printed

    Page().document({"error": error_document(error)})


def _say(what: str, text: str, *, colon: bool = True) -> None:
    colour = {"hint": "cyan"}.get(what, "red" if what.startswith("error") else None)
    label = click.style(what + (":" if colon else ""), fg=colour, bold=what.startswith("error"))
    click.echo(f"{label} {tame(text)}", err=True, color=None if _colours() else False)


def _colours() -> bool:
    return not os.environ.get("NO_COLOR")
