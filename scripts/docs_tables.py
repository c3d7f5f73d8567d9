"""Keep the tables in docs/ that derive from the code: ``make docs`` rewrites them, a test compares.

Each table is between ``<!-- table: name -->`` and ``<!-- end -->``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from pydantic import SecretStr

from alga_common.settings import EnvironmentSettings
from alga_runner.capabilities import OPERATIONS
from alga_runner.settings import Settings
from alga_server.settings import ServerSettings

DOCS = Path(__file__).parents[1] / "docs"
_BETWEEN = re.compile(r"(<!-- table: ([\w ]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def settings_table(settings: type[EnvironmentSettings]) -> str:
    """Every setting: its name, its environment variables, its default, its meaning."""
    rows = []
    for name, field in settings.model_fields.items():
        default = field.get_default()
        shown = "unset" if default is None or isinstance(default, SecretStr) else f"`{_plain(default)}`"
        rows.append(
            [
                f"`{name}`",
                ", then ".join(f"`{one}`" for one in settings.variables(name)),
                shown,
                field.description or "",
            ]
        )
    return _table(["setting", "environment", "default", "meaning"], rows)


def operations_table() -> str:
    """Every operation: its name, its capability, what it does, the errors of its own."""
    return _table(
        ["operation", "capability", "what it does", "errors of its own"],
        (
            [f"`{name}`", f"`{one.capability}`", one.summary, ", ".join(f"`{code}`" for code in one.codes)]
            for name, one in sorted(OPERATIONS.items())
        ),
    )


TABLES: dict[str, Callable[[], str]] = {
    "runner settings": partial(settings_table, Settings),
    "server settings": partial(settings_table, ServerSettings),
    "operations": operations_table,
}


def rendered(document: str) -> str:
    """``document`` with every table as it should be."""
    return _BETWEEN.sub(lambda match: match[1] + TABLES[match[2]]() + match[3], document)


def _table(head: list[str], rows: Iterable[list[str]]) -> str:
    lines = [head, ["---"] * len(head)]
    lines += [[cell.replace("|", "\\|") for cell in row] for row in rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def _plain(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


if __name__ == "__main__":
    for path in DOCS.glob("*.md"):
        path.write_text(rendered(path.read_text()))
