"""Run a command with ``promtool`` on its PATH: ``python scripts/alerts.py -- pytest ...``.

It is Prometheus' checker of alerts. Where it is missing and there is apt-get, Debian's package is unpacked below
``.make``; installed, it would start a server. Where that is not possible, prints ``not run:`` and the reason.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from outcomes import say

FOLDER = Path(__file__).parents[1] / ".make" / "promtool"
PROGRAM = FOLDER / "usr" / "bin" / "promtool"


def main(command: list[str]) -> int:
    """The command's exit status; 0 after ``not run``."""
    path = os.environ.get("PATH", os.defpath)
    if shutil.which("promtool") is None:
        if why := None if PROGRAM.exists() else unpack():
            say(f"not run: promtool not installed: {why}")
            return 0
        path = f"{PROGRAM.parent}{os.pathsep}{path}"
    return subprocess.run(command, env={**os.environ, "PATH": path}, check=False).returncode


def unpack() -> str | None:
    """Unpack Debian's package of Prometheus; why not, where that is not possible."""
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        return "no apt-get"
    with TemporaryDirectory() as folder:
        if not download(folder) and (not quietly(["apt-get", "update", "-qq"]) or not download(folder)):
            return "apt-get failed"
        (package,) = Path(folder).glob("*.deb")
        FOLDER.mkdir(parents=True, exist_ok=True)
        return None if quietly(["dpkg-deb", "--extract", str(package), str(FOLDER)]) else "dpkg-deb failed"


def download(folder: str) -> bool:
    """Download the package into ``folder``; whether that worked."""
    return quietly(["apt-get", "download", "-qq", "prometheus"], folder=folder)


def quietly(command: list[str], *, folder: str | None = None) -> bool:
    """Run ``command``; whether it succeeded."""
    return subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode == 0


if __name__ == "__main__":
    sys.exit(main([argument for argument in sys.argv[1:] if argument != "--"]))
