"""Run a command with a Redis of its own: ``python scripts/redis_server.py -- pytest ...``.

The command finds its URL in ``ALGA_TEST_REDIS``. The server listens on a socket in a temporary folder and nowhere else,
writes nothing to disk, and is removed when the command ends, for any reason. Redis is installed from the system's
packages if it is missing. Where that is not possible, prints ``not run:`` and the reason.
"""

from __future__ import annotations

import shutil
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import companion
import packages
from outcomes import say

PACKAGES = {"apt-get": "redis-server", "dnf": "redis", "apk": "redis"}


def main() -> int:
    """The command's exit status; 0 after ``not run``."""
    companion.ends_on_sigterm()
    program = shutil.which("redis-server")
    if program is None:
        why = packages.install("Redis", PACKAGES)
        program = shutil.which("redis-server")
        if program is None:
            say(f"not run: {why or 'Redis not installed, though its package is'}")
            return 0
    return companion.status_of(companion.command(), running(program))


@contextmanager
def running(program: str) -> Iterator[dict[str, str]]:
    """A server, for as long as the context lasts; the variable that leads to it."""
    with TemporaryDirectory(prefix="alga-redis-") as name:
        path = Path(name) / "socket"
        arguments = [program, "--port", "0", "--unixsocket", path, "--save", "", "--dir", name]
        with companion.server("Redis", arguments, Path(name) / "log", lambda: _answers(path)):
            yield {"ALGA_TEST_REDIS": f"unix://{path}"}


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(str(path))
            connection.sendall(b"PING\r\n")
            return connection.recv(16) == b"+PONG\r\n"
        except OSError:
            return False


if __name__ == "__main__":
    sys.exit(main())
