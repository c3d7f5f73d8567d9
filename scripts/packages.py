"""Programs that pip cannot install: from the system's packages, where that is possible."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping

from outcomes import say

INSTALL = {
    "apt-get": "apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq",
    "dnf": "dnf install -y -q",
    "apk": "apk add --quiet",
}
"""Package managers, and what installs with each."""


def install(what: str, packages: Mapping[str, str]) -> str | None:
    """Install ``what``, which ``packages`` names for each manager; why not, where that is not possible.

    Whether the programs are there then, the caller looks.
    """
    manager = next((name for name in INSTALL if shutil.which(name)), None)
    if manager is None:
        return f"{what} not installed: no package manager"
    if os.geteuid() != 0:
        return f"{what} not installed: only root can use {manager}"
    say(f"\n=== {manager}: installing {what}")
    command = f"{INSTALL[manager]} {packages[manager]}"
    done = subprocess.run(["sh", "-c", command], stdin=subprocess.DEVNULL, check=False)
    return f"{what} not installed: {manager} failed" if done.returncode else None
