"""A server on a socket, until a signal ends it."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import signal
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio
import click
import uvicorn

from alga_common.audit import program_log
from alga_common.cli.commands import say
from alga_common.cli.failures import Failure, print_document
from alga_common.cli.streams import announce
from alga_common.http.connection import bounded_connections
from alga_common.http.proxies import warn_of_unused_proxy
from alga_common.logging import configure_logging, stream_handler, warn_of_ignored
from alga_common.signals.coroutines import run
from alga_common.system.event_loop import loop_options
from alga_common.system.interpreter import prepare_to_serve
from alga_common.system.open_files import raise_open_files

from ..app import Server
from ..settings import UPSTREAM_VARIABLES, ServerSettings
from . import development
from .tokens import TOKENS, given_tokens, random_tokens, read_tokens

DRAIN_S = 30
"""Seconds that calls under way have to finish once the server was asked to stop."""

KEEP_ALIVE_S = 75
"""How long an idle connection stays open: longer than runners and balancers keep theirs, so that they close first."""

_BACKLOG = 2048

logger = logging.getLogger("alga_server")


def serve(
    given: Mapping[str, Any], *, host: str, port: int, token_file: Path | None, dev: bool, as_json: bool
) -> int:
    """Serve until a signal, with the settings that are ``given``, and return the exit status.

    ``dev`` takes the user's development tokens for missing ones, and a folder for bundles that goes at the end.
    """
    settings, values = _settings(given, token_file)
    if not dev and "database_url" not in settings.model_fields_set:
        raise click.UsageError(
            "Name the database, such as --database alga.db; or try things in memory with --dev."
        )
    with ExitStack() as stack:
        log_to_stderr()
        raise_open_files()
        warn_of_ignored(logger, UPSTREAM_VARIABLES)
        warn_of_unused_proxy(logger, "the runner", settings.runner_url)
        listener = stack.enter_context(listen(host, port))
        made = _missing_tokens(settings) if dev else {}
        values |= made
        if dev and settings.bundle_store is None:
            values["bundle_store"] = _development_bundles(stack, host, listener.getsockname()[1])
        settings = ServerSettings.load(**values)
        url = url_of(listener)
        environment = development.environment(url, made, settings.bundle_store) if dev else {}
        program = stack.enter_context(program_log(logger, "alga-server"))

        def ready() -> None:
            program.started(url)
            announce(logger, url, partial(_announce, url, environment, as_json=as_json))

        program.status = serve_until_signal(settings, listener, allow_clock=dev, ready=ready)
        return program.status


def print_environment(
    given: Mapping[str, Any], *, host: str, port: int, token_file: Path | None, as_json: bool
) -> None:
    """Print the variables with which other terminals know the development server on that address, started or not."""
    settings, _ = _settings(given, token_file)
    url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    tokens = development.kept_tokens() | given_tokens(settings)
    store = settings.bundle_store or development.bundles_at(host, port)
    variables = development.environment(url, tokens, store)
    if as_json:
        print_document({"url": url, "environment": variables})
    else:
        click.echo(development.exports(variables), nl=False)


def _settings(given: Mapping[str, Any], token_file: Path | None) -> tuple[ServerSettings, dict[str, Any]]:
    """Return the settings, and those values that are not the environment's."""
    values = {name: value for name, value in given.items() if value is not None}
    if token_file is not None:
        values |= read_tokens(token_file)
    return ServerSettings.load(**values), values


def _missing_tokens(settings: ServerSettings) -> dict[str, str]:
    """Return this user's development tokens for those that ``settings`` lack; where none can be kept, random ones."""
    missing = TOKENS.keys() - given_tokens(settings).keys()
    if not missing:
        return {}
    try:
        tokens = development.kept_tokens()
    except Failure as failure:
        say("warning", f"{failure.sentence} The tokens of this start are its own.")
        tokens = random_tokens()
    return {name: tokens[name] for name in TOKENS if name in missing}


def _development_bundles(stack: ExitStack, host: str, port: int) -> Path:
    try:
        return stack.enter_context(development.bundle_folder(host, port))
    except Failure:
        return Path(stack.enter_context(TemporaryDirectory(prefix="alga-bundles-")))


