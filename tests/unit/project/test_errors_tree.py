"""The error tree: the drawing in errors.py is the real one, and the leaves are distinct."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from alga_common.wire import codes_below
from alga_runner import errors
from alga_runner.errors import AlgaError
from alga_runner.hints import HINTS
from alga_server.errors import HINTS as SERVER_HINTS
from alga_server.errors import ServerError

ROOT = Path(__file__).parents[3]
DRAWN = re.compile(
    r"^ {4}(?P<indent>(?:│   |    )*)(?:[├└]── )?(?P<name>[A-Z]\w+)(?: +(?P<code>[a-z_]+$|.+))?"
)


def tree(root: type[AlgaError] = AlgaError) -> Iterator[type[AlgaError]]:
    """The classes of errors.py, parents first."""
    yield root
    for child in root.__subclasses__():
        if child.__module__ == errors.__name__:
            yield from tree(child)


LEAVES = [one for one in tree() if one is not AlgaError and not one.__subclasses__()]


def drawn() -> Iterator[tuple[str, str | None, str | None]]:
    """Name, parent and code, of every line of the drawing."""
    above: list[str] = []
    lines = (errors.__doc__ or "").split("::\n", 1)[1].splitlines()
    for line in lines:
        if not (drawn := DRAWN.match(line)):
            continue
        depth = 0 if line == "    AlgaError" else len(drawn["indent"]) // 4 + 1
        above[depth:] = [drawn["name"]]
        yield drawn["name"], above[depth - 1] if depth else None, drawn["code"]


def test_the_drawn_tree_is_the_tree() -> None:
    classes = {one.__name__: one.__base__.__name__ for one in tree() if one is not AlgaError and one.__base__}

    assert {name: parent for name, parent, _ in drawn() if parent} == classes


def test_the_drawn_codes_are_the_codes() -> None:
    codes = {one.__name__: one.code for one in LEAVES if one is not errors.HostCallError}

    assert {name: code for name, _, code in drawn() if code and "``" not in code} == codes


def test_every_leaf_has_a_code_of_its_own() -> None:
    owned = [one.__dict__.get("code") for one in LEAVES]

    assert None not in owned
    assert len(set(owned)) == len(owned)


def test_branches_have_no_code() -> None:
    branches = [one for one in tree() if one is not AlgaError and one not in LEAVES]

    assert [one.__name__ for one in branches if "code" in one.__dict__] == []


@pytest.mark.parametrize("leaf", LEAVES, ids=lambda leaf: leaf.__name__)
def test_a_code_is_in_snake_case(leaf: type[AlgaError]) -> None:
    assert re.fullmatch(r"[a-z]+(_[a-z0-9]+)*", leaf.code)


@pytest.mark.parametrize("leaf", LEAVES, ids=lambda leaf: leaf.__name__)
def test_the_docstring_is_a_sentence_that_can_be_the_message(leaf: type[AlgaError]) -> None:
    first = (leaf.__doc__ or "").splitlines()[0]

    assert first.endswith(".")
    assert first[0].isupper()


@pytest.mark.parametrize(
    "leaf", [one for one in LEAVES if one is not errors.HostCallError], ids=lambda leaf: leaf.__name__
)
def test_an_error_without_a_message_says_its_docstring(leaf: type[AlgaError]) -> None:
    assert str(leaf()) == (leaf.__doc__ or "").splitlines()[0]


@pytest.mark.parametrize(
    "leaf", [one for one in LEAVES if one is not errors.HostCallError], ids=lambda leaf: leaf.__name__
)
def test_an_error_without_a_hint_has_the_next_step_of_its_code(leaf: type[AlgaError]) -> None:
    assert leaf().hint == HINTS[leaf.code]
    assert leaf(hint="Do this.").hint == "Do this."


@pytest.mark.parametrize(
    ("hints", "root"), [(HINTS, AlgaError), (SERVER_HINTS, ServerError)], ids=["runner", "server"]
)
def test_each_code_has_a_next_step_that_is_a_sentence(
    hints: Mapping[str, str], root: type[AlgaError] | type[ServerError]
) -> None:
    assert set(hints) == codes_below(root)
    assert [hint for hint in hints.values() if not hint.endswith(".")] == []


def test_no_error_of_the_tree_grows_outside_of_it() -> None:
    names = {one.__name__ for one in tree()}
    outside = [
        f"{path.relative_to(ROOT)}: {node.name}"
        for path in sorted((ROOT / "runner").rglob("*.py"))
        if path.name != "errors.py"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef)
        and names & {ast.unparse(base).rpartition(".")[2] for base in node.bases}
    ]

    assert outside == []


def test_the_place_of_an_error_is_kept_from_where_it_is_known_best() -> None:
    error = (
        errors.GuestTrap("It trapped.")
        .at(extension="inner", handler=None)
        .at(extension="outer", request_id="r1")
    )

    assert error.sentence() == "It trapped. (extension inner, request id r1)"
