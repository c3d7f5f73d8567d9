"""Builds the native helper from its one source file, with the C compiler of the package ziglang.

Needs nothing but the standard library, so that ``make native`` runs it with the Python that has the compiler.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
from pathlib import Path

SOURCE = Path(__file__).with_name("alga_engine.c")
LIBRARY = SOURCE.with_name("alga_engine.so.1")
"""In the folder of the source: who may write there may change the code of the runner as well."""

FLAGS = ("-std=c11", "-O2", "-fPIC", "-shared", "-fvisibility=hidden", "-pthread")
WARNINGS = ("-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror")
ZIG = ("-m", "ziglang", "cc", "-mcpu=baseline", "-g0")


def digest() -> str:
    """The SHA-256 of the source, which the library has in it."""
    return hashlib.sha256(SOURCE.read_bytes()).hexdigest()


def command(compiler: tuple[str, ...], output: Path, *more: str) -> list[str]:
    """The command that compiles the source to ``output``."""
    return [
        *compiler,
        *FLAGS,
        *WARNINGS,
        f'-DALGA_SOURCE="{digest()}"',
        *more,
        "-o",
        str(output),
        str(SOURCE),
    ]


def build() -> Path:
    """Build the library with this Python's ziglang, and put it where the engine looks for it.

    Raises ``subprocess.CalledProcessError``, whose ``stderr`` is the compiler's, or ``OSError``.
    """
    with tempfile.TemporaryDirectory(prefix=".alga_engine-", dir=SOURCE.parent) as folder:
        output = Path(folder, LIBRARY.name)
        subprocess.run(  # noqa: S603 - this Python, and arguments of this file
            command((sys.executable, *ZIG), output), check=True, capture_output=True, text=True
        )
        output.chmod(0o755)
        output.replace(LIBRARY)  # a process that has the old one mapped keeps it
    return LIBRARY


if __name__ == "__main__":
    print(build())  # noqa: T201 - for who runs it
