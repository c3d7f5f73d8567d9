"""A group of commands that imports a command when it is named, and reports every failure in one sentence."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from copy import copy
from difflib import get_close_matches
from functools import partial, wraps
from importlib import import_module
from typing import Any

import click

from ..environment import EnvironmentFault
from ..signals.interrupts import interruptible
from ..text import escape_controls
from .failures import Failure, print_document
from .streams import OutputFault, hold_standard_streams, is_left_reader, settle_standard_streams

INTERRUPTED = 130
_AS_JSON = "alga.as_json"

GROUP_SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 110}


def load(place: str) -> Any:
    """Import ``package.module:name`` now, so that a module which only declares commands stays quick to import."""
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)


class Commands(click.Group):
    """A group whose commands are imported when they are named.

    ``places`` maps a command to where it is: ``package.module:name``. ``check`` looks at the environment before any
    command starts. ``explain`` turns what a command raised into a ``Failure``. Exit status: 1 for a failure, 2 for bad
    usage (click's own), 130 for Ctrl-C (``signals``). With ``--debug`` the exception is raised, with its traceback.
    """

    def __init__(
        self,
        *arguments: Any,
        places: Mapping[str, str],
        check: Callable[[], None],
        explain: Callable[[Exception], Failure],
        **options: Any,
    ) -> None:
        super().__init__(*arguments, context_settings=GROUP_SETTINGS, **options)
        self._places = places
        self._check = check
        self._explain = explain

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands' names, in the order of ``places``."""
        return list(self._places)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command; ``None`` if no command has that name."""
        if cmd_name not in self._places:
            return None
        command: click.Command = copy(load(self._places[cmd_name]))
        if command.callback is not None:
            command.callback = self._checked(command.callback)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that is named first. Raises ``UsageError`` with the nearest name for another."""
        name = args[0]
        if name not in self._places and not name.startswith("-") and not ctx.resilient_parsing:
            nearest = get_close_matches(name, self._places, n=1)
            meant = f" Did you mean {nearest[0]!r}?" if nearest else ""
            raise click.UsageError(f"No such command {name!r}.{meant}", ctx)
        return super().resolve_command(ctx, args)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the options before the command. Raises ``UsageError`` for those that belong after it."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            raise click.UsageError(
                f"No such option {error.option_name!r} before the command; options of a command go after its name.",
                ctx,
            ) from None

    def _checked(self, callback: Callable[..., Any]) -> Callable[..., Any]:
        """Check the environment once the arguments are parsed: help is for everyone."""

        @wraps(callback)
        def checked(*arguments: Any, **options: Any) -> Any:
            self._check()
            return callback(*arguments, **options)

        return checked

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run the command line and exit, as click does; no standard stream that is closed or full is in the way."""
        run = partial(super().main, args, prog_name, complete_var, standalone_mode=False, **extra)
        if not standalone_mode:
            return run()
        hold_standard_streams()
        try:
            with interruptible():
                try:
                    status = self._status(run)
                finally:
                    settle_standard_streams()
        except KeyboardInterrupt:
            status = INTERRUPTED
        sys.exit(status)

    def _status(self, run: Callable[[], int | None]) -> int:
        try:
            return run() or 0
        except click.ClickException as error:
            with suppress(OSError):
                error.show()
            return error.exit_code
        except click.Abort:
            return INTERRUPTED
        except OutputFault as error:  # help, or the version
            report(unwritable(error))
            return 1

    def invoke(self, ctx: click.Context) -> None:
        """Run the command that ``ctx`` names."""
        exited: click.exceptions.Exit | None = None
        try:
            try:
                super().invoke(ctx)
            except click.exceptions.Exit as early:
                exited = early
            sys.stdout.flush()
        except BaseException as raised:
            error = _single(raised)
            if isinstance(error, KeyboardInterrupt):
                ctx.exit(INTERRUPTED)
            if isinstance(error, click.ClickException | SystemExit) or is_left_reader(error):
                raise error from None  # click ends these by itself
            if ctx.params.get("debug") or not isinstance(error, Exception):
                raise
            failure = self._explain(error)
            if ctx.meta.get(_AS_JSON):
                with suppress(OSError):
                    print_document({"error": failure.document()})
            report(failure)
            ctx.exit(1)
        if exited is not None:
            raise exited


def note_json(ctx: click.Context, _option: click.Parameter, value: bool) -> bool:
    """Remember that JSON is wanted, for failures that happen before any is printed. An option's callback."""
    ctx.meta[_AS_JSON] = value or ctx.meta.get(_AS_JSON, False)
    return value


def unwritable(error: OutputFault) -> Failure:
    """Describe a stdout that cannot be written."""
    return Failure(
        "output_unwritable",
        f"The result cannot be written to standard output: {error.strerror}.",
        hint="Look at what the command did before you repeat it.",
    )


def unexpected(error: Exception, program: str) -> Failure:
    """Describe an exception outside the package's error tree: the operating system's, or a fault of ``program``."""
    if isinstance(error, Failure):
        return error
    if isinstance(error, EnvironmentFault):
        return Failure(error.code, str(error), hint=error.hint)
    if isinstance(error, OutputFault):
        return unwritable(error)
    if isinstance(error, OSError):
        hint = (
            "The operating system refused that: check the file, its permissions and the space that is left."
        )
        return Failure("system_error", f"{error}.", hint=hint)
    hint = f"This is a fault of {program}; run it again as `{program} --debug ...` for a traceback."
    return Failure("internal", f"{type(error).__name__}: {error}", hint=hint)


def report(failure: Failure) -> None:
    """Print on stderr what happened, where, and what to do next."""
    say(f"error[{failure.code}]" if failure.code else "error", failure.sentence)
    for place in failure.places:
        say("  in", place, colon=False)
    for field, fault in failure.fields.items():
        if fault not in failure.sentence:
            say(f"  {field}", fault)
    say("hint", failure.hint)


def say(label: str, text: str, *, colon: bool = True) -> None:
    """Print one labelled line on stderr: an error, a hint, a warning. If it cannot be written it is lost."""
    is_error = label.startswith("error")
    colour = "red" if is_error else "cyan" if colon else None
    styled = click.style(label + (":" if colon else ""), fg=colour, bold=is_error)
    with suppress(OSError):
        click.echo(
            f"{styled} {escape_controls(text)}", err=True, color=False if os.environ.get("NO_COLOR") else None
        )


def _single(error: BaseException) -> BaseException:
    """Return what a task group wrapped; of several, the first."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
