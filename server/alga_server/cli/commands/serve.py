"""``alga-server serve``: the server itself."""

from __future__ import annotations

import ipaddress
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click

from ..options import ServerUrl, database_url, json_option

if TYPE_CHECKING:
    from ...settings import ServerSettings

_HELP = """Run the Alga server until Ctrl-C or SIGTERM.

Once it answers it prints one line on stdout: alga-server listening on http://127.0.0.1:8090. Its log goes to stderr, in
JSON lines unless that is a terminal. The first SIGTERM or Ctrl-C lets calls under way finish, for 30 seconds; the
second ends them.

Tokens come from the environment (ALGA_SERVER_ADMIN_TOKEN for admins, ALGA_SERVER_GATEWAY_TOKEN for the gateway,
ALGA_SERVER_RUNNER_TOKEN for host calls, ALGA_SERVER_RUNNER_SERVICE_TOKEN for the runner) or, with --token-file, from a
file of such lines. A surface whose token is not set refuses every call. Every other setting has its variable too:
docs/settings.md.

\b
Examples:
  alga-server serve --dev
  alga-server serve --database alga.db --bundle-store bundles --token-file tokens.env
  alga-server serve --database alga.db --bundle-store bundles --host 0.0.0.0 --port 80 --runner-url http://runner:8080

--dev is for one machine: it listens on loopback only, makes up the tokens that are not set and prints them as lines to
paste into another terminal, keeps everything in memory and a temporary folder unless told otherwise, and lets
`alga-server clock` put its time forward.

Exit status: 0 after SIGTERM or Ctrl-C; 1 when it could not serve; 2 for bad usage; 128 and the signal's number when a
second signal cut it short.
"""


@click.command(help=_HELP, short_help="Run the server.")
@click.option(
    "--host", metavar="HOST", default="127.0.0.1", show_default=True, help="The address to listen on."
)
@click.option(
    "--port",
    metavar="PORT",
    type=click.IntRange(0, 65535),
    default=8090,
    show_default=True,
    help="The port to listen on; 0 takes a free one.",
)
@click.option(
    "--database",
    metavar="FILE",
    help="The database: a file, made if need be, or an SQLAlchemy URL.  [env: ALGA_SERVER_DATABASE_URL]",
)
@click.option(
    "--bundle-store",
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    help="Folder for the bundles of installs, where the runner fetches them.  [env: ALGA_SERVER_BUNDLE_STORE]",
)
@click.option(
    "--runner-url",
    metavar="URL",
    type=ServerUrl(),
    help="Where the runner answers.  [env: ALGA_SERVER_RUNNER_URL]",
)
@click.option(
    "--token-file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Lines such as ALGA_SERVER_ADMIN_TOKEN=...; they go before the environment.",
)
@click.option("--dev", is_flag=True, help="For development, on loopback only.")
@json_option
@click.pass_context
def serve(
    ctx: click.Context,
    *,
    host: str,
    port: int,
    database: str | None,
    bundle_store: Path | None,
    runner_url: str | None,
    token_file: Path | None,
    dev: bool,
    as_json: bool,
) -> None:
    """See ``_HELP``."""
    if dev and not _is_loopback(host):
        raise click.UsageError("--dev listens on loopback only: give --host 127.0.0.1, or leave --dev out.")

    from ...settings import ServerSettings  # noqa: PLC0415 - not needed for help
    from ..log_lines import log_to_stderr  # noqa: PLC0415
    from ..serving import listen, serve_until_signal, url_of  # noqa: PLC0415
    from ..tokens import made_tokens, read_tokens  # noqa: PLC0415

    given: dict[str, Any] = {
        "database_url": None if database is None else database_url(database),
        "bundle_store": None if bundle_store is None else bundle_store.absolute(),
        "runner_url": runner_url,
        "development": dev or None,
    }
    values = {name: value for name, value in given.items() if value is not None}
    if token_file is not None:
        values |= read_tokens(token_file)
    settings = ServerSettings.load(**values)
    if not dev and "database_url" not in settings.model_fields_set:
        raise click.UsageError(
            "Name the database, such as --database alga.db; or try things in memory with --dev."
        )
    with ExitStack() as stack:
        made = made_tokens(settings) if dev else {}
        values |= made
        if dev and settings.bundle_store is None:
            values["bundle_store"] = Path(stack.enter_context(TemporaryDirectory(prefix="alga-bundles-")))
        settings = ServerSettings.load(**values)
        log_to_stderr()
        listener = stack.enter_context(listen(host, port))
        url = url_of(listener)
        environment = _environment(url, settings, made) if dev else {}
        status = serve_until_signal(
            settings, listener, allow_clock=dev, ready=lambda: _announce(url, environment, as_json=as_json)
        )
    ctx.exit(status)


def _announce(url: str, environment: dict[str, str], *, as_json: bool) -> None:
    from ..page import Page  # noqa: PLC0415 - rich comes with it

    page = Page()
    if as_json:
        page.document({"url": url, "environment": environment})
        return
    for name, value in environment.items():
        page.line(f"export {name}={value}")
    page.line(f"alga-server listening on {url}")


def _environment(url: str, settings: ServerSettings, made: dict[str, str]) -> dict[str, str]:
    """What other terminals need: admins and callers of the gateway, then a runner on this machine."""
    from ..tokens import TOKENS  # noqa: PLC0415 - the settings come with it

    found = {"ALGA_SERVER_URL": url}
    found |= {TOKENS[name]: value for name, value in made.items() if name in {"admin_token", "gateway_token"}}
    found |= {"STORAGE_API_BASE_URL": url, "BUNDLE_STORE_BASE": str(settings.bundle_store)}
    of_runner = {"runner_token": "RUNNER_STORAGE_API_TOKEN", "runner_service_token": "RUNNER_SERVICE_TOKEN"}
    return found | {of_runner[name]: value for name, value in made.items() if name in of_runner}


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
