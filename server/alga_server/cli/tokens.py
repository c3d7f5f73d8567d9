"""The tokens of a server: from the environment, from a file, or made up for development."""

from __future__ import annotations

import secrets
from pathlib import Path

from alga_common.cli.commands import say
from alga_common.cli.failures import Failure
from alga_common.private_files import exposure

from ..settings import ServerSettings

TOKENS = {
    "admin_token": "ALGA_SERVER_ADMIN_TOKEN",
    "gateway_token": "ALGA_SERVER_GATEWAY_TOKEN",
    "runner_token": "ALGA_SERVER_RUNNER_TOKEN",
    "runner_service_token": "ALGA_SERVER_RUNNER_SERVICE_TOKEN",
}
"""Setting to its variable, in the environment and in a file."""

RUNNER_NAMES = {"runner_token": "RUNNER_STORAGE_API_TOKEN", "runner_service_token": "RUNNER_SERVICE_TOKEN"}
"""Setting to the runner's variable for the same token (alga-contract 6)."""

_FILE_BYTES = 64 * 1024
_SETTING = {variable: setting for setting, variable in TOKENS.items()}
_RUNNER_VARIABLES = frozenset(RUNNER_NAMES.values())


def read_tokens(path: Path) -> dict[str, str]:
    """Return the settings of a file of lines ``ALGA_SERVER_ADMIN_TOKEN=...``, with or without ``export``.

    Empty lines and those that start with ``#`` are ignored. Raises ``Failure`` with ``token_file_unusable``.
    """
    try:
        with path.open("rb") as file:
            text = file.read(_FILE_BYTES).decode()
        if sentence := exposure(path):
            say("warning", sentence)
    except OSError as error:
        raise _unusable(path, f"cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise _unusable(path, "is not UTF-8") from None
    tokens: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        name, separator, value = line.strip().removeprefix("export ").partition("=")
        if not name.strip() or name.startswith("#"):
            continue
        if name.strip() in _RUNNER_VARIABLES:
            continue  # the same file may be the runner's environment, too
        if not separator or name.strip() not in _SETTING:
            raise _unusable(path, f"names no token in line {number}")
        tokens[_SETTING[name.strip()]] = value.strip().strip("'\"")
    return tokens


def made_tokens(settings: ServerSettings) -> dict[str, str]:
    """Return a random token for each that ``settings`` lack."""
    return {name: secrets.token_urlsafe(24) for name in TOKENS if getattr(settings, name) is None}


def fresh_environment() -> dict[str, str]:
    """Return a random token for each variable of a server and of its runner; a token that both know is the same."""
    tokens = {setting: secrets.token_urlsafe(24) for setting in TOKENS}
    server = {TOKENS[setting]: token for setting, token in tokens.items()}
    return server | {variable: tokens[setting] for setting, variable in RUNNER_NAMES.items()}


def _unusable(path: Path, why: str) -> Failure:
    return Failure(
        "token_file_unusable",
        f"The token file {path} {why}.",
        hint=f"Its lines are NAME=VALUE; names are {', '.join(TOKENS.values())}.",
    )