def log_to_stderr() -> None:
    """Write the server's log to stderr: text in a terminal, else JSON."""
    handler = stream_handler()
    handler.addFilter(_is_no_cancellation)
    configure_logging("alga_server", "info", handler)
    for name in (
        "procrastinate",
        "psycopg.pool",
    ):  # an outage is a line of our own, not one for each of their tries
        logging.getLogger(name).setLevel(logging.CRITICAL)


def _is_no_cancellation(record: logging.LogRecord) -> bool:
    """Drop tracebacks of calls that were cancelled when the server ended."""
    return not (record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError))


def _announce(url: str, environment: dict[str, str], *, as_json: bool) -> None:
    if as_json:
        print_document({"url": url, "environment": environment})
        return
    click.echo(f"{development.exports(environment)}alga-server listening on {url}")


def listen(host: str, port: int) -> socket.socket:
    """Return a bound socket; ``port`` 0 takes a free one. Raises ``Failure``: ``port_in_use``, ``cannot_listen``."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError:
        raise Failure(
            "cannot_listen",
            f"There is no address {host!r} to listen on.",
            hint="Give --host an address of this machine, such as 127.0.0.1.",
        ) from None
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise Failure(
                "port_in_use",
                f"Something else listens on {host}, port {port}.",
                hint="Choose another with --port; 0 takes a free one.",
            ) from None
        raise Failure(
            "cannot_listen",
            f"{host}, port {port} cannot be used: {error.strerror}.",
            hint="Give --host an address of this machine, and --port one that this user may open; 0 takes a free one.",
        ) from None
    return listener


def url_of(listener: socket.socket) -> str:
    """Return the URL at which a client reaches ``listener``."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def serve_until_signal(
    settings: ServerSettings, listener: socket.socket, *, allow_clock: bool, ready: Callable[[], None]
) -> int:
    """Serve on ``listener`` and return the exit status. ``ready`` is called once requests are answered.

    After the first SIGTERM or SIGINT, calls under way have ``DRAIN_S`` seconds to finish, and the status is 0. A second
    one ends them, and the status is 128 and its number. Runs of schedules have their own grace after that. Raises
    ``SettingsError``.
    """

    async def serve() -> int:
        async with Server(settings, allow_clock=allow_clock) as server, anyio.create_task_group() as tasks:
            tasks.start_soon(server.watch_checks)
            status = await _Serving(server, settings, ready).until_signal(listener)
            tasks.cancel_scope.cancel()
        return status

    with listener:
        return run(serve, options=loop_options())


class _Serving(uvicorn.Server):
    """uvicorn that calls ``ready``, and handles signals as ``serve_until_signal`` describes."""

    def __init__(self, server: Server, settings: ServerSettings, ready: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                server.app,
                http=bounded_connections(settings.max_connections, settings.max_connections_per_address),
                ws="none",
                lifespan="off",
                workers=1,  # else it reads WEB_CONCURRENCY
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_keep_alive=KEEP_ALIVE_S,
                timeout_graceful_shutdown=DRAIN_S,
            )
        )
        self._ready = ready
        self._signals: list[signal.Signals] = []

    async def until_signal(self, listener: socket.socket) -> int:
        """Serve until a signal and return the exit status."""
        loop = asyncio.get_running_loop()
        signals = (signal.SIGINT, signal.SIGTERM)
        for number in signals:
            loop.add_signal_handler(number, self._on_signal, number)
        try:
            await self.serve(sockets=[listener])
        finally:
            for number in signals:
                loop.remove_signal_handler(number)
        return 0 if len(self._signals) < 2 else 128 + self._signals[1]

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then call ``ready``."""
        await super().startup(sockets=sockets)
        prepare_to_serve()
        self._ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Do nothing: uvicorn would raise the signals again at the end, and the exit status is enough."""
        yield

    def _on_signal(self, number: signal.Signals) -> None:
        self._signals.append(number)
        if self.should_exit:
            self.force_exit = True
            for connection in list(self.server_state.connections):
                if connection.transport is not None:
                    connection.transport.abort()
        self.should_exit = True
