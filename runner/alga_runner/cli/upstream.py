"""The environment of Alga's runner: each of its variables, and what it does here (alga-contract 6)."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from difflib import get_close_matches

from alga_common.environment import variable
from alga_common.text import escape_controls

from ..settings import UPSTREAM_VARIABLES, Settings

VARIABLES = (
    *("PORT", "ALGA_AUTH_KEY", "ALGA_AUTH_KEY_FILE", "REGISTRY_BASE_URL", "BUNDLE_STORE_BASE"),
    *("S3_ACCESS_KEY", "MINIO_ACCESS_KEY", "S3_SECRET_KEY", "MINIO_SECRET_KEY", "S3_REGION"),
    *("EXT_CACHE_ROOT", "EXT_CACHE_MAX_BYTES", "EXT_STATIC_STRICT_VALIDATION", "EXT_STATIC_MAX_FILE_BYTES"),
    *("EXT_UI_CONTENT_SECURITY_POLICY", "EXT_UI_FRAME_ANCESTORS", "EXT_EGRESS_ALLOWLIST"),
    *("STORAGE_API_BASE_URL", "RUNNER_STORAGE_API_TOKEN", "RUNNER_SERVICE_TOKEN"),
    *("UI_PROXY_BASE_URL", "UI_PROXY_TIMEOUT_MS", "UI_PROXY_AUTH_KEY"),
    *("VAULT_ADDR", "ALGA_VAULT_ADDR", "VAULT_NAMESPACE"),
    *("ALGA_VAULT_TRANSIT_MOUNT", "ALGA_VAULT_TOKEN_FILE"),
    *("RUNNER_DEBUG_REDIS_URL", "RUNNER_DEBUG_REDIS_PASSWORD", "RUNNER_DEBUG_REDIS_STREAM_PREFIX"),
    *("RUNNER_DEBUG_REDIS_MAXLEN", "RUNNER_DEBUG_MAX_EVENT_BYTES"),
    *("RUST_LOG", "WASM_POOL_TOTAL_COMPONENTS", "SIGNING_TRUST_BUNDLE", "RUNTIME_LIMITS"),
)
"""Every variable of Alga's runner, in the contract's order."""

_OPTIONS = {
    "PORT": "The port to listen on; `ALGA_RUNNER_PORT` goes before it. The address is `HOST`: loopback without it."
}
_REASONS = {
    "RUST_LOG": "ALGA_RUNNER_LOG_LEVEL chooses the least severe line that is written",
    "WASM_POOL_TOTAL_COMPONENTS": "nor there; ALGA_RUNNER_MAX_GUESTS bounds concurrent executions",
    "RUNTIME_LIMITS": "nor there; docs/limits.md has every limit and its setting",
}
"""Why variables have no effect, and what has."""

_OTHERS = frozenset(
    {
        *("RUNNER_BASE_URL", "RUNNER_BACKEND", "RUNNER_DOCKER_HOST", "RUNNER_PUBLIC_BASE"),
        *("RUNNER_CONFIG_API_TOKEN", "EXT_GATEWAY_TIMEOUT_MS", "EXT_RUNNER_MAX_RESPONSE_BYTES"),
    }
)
"""Variables of Alga's server (alga-contract 1.9 and 5.9), which one file may set for both."""

_ALIKE = 0.85
"""How alike two names are that may be one, as ``difflib`` counts."""
_LEAST_CHARACTERS = 8
_MAX_SHOWN = 10


def effect(name: str) -> str:
    """Return what the variable ``name`` of Alga's runner does here, in a sentence."""
    if name in _OPTIONS:
        return _OPTIONS[name]
    settings = [(setting, Settings.variables(setting)) for setting in Settings.model_fields]
    first = [f"`{setting}`" for setting, variables in settings if variables[0] == name]
    later = [f"`{setting}`" for setting, variables in settings if name in variables[1:]]
    parts = [f"Sets {' and '.join(first)}"] if first else []
    if later:
        parts.append(f"{'sets' if parts else 'Sets'} {' and '.join(later)} where the names before it do not")
    if parts:
        return f"{'; '.join(parts)}."
    return f"No effect: {_REASONS[name]}." if name in _REASONS else "No effect."


def without_effect() -> Iterator[tuple[str, str]]:
    """Each variable that is set and that Alga's runner has and this one does not read, and why."""
    for name in UPSTREAM_VARIABLES:
        if variable(name) is not None:
            yield name, _REASONS.get(name, "nothing reads it")


def misspelt() -> Iterator[tuple[str, str]]:
    """Each variable that is set and that nothing reads, but is nearly one that is read, and the nearest.

    Those of our own prefixes are left out: each program refuses what it does not know.
    """
    known = {*VARIABLES, *Settings.command_variables}
    known |= {name for setting in Settings.model_fields for name in Settings.variables(setting)}
    long = [name for name in known if len(name) >= _LEAST_CHARACTERS]
    for name in sorted(os.environ):
        if (
            name in known
            or name in _OTHERS
            or "_" not in name
            or name.startswith(("ALGA_RUNNER_", "ALGA_SERVER_"))
        ):
            continue
        if variable(name) is None:
            continue
        if nearest := get_close_matches(name.upper(), long, n=1, cutoff=_ALIKE):
            yield name, nearest[0]


def warn_of_misspelt(logger: logging.Logger) -> None:
    """Log one warning that names the variables which look like one that is read, with the nearest."""
    pairs = [f"{escape_controls(name)} (the nearest is {nearest})" for name, nearest in misspelt()]
    if pairs:
        logger.warning(
            "Ignored: these variables are set, and nothing reads them: %s",
            ", ".join(pairs[:_MAX_SHOWN]),
            extra={"action": "variables_unknown"},
        )
