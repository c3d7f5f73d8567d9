"""Run a command with a PostgreSQL of its own: ``python scripts/postgres.py -- pytest ...``.

The command finds its URL in ``ALGA_TEST_POSTGRES``. The server lives in a temporary folder, listens on a socket there
and nowhere else, is not safe from power cuts, and is removed when the command ends, for any reason. With
``--durable`` before the command it writes to the disk as PostgreSQL does by default, so that it can be measured, and
the URL is in ``ALGA_BENCH_POSTGRES``. PostgreSQL is installed from the system's packages if it is missing. Where that
is not possible, prints ``not run:`` and the reason.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import companion
import packages
from outcomes import say

PACKAGES = {"apt-get": "postgresql", "dnf": "postgresql-server", "apk": "postgresql"}
FOLDERS = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/usr/libexec/postgresql*",
    "/usr/local/pgsql/bin",
)
"""Where systems put the programs, besides the PATH."""
UNPRIVILEGED = 65534
"""A user that every system has."""

FOR_TESTS = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}
SETTINGS = {
    "listen_addresses": "",
    "max_connections": "300",
    "deadlock_timeout": "200ms",
}
STOPS = (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL)
"""Fast, then hard: nothing of it is to be kept."""
_DEADLOCK = "deadlock detected"


class NotRun(Exception):
    """There is no PostgreSQL to be had on this machine; the text has the reason."""


def main() -> int:
    """The command's exit status; 1 if it was 0 and the server met a deadlock; 0 after ``not run``."""
    companion.ends_on_sigterm()
    try:
        programs = newest() or installed()
    except NotRun as why:
        say(f"not run: {why}")
        return 0
    durable = sys.argv[1:2] == ["--durable"]
    if durable:
        del sys.argv[1]
    deadlocks: list[str] = []
    server = running(programs, deadlocks, durable=durable)
    return companion.status_of(companion.command(), server) or _reported(deadlocks)


def newest() -> Path | None:
    """The folder of the newest ``initdb`` and ``postgres``."""
    folders = [path for pattern in FOLDERS for path in Path("/").glob(pattern.lstrip("/"))]
    if on_path := shutil.which("postgres"):
        folders.append(Path(on_path).resolve().parent)
    usable = [path for path in folders if (path / "initdb").exists() and (path / "postgres").exists()]
    return max(usable, key=_version, default=None)


def _version(folder: Path) -> tuple[int, ...]:
    said = subprocess.run(
        [folder / "postgres", "--version"], capture_output=True, text=True, check=True
    ).stdout
    number = said.split()[2]
    return tuple(int(part) for part in number.split(".") if part.isdigit())


def installed() -> Path:
    """Install it; its folder. Raises ``NotRun``."""
    why = packages.install("PostgreSQL", PACKAGES)
    folder = None if why else newest()
    if folder is None:
        raise NotRun(why or "PostgreSQL not installed, though its packages are")
    return folder


@contextmanager
def running(programs: Path, deadlocks: list[str], *, durable: bool) -> Iterator[dict[str, str]]:
    """A server, for as long as the context lasts; the variable that leads to it. Adds a deadlock's lines."""
    folder = Path(mkdtemp(prefix="alga-postgres-"))
    try:
        owner = _owner()
        if owner:
            os.chown(folder, owner["user"], owner["group"])
        folder.chmod(0o755)
        data, log = folder / "data", folder / "log"
        initdb = [programs / "initdb", "-D", data, "-U", "alga", "-A", "trust", "-E", "UTF8", "--no-sync"]
        if _version(programs) >= (15,):  # texts sort as people do: what relies on bytes must say so
            initdb += ["--locale-provider=icu", "--icu-locale=en-US"]
        made = subprocess.run(initdb, capture_output=True, text=True, check=False, cwd=folder, **owner)
        if made.returncode:
            raise SystemExit(f"initdb failed: {made.stderr.strip()}")
        settings = SETTINGS if durable else {**SETTINGS, **FOR_TESTS}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        options += ["-c", f"unix_socket_directories={folder}"]
        asking = [programs / "pg_isready", "--quiet", "-h", folder]
        with companion.server(
            "PostgreSQL",
            [programs / "postgres", "-D", data, *options],
            log,
            lambda: subprocess.run(asking, check=False).returncode == 0,
            STOPS,
            cwd=folder,
            **owner,
        ):
            variable = "ALGA_BENCH_POSTGRES" if durable else "ALGA_TEST_POSTGRES"
            yield {variable: f"postgresql://alga@/postgres?host={folder}"}
        deadlocks += _deadlock(log)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _owner() -> dict[str, Any]:
    """Who runs the server: PostgreSQL refuses root."""
    if os.geteuid() != 0:
        return {}
    usable = [user for user in pwd.getpwall() if user.pw_name == "postgres" or user.pw_uid == UNPRIVILEGED]
    if not usable:
        raise SystemExit(f"No user to run PostgreSQL as: neither postgres nor one with id {UNPRIVILEGED}.")
    user = min(usable, key=lambda user: user.pw_name != "postgres")
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _deadlock(log: Path) -> list[str]:
    """The lines of the first time that transactions waited for each other."""
    lines = log.read_text(errors="replace").splitlines()
    at = next((number for number, line in enumerate(lines) if _DEADLOCK in line), None)
    return [] if at is None else lines[at : at + 12]


def _reported(deadlock: list[str]) -> int:
    """1 if there was one: the transactions are run again, but their locks' order is wrong."""
    if deadlock:
        say("PostgreSQL met a deadlock:\n" + "\n".join(deadlock))
    return 1 if deadlock else 0


if __name__ == "__main__":
    sys.exit(main())
