"""Check the TypeScript SDK as its users meet it, or build the component that is committed.

``python scripts/typescript.py`` installs the pinned packages, runs the SDK's tests and packs it. Then, in a temporary
folder, it does what an author does: installs the archive, checks the types of the sample and of the README's example,
and builds both with ``npx alga-build``, the sample on each engine; and it runs the sample's tests against each
component, and the SDK's own in ``guest-abi/tests``. It also builds the sample's committed component again and compares.
Where that is impossible for want of Node or of the registry it prints ``not run: <why>`` and succeeds.

``python scripts/typescript.py --commit`` builds the sample's committed component, and lists next to it the digests of
everything that it was built from.

Engines store seeds in what they build, so no two builds are the same bytes: on QuickJS about 140 of two million differ.
"""

from __future__ import annotations

import hashlib
import json
import operator
import shutil
import sys
import tempfile
from pathlib import Path

from node import BuildFailed, ToolMissing, npm, require_node, run_well

ROOT = Path(__file__).resolve().parents[1]
SDK = ROOT / "guest-abi" / "typescript"
SAMPLE = ROOT / "sample-extensions" / "scheduler-typescript"
COMPONENT = SAMPLE / "dist" / "main.wasm"
LIST = COMPONENT.with_name("main.wasm.sources")
SOURCES = (
    "guest-abi/typescript/build.mjs",
    "guest-abi/typescript/package-lock.json",
    "guest-abi/typescript/src/**/*.ts",
    "guest-abi/typescript/wit/*.wit",
    "guest-abi/typescript/wit/random/*.wit",
    "guest-abi/wit/*.wit",
    "sample-extensions/scheduler-typescript/src/**/*.ts",
)
"""What the component is built from."""
ENGINES = ("quickjs", "spidermonkey")
TESTS = (
    "-n",
    "0",
    "-o",
    "faulthandler_timeout=0",  # compiling takes long on a busy machine
    "sample-extensions/scheduler-typescript",
    "sample-extensions/tests",
    "tests/contract/test_typescript_values.py",
    "-k",
    "typescript",
)
SDK_TESTS = (
    "guest-abi/tests",
    "-k",
    "through-quickjs or through-spidermonkey",
    "-o",
    "faulthandler_timeout=0",
)
MOST_SEED_BYTES = 512
"""As many bytes may differ between two builds on QuickJS."""
INSTALL = ("--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")


def digests() -> str:
    """A line for the component and for each of its sources, as ``sha256sum`` writes them."""
    paths = [COMPONENT, *sorted({path for pattern in SOURCES for path in ROOT.glob(pattern)})]
    return "".join(
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(ROOT).as_posix()}\n"
        for path in paths
    )


def prepare() -> None:
    """Install the SDK's packages and build it."""
    require_node()
    npm(SDK, "ci", *INSTALL)
    npm(SDK, "run", "--silent", "build")


def build(component: Path) -> None:
    """Build the sample as it is committed."""
    run_well(SAMPLE, "node", str(SDK / "build.mjs"), "src/index.ts", "--out", str(component))


def commit() -> None:
    """Build the committed component and write the list of its sources."""
    prepare()
    build(COMPONENT)
    LIST.write_text(digests())


def check(python: str) -> None:
    """Test and pack the SDK, use the archive as an author does, and test what that builds."""
    prepare()
    say(run_well(SDK, "npm", "test", "--silent").strip())
    with tempfile.TemporaryDirectory(prefix="alga-author-") as temporary:
        rebuilt = Path(temporary) / "rebuilt.wasm"
        build(rebuilt)
        compare(rebuilt)
        author = Path(temporary) / "my extension"
        shutil.copytree(SAMPLE, author, ignore=shutil.ignore_patterns("dist", "node_modules", "tests"))
        install_packed(author, Path(temporary))
        (author / "src" / "readme.ts").write_text(example())
        npm(author, "run", "--silent", "check")
        say(run_well(author, "npx", "alga-build", "src/readme.ts", "--out", "dist/readme.wasm").strip())
        for engine in ENGINES:
            wasm = author / "dist" / f"{engine}.wasm"
            say(
                run_well(
                    author, "npx", "alga-build", "src/index.ts", "--engine", engine, "--out", str(wasm)
                ).strip()
            )
            say(run_well(ROOT, python, "-m", "pytest", "-q", *TESTS, env={"SAMPLE_WASM": str(wasm)}))

    say(run_well(ROOT, python, "-m", "pytest", "-q", "-n", "0", *SDK_TESTS))


def compare(rebuilt: Path) -> None:
    """Compare the committed component with another build. Raises ``BuildFailed`` when more than seeds differ."""
    made, committed = rebuilt.read_bytes(), COMPONENT.read_bytes()
    differing = sum(map(operator.ne, made, committed)) + abs(len(made) - len(committed))
    if differing > MOST_SEED_BYTES:
        raise BuildFailed(
            f"{COMPONENT.relative_to(ROOT)} differs in {differing} bytes from what its sources make, which is more than"
            " the seeds of the engine. Run `make typescript-sample` and commit what it writes."
        )
    say(f"{COMPONENT.relative_to(ROOT)}: as built, save {differing} bytes of seeds")


def example() -> str:
    """The source in the SDK's README."""
    return (SDK / "README.md").read_text().partition("```typescript\n")[2].partition("```")[0]


def install_packed(author: Path, temporary: Path) -> None:
    """Pack the SDK and install the archive for the package in ``author``, from nothing but the registry."""
    archive = json.loads(npm(SDK, "pack", "--json", "--silent", "--pack-destination", str(temporary)))[0]
    names = {file["path"] for file in archive["files"]}
    for needed in ("build.mjs", "dist/index.d.ts", "dist/serve.js", "wit/build.wit", "wit/alga/world.wit"):
        if needed not in names:
            raise BuildFailed(f"The packed SDK has no {needed}; it has {', '.join(sorted(names))}.")
    package = json.loads((author / "package.json").read_text())
    package["devDependencies"]["alga-extension"] = f"file:{temporary / archive['filename']}"
    (author / "package.json").write_text(json.dumps(package))
    npm(author, "install", *INSTALL)


def main(arguments: list[str]) -> int:
    """Check, or with ``--commit`` build the committed component. 0 is good, 1 a failure."""
    committing = arguments == ["--commit"]
    try:
        if committing:
            commit()
        else:
            check(sys.executable)
    except ToolMissing as missing:
        say(f"not run: {missing}")
        return 1 if committing else 0
    except BuildFailed as failure:
        say(str(failure))
        return 1
    return 0


def say(line: str) -> None:
    """Print and flush."""
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
