"""Check ``deploy/`` without a container engine: ``python scripts/deploy.py FOLDER``, which has the checkers.

The Dockerfile is linted, its build stage is carried out in a temporary folder that has only the files it copies,
and what it installs starts. ``compose.yaml`` and the Kubernetes manifests are judged by their schemas.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
import venv
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
DOCKERFILE = DEPLOY / "container" / "Dockerfile"
PREFIX = "/opt/alga"
SOURCE = "/src"


def main(tools: Path) -> int:
    """Run every check; 0 if all went well."""
    manifests = [str(path) for path in sorted((DEPLOY / "kubernetes").glob("*.yaml"))]
    compose = str(DEPLOY / "container" / "compose.yaml")
    checks = [
        [str(tools / "hadolint"), str(DOCKERFILE)],
        [str(tools / "check-jsonschema"), "--builtin-schema", "vendor.compose-spec", compose],
        [str(tools / "kubernetes-validate"), "--strict", *manifests],
    ]
    failed = [command[0] for command in checks if subprocess.run(command, check=False).returncode]
    with TemporaryDirectory() as folder:
        failed += [] if _installs(Path(folder)) else ["the image's build stage"]
    for what in failed:
        print(f"failed: {what}")
    return bool(failed)


def _installs(folder: Path) -> bool:
    """Carry out the build stage in ``folder`` and return whether both programs start after it."""
    source, prefix = folder / "src", folder / "alga"
    for words in _instructions():
        match words:
            case ["COPY", *names, target]:
                for name in names:
                    _copy(ROOT / name, source / Path(target).relative_to(SOURCE), into=target.endswith("/"))
            case ["RUN", "python", "-m", "venv", _]:
                venv.create(prefix, with_pip=True)
            case ["RUN", program, *arguments]:
                command = [_moved(word, source, prefix) for word in (program, *arguments)]
                if subprocess.run([*command, "--quiet"], check=False).returncode:
                    return False
            case _:
                pass
    programs = [prefix / "bin" / name for name in ("alga-runner", "alga-server")]
    return not any(subprocess.run([program, "--version"], check=False).returncode for program in programs)


def _instructions() -> list[list[str]]:
    """The instructions of the Dockerfile's first stage, in words."""
    text = DOCKERFILE.read_text().replace("\\\n", " ")
    _, first, *_ = text.split("\nFROM ")
    return [
        shlex.split(line, comments=True) for line in first.splitlines() if line.startswith(("COPY ", "RUN "))
    ]


def _moved(word: str, source: Path, prefix: Path) -> str:
    for before, after in ((PREFIX, prefix), (SOURCE, source)):
        if word == before or word.startswith(f"{before}/"):
            return f"{after}{word.removeprefix(before)}"
    return word


def _copy(path: Path, target: Path, *, into: bool) -> None:
    if path.is_dir():
        shutil.copytree(path, target, ignore=shutil.ignore_patterns("__pycache__", "node_modules"))
    else:
        target = target / path.name if into else target
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
