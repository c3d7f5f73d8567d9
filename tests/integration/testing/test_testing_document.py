"""docs/testing.md: every example in it is a test, and is run."""

from __future__ import annotations

import inspect
import re
from dataclasses import fields
from pathlib import Path

import pytest

from alga_runner.testing import Alga, Extension, Run
from alga_runner.testing.clock import Clock
from alga_runner.testing.gateway import CallOptions
from alga_server.http.gateway.headers import TO_CALLER, TO_GUEST
from tests.support.rates import write_rates

pytestmark = pytest.mark.processes

pytest_plugins = ["pytester"]

OTHERS = ("schemathesis", "hypothesispytest", "xdist", "xdist.looponfail")
"""Plugins that are installed here and not needed: to load them takes longer than a test."""

ROOT = Path(__file__).parents[3]
DOCUMENT = (ROOT / "docs" / "testing.md").read_text()
BLOCK = re.compile(r"(<!-- this one fails -->\n)?^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)

PASSES = [code for fails, code in BLOCK.findall(DOCUMENT) if not fails]
FAILS = [code for fails, code in BLOCK.findall(DOCUMENT) if fails]
FIXTURE = next(code for code in PASSES if "@pytest.fixture" in code)


@pytest.fixture
def author(pytester: pytest.Pytester) -> pytest.Pytester:
    """A project that has the sample where the document has it, and the extension ``rates``."""
    (pytester.path / "sample-extensions").symlink_to(ROOT / "sample-extensions")
    write_rates(pytester.path / "rates")
    return pytester


def run(author: pytest.Pytester, *blocks: str) -> pytest.RunResult:
    source = "\n\n".join(blocks)
    author.path.joinpath("test_documented.py").write_text(source)
    without = [option for name in ("cacheprovider", *OTHERS) for option in ("-p", f"no:{name}")]
    return author.runpytest_subprocess(*without, "-W", "error", "test_documented.py")


def test_the_examples_pass(author: pytest.Pytester) -> None:
    result = run(author, *PASSES)

    result.assert_outcomes(passed=sum(code.count("def test_") for code in PASSES))


def test_the_failing_example_fails_as_shown(author: pytest.Pytester) -> None:
    shown = re.search(r"```text\n(.*?)```", DOCUMENT, re.DOTALL)
    assert shown is not None

    result = run(author, FIXTURE.partition("\n\n\ndef test_")[0], *FAILS)

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(shown[1].splitlines(), consecutive=True)


def test_every_header_that_passes_the_gateway_is_named() -> None:
    passed = {*TO_GUEST, *TO_CALLER, "x-request-id", "x-idempotency-key", "location"}
    document = (ROOT / "docs" / "alga-server.md").read_text()

    assert {name for name in passed if f"`{name}`" not in document} == set()


def test_everything_that_a_run_says_is_named() -> None:
    said = {*(field.name for field in fields(Run)), "log", "host_calls", "runs.failed"}

    assert {name for name in said if f"`{name}`" not in DOCUMENT} == set()


def test_every_argument_of_a_call_is_in_a_table() -> None:
    arguments = {"check", *CallOptions.__annotations__}

    assert {
        name for name in arguments if not re.search(rf"^\|[^|]*`{name}`", DOCUMENT, re.MULTILINE)
    } == set()


def test_every_argument_of_an_install_is_in_a_table() -> None:
    arguments = inspect.signature(Alga.install).parameters.keys() - {"self", "extension"}

    assert {name for name in arguments if f"| `{name}` |" not in DOCUMENT} == set()


@pytest.mark.parametrize("front", [Alga, Extension, Clock])
def test_everything_the_fixture_offers_is_named(front: type) -> None:
    plumbing = {"run", "note", "removed", "tenant", "install_id", "manifest"}
    offered = {name for name in vars(front) if not name.startswith("_")} - plumbing

    assert {name for name in offered if not re.search(rf"\b{name}\b", DOCUMENT)} == set()
