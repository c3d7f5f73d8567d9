"""Types and options of a command line. Their messages say what to type instead."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from ..capabilities import KNOWN_CAPABILITIES
from ..environment import variable
from ..http.semantics import METHODS, is_header_name
from ..time import parse_duration, parse_instant, parse_since
from ..wire import is_tenant_id
from .commands import note_json, say
from .failures import Failure
from .streams import why

MAX_BODY_BYTES = 64 * 1024 * 1024
"""Bytes of a body that are read before any server judges its size."""

CommandT = TypeVar("CommandT", bound=Callable[..., Any])

if TYPE_CHECKING:
    ParamType = click.ParamType
else:

    class ParamType(click.ParamType):
        """click's, which takes the type that it returns from version 8.4 on."""

        def __class_getitem__(cls, _: object) -> type:
            return cls


class VariableOption(click.Option):
    """An option with ``envvar``; of several variables the first that is set counts, and a blank one is not set."""

    def resolve_envvar_value(self, ctx: click.Context) -> str | None:
        """Return the value of the first variable that is set."""
        name = self._variable()
        return None if name is None else variable(name)

    def get_error_hint(self, ctx: click.Context | None) -> str:
        """Name the option, and the variable if the value is from one."""
        hint = super().get_error_hint(ctx)
        source = ctx.get_parameter_source(self.name or "") if ctx is not None else None
        return f"{hint} ({self._variable()})" if source is ParameterSource.ENVIRONMENT else hint

    def _variable(self) -> str | None:
        names = [self.envvar] if isinstance(self.envvar, str) else self.envvar or ()
        return next(filter(variable, names), None)


class GivenText(ParamType[str]):
    """Text that is not blank: ``--host "$HOST"`` without a ``HOST`` is a mistake, not every address."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the text."""
        if not str(value).strip():
            self.fail("it is empty; give a value, or leave the option out.", param, ctx)
        return str(value)


class GivenPath(click.Path):
    """A path that is not blank, which would mean the current folder."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path."""
        return super().convert(GivenText().convert(value, param, ctx), param, ctx)


class Capability(ParamType[str]):
    """A capability's name, with or without ``cap:``."""

    name = "capability"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the normalised name of a capability that exists."""
        name = "cap:" + str(value).strip().lower().removeprefix("cap:")
        if name not in KNOWN_CAPABILITIES:
            nearest = get_close_matches(name, sorted(KNOWN_CAPABILITIES), n=1, cutoff=0.0)[0]
            self.fail(f"there is no capability {value!r}; the nearest known one is {nearest}.", param, ctx)
        return name


class Tenant(ParamType[str]):
    """A tenant's id."""

    name = "tenant"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return an id that a tenant can have."""
        if not is_tenant_id(str(value)):
            self.fail(
                f"{value!r} cannot be a tenant's id: letters, digits, and . _ - after the first.", param, ctx
            )
        return str(value)


class Duration(ParamType[timedelta]):
    """A duration such as ``6h`` or ``1d12h``."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """Return the duration."""
        try:
            return parse_duration(str(value))
        except ValueError as error:
            self.fail(f"{error}.", param, ctx)


class Instant(ParamType[datetime]):
    """An instant; UTC where it names no zone."""

    name = "instant"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Return an aware instant."""
        try:
            return parse_instant(str(value))
        except ValueError:
            self.fail(f"{value!r} is not an instant such as 2026-03-29T02:30:00Z.", param, ctx)


class Since(ParamType[str]):
    """An instant, or a duration before now. The text is sent as it is: the server's clock decides when now is."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the text, which can be read."""
        try:
            parse_since(str(value), datetime.now(UTC))
        except ValueError as error:
            self.fail(f"{error}.", param, ctx)
        return str(value)


class Pair(ParamType[tuple[str, str]]):
    """A name and a value with a separator between them; a fault does not quote one that is a ``secret``."""

    name = "pair"

    def __init__(self, separator: str = "=", *, secret: bool = False) -> None:
        self._separator = separator
        self._secret = secret

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        """Return the trimmed name, and the value, which may be empty."""
        if isinstance(value, tuple):
            return value
        name, separator, rest = str(value).partition(self._separator)
        if not separator or not name.strip() or not is_utf8(str(value)):
            self.fail(
                f"{'it' if self._secret else repr(value)} is not NAME{self._separator}VALUE in UTF-8.",
                param,
                ctx,
            )
        return name.strip(), rest


