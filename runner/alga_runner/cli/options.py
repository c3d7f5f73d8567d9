"""What stands on the command line, checked and turned into values. Messages say what to type instead."""

from __future__ import annotations

import json
import re
from difflib import get_close_matches
from typing import Any, NoReturn

import click

from .failures import note_output

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD")


class Capability(click.ParamType[str]):
    """A capability's name, with or without ``cap:``."""

    name = "capability"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The normalised name of a capability that exists."""
        from ..models import KNOWN_CAPABILITIES  # noqa: PLC0415 - not needed for help

        wanted = "cap:" + str(value).strip().lower().removeprefix("cap:")
        if wanted not in KNOWN_CAPABILITIES:
            nearest = get_close_matches(wanted, sorted(KNOWN_CAPABILITIES), n=1, cutoff=0.0)[0]
            self.fail(f"there is no capability {value!r}; the nearest known one is {nearest}.", param, ctx)
        return wanted


class JsonText(click.ParamType[str]):
    """JSON, sent as it was typed."""

    name = "json"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The text, which is JSON."""
        text = str(value)
        try:
            json.loads(text, parse_constant=_no_constant)
        except json.JSONDecodeError as error:
            place = f"line {error.lineno}, column {error.colno}"
            rest = text[error.pos : error.pos + 20]
            near = f", before {rest!r}" if rest else ", where it ends"
            self.fail(f"not JSON at {place}{near}: {error.msg}.", param, ctx)
        except (ValueError, RecursionError) as error:
            self.fail(f"not JSON: {error}.", param, ctx)
        return text


class Pair(click.ParamType[tuple[str, str]]):
    """A name and a value with a separator between them."""

    name = "pair"

    def __init__(self, separator: str) -> None:
        self._separator = separator

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        """The name and the value."""
        if isinstance(value, tuple):
            return value
        name, separator, rest = str(value).partition(self._separator)
        if not separator or not name.strip() or not _encodable(str(value)):
            self.fail(f"{value!r} is not NAME{self._separator}VALUE in UTF-8.", param, ctx)
        return name.strip(), rest


class Header(Pair):
    """``name: value``."""

    name = "header"

    def __init__(self) -> None:
        super().__init__(":")

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        """The name in lower case and the trimmed value."""
        name, text = super().convert(value, param, ctx)
        if not _HEADER_NAME.fullmatch(name):
            self.fail(f"{name!r} cannot be the name of a header.", param, ctx)
        if not text.strip().isprintable():
            self.fail(f"the value of {name} holds characters that a header cannot.", param, ctx)
        return name.lower(), text.strip()


class Method(click.ParamType[str]):
    """An HTTP method, in any case."""

    name = "method"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The method in upper case."""
        method = str(value).upper()
        if method not in _METHODS:
            self.fail(f"{value!r} is not one of {', '.join(_METHODS)}.", param, ctx)
        return method


class Route(click.ParamType[str]):
    """A path of an extension, maybe with a query."""

    name = "route"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The route, which starts with a slash."""
        route = str(value)
        if not route.startswith("/"):
            self.fail(f"{route!r} does not start with a slash; try {'/' + route!r}.", param, ctx)
        if not _encodable(route):
            self.fail(f"{route!r} is not UTF-8.", param, ctx)
        return route


class Tenant(click.ParamType[str]):
    """A tenant's id."""

    name = "tenant"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """An id that a tenant can have."""
        if not _TENANT.fullmatch(str(value)):
            self.fail(
                f"{value!r} cannot be a tenant's id: letters, digits, and . _ - after the first.", param, ctx
            )
        return str(value)


class WorkerCount(click.ParamType[int]):
    """How many processes: a number, or ``auto`` for one for each core."""

    name = "count"
    MOST = 256

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number."""
        text = str(value).strip().lower()
        if text == "auto":
            from ..workers import usable_cores  # noqa: PLC0415 - not needed for help

            return min(usable_cores(), self.MOST)
        if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= self.MOST):
            self.fail(f"{value!r} is not a number from 1 to {self.MOST}, nor auto.", param, ctx)
        return int(text)


def _encodable(text: str) -> bool:
    """Whether the argument was UTF-8: Python keeps other bytes as lone surrogates."""
    return not any("\ud800" <= each <= "\udfff" for each in text)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"it holds {name}")


output_option = click.option(
    "--output",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    callback=note_output,
    is_eager=True,
    help="A report to read, or one JSON document.",
)
