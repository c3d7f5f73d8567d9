"""Build the AssemblyScript guests whose wasm is committed, or check that the committed bytes are what the source gives.

``python build.py`` installs the pinned compiler and builds in place. ``python build.py --check`` builds copies of the
sources in two temporary folders and compares: the bytes must depend on the source alone. Needs Node 20 and npm,
otherwise nothing but Python's standard library. Where a check cannot run for want of a tool it prints
``not run: <why>`` and succeeds, so that a summary can tell the two apart.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from node import BuildFailed, ToolMissing, npm, require_node  # noqa: E402 - scripts is no package


@dataclass(frozen=True)
class Package:
    """A folder with a package.json, and what its build script writes."""

    folder: str
    built: tuple[str, ...]


PACKAGES = (
    Package("guest-abi/assemblyscript", ("tests/codec.wasm", "tests/crash.wasm", "tests/crash.wasm.map")),
    Package("sample-extensions/scheduler-demo", ("dist/main.wasm",)),
    Package("sample-extensions/exchange-rates", ("dist/main.wasm",)),
)
BUILT = tuple(f"{package.folder}/{name}" for package in PACKAGES for name in package.built)


def build(root: Path) -> None:
    """Build every package under ``root``."""
    for package in PACKAGES:
        folder = root / package.folder
        if not (folder / "node_modules").exists():
            npm(folder, "ci", "--ignore-scripts", "--no-audit", "--no-fund")
        npm(folder, "run", "--silent", "build")


def install(root: Path) -> None:
    """Install the locked packages, and replace installed ones."""
    for package in PACKAGES:
        npm(root / package.folder, "ci", "--ignore-scripts", "--no-audit", "--no-fund")


def copy_sources(target: Path) -> None:
    """The packages, with what they have installed but without what they build, under ``target``."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package.folder, target / package.folder, symlinks=True)
    for name in BUILT:
        (target / name).unlink(missing_ok=True)


def check() -> list[str]:
    """What differs between the committed wasm and two fresh builds; empty when nothing does."""
    differences = []
    with tempfile.TemporaryDirectory() as temporary:
        copies = [Path(temporary, "a"), Path(temporary, "another", "folder with a longer name")]
        for copy in copies:
            copy_sources(copy)
            build(copy)
        for name in BUILT:
            first, second = ((copy / name).read_bytes() for copy in copies)
            committed = (ROOT / name).read_bytes()
            if first != second:
                differences.append(f"{name} depends on the folder it is built in")
            elif first != committed:
                differences.append(
                    f"{name} is not what its source gives: committed {digest(committed)}, built {digest(first)};"
                    " run `make samples` and commit the result"
                )
    return differences


def digest(data: bytes) -> str:
    """Enough of a SHA-256 to tell two builds apart, and the size."""
    return f"{hashlib.sha256(data).hexdigest()[:12]} ({len(data)} bytes)"


def main(arguments: list[str]) -> int:
    """Build, or with ``--check`` compare. 0 is good, 1 a difference or a failed build."""
    checking = arguments == ["--check"]
    try:
        require_node()
        install(ROOT)
        if not checking:
            build(ROOT)
            return 0
        differences = check()
    except ToolMissing as missing:
        say(f"not run: {missing}")
        return 0 if checking else 1
    except BuildFailed as failure:
        say(str(failure))
        return 1
    for difference in differences:
        say(difference)
    if not differences:
        say(f"The {len(BUILT)} committed files are what their source gives, from two folders.")
    return 1 if differences else 0


def say(line: str) -> None:
    """Print and flush."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
