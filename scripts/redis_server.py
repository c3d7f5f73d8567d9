"""Run a command with a Redis of its own: ``python scripts/redis_server.py -- pytest ...``.

The command finds its URL in ``ALGA_TEST_REDIS``. The server listens on a socket in a temporary folder and nowhere else,
writes nothing to disk, and is removed when the command ends, for any reason. Redis is installed from the system's
packages if it is missing. Where that is not possible, prints ``not run:`` and the reason.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import packages
from outcomes import say
from postgres import ends_with_us, interrupted

PACKAGES = {"apt-get": "redis-server", "dnf": "redis", "apk": "redis"}
STARTS_WITHIN_S = 60
STOPS_WITHIN_S = 20


def main(command: list[str]) -> int:
    """The command's exit status; 0 after ``not run``."""
    signal.signal(signal.SIGTERM, interrupted)
    program = shutil.which("redis-server")
    if program is None:
        why = packages.install("Redis", PACKAGES)
        program = shutil.which("redis-server")
        if program is None:
            say(f"not run: {why or 'Redis not installed, though its package is'}")
            return 0
    try:
        with running(program) as url:
            return subprocess.run(command, env={**os.environ, "ALGA_TEST_REDIS": url}, check=False).returncode
    except KeyboardInterrupt:
        return 130


@contextmanager
def running(program: str) -> Iterator[str]:
    """A server, for as long as the context lasts; its URL."""
    with TemporaryDirectory(prefix="alga-redis-") as name:
        path, log = Path(name) / "socket", Path(name) / "log"
        with log.open("wb") as output:
            server = subprocess.Popen(
                [program, "--port", "0", "--unixsocket", path, "--save", "", "--dir", name],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # Ctrl-C is for the command
                preexec_fn=ends_with_us(os.getpid()),  # noqa: PLW1509 - no other thread is there
            )
        try:
            _wait(path, server, log)
            yield f"unix://{path}"
        finally:
            server.terminate()
            try:
                server.wait(STOPS_WITHIN_S)
            except subprocess.TimeoutExpired:
                server.kill()


def _wait(path: Path, server: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + STARTS_WITHIN_S
    while not _answers(path):
        if server.poll() is not None or time.monotonic() > until:
            raise SystemExit(f"Redis did not start: {log.read_text(errors='replace')[-2000:]}")
        time.sleep(0.05)


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(str(path))
            connection.sendall(b"PING\r\n")
            return connection.recv(16) == b"+PONG\r\n"
        except OSError:
            return False


if __name__ == "__main__":
    arguments = sys.argv[1:]
    sys.exit(main(arguments[1:] if arguments[:1] == ["--"] else arguments))
