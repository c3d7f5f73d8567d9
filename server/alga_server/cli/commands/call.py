"""``alga-server call``: one call of an endpoint through the gateway."""

from __future__ import annotations

import base64
from http import HTTPStatus
from shlex import quote
from typing import TYPE_CHECKING, Any

import click

from alga_common.cli.commands import say
from alga_common.cli.options import Method, Route, body_options, with_content_type
from alga_common.http.semantics import TO_GUEST
from alga_common.text import body_text, listed

from ..lookups import find_install
from ..options import client, tenant_option
from ..session import Session

if TYPE_CHECKING:
    import httpx

    from alga_common.cli.page import Page

    from ..admin import Admin

_CALL = """Call an endpoint of an install through the server's gateway, and print status, headers and body.

INSTALL is the extension's name, or the install's id. The call is the one that the session layer in front of the gateway
makes for a person: with the token in ALGA_SERVER_GATEWAY_TOKEN, for --tenant. Name a person with the headers
x-alga-user-id, x-alga-user-email, x-alga-user-name and x-alga-user-type. Hints name what would not reach the extension.

\b
Examples:
  alga-server call com.example.sync GET '/report?year=2026' --tenant acme
  alga-server call com.example.sync POST /configure --tenant acme --body '{"intervalHours": 6}'
  alga-server call com.example.sync POST /import --tenant acme --body @data.csv --header content-type:text/csv

Exit status: 0 when the answer has a status below 500; 1 when it has not, or nothing answers; 2 for bad usage.
"""

_OF_THE_GATEWAY = frozenset({"x-request-id", "x-idempotency-key"})
_OF_A_PERSON = "x-alga-user-"


@click.command(help=_CALL, short_help="Call an endpoint through the gateway.")
@click.argument("install")
@click.argument("method", type=Method())
@click.argument("route", type=Route())
@tenant_option
@body_options
@client
def call(
    session: Session,
    *,
    install: str,
    method: str,
    route: str,
    tenant: str,
    body: bytes | None,
    headers: tuple[tuple[str, str], ...],
) -> None:
    """See ``_CALL``."""
    given = with_content_type(headers, body)

    async def work(admin: Admin) -> tuple[Any, httpx.Response]:
        called = await find_install(admin, tenant, install)
        return called, await admin.gateway(
            tenant, called["extensionId"], method, route, headers=given, body=body
        )

    called, response = session.ask(work)

    def report(page: Page) -> None:
        page.line(f"{response.status_code} {_phrase(response.status_code)}".rstrip())
        for name, value in response.headers.multi_items():
            page.line(f"{name}: {value}")
        page.line()
        page.block(body_text(response.content))

    session.answer(_document(response), report)
    dropped = [
        name
        for name in given
        if name not in {*TO_GUEST, *_OF_THE_GATEWAY} and not name.startswith(_OF_A_PERSON)
    ]
    if dropped:
        say("hint", f"The gateway does not forward these headers to an extension: {listed(sorted(dropped))}.")
    if response.status_code == 401:
        say("hint", "ALGA_SERVER_GATEWAY_TOKEN must be the token that the server was started with.")
    if not called["enabled"]:
        name = called["extensionName"]
        say(
            "hint",
            f"The install is disabled; `alga-server enable {name} --tenant {quote(tenant)}` enables it.",
        )
    if response.status_code >= 500:
        request_id = response.headers.get("x-request-id", "")
        say(
            "hint",
            f"A caller sees no more than this; the server's log has the cause, at request {request_id}.",
        )
        click.get_current_context().exit(1)


def _document(response: httpx.Response) -> dict[str, Any]:
    try:
        text, encoded = response.content.decode(), None
    except UnicodeDecodeError:
        text, encoded = None, base64.b64encode(response.content).decode()
    headers = dict(response.headers)
    return {"status": response.status_code, "headers": headers, "body": text, "bodyBase64": encoded}


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
