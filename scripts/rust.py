"""Build the committed components of the Rust samples, or check that they are what their sources make.

``python scripts/rust.py WASM_TOOLS`` builds them; rustup fetches the compiler of ``rust-toolchain.toml``, cargo the
crates of ``Cargo.lock``. With ``--check`` it builds in another folder instead, and compares byte by byte. Where that is
impossible for want of rustup or of a registry it prints ``not run: <why>`` and succeeds.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import tomllib
from pathlib import Path

from node import BuildFailed, ToolMissing, run, run_well

ROOT = Path(__file__).resolve().parents[1]
WIT = Path("guest-abi/wit")
SAMPLES = [Path("sample-extensions/scheduler-rust"), Path("sample-extensions/client-notes")]
COMPONENT = Path("dist/main.wasm")
TARGET = "wasm32-unknown-unknown"
UNREACHABLE = ("Could not resolve host", "failed to download", "could not download", "Couldn't connect")
"""Texts of cargo and rustup when a registry cannot be reached."""


def fetch(folder: Path) -> None:
    """Fetch the compiler of ``folder``'s ``rust-toolchain.toml`` and the crates of its lock.

    Raises ``ToolMissing`` where that is impossible.
    """
    for tool in ("rustup", "cargo"):
        if shutil.which(tool) is None:
            raise ToolMissing(f"{tool} is not installed; install it from https://rustup.rs")
    try:
        _install_compiler(folder)
        run_well(folder, "cargo", "fetch", "--quiet", "--locked", "--target", TARGET)
    except BuildFailed as failure:
        if any(text in str(failure) for text in UNREACHABLE):
            raise ToolMissing(f"cargo cannot reach its registry to fetch what {folder.name} needs") from None
        raise


def _install_compiler(folder: Path) -> None:
    """Install the pinned compiler where it is missing: rustup does not by itself if its automatic install is off."""
    pinned = tomllib.loads((folder / "rust-toolchain.toml").read_text())["toolchain"]
    channel, targets = pinned["channel"], pinned["targets"]
    named = ("--toolchain", channel)
    if run(folder, "rustup", "target", "list", "--installed", *named).returncode:
        profile = ("--profile", pinned["profile"], "--no-self-update")
        run_well(folder, "rustup", "toolchain", "install", channel, *profile)
    run_well(folder, "rustup", "target", "add", *targets, *named)
    if components := pinned.get("components"):
        run_well(folder, "rustup", "component", "add", *components, *named)


def build(root: Path, name: Path, target: Path, wasm_tools: str, component: Path) -> None:
    """Build the sample ``name`` under ``root`` to ``component``."""
    sample = root / name
    fetch(sample)
    run_well(
        sample,
        *(
            "cargo",
            "build",
            "--quiet",
            "--locked",
            "--release",
            "--target",
            TARGET,
            "--target-dir",
            str(target),
        ),
        env={"RUSTFLAGS": " ".join(path_flags(sample))},
    )
    component.parent.mkdir(parents=True, exist_ok=True)
    core = target / TARGET / "release" / f"{name.name.replace('-', '_')}.wasm"
    run_well(root, wasm_tools, "component", "new", str(core), "-o", str(component))


def path_flags(sample: Path) -> list[str]:
    """The compiler's flags that keep folders out of the component: messages of a panic name files."""
    registries = Path(os.environ.get("CARGO_HOME") or Path.home() / ".cargo") / "registry" / "src"
    named = {str(registry): "crates" for registry in sorted(registries.iterdir())} | {str(sample): "."}
    return [f"--remap-path-prefix={folder}={name}" for folder, name in named.items()]


def check(wasm_tools: str) -> None:
    """Build from a copy of the sources and compare. Raises ``BuildFailed`` when the bytes differ."""
    with tempfile.TemporaryDirectory(prefix="alga-rust-") as temporary:
        root = Path(temporary)
        for folder in (WIT, *SAMPLES):
            shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns("dist", "target"))
        for sample in SAMPLES:
            made, component = root / "made.wasm", ROOT / sample / COMPONENT
            build(root, sample, root / "target", wasm_tools, made)
            if made.read_bytes() != component.read_bytes():
                raise BuildFailed(
                    f"{sample / COMPONENT} ({component.stat().st_size} bytes) is not what its sources make"
                    f" ({made.stat().st_size} bytes). Run `make rust-sample` and commit what it writes."
                )
            print(f"{sample / COMPONENT}: the same bytes when built in another folder", flush=True)


def main(arguments: list[str]) -> int:
    """Build or check. 0 is good, 1 a failure."""
    parser = argparse.ArgumentParser()
    parser.add_argument("wasm_tools")
    parser.add_argument("--check", action="store_true")
    given = parser.parse_args(arguments)
    wasm_tools = str(Path(given.wasm_tools).absolute())
    try:
        if given.check:
            check(wasm_tools)
        else:
            for sample in SAMPLES:
                build(ROOT, sample, ROOT / ".make" / "rust", wasm_tools, ROOT / sample / COMPONENT)
    except ToolMissing as missing:
        print(f"not run: {missing}", flush=True)
        return 0 if given.check else 1
    except BuildFailed as failure:
        print(failure, flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
