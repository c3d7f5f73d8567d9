"""Every section of ABI.md that has rules, and every row of its tables of rules, has a case of the conformance kit."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from alga_runner.capabilities import OPERATIONS
from alga_runner.cli.conformance.kit import load_cases, plain
from tests.support.schema import DEFINITIONS, members

ABI = (Path(__file__).parents[3] / "guest-abi" / "ABI.md").read_text("utf-8")
SECTIONS = dict(re.findall(r"^#+ ([^\n]+)\n(.*?)(?=^#+ |\Z)", ABI, re.MULTILINE | re.DOTALL))

FOR_PEOPLE = {
    *("A guest in full", "One host call, byte by byte", "What an SDK adds", "Versions"),
    *("From C", "From Rust", "From Go", "From Zig"),
}
"""Sections that explain, and have no rule for a host."""

OF_RULES = (
    *("Exports", "WebAssembly", "Imports", "Limits that every host grants", "Lifetimes", "Refusals"),
    *("What ends an execution", "WASI and env"),
)
"""Sections whose tables have a rule in each row."""

NOT_BY_A_GUEST = {"overloaded", "draining", "memory_shortage", "canonical_abi_breach"}
"""A code of rows about the host's own state, or about components."""

OF_GROUPS = "| a group of host calls |"
"""The row of all operations, whose cases are below \"Host calls\"."""

CASES = load_cases()


def rows(section: str) -> list[str]:
    """The rows of the tables of rules in a section, without their heads."""
    lines = SECTIONS[section].splitlines()
    heads = {number - 1 for number, line in enumerate(lines) if line.startswith(("|---", "| ---"))}
    return [
        " ".join(line.split())
        for number, line in enumerate(lines)
        if line.startswith("| ") and number not in heads and not line.startswith("| ---")
    ]


def words(text: str) -> str:
    return " ".join(text.split())


RULES = {words(case.rule) for case in CASES}
ENDINGS = {case.expect.get("ending") for case in CASES}


def test_each_section_with_rules_has_cases() -> None:
    groups = ABI.partition("\n## Host calls\n")[2].partition("\n## ")[0]
    about_groups = set(re.findall(r"^### (.+)$", groups, re.MULTILINE))  # their cases are below "Host calls"

    assert set(SECTIONS) - FOR_PEOPLE - about_groups == {case.section for case in CASES} - about_groups


@pytest.mark.parametrize("section", OF_RULES)
def test_each_row_of_a_table_of_rules_has_a_case(section: str) -> None:
    table = rows(section)

    without = [row for row in table if row.startswith("| ") and not any(rule in row for rule in RULES)]
    if section == "What ends an execution":
        codes = {row: set(re.findall(r"`([a-z_]+)`", row.split(" | ")[0])) for row in without}
        without = [row for row, of_row in codes.items() if of_row - ENDINGS and not of_row & NOT_BY_A_GUEST]

    assert table
    assert [row for row in without if not row.startswith(OF_GROUPS)] == []


def test_each_code_of_a_host_call_reaches_a_guest() -> None:
    expected = {
        entry["reply"]["err"]["code"]
        for case in CASES
        for entry in case.expect.get("transcript", ())
        if "err" in entry.get("reply", {})
    }

    assert expected == set(re.findall(r"^\| `([a-z-]+)` \| .* \|$", _codes(), re.MULTILINE))


def _codes() -> str:
    table = SECTIONS["Messages"].partition("| code | meaning |")[2]
    return table.partition("\n\n")[0]


@pytest.mark.parametrize("name", [name for name in OPERATIONS if name != "log.emit"])
def test_each_operation_has_cases_for_every_member(name: str) -> None:
    of_operation = {
        case.name.removeprefix(f"{name}/"): case for case in CASES if case.name.startswith(f"{name}/")
    }
    operation = OPERATIONS[name]
    (asked,) = of_operation["every member"].asked
    (entry,) = of_operation["every member"].expect["transcript"]

    assert asked["input"].keys() == members(operation.input.__name__).keys()
    assert entry["reply"]["ok"].keys() == members(operation.output.__name__).keys()
    assert of_operation.keys() >= {
        *("required members alone", "an unknown member is ignored", "an array", "broken framing"),
        *("through reply", "the request's range is checked first", "the reply's range is checked first"),
        "after respond",
    }
    for member in members(operation.input.__name__):
        assert any(f"{member} is " in case for case in of_operation), member


def test_a_request_with_every_member_reaches_a_guest() -> None:
    (case,) = [case for case in CASES if case.name == "vectors/requests: every member of the schema"]
    request = case.expect["response"]["body"]["message"]

    assert request["context"].keys() == members("ContextInfo").keys()
    assert request["http"].keys() == members("HttpInfo").keys()
    assert request["user"].keys() == members("UserInfo").keys()
    assert plain(request["http"]["body"]) == b"\0\xff"
    assert {"Request", "Response", "ErrorInfo"} <= DEFINITIONS.keys()


def test_nothing_is_compared_that_is_for_people() -> None:
    texts = [case.name for case in CASES if '"message": "' in json.dumps(case.expect.get("transcript", ""))]

    assert texts == []
