"""Run a command with an S3 server of its own, which verifies signatures: ``python scripts/s3_server.py -- pytest ...``.

The command finds its URL and keys in ``ALGA_TEST_S3``, ``ALGA_TEST_S3_ACCESS_KEY`` and ``ALGA_TEST_S3_SECRET_KEY``. The
server is versitygw over a temporary folder, on the loopback alone; it is removed when the command ends, for any reason.
It is built with Go, once. Where that is not possible, prints ``not run:`` and the reason.
"""

from __future__ import annotations

import os
import secrets
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

from outcomes import say
from postgres import ends_with_us, interrupted

MODULE = "github.com/versity/versitygw/cmd/versitygw"
VERSION = "v1.8.0"
FOLDER = Path(__file__).resolve().parents[1] / ".make" / "s3" / VERSION
PROGRAM = FOLDER / "versitygw"
BUILT_WITHIN_S = 900
STARTS_WITHIN_S = 60
STOPS_WITHIN_S = 20


def main(command: list[str]) -> int:
    """The command's exit status; 0 after ``not run``."""
    signal.signal(signal.SIGTERM, interrupted)
    if why := None if PROGRAM.exists() else build():
        say(f"not run: {why}")
        return 0
    try:
        with running() as variables:
            return subprocess.run(command, env={**os.environ, **variables}, check=False).returncode
    except KeyboardInterrupt:
        return 130


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
        log, data = Path(name) / "log", Path(name) / "data"
        data.mkdir()
        keys = {"access": f"key-{secrets.token_hex(6)}", "secret": secrets.token_urlsafe(30)}
        environment = {**os.environ, "ROOT_ACCESS_KEY": keys["access"], "ROOT_SECRET_KEY": keys["secret"]}
        with log.open("wb") as output:
            server = subprocess.Popen(
                [PROGRAM, "--port", f"127.0.0.1:{port}", "--quiet", "posix", data],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # Ctrl-C is for the command
                preexec_fn=ends_with_us(os.getpid()),  # noqa: PLW1509 - no other thread is there
            )
        try:
            _wait(port, server, log)
            yield {
                "ALGA_TEST_S3": f"http://127.0.0.1:{port}",
                "ALGA_TEST_S3_ACCESS_KEY": keys["access"],
                "ALGA_TEST_S3_SECRET_KEY": keys["secret"],
            }
        finally:
            server.terminate()
            try:
                server.wait(STOPS_WITHIN_S)
            except subprocess.TimeoutExpired:
                server.kill()


def _wait(port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + STARTS_WITHIN_S
    while True:
        if server.poll() is not None or time.monotonic() > until:
            raise SystemExit(f"versitygw did not start: {log.read_text(errors='replace')[-2000:]}")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return


if __name__ == "__main__":
    arguments = sys.argv[1:]
    sys.exit(main(arguments[1:] if arguments[:1] == ["--"] else arguments))
