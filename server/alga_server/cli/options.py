"""Types and options of ``alga-server``. Their messages name what to type instead."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from alga_common.cli.commands import load
from alga_common.cli.options import CommandT, GivenPath, ParamType, Tenant, VariableOption, json_option

from .session import Session

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_DEFAULT_URL = "http://127.0.0.1:8090"


class ServerUrl(ParamType[str]):
    """The URL of a server."""

    name = "url"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the URL without a slash at its end."""
        text = str(value)
        if "@" in text:
            self.fail(
                "a URL with a password is for everyone to read; tokens come from the environment.", param, ctx
            )
        try:
            url = urlsplit(text)
            usable = url.scheme in {"http", "https"} and url.hostname and url.port != 0
        except ValueError:
            usable = False
        if not usable or url.query or url.fragment or not text.isprintable():
            self.fail(f"{text!r} is not the URL of a server, such as {_DEFAULT_URL}.", param, ctx)
        return text.rstrip("/")


class DatabaseUrl(ParamType[str]):
    """``--database``: text that begins with a scheme is a URL, ``:memory:`` SQLite's memory, any other a file."""

    name = "file"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the URL of exactly that database."""
        text = str(value)
        if not text:
            self.fail("an empty text names no database; give a file, such as alga.db.", param, ctx)
        if text == ":memory:":
            return "sqlite://"
        return text if _SCHEME.match(text) else load("alga_server.storage.sqlite:sqlite_url")(Path(text))


def tenant_option(command: CommandT) -> CommandT:
    """Add ``--tenant``: whose installs a command works on."""
    option = click.option("--tenant", metavar="ID", type=Tenant(), required=True, help="The tenant.")
    return option(command)


def server_options(command: CommandT) -> CommandT:
    """Add the options with which a server is started: ``--database``, ``--bundle-store`` and so on."""
    for option in reversed(_SERVER_OPTIONS):
        command = option(command)
    return command


_SERVER_OPTIONS = (
    click.option(
        "--database",
        metavar="FILE",
        type=DatabaseUrl(),
        help="The database: a file, made if need be, or an SQLAlchemy URL.  [env: ALGA_SERVER_DATABASE_URL]",
    ),
    click.option(
        "--bundle-store",
        metavar="FOLDER",
        type=GivenPath(),
        help="Folder for the bundles of installs, where the runner fetches them.  [env: ALGA_SERVER_BUNDLE_STORE]",
    ),
    click.option(
        "--runner-url",
        metavar="URL",
        type=ServerUrl(),
        help="Where the runner answers.  [env: ALGA_SERVER_RUNNER_URL]",
    ),
    click.option(
        "--token-file",
        metavar="FILE",
        type=GivenPath(),
        help="Lines such as ALGA_SERVER_ADMIN_TOKEN=...; they go before the environment.",
    ),
)


def client(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command ``--server`` and ``--json``, and as its first argument the ``Session`` they make."""

    @click.option(
        "--server",
        "server_url",
        cls=VariableOption,
        metavar="URL",
        type=ServerUrl(),
        envvar="ALGA_SERVER_URL",
        default=_DEFAULT_URL,
        help=f"Where the server answers.  [env: ALGA_SERVER_URL; default: {_DEFAULT_URL}]",
    )
    @json_option
    @click.pass_obj
    @wraps(command)
    def with_session(obj: Any, /, *, server_url: str, as_json: bool, **values: Any) -> None:
        command(Session(server_url, as_json=as_json, transport=obj), **values)

    return with_session
