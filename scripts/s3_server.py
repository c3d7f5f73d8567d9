"""Run a command with an S3 server of its own, which verifies signatures: ``python scripts/s3_server.py -- pytest ...``.

The command finds its URL and keys in ``ALGA_TEST_S3``, ``ALGA_TEST_S3_ACCESS_KEY`` and ``ALGA_TEST_S3_SECRET_KEY``. The
server is versitygw over a temporary folder, on the loopback alone; it is removed when the command ends, for any reason.
It is built with Go, once. Where that is not possible, prints ``not run:`` and the reason.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import companion
from outcomes import say

MODULE = "github.com/versity/versitygw/cmd/versitygw"
VERSION = "v1.8.0"
FOLDER = Path(__file__).resolve().parents[1] / ".make" / "s3" / VERSION
PROGRAM = FOLDER / "versitygw"
BUILT_WITHIN_S = 900


def main() -> int:
    """The command's exit status; 0 after ``not run``."""
    companion.ends_on_sigterm()
    if why := None if PROGRAM.exists() else build():
        say(f"not run: {why}")
        return 0
    return companion.status_of(companion.command(), running())


def build() -> str | None:
    """Build the server from its module; why it cannot be."""
    if shutil.which("go") is None:
        return "Go not installed, which builds the S3 server"
    say(f"Building versitygw {VERSION} ...")
    environment = {**os.environ, "GOBIN": str(FOLDER)}
    try:
        built = subprocess.run(
            ["go", "install", f"{MODULE}@{VERSION}"],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=BUILT_WITHIN_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"versitygw was not built within {BUILT_WITHIN_S} s"
    return None if built.returncode == 0 else f"versitygw not built: {built.stderr.strip()[-300:]!r}"


@contextmanager
def running() -> Iterator[dict[str, str]]:
    """A server, for as long as the context lasts; the variables that lead to it."""
    with TemporaryDirectory(prefix="alga-s3-") as name, socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
        free.close()
        data = Path(name) / "data"
        data.mkdir()
        keys = {"access": f"key-{secrets.token_hex(6)}", "secret": secrets.token_urlsafe(30)}
        environment = {**os.environ, "ROOT_ACCESS_KEY": keys["access"], "ROOT_SECRET_KEY": keys["secret"]}
        arguments = [PROGRAM, "--port", f"127.0.0.1:{port}", "--quiet", "posix", data]
        log = Path(name) / "log"
        with companion.server("versitygw", arguments, log, lambda: _answers(port), env=environment):
            yield {
                "ALGA_TEST_S3": f"http://127.0.0.1:{port}",
                "ALGA_TEST_S3_ACCESS_KEY": keys["access"],
                "ALGA_TEST_S3_SECRET_KEY": keys["secret"],
            }


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