class BodyText(ParamType[bytes]):
    """A body: text as it was typed, ``@FILE`` for what a file has, ``@-`` for standard input."""

    name = "body"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> bytes:
        """Return the bytes, at most ``MAX_BODY_BYTES``."""
        text = str(value)
        if not text.startswith("@"):
            return os.fsencode(text)
        with click.File("rb").convert(text[1:], param, ctx) as file:
            body = _read(file)
        if len(body) > MAX_BODY_BYTES:
            self.fail(f"the body is larger than {MAX_BODY_BYTES} bytes.", param, ctx)
        return body


def _read(file: IO[bytes]) -> bytes:
    try:
        body: bytes = file.read(MAX_BODY_BYTES + 1)
    except OSError as error:
        place = "standard input" if file.fileno() == 0 else file.name
        raise Failure(
            "system_error",
            f"The body cannot be read from {place}: {why(error)}.",
            hint="Name a file that this user can read, or give the text itself.",
        ) from None
    return body


class Header(Pair):
    """``name: value``."""

    name = "header"

    def __init__(self) -> None:
        super().__init__(":")

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        """Return the name in lower case and the trimmed value."""
        name, text = super().convert(value, param, ctx)
        if not is_header_name(name):
            self.fail(f"{name!r} cannot be the name of a header.", param, ctx)
        if not (text.isascii() and text.strip().isprintable()):
            self.fail(f"the value of {name} holds characters that a header cannot.", param, ctx)
        return name.lower(), text.strip()


class Method(ParamType[str]):
    """An HTTP method, in any case."""

    name = "method"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the method in upper case."""
        method = str(value).upper()
        if method not in METHODS:
            self.fail(f"{value!r} is not one of {', '.join(METHODS)}.", param, ctx)
        return method


class Route(ParamType[str]):
    """A path of an extension, maybe with a query."""

    name = "route"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the route, which starts with a slash."""
        route = str(value)
        if not route.startswith("/"):
            self.fail(f"{route!r} does not start with a slash; try {'/' + route!r}.", param, ctx)
        if not is_utf8(route):
            self.fail(f"{route!r} is not UTF-8.", param, ctx)
        return route


def is_utf8(text: str) -> bool:
    """Whether an argument was UTF-8: Python keeps other bytes as lone surrogates."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


def grants_option(*, required: bool = False) -> Callable[[CommandT], CommandT]:
    """Return a decorator that adds ``--grant``, as ``grants``: capabilities by name."""
    return click.option(
        "--grant",
        "grants",
        metavar="CAPABILITY",
        type=Capability(),
        multiple=True,
        required=required,
        help="A capability that the manifest declares, such as scheduler.manage. May be repeated.",
    )


def config_option(command: CommandT) -> CommandT:
    """Add ``--config``: values of an install's configuration."""
    option = click.option(
        "--config",
        metavar="KEY=VALUE",
        type=Pair(),
        multiple=True,
        help="Set a value of the install's configuration. May be repeated.",
    )
    return option(command)


def body_options(command: CommandT) -> CommandT:
    """Add ``--body`` and ``--header``, as ``body`` and ``headers``."""
    body = click.option(
        "--body",
        metavar="TEXT|@FILE",
        type=BodyText(),
        help="Send this text as the body, or what a file has; @- is stdin. JSON gets its content-type.",
    )
    header = click.option(
        "--header", "headers", metavar="NAME:VALUE", type=Header(), multiple=True, help="Send a header."
    )
    return body(header(command))


def with_content_type(headers: Iterable[tuple[str, str]], body: bytes | None) -> dict[str, str]:
    """Return the headers, with the content type of JSON where ``body`` is an object or a list, unless one is given."""
    given = dict(headers)
    if body is not None and "content-type" not in given and body.lstrip()[:1] in {b"{", b"["}:
        try:
            json.loads(body)
        except (ValueError, RecursionError) as error:
            say("hint", f"The body begins like JSON and is not ({error}); it is sent without a content-type.")
        else:
            given["content-type"] = "application/json"
    return given


def json_option(command: CommandT) -> CommandT:
    """Add ``--json``: one JSON document in place of a report."""
    option = click.option(
        "--json",
        "as_json",
        is_flag=True,
        callback=note_json,
        is_eager=True,
        help="Print one JSON document.",
    )
    return option(command)
