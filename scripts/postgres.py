"""Run a command with a PostgreSQL of its own: ``python scripts/postgres.py -- pytest ...``.

The command finds its URL in ``ALGA_TEST_POSTGRES``. The server lives in a temporary folder, listens on a socket there
and nowhere else, is not safe from power cuts, and is removed when the command ends, for any reason. PostgreSQL is
installed from the system's packages if it is missing. Where that is not possible, prints ``not run:`` and the reason.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp
from types import FrameType
from typing import Any

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

SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "listen_addresses": "",
    "max_connections": "300",
    "deadlock_timeout": "200ms",
}
STARTS_WITHIN_S = 60
STOPS_WITHIN_S = 20
_DEADLOCK = "deadlock detected"


class NotRun(Exception):
    """There is no PostgreSQL to be had on this machine; the text has the reason."""


def main(command: list[str]) -> int:
    """The command's exit status; 0 after ``not run``."""
    signal.signal(signal.SIGTERM, interrupted)
    try:
        programs = newest() or installed()
    except NotRun as why:
        say(f"not run: {why}")
        return 0
    try:
        with running(programs) as (url, log):
            status = subprocess.run(
                command, env={**os.environ, "ALGA_TEST_POSTGRES": url}, check=False
            ).returncode
            return status or _deadlocks(log)
    except KeyboardInterrupt:
        return 130


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
def running(programs: Path) -> Iterator[tuple[str, Path]]:
    """A server, for as long as the context lasts: the URL of its first database, and its log."""
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
        options = [part for name, value in SETTINGS.items() for part in ("-c", f"{name}={value}")]
        options += ["-c", f"unix_socket_directories={folder}"]
        with log.open("wb") as output:
            server = subprocess.Popen(
                [programs / "postgres", "-D", data, *options],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=folder,
                start_new_session=True,  # Ctrl-C is for the command
                preexec_fn=ends_with_us(os.getpid()),  # noqa: PLW1509 - no other thread is there
                **owner,
            )
        try:
            _wait(programs, folder, server, log)
            yield f"postgresql://alga@/postgres?host={folder}", log
        finally:
            _stop(server)
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


def ends_with_us(parent: int) -> Callable[[], None]:
    """What a child does first, so that it is stopped even when this process is killed."""
    libc = ctypes.CDLL(None)

    def first() -> None:
        libc.prctl(1, int(signal.SIGQUIT))  # PR_SET_PDEATHSIG
        if os.getppid() != parent:
            os._exit(1)

    return first


def _wait(programs: Path, folder: Path, server: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + STARTS_WITHIN_S
    asking = [programs / "pg_isready", "--quiet", "-h", folder]
    while subprocess.run(asking, check=False).returncode:
        if server.poll() is not None or time.monotonic() > until:
            raise SystemExit(f"PostgreSQL did not start: {log.read_text(errors='replace')[-2000:]}")
        time.sleep(0.05)


def _stop(server: subprocess.Popen[bytes]) -> None:
    """Fast, then hard: nothing of it is to be kept."""
    for how in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        server.send_signal(how)
        try:
            server.wait(STOPS_WITHIN_S)
        except subprocess.TimeoutExpired:
            continue
        return


def _deadlocks(log: Path) -> int:
    """1 if transactions waited for each other: they are run again, but their locks' order is wrong."""
    lines = log.read_text(errors="replace").splitlines()
    at = next((number for number, line in enumerate(lines) if _DEADLOCK in line), None)
    if at is None:
        return 0
    say("PostgreSQL met a deadlock:\n" + "\n".join(lines[at : at + 12]))
    return 1


def interrupted(_number: int, _frame: FrameType | None) -> None:
    """End the program as Ctrl-C does."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    arguments = sys.argv[1:]
    sys.exit(main(arguments[1:] if arguments[:1] == ["--"] else arguments))
