"""Runner and server name the fields of their log lines alike."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from alga_common.logging import FIELDS
from alga_runner.telemetry.lines import Line, entry

ROOT = Path(__file__).parents[3]
LEVELS = {"debug", "info", "warning", "error", "exception", "log"}


def fields_of_log_calls(source: str) -> Iterator[tuple[int, str]]:
    """Line and name of every field in the ``extra=`` of a call of a logger."""
    for node in ast.walk(ast.parse(source)):
        if not (
            isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LEVELS
        ):
            continue
        for keyword in node.keywords:
            if keyword.arg == "extra" and isinstance(keyword.value, ast.Dict):
                for key in keyword.value.keys:
                    if isinstance(key, ast.Constant):
                        yield key.lineno, str(key.value)


def test_every_log_call_uses_the_shared_fields() -> None:
    unknown = [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for top in ("runner", "server")
        for path in sorted((ROOT / top).rglob("*.py"))
        for line, name in fields_of_log_calls(path.read_text())
        if name not in FIELDS
    ]

    assert unknown == []


def test_every_line_of_the_runner_s_telemetry_uses_the_shared_fields() -> None:
    text = dict.fromkeys(Line._fields, "x")
    numbers = {"created": 0.0, "level": 20, "duration_s": 0.0}
    numbers |= {"host_calls": 2, "host_calls_failed": 1, "host_calls_s": 0.0}
    actions = ("host_call", "execution", "guest_log", "http_request", "compilation", "code_cache")
    lines = [Line(**{**text, **numbers, "action": action}) for action in actions]  # type: ignore[arg-type]

    assert set().union(*(entry(line).fields() for line in lines)) <= FIELDS


def test_a_field_of_another_name_is_found() -> None:
    source = 'logger.info("It broke", extra={"action": "broke", "tenant": "acme", **who})'

    assert [name for _, name in fields_of_log_calls(source) if name not in FIELDS] == ["tenant"]
