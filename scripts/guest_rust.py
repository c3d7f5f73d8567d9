"""Build and test the Rust SDK for core modules, or check that its committed modules are what its sources make.

``python scripts/guest_rust.py`` runs the SDK's tests and writes the committed modules. With ``--check`` it builds them
in two other folders instead, and compares byte by byte. Either way it builds the same guests for WASI under ``.make``.
rustup fetches the compiler of ``rust-toolchain.toml``, cargo the crates of ``Cargo.lock``. Where that is impossible for
want of a tool or of a registry it prints ``not run: <why>`` and succeeds.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path

from node import BuildFailed, ToolMissing, run_well
from rust import ROOT, TARGET, fetch, path_flags

SDK = Path("guest-abi/rust")
VECTORS = Path("guest-abi/vectors")
BUILT = {
    SDK / "template/dist/main.wasm": ("hello.wasm", ("--package", "hello")),
    SDK / "tests/probe.wasm": ("examples/probe.wasm", ("--package", "alga-extension", "--example", "probe")),
}
"""A committed module, what cargo names it, and how cargo is asked for it."""
WASI = "wasm32-wasip1"
WASI_BUILT = ROOT / ".make" / "guest-rust-wasi"
"""The same guests for WASI, which are not committed: the runner's tests try them from here."""


def modules(root: Path, target: Path, triple: str = TARGET) -> dict[Path, bytes]:
    """Build the modules from the sources under ``root``."""
    template = root / SDK / "template"  # its .cargo/config.toml has the flags and the profile
    flags = [*path_flags(template), f"--remap-path-prefix={root / SDK}=alga-extension"]
    paths = f"target.{triple}.rustflags={json.dumps(flags)}"
    common = (
        "--quiet",
        "--locked",
        "--release",
        "--target",
        triple,
        "--target-dir",
        str(target),
        "--config",
        paths,
    )
    result = {}
    for module, (name, asked) in BUILT.items():
        run_well(template, "cargo", "build", *common, *asked)
        result[module] = (target / triple / "release" / name).read_bytes()
    return result


def test(target: Path) -> None:
    """Check the sources' form, and run the tests natively."""
    folder, common = ROOT / SDK, ("--quiet", "--locked", "--target-dir", str(target))
    run_well(folder, "cargo", "fmt", "--all", "--check")
    run_well(folder, "cargo", "clippy", *common, "--workspace", "--all-targets", "--", "--deny", "warnings")
    tests = run_well(folder, "cargo", "test", *common, "--workspace")
    print(*(line for line in tests.splitlines() if line.startswith("test result")), sep="\n", flush=True)


def build_for_wasi(target: Path) -> None:
    """Build for WASI as well."""
    WASI_BUILT.mkdir(parents=True, exist_ok=True)
    for module, data in modules(ROOT, target, WASI).items():
        name = Path(BUILT[module][0]).name
        (WASI_BUILT / name).write_bytes(data)
        print(f"{WASI}: {name}: {len(data)} bytes", flush=True)


def check() -> list[str]:
    """Differences between the committed modules and those from two other folders; empty when there are none."""
    with tempfile.TemporaryDirectory(prefix="alga-rust-") as temporary:
        copies = [Path(temporary, "a"), Path(temporary, "another", "folder with a longer name")]
        for copy in copies:
            for folder in (SDK, VECTORS):
                shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("dist", "target"))
        first, second = (modules(copy, copy / "target") for copy in copies)
    differences = []
    for module, data in first.items():
        committed = (ROOT / module).read_bytes()
        if data != second[module]:
            differences.append(f"{module} depends on the folder it is built in")
        elif data != committed:
            differences.append(
                f"{module} ({len(committed)} bytes) is not what its sources make ({len(data)} bytes)."
                " Run `make guest-rust` and commit what it writes."
            )
    return differences


def main(arguments: list[str]) -> int:
    """Build and test, or with ``--check`` compare too. 0 is good, 1 a failure."""
    checking = arguments == ["--check"]
    target = ROOT / ".make" / "guest-rust"
    try:
        fetch(ROOT / SDK)
        test(target)
        build_for_wasi(target)
        if not checking:
            for module, data in modules(ROOT, target).items():
                (ROOT / module).parent.mkdir(parents=True, exist_ok=True)
                (ROOT / module).write_bytes(data)
                print(f"{module}: {len(data)} bytes", flush=True)
            return 0
        differences = check()
    except ToolMissing as missing:
        print(f"not run: {missing}", flush=True)
        return 0 if checking else 1
    except BuildFailed as failure:
        print(failure, flush=True)
        return 1
    print(*differences, sep="\n", end="\n" if differences else "", flush=True)
    if not differences:
        print(
            f"The {len(BUILT)} committed modules are what their sources make, from two folders.", flush=True
        )
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
