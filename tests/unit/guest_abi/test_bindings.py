"""The SDKs' bindings are those of the schema."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from tests.support.schema import INDEX, members

GUEST_ABI = Path(__file__).parents[3] / "guest-abi"


@pytest.fixture
def generated(monkeypatch: pytest.MonkeyPatch) -> dict[Path, str]:
    monkeypatch.syspath_prepend(GUEST_ABI)
    files: dict[Path, str] = importlib.import_module("bindings").generated()
    return files


def test_the_committed_bindings_are_those_of_the_schema(generated: dict[Path, str]) -> None:
    assert {path: path.read_text("utf-8") for path in generated} == generated, "run `make docs`"


def test_every_host_call_has_a_function_in_go(generated: dict[Path, str]) -> None:
    imports = generated[GUEST_ABI / "go/internal/abi/imports_wasip1.go"]

    assert set(re.findall(r"^//go:wasmimport (\S+) (\S+)$", imports, re.MULTILINE)) == {
        (operation["module"], operation["function"])
        for operation in INDEX["operations"]
        if operation["name"] != "log.emit"
    }


def test_the_go_sdk_knows_every_code() -> None:
    source = (GUEST_ABI / "go/errors.go").read_text("utf-8")
    known = re.search(r"^\tcase CodeDenied(.*?):", source, re.MULTILINE | re.DOTALL)

    assert re.findall(r'Code = "([a-z-]+)"', source) == INDEX["codes"]
    assert known is not None
    assert len(re.findall(r"Code\w+", known[0])) == len(INDEX["codes"]) - 1  # the last is what any other is


def test_the_error_of_the_go_sdk_has_the_members_of_its_document() -> None:
    source = (GUEST_ABI / "go/errors.go").read_text("utf-8")
    body = re.search(r"^type HostError struct \{\n(.*?)^\}", source, re.MULTILINE | re.DOTALL)

    assert body is not None
    assert re.findall(r'json:"(\w+),', body[1]) == [*members("ErrorInfo")]
