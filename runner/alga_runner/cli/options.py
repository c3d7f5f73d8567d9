"""Types and options of ``alga-runner`` alone. Their messages say what to type instead."""

from __future__ import annotations

import json
from typing import Any, NoReturn

import click

from alga_common.cli.commands import load, note_json
from alga_common.cli.options import GivenText, Pair, ParamType, is_utf8
from alga_common.http.semantics import METHODS, is_header_name


class JsonText(ParamType[str]):
    """JSON, sent as it was typed."""

    name = "json"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the text, which is JSON."""
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


class WorkerCount(ParamType[int]):
    """How many processes: a number, or ``auto`` for one for each core."""

    name = "count"
    MOST = 256

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number."""
        text = str(value).strip().lower()
        if text == "auto":
            cores: int = load("alga_runner.workers:usable_cores")()
            return min(cores, self.MOST)
        if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= self.MOST):
            self.fail(f"{value!r} is not a number from 1 to {self.MOST}, nor auto.", param, ctx)
        return int(text)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"it holds {name}")


def _note_output(ctx: click.Context, option: click.Parameter, value: str) -> str:
    note_json(ctx, option, value == "json")
    return value


output_option = click.option(
    "--output",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    callback=_note_output,
    is_eager=True,
    help="A report to read, or one JSON document.",
)

bundle_store_option = click.option(
    "--bundle-store",
    metavar="FOLDER",
    type=GivenText(),
    help="Where extensions are published, as a path or a file:// URL.  [env: BUNDLE_STORE_BASE]",
)

server_url_option = click.option(
    "--server-url",
    metavar="URL",
    type=GivenText(),
    help="The Alga server that answers host calls.  [env: STORAGE_API_BASE_URL]",
)
