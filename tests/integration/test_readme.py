"""What the README tells a reader to do works as it stands there."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def test_the_command_that_runs_an_extension():
    (line,) = re.findall(r"^\$ \.venv/bin/(alga-runner invoke .*)$", README, re.MULTILINE)
    program, *arguments = shlex.split(line)

    done = subprocess.run(
        [Path(sys.executable).with_name(program), *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert "200 OK" in done.stdout
    assert "scheduler.create" in done.stdout


def test_the_library_example():
    (program,) = [block for block in blocks("python") if "anyio.run(main)" in block]

    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("200 ")


def test_the_test_example(tmp_path: Path):
    (example,) = [block for block in blocks("python") if "def test_" in block]
    (tmp_path / "test_example.py").write_text(
        example.replace("sample-extensions", f"{ROOT}/sample-extensions")
    )

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_example.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert "1 passed" in done.stdout, done.stdout


@pytest.mark.parametrize("target", ["demo", "test"])
def test_the_first_screen_names_targets_that_exist(target: str):
    assert f"$ make {target} " in README
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_every_link_leads_somewhere():
    links = re.findall(r"\]\(([^)#]+)\)", README)

    assert [link for link in links if not link.startswith("http") and not (ROOT / link).exists()] == []
