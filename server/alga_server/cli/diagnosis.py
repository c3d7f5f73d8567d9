"""The checks of ``alga-server doctor``: those of ``/readyz``, and those that ``serve`` makes before it starts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from alga_common.cli.doctor import setting_finding
from alga_common.cli.failures import Failure
from alga_common.readiness import OK, Finding
from alga_common.signals.coroutines import run
from alga_runner.errors import SettingsError

from ..app import Server
from ..settings import ServerSettings
from .failures import explain
from .tokens import read_tokens


def diagnose(given: Mapping[str, Any], token_file: Path | None) -> list[Finding]:
    """Return what the checks find with the settings that are ``given``, of the file and of the environment."""
    values = {name: value for name, value in given.items() if value is not None}
    try:
        if token_file is not None:
            values |= read_tokens(token_file)
        settings = ServerSettings.load(**values)
        if "database_url" not in settings.model_fields_set:
            hint = "Set ALGA_SERVER_DATABASE_URL, or give --database; ask a server in memory at its /readyz."
            return [Finding("settings", SettingsError.code, "No database is named.", hint)]
        server = Server(settings)
    except (SettingsError, Failure) as error:
        return [setting_finding(explain(error))]
    return [Finding("settings", OK, "The settings can be used."), *run(_diagnose, server)]


async def _diagnose(server: Server) -> list[Finding]:
    try:
        return [*server.token_findings(), *await server.check()]
    finally:
        await server.aclose()
