"""Each finding of the guests in nine languages names a test that is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from alga_runner.cli.conformance.kit import load_cases

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "guest-abi/conformance/FINDINGS.md").read_text("utf-8")
ROWS = [line.strip("| ").split(" | ") for line in TEXT.splitlines() if line.startswith("| ")][1:]
CASES = {case.name for case in load_cases()}


@pytest.mark.parametrize(("finding", "shown_by"), [(row[0], row[-1]) for row in ROWS])
def test_a_finding_names_its_test(finding: str, shown_by: str) -> None:
    (name,) = re.findall(r"`(.+)`", shown_by)
    if shown_by.startswith("case "):
        assert name in CASES
        return
    path, _, function = name.partition("::")

    assert re.search(rf"^(async )?def {function}\(", (ROOT / path).read_text("utf-8"), re.MULTILINE)


def test_there_are_as_many_findings_as_rows() -> None:
    assert len(ROWS) > 30
    assert len({row[0] for row in ROWS}) == len(ROWS)
