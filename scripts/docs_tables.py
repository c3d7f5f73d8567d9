"""Keep the tables in docs/ and guest-abi/ that derive from the code: ``make docs`` rewrites them, a test compares.

Each table is between ``<!-- table: name -->`` and ``<!-- end -->``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from alga_common.settings import EnvironmentSettings
from alga_runner.capabilities import OPERATIONS
from alga_runner.cli.upstream import VARIABLES, effect
from alga_runner.settings import Settings
from alga_server.settings import ServerSettings

ROOT = Path(__file__).parents[1]
DOCUMENTS = [*(ROOT / "docs").glob("*.md"), *(ROOT / "guest-abi").glob("*.md")]
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


def upstream_table() -> str:
    """Every variable of Alga's runner, and what it does here."""
    return _table(["variable of Alga's runner", "here"], ([f"`{name}`", effect(name)] for name in VARIABLES))


def operations_table() -> str:
    """Every operation: its name, its capability, what it does, the errors of its own."""
    return _table(
        ["operation", "capability", "what it does", "errors of its own"],
        (
            [f"`{name}`", f"`{one.capability}`", one.summary, ", ".join(f"`{code}`" for code in one.codes)]
            for name, one in sorted(OPERATIONS.items())
        ),
    )


@cache
def _schema(name: str) -> dict[str, Any]:
    """A file of the guest ABI's schema."""
    content: dict[str, Any] = json.loads((ROOT / "guest-abi" / "schema" / f"{name}.json").read_text("utf-8"))
    return content


def host_calls_table() -> str:
    """Every operation that a core module calls with a document: its import, request, ``ok`` and codes."""
    return _table(
        ["module", "function", "capability", "request", "`ok`", "codes of its own"],
        (
            [
                *(f"`{one[key]}`" for key in ("module", "function", "capability")),
                *(f"`{_shape(one[key])}`" for key in ("input", "output")),
                ", ".join(f"`{code}`" for code in one["codes"]),
            ]
            for one in _schema("operations")["operations"]
            if "reply_ptr" in one["parameters"]
        ),
    )


def members_table(*names: str) -> str:
    """The members of documents: type, limit and meaning."""

    def rows() -> Iterator[list[str]]:
        for name in names:
            definition = _schema("messages")["$defs"][name]
            shown = f"`{name}`"
            for member, schema in definition["properties"].items():
                required = member in definition.get("required", ())
                nil = " or nil" if required and {"type": "null"} in schema.get("anyOf", ()) else ""
                yield [
                    shown,
                    f"`{member}`" if required else f"`{member}?`",
                    _type_of(schema) + nil,
                    schema.get("description", ""),
                ]
                shown = ""

    return _table(["document", "member", "type", "meaning"], rows())


def _shape(reference: str) -> str:
    """``{scheduleId, name?, ...}``."""
    definition = _schema("messages")["$defs"][reference.rpartition("/")[2]]
    parts = []
    for member, schema in definition["properties"].items():
        kind = _type_of(schema).strip("`")
        named = kind.strip("[]") in _schema("messages")["$defs"]
        part = member + ("" if member in definition.get("required", ()) else "?")
        parts.append(f"{part}: {kind}" if named else part)
    return "{" + ", ".join(parts) + "}"


def _type_of(schema: dict[str, Any]) -> str:
    """A member's type and its limit, unless that is what all of the type have."""
    for one in schema.get("anyOf", ()):
        if one != {"type": "null"} and "enum" not in one:
            return _type_of(one)
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return {"Binary": "bytes", "Json": "JSON"}.get(name, f"`{name}`")
    kind = schema["type"] if isinstance(schema["type"], str) else schema["type"][0]
    if kind == "array":
        items, limit = _type_of(schema["items"]), _limit(schema, "maxItems", 10_000)
        shown = f"{limit[2:]} of {items}" if limit else f"`[{items.strip('`')}]`"
    elif kind == "object":
        shown = "map of text" if "additionalProperties" in schema else "map"
    elif kind == "string":
        shown = (
            "time" if "T[0-9]" in schema.get("pattern", "") else "text" + _limit(schema, "maxLength", 65_536)
        )
    elif kind == "integer" and schema["minimum"] != -(2**53):
        shown = f"integer, {schema['minimum']:,} to {schema['maximum']:,}"
    else:
        shown = kind
    return shown


def _limit(schema: dict[str, Any], keyword: str, usual: int) -> str:
    limit = schema.get(keyword, usual)
    return "" if limit == usual else f", up to {limit:,}"


TABLES: dict[str, Callable[[], str]] = {
    "runner settings": partial(settings_table, Settings),
    "server settings": partial(settings_table, ServerSettings),
    "upstream variables": upstream_table,
    "operations": operations_table,
    "host calls": host_calls_table,
    "members of schedules": partial(
        members_table,
        *("ScheduleList", "FoundSchedule", "CreatedSchedule", "EndpointList"),
        *("ScheduleInfo", "EndpointInfo", "CreateScheduleInput"),
    ),
    "members of users": partial(members_table, "CurrentUser", "TenantUser"),
    "members of secrets": partial(members_table, "SecretRef", "Secret", "SecretKeys"),
    "members of routes": partial(members_table, "RouteCall", "RouteAnswer"),
    "members of fetches": partial(members_table, "FetchInput", "FetchedResponse"),
    "members of clients": partial(
        members_table, *("ClientsListInput", "ClientsListResult", "ClientRef", "FoundClient", "ClientSummary")
    ),
    "members of services": partial(
        members_table,
        *("ServicesListInput", "ServicesListResult", "ServiceRef", "FoundService", "ServiceSummary"),
    ),
    "members of invoices": partial(
        members_table, "CreateManualInvoiceInput", "ManualInvoiceItemInput", "CreatedInvoice"
    ),
    "members of storage": partial(
        members_table,
        "StorageKey",
        "StorageWrite",
        "FoundEntry",
        "StorageEntry",
        "StoredRevision",
        "StoragePage",
        "EntryList",
    ),
    "members of requests": partial(
        members_table, "Request", "ContextInfo", "HttpInfo", "HeaderInfo", "UserInfo"
    ),
    "members of responses": partial(members_table, "Response", "ResponseHeader"),
    "members of replies": partial(members_table, "OkReply", "ErrReply", "ErrorInfo"),
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
    for path in DOCUMENTS:
        path.write_text(rendered(path.read_text()))
