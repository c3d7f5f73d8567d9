"""Run tests on an engine's native helper that checks its own accesses to memory.

``make test-native`` calls this with pytest's command line, whose Python has the runner, after ``--``. The helper is
built with the sanitizers for addresses and for undefined behaviour where a gcc with them is installed, and with the
latter alone, by the compiler of the package ziglang, where not. Needs nothing but the standard library.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / ".make" / "native-checked"
sys.path.insert(0, str(ROOT / "runner" / "alga_runner" / "engine" / "native"))

import build  # noqa: E402 - needs the path

GCC = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer")
ZIG = ("-fsanitize=undefined", "-fsanitize-trap=undefined")

ASAN = (
    "detect_leaks=0:handle_segv=0:handle_sigbus=0:handle_sigill=0:handle_sigfpe=0:allow_user_segv_handler=1"
)
"""Traps of guests are signals that wasmtime handles; what Python and wasmtime keep is no leak of the helper."""


def sanitizers() -> list[str]:
    """The libraries of gcc's sanitizers; empty where there is no gcc or it has none."""
    if shutil.which("gcc") is None:
        return []
    libraries = []
    for name in ("libasan.so", "libubsan.so"):
        said = subprocess.run(
            ["gcc", f"-print-file-name={name}"], capture_output=True, text=True, check=False
        )
        path = Path(said.stdout.strip())
        if not path.is_absolute() or not path.exists():
            return []
        libraries.append(str(path.resolve()))
    return libraries


def main(zig: str, command: list[str]) -> int:
    """Build the helper, with ``zig``'s compiler if it must be, and run ``command``; its exit status."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    library = FOLDER / build.LIBRARY.name
    environment = os.environ | {
        "ALGA_RUNNER_NATIVE_ENGINE": "required",
        "ALGA_TEST_NATIVE_LIBRARY": str(library),
    }
    preloaded = sanitizers()
    if preloaded:
        compiler: tuple[str, ...] = ("gcc",)
        checks = GCC
        environment |= {"LD_PRELOAD": " ".join(preloaded), "ASAN_OPTIONS": ASAN, "PYTHONMALLOC": "malloc"}
    else:
        print("No gcc with its sanitizers is installed: undefined behaviour alone is checked.")
        compiler, checks = (zig, *build.ZIG), ZIG
    subprocess.run(build.command(compiler, library, *checks), check=True)
    return subprocess.run(command, env=environment, check=False).returncode


if __name__ == "__main__":
    zig, dashes, *command = sys.argv[1:]
    if dashes != "--" or not command:
        sys.exit("usage: native_checked.py ZIG_PYTHON -- COMMAND...")
    sys.exit(main(zig, command))
