"""The conformance kit is what its source makes of ABI.md, and this runner passes it."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from alga_runner.cli.conformance.kit import Case, load_cases
from alga_runner.cli.conformance.ours import own_host
from alga_runner.cli.conformance.report import carry_out

GUEST_ABI = Path(__file__).parents[3] / "guest-abi"
KIT = GUEST_ABI / "conformance"
ABI = (GUEST_ABI / "ABI.md").read_text("utf-8")
ONE_LINE = " ".join(ABI.split())


@pytest.fixture(scope="module")
def build() -> Iterator[ModuleType]:
    kept = {name: sys.modules.pop(name) for name in [*sys.modules] if name.partition(".")[0] == "source"}
    sys.path.insert(0, str(KIT))
    try:
        spec = importlib.util.spec_from_file_location("build_conformance", KIT / "build.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        yield module
    finally:
        sys.path.remove(str(KIT))
        for name in [name for name in sys.modules if name.partition(".")[0] == "source"]:
            del sys.modules[name]
        sys.modules.update(kept)


def test_the_committed_kit_is_what_its_source_makes(
    build: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["build.py", str(tmp_path)])

    build.main()

    def files(folder: Path) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in [folder / "cases.json", *folder.glob("modules/*")]}

    assert files(tmp_path) == files(KIT), "run guest-abi/conformance/build.py"


def test_every_rule_is_quoted_from_the_abi() -> None:
    strange = [case.name for case in load_cases() if " ".join(case.rule.split()) not in ONE_LINE]

    assert strange == []


def test_every_section_that_a_case_names_is_a_heading() -> None:
    headings = set(re.findall(r"^#+ (.+)$", ABI, re.MULTILINE))

    assert {case.section for case in load_cases()} <= headings


@pytest.mark.anyio
async def test_this_runner_keeps_every_rule() -> None:
    cases = [case for case in load_cases() if not case.slow]
    async with own_host() as host:
        await host.load(cases)
        outcomes = await carry_out(host, cases)

    broken = {outcome.case.name: outcome.faults for outcome in outcomes if outcome.faults}

    assert len(cases) > 150
    assert broken == {}


def test_every_module_is_used() -> None:
    used = {case.module.name for case in load_cases()}

    assert {path.name for path in KIT.glob("modules/*")} <= used


def test_a_padded_module_has_its_size() -> None:
    (case, *_) = load_cases()
    padded = Case(**{**{name: getattr(case, name) for name in case.__slots__}, "padded_to": 100_000})

    assert len(padded.wasm()) == 100_000


def test_the_cases_are_plain_json_with_a_line_each() -> None:
    lines = (KIT / "cases.json").read_text("utf-8").splitlines()

    assert [json.loads(line.rstrip(","))["name"] for line in lines[1:-1]] == [
        case.name for case in load_cases()
    ]
