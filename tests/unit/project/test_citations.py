"""Every document, section and fault that a comment or a text cites is in the repository."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
CONTRACT = (ROOT / "docs" / "alga-contract.md").read_text()

SECTIONS = set(re.findall(r"^#{2,3} (\d+(?:\.\d+)?)\b", CONTRACT, re.MULTILINE))
FAULTS = set(re.findall(r"^(\d+)\. ", CONTRACT.partition("\n## 7. ")[2].partition("\n## ")[0], re.MULTILINE))

CONTRACT_CITED = re.compile(
    r"alga-contract(?:\.md)?\W+(\d+(?:\.\d+)?)((?:(?:,| and| to) (?:faults? )?\d+(?:\.\d+)?)*)"
)
DOCUMENT_CITED = re.compile(
    r"(?<![\w/])((?:docs|guest-abi)/[\w/-]+\.md|[A-Z]{5,}\.md)(?:, (\"[^\"]+\"|[A-Z]\w+(?: \d+)?))?"
)
GONE = re.compile(r"engine-lab|component-lab|\bPRD\b")
"""Documents that are not in the repository."""


def sources() -> Iterator[tuple[str, str]]:
    for top in ("runner", "server", "tests", "benchmarks", "scripts", "guest-abi"):
        for path in (ROOT / top).rglob("*.py"):
            if path.name != Path(__file__).name and "node_modules" not in path.parts:
                yield str(path.relative_to(ROOT)), path.read_text()


def unresolved(text: str) -> list[str]:
    """The citations in ``text`` that lead nowhere."""
    # A citation may break over two lines of a docstring or a comment.
    text = re.sub(r"\n[ #]*", " ", text)
    missing = [match[0] for match in GONE.finditer(text)]
    for match in CONTRACT_CITED.finditer(text):
        section, rest = match[1], match[2]
        faults = re.findall(r"faults? (\d+)", rest)
        more = [] if faults else re.findall(r"\d+(?:\.\d+)?", rest)
        if not {section, *more} <= SECTIONS or not set(faults) <= FAULTS:
            missing.append(match[0])
    for match in DOCUMENT_CITED.finditer(text):
        path, heading = ROOT / match[1], (match[2] or "").strip('"')
        if not path.exists() or (
            heading
            and not re.search(
                rf"^(?:#+ .*{re.escape(heading)}|{re.escape(heading)}\b)", path.read_text(), re.M
            )
        ):
            missing.append(match[0])
    return missing


def test_every_citation_resolves() -> None:
    assert [f"{name}: {citation}" for name, text in sources() for citation in unresolved(text)] == []


@pytest.mark.parametrize(
    "text",
    [
        "(alga-contract 5.11)",
        "(alga-contract 7, fault 51)",
        "(alga-contract 1.3 and 9)",
        "see docs/nowhere.md",
        "(guest-abi/ABI.md, Nothing)",
        "(component-lab, 1)",
        "(engine-lab, A1)",
        "(PRD, Internal API)",
    ],
)
def test_a_citation_that_leads_nowhere_is_found(text: str) -> None:
    assert len(unresolved(text)) == 1


@pytest.mark.parametrize(
    "text",
    [
        "(alga-contract 5.2 to 5.4)",
        "(alga-contract 7,\n    fault 30)",
        "(alga-contract 3)",
        "(guest-abi/ABI.md, Exports)",
        "(docs/errors.md)",
        '(docs/performance.md, "One execution")',
        "see ARCHITECTURE.md",
    ],
)
def test_a_citation_that_resolves_passes(text: str) -> None:
    assert unresolved(text) == []


SECURITY = (ROOT / "SECURITY.md").read_text()
PROMISES = re.split(r"\n(?=\* )", SECURITY.partition("show it:\n\n")[2].partition("\n## Not defended")[0])
TEST_CITED = re.compile(r"`(tests/[\w/.]+)`")


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise[2:50])
def test_every_promise_of_security_names_tests_that_are_there(promise: str) -> None:
    cited = TEST_CITED.findall(promise)

    assert cited
    assert [name for name in cited if not (ROOT / name).exists()] == []


def test_what_is_not_promised_names_tests_that_are_there() -> None:
    assert [name for name in TEST_CITED.findall(SECURITY) if not (ROOT / name).exists()] == []
