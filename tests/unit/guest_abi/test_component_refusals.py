"""The table of docs/components.md has a counterpart for each refusal of the core ABI."""

from __future__ import annotations

import re
from pathlib import Path

from alga_runner.errors import HostCallCode, ModuleError

ROOT = Path(__file__).parents[3]


def codes(text: str) -> set[str]:
    return set(re.findall(r"`([a-z]+(?:[_-][a-z]+)*)`", text))


def section(path: str, title: str) -> list[list[str]]:
    """The rows of the table below this heading."""
    text = (ROOT / path).read_text("utf-8").partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    rows = [line.strip("|").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    return rows[1:]


def leaves(kind: type[ModuleError]) -> set[str]:
    below: set[str] = set()
    return below.union(*map(leaves, kind.__subclasses__())) if kind.__subclasses__() else {kind.code}


TABLE = section("docs/components.md", "Refusals and limits")
CORE = set().union(*(codes(row[0]) for row in TABLE))
COMPONENT = set().union(*(codes(row[1]) for row in TABLE))
ENDINGS = section("guest-abi/ABI.md", "What ends an execution")
OF_COMPONENTS = set().union(*(codes(row[0]) for row in ENDINGS if "components.md" in row[1]))


def test_each_ending_of_the_core_abi_has_its_counterpart() -> None:
    endings = set().union(*(codes(row[0]) for row in ENDINGS))

    assert len(endings) > 20
    assert endings - OF_COMPONENTS - CORE == set()


def test_each_ending_of_components_alone_is_a_counterpart() -> None:
    assert OF_COMPONENTS
    assert set() == OF_COMPONENTS - COMPONENT


def test_each_refusal_of_a_module_has_its_counterpart() -> None:
    assert leaves(ModuleError) - CORE == set()


def test_each_code_of_a_host_call_has_its_counterpart() -> None:
    assert {code.value for code in HostCallCode} - CORE == set()
