"""Words and names that a reader would have to translate are not used (ARCHITECTURE.md, Words)."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

NOT_HERE = {
    "docs/alga-contract.md",  # quotes another system's words
    "tests/unit/project/test_words.py",
}

READ = {".c", ".h", ".js", ".md", ".mk", ".py", ".rs", ".sh", ".toml", ".ts", ".yaml", ".yml", ".zig"}

BANNED_WORDS = re.compile(
    r"\b(?:"
    r"whoever|whatever|whosoever|nobody|somebody|told|says|stands|lies|comes|at once|on and on|beside|(?-i:is none)"
    r"|(?:for )?(?:another|the other|others)'s sake"
    r"|heal(?:s|ed|ing)?|bur(?:y|ies|ied)|crews?|desks?|boards?|seats?|journeys?|twins?|deaf|thief|thieves"
    r")\b",
    re.IGNORECASE,
)
NOUN_CLAUSE = re.compile(r"\b[Ww]hat (?:is|was|are|were|stands|lies|has) (?!wrong\b)[^?\n]*$", re.MULTILINE)
"""``what is kept`` for "the kept replies"; a question keeps its mark."""

BANNED_NAMES = {"each", "found", "mine", "told", "wanted"}
"""A local is named after what it holds."""


def texts() -> Iterator[tuple[str, str]]:
    """Every text of the repository that people write, by its path."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in listed.splitlines():
        path = ROOT / name
        if (path.suffix in READ or path.name == "Makefile") and name not in NOT_HERE and path.is_file():
            yield name, path.read_text()


def banned_words(text: str) -> Iterator[tuple[int, str]]:
    """Line and word for each banned word of ``text``."""
    for pattern in (BANNED_WORDS, NOUN_CLAUSE):
        for match in pattern.finditer(text):
            yield text.count("\n", 0, match.start()) + 1, match[0][:40]


def banned_names(source: str) -> Iterator[tuple[int, str]]:
    """Line and name for each banned name that ``source`` binds."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id in BANNED_NAMES:
            yield node.lineno, node.id
        elif isinstance(node, ast.arg) and node.arg in BANNED_NAMES:
            yield node.lineno, node.arg
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name in BANNED_NAMES:
            yield node.lineno, node.name


def findings(paths: tuple[str, ...] = ("",)) -> list[str]:
    """What is banned below ``paths``, a line each."""
    lines = []
    for name, text in texts():
        if not name.startswith(paths):
            continue
        hits = [*banned_words(text), *(banned_names(text) if name.endswith(".py") else ())]
        lines += [f"{name}:{line}: {word}" for line, word in sorted(hits)]
    return lines


def test_no_text_has_a_banned_word() -> None:
    assert findings() == []


@pytest.mark.parametrize(
    "text", ["Whoever asks", "it stands in the table", "the twins", "for another's sake", "for what is kept"]
)
def test_a_banned_word_is_found(text: str) -> None:
    assert len(list(banned_words(text))) == 1


@pytest.mark.parametrize(
    "text", ["Is it understandable?", "the onboarding", "What is a lease?", "the belief"]
)
def test_a_word_that_only_looks_like_one_passes(text: str) -> None:
    assert list(banned_words(text)) == []


@pytest.mark.parametrize(
    "source", ["for each in (): pass", "def f(mine): pass", "found = 1", "def told(): pass"]
)
def test_a_banned_name_is_found(source: str) -> None:
    assert len(list(banned_names(source))) == 1
