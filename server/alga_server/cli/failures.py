"""How commands fail: ``error[code]: sentence`` and a hint on stderr, an exit status, and no traceback."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any

import click

INTERRUPTED = 130
_AS_JSON = "alga_server.as_json"


class Failure(Exception):
    """A command cannot do what it was asked to.

    ``code`` is stable (docs/alga-server.md); where a server refused it is the server's own. ``fields`` maps a field of
    the request to what is wrong with it.
    """

    def __init__(
        self, code: str, message: str, *, hint: str | None = None, fields: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.hint = hint
        self.fields = dict(fields or {})


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
            if isinstance(error, click.ClickException | click.exceptions.Exit | SystemExit | BrokenPipeError):
                raise error from None  # click ends these by itself
            if ctx.params.get("debug") or not isinstance(error, Exception):
                raise
            _report(as_failure(error), as_json=bool(ctx.meta.get(_AS_JSON)))
            ctx.exit(1)
        return value


def note_json(ctx: click.Context, _option: click.Parameter, value: bool) -> bool:
    """Remember that JSON is wanted, for failures that come before any."""
    ctx.meta[_AS_JSON] = value
    return value


def as_failure(error: Exception) -> Failure:
    """Any exception as what a terminal is told."""
    from alga_runner.errors import AlgaError  # noqa: PLC0415 - not needed for help

    from ..errors import ServerError  # noqa: PLC0415

    if isinstance(error, Failure):
        return error
    if isinstance(error, AlgaError):
        return Failure(error.code, error.sentence(), hint=error.hint)
    if isinstance(error, ServerError):
        return Failure(error.code, f"{error}.")
    if isinstance(error, OSError):
        return Failure("system_error", f"{error}.")
    hint = "This is a fault of alga-server; run it again as `alga-server --debug ...` for a traceback."
    return Failure("internal", f"{type(error).__name__}: {error}", hint=hint)


def say(label: str, text: str) -> None:
    """One labelled line on stderr: an error, a hint, a warning."""
    from .page import tame  # noqa: PLC0415 - rich comes with it

    colour = "red" if label.startswith("error") else "cyan"
    styled = click.style(label + ":", fg=colour, bold=label.startswith("error"))
    click.echo(f"{styled} {tame(text)}", err=True, color=False if os.environ.get("NO_COLOR") else None)


def _report(failure: Failure, *, as_json: bool) -> None:
    if as_json:
        from .page import Page  # noqa: PLC0415 - rich comes with it

        document = {
            "code": failure.code,
            "message": str(failure),
            "hint": failure.hint,
            "fieldErrors": failure.fields,
        }
        Page().document({"error": document})
    say(f"error[{failure.code}]", str(failure))
    for field, fault in failure.fields.items():
        if fault not in str(failure):
            say(f"  {field}", fault)
    if failure.hint:
        say("hint", failure.hint)


def _single(error: BaseException) -> BaseException:
    """What a task group wrapped; of several, the first."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
