"""A runner on a socket: one process, or a supervisor with workers."""

from __future__ import annotations

import logging
from typing import Any

import click

from alga_common.audit import program_log
from alga_common.cli.commands import load
from alga_common.cli.streams import announce
from alga_common.http.proxies import warn_of_unused_proxy
from alga_common.logging import warn_of_ignored
from alga_common.signals.coroutines import run
from alga_common.system.event_loop import loop_options
from alga_common.system.open_files import raise_open_files

from .. import workers as workers_of
from ..service.callers import warn_of_open_execute
from ..settings import UPSTREAM_VARIABLES, Settings
from ..telemetry import configure_logging
from .upstream import warn_of_misspelt

logger = logging.getLogger("alga_runner")


def serve(given: dict[str, Any], *, workers: int, host: str, port: int, require_token: bool) -> int:
    """Serve until a signal, with the settings that are ``given``; the exit status."""
    settings = Settings.load(**{name: value for name, value in given.items() if value is not None})
    if not require_token and "log_guest_lines" not in settings.model_fields_set:
        settings = settings.model_copy(update={"log_guest_lines": True})  # for development
    configure_logging(settings.log_level)
    raise_open_files()
    warn_of_ignored(logger, UPSTREAM_VARIABLES)
    warn_of_misspelt(logger)
    warn_of_unused_proxy(logger, "the Alga server", settings.server_url)
    warn_of_open_execute(settings, host)
    if workers == 1:
        load("alga_runner.engine:check_in_subprocess")()  # a supervisor needs no engine

    async def serving() -> int:
        where: dict[str, Any] = {
            "host": host,
            "port": port,
            "require_token": require_token,
            "announce": answers,
        }
        if workers == 1:
            status: int = await load("alga_runner.service.serving:serve")(settings, **where)
            return status
        return await workers_of.serve_workers(settings, workers=workers, **where)

    with program_log(logger, "alga-runner") as program:

        def answers(url: str) -> None:
            program.started(url)
            announce(logger, url, lambda: click.echo(f"alga-runner listening on {url}"))

        program.status = run(serving, options=loop_options())
    return program.status
