"""The limits that every v1 host grants: this one's defaults grant more, and ABI.md lists them."""

from __future__ import annotations

import re
from pathlib import Path

from alga_runner import Settings

ABI = (Path(__file__).parents[3] / "guest-abi" / "ABI.md").read_text()

SETTINGS = {
    "linear memory, MiB": "max_memory_mb",
    "elements of the table": "max_table_elements",
    "native stack, KiB": "wasm_stack_bytes",
    "calls of `alga:*` functions": "max_host_calls",
    "calls of functions of any kind": "max_system_calls",
    "bytes copied, MiB": "max_copied_bytes",
    "body of a request or response, MiB": "max_body_bytes",
    "request of a host call, KiB": "max_request_bytes",
    "containers in a message, members in each": "max_items",
    "lines of log": "max_log_lines",
    "log, KiB": "max_log_bytes",
    "line of log, KiB": "max_log_line_bytes",
    "module, MiB": "max_module_bytes",
    "CPU time, ms": "default_cpu_ms",
    "wall time, ms": "default_timeout_ms",
}
UNITS = {"KiB": 1024, "MiB": 1024 * 1024, "ms": 1}


def granted() -> dict[str, int]:
    section = ABI.partition("### Limits that every host grants")[2].partition("\n#")[0]
    rows = re.findall(r"^\| ([^|]+) \| ([\d,]+) \|$", section, re.MULTILINE)
    return {what: int(number.replace(",", "")) for what, number in rows}


def test_each_limit_that_a_guest_can_meet_is_granted_to_some_extent() -> None:
    assert list(granted()) == list(SETTINGS)


def test_the_defaults_grant_at_least_that() -> None:
    defaults = Settings()
    for what, number in granted().items():
        name = SETTINGS[what]
        unit = 1 if name == "max_memory_mb" else UNITS.get(what.rpartition(", ")[2], 1)
        assert getattr(defaults, name) >= number * unit, what
