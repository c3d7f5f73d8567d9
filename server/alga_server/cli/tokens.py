"""The tokens of a server: from the environment, from a file, or made up for development."""

from __future__ import annotations

import secrets
from difflib import get_close_matches
from pathlib import Path
from shlex import quote

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

UI_PROXY_KEY = "UI_PROXY_AUTH_KEY"
"""The runner's variable for the token that it sends with routes of the host's own API: its ``runner_token``, too."""

REGISTRY_KEY = "ALGA_AUTH_KEY"
"""The runner's variable for the token that it asks the registry with: its ``runner_token``, too."""

RUNNER_DIALECT = {"ALGA_RUNNER_SERVER_DIALECT": "prd"}
"""How a runner asks this server, which understands more than Alga's own (docs/scheduling.md, "How runners ask")."""

_FILE_BYTES = 64 * 1024
_SETTING = {variable: setting for setting, variable in TOKENS.items()} | {
    "ALGA_SERVER_ADMIN_TOKENS": "admin_tokens"
}
_RUNNER_VARIABLES = {
    *RUNNER_NAMES.values(),
    *RUNNER_DIALECT,
    *(UI_PROXY_KEY, REGISTRY_KEY, "UI_PROXY_BASE_URL"),
    *("STORAGE_API_BASE_URL", "REGISTRY_BASE_URL", "BUNDLE_STORE_BASE", "PORT"),
}


def read_tokens(path: Path) -> dict[str, str]:
    """Return the settings of a file of lines ``ALGA_SERVER_ADMIN_TOKEN=...``, with or without ``export``.

    Ignored are empty lines, those that start with ``#``, names without a value, and the runner's names: the file may be
    its environment, too. Raises ``Failure`` with ``token_file_unusable``.
    """
    try:
        with path.open("rb") as file:
            text = file.read(_FILE_BYTES).decode()
        if sentence := exposure(path):
            say("warning", sentence)
    except OSError as error:
        hint = f"Name another, or make it: `alga-server environment > {quote(str(path))}`."
        raise _unusable(path, f"cannot be read: {error.strerror}", hint) from None
    except UnicodeDecodeError:
        raise _unusable(path, "is not UTF-8") from None
    tokens: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        name, separator, value = line.strip().removeprefix("export ").partition("=")
        name, value = name.strip(), value.strip().strip("'\"")
        if not name or name.startswith(("#", "ALGA_RUNNER_")) or name in _RUNNER_VARIABLES:
            continue
        if not separator or name not in _SETTING:
            raise _unusable(path, f"names no token in line {number}{_nearest(name)}")
        if value.strip():
            tokens[_SETTING[name]] = value
    return tokens


def random_tokens() -> dict[str, str]:
    """Return a random token for each setting."""
    return {name: secrets.token_urlsafe(24) for name in TOKENS}


def given_tokens(settings: ServerSettings) -> dict[str, str]:
    """Return the tokens that ``settings`` have."""
    values = {name: getattr(settings, name) for name in TOKENS}
    return {name: value.get_secret_value() for name, value in values.items() if value is not None}


def fresh_environment() -> dict[str, str]:
    """Return a random token for each variable of a server and of its runner; a token that both know is the same."""
    tokens = random_tokens()
    server = {TOKENS[setting]: token for setting, token in tokens.items()}
    runner = {variable: tokens[setting] for setting, variable in RUNNER_NAMES.items()}
    return (
        server | RUNNER_DIALECT | runner | dict.fromkeys((UI_PROXY_KEY, REGISTRY_KEY), tokens["runner_token"])
    )


def _nearest(name: str) -> str:
    """The token that a wrong name may mean. Another text is not quoted: it may be a token itself."""
    if not name.startswith("ALGA_SERVER_"):
        return ""
    nearest = get_close_matches(name, _SETTING, n=1, cutoff=0.0)[0]
    return f": {name} is not one; the nearest is {nearest}"


def _unusable(path: Path, why: str, hint: str | None = None) -> Failure:
    lines = f"Its lines are NAME=VALUE; names are {', '.join(TOKENS.values())}."
    return Failure("token_file_unusable", f"The token file {path} {why}.", hint=hint or lines)
