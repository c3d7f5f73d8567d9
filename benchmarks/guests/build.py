"""Build the benchmark's guests, or check that the committed wasm is what their source gives.

``python build.py PYTHON`` builds in place with the zig that is installed for ``PYTHON``; ``--check`` builds in two
temporary folders and compares: the bytes must depend on the source alone.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
GUESTS = ("alga", "extism")
FLAGS = (
    *("-target", "wasm32-freestanding", "-O2", "-nostdlib", "-Wall", "-Wextra", "-Werror"),
    *("-Wl,--no-entry", "-Wl,--export-memory", "-Wl,--strip-debug", "-Wl,-z,stack-size=65536"),
)


def build(python: str, folder: Path) -> None:
    """Build every guest in ``folder``."""
    for guest in GUESTS:
        command = [python, "-m", "ziglang", "cc", *FLAGS, "-o", f"{guest}.wasm", f"{guest}.c", "work.c"]
        subprocess.run(command, cwd=folder, check=True)
        (folder / f"{guest}.wasm").chmod(0o644)


def differences(python: str) -> list[str]:
    """What differs between the committed wasm and two fresh builds."""
    texts = []
    with tempfile.TemporaryDirectory() as temporary:
        copies = [Path(temporary, "a"), Path(temporary, "another", "folder with a longer name")]
        for copy in copies:
            shutil.copytree(HERE, copy, ignore=shutil.ignore_patterns("*.wasm", "__pycache__"))
            build(python, copy)
        for guest in GUESTS:
            name = f"{guest}.wasm"
            first, second, committed = ((folder / name).read_bytes() for folder in (*copies, HERE))
            if first != second:
                texts.append(f"{name} depends on the folder it is built in")
            elif first != committed:
                texts.append(
                    f"{name} is not what its source gives: committed {_digest(committed)}, built {_digest(first)};"
                    " run `make bench-guests` and commit the result"
                )
    return texts


def _digest(data: bytes) -> str:
    return f"{hashlib.sha256(data).hexdigest()[:12]} ({len(data)} bytes)"


def main(python: str, *, check: bool) -> int:
    """Build or compare; the exit status."""
    if not check:
        build(python, HERE)
        return 0
    texts = differences(python)
    for difference in texts:
        print(difference)
    if not texts:
        print(f"The committed wasm of {len(GUESTS)} guests is what its source gives, from two folders.")
    return int(bool(texts))


if __name__ == "__main__":
    sys.exit(main(str(Path(sys.argv[1]).absolute()), check="--check" in sys.argv[2:]))
