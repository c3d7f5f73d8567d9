"""What stands on the command line, checked and turned into values. Messages say what to type instead."""

from __future__ import annotations

import re
from collections.abc import Callable
from difflib import get_close_matches
from functools import wraps
from typing import Any, TypeVar
from urllib.parse import urlsplit

import click

from .failures import note_json
from .session import Session

_TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_DEFAULT_URL = "http://127.0.0.1:8090"

CommandT = TypeVar("CommandT", bound=Callable[..., Any])


class Capability(click.ParamType[str]):
    """A capability's name, with or without ``cap:``."""

    name = "capability"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The normalised name of a capability that exists."""
        from alga_runner.models import KNOWN_CAPABILITIES  # noqa: PLC0415 - not needed for help

        wanted = "cap:" + str(value).strip().lower().removeprefix("cap:")
        if wanted not in KNOWN_CAPABILITIES:
            nearest = get_close_matches(wanted, sorted(KNOWN_CAPABILITIES), n=1, cutoff=0.0)[0]
            self.fail(f"there is no capability {value!r}; the nearest known one is {nearest}.", param, ctx)
        return wanted


class Setting(click.ParamType[tuple[str, str]]):
    """``KEY=VALUE``; the value may be empty."""

    name = "setting"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        """The key and the value."""
        key, separator, text = str(value).partition("=")
        if not separator or not key.strip():
            self.fail(f"{value!r} is not KEY=VALUE.", param, ctx)
        return key.strip(), text


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


class ServerUrl(click.ParamType[str]):
    """Where a server answers."""

    name = "url"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The URL without a slash at its end."""
        text = str(value)
        try:
            url = urlsplit(text)
            usable = url.scheme in {"http", "https"} and url.hostname and url.port != 0
        except ValueError:
            usable = False
        if not usable or url.query or url.fragment or not text.isprintable():
            self.fail(f"{text!r} is not the URL of a server, such as {_DEFAULT_URL}.", param, ctx)
        if "@" in url.netloc:
            self.fail(
                "a URL with a password is for everyone to read; tokens come from the environment.", param, ctx
            )
        return text.rstrip("/")


def database_url(text: str) -> str:
    """The URL of ``--database``: what has no scheme is a file."""
    return text if "://" in text else f"sqlite:///{text}"


def tenant_option(command: CommandT) -> CommandT:
    """``--tenant``: whose installs a command works on."""
    option = click.option("--tenant", metavar="ID", type=Tenant(), required=True, help="The tenant.")
    return option(command)


def json_option(command: CommandT) -> CommandT:
    """``--json``: a document in place of a table."""
    option = click.option(
        "--json",
        "as_json",
        is_flag=True,
        callback=note_json,
        is_eager=True,
        help="Print one JSON document.",
    )
    return option(command)


def client(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command ``--server`` and ``--json``, and as its first argument the ``Session`` they make."""

    @click.option(
        "--server",
        "server_url",
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
