"""Node and npm, as the builds of guests use them. Nothing but the standard library."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

NODE_MAJOR = 20
UNREACHABLE = (
    "ENOTFOUND",
    "EAI_AGAIN",
    "ECONNREFUSED",
    "ECONNRESET",
    "ETIMEDOUT",
    "ENETUNREACH",
    "ENOTCACHED",
)
"""Texts of npm when the registry cannot be reached."""


class ToolMissing(Exception):
    """The build cannot run on this machine; the text names the missing tool."""


class BuildFailed(Exception):
    """The build ran and failed; the text is its output."""


def run(
    folder: Path, *command: str, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run ``command`` from the PATH in ``folder``, its output caught; ``env`` goes on top of this process's."""
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, env={**os.environ, **(env or {})}
    )


def run_well(folder: Path, *command: str, env: Mapping[str, str] | None = None) -> str:
    """Run ``command`` and return what it printed. Raises ``BuildFailed`` when it fails."""
    result = run(folder, *command, env=env)
    output = result.stdout + result.stderr
    if result.returncode:
        raise BuildFailed(f"{' '.join(command)} failed in {folder}:\n{output}")
    return output


def require_node() -> None:
    """Raise ``ToolMissing`` unless Node and npm are here and new enough."""
    for tool in ("node", "npm"):
        if shutil.which(tool) is None:
            raise ToolMissing(f"{tool} is not installed; install Node {NODE_MAJOR} or newer")
    version = run(Path.cwd(), "node", "--version").stdout.strip()
    if int(version.lstrip("v").partition(".")[0]) < NODE_MAJOR:
        raise ToolMissing(f"Node {version} is too old; install Node {NODE_MAJOR} or newer")


def npm(folder: Path, *arguments: str) -> str:
    """Run npm in ``folder`` and return what it printed.

    Raises ``ToolMissing`` when it cannot reach its registry, else ``BuildFailed``.
    """
    try:
        return run_well(folder, "npm", *arguments)
    except BuildFailed as failure:
        if any(code in str(failure) for code in UNREACHABLE):
            raise ToolMissing(f"npm cannot reach its registry to install what {folder.name} needs") from None
        raise
