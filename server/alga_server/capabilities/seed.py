"""Data that a developer supplies for the capabilities of extensions, as YAML or JSON: one section for each tenant.

    tenants:
      acme:
        clients: [{clientId: 3f5c..., clientName: Globex}]

docs/extension-data.md describes every member.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from alga_common.text import escape_controls
from alga_common.wire import is_tenant_id, is_uuid
from alga_runner.errors import SettingsError
from alga_runner.models import json_fault

MAX_FILE_BYTES = 16 * 1024 * 1024

Permission = Literal["client:read", "service:read"]
CLIENT_READ: Permission = "client:read"
SERVICE_READ: Permission = "service:read"

_SHOWN_FAULTS = 5
_TAB = re.compile(r"\t")


def _uuid(text: str) -> str:
    if not is_uuid(lowered := text.lower()):
        raise ValueError("Invalid UUID")
    return lowered


def _tenant(text: str) -> str:
    if not is_tenant_id(text):
        raise ValueError("Not an id that a tenant can have")
    return text


def _json(value: Any) -> Any:
    if fault := json_fault(value):
        raise ValueError(f"Must be JSON; it {fault}")
    return value


Uuid = Annotated[str, AfterValidator(_uuid)]
Name = Annotated[str, Field(min_length=1, max_length=256)]


class _Seed(BaseModel):
    """A part of the data. An unknown member, most often a typing mistake, is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, alias_generator=to_camel)


class Client(_Seed):
    """A client of the tenant's, as extensions read it (alga-contract 4, "Clients/Services")."""

    client_id: Uuid
    client_name: Name
    client_type: Name | None = None
    is_inactive: bool = False
    default_currency_code: Name | None = None
    account_manager_id: Name | None = None
    account_manager_name: Name | None = None
    billing_email: Name | None = None


class Service(_Seed):
    """A service or product of the tenant's, as extensions read it."""

    service_id: Uuid
    service_name: Name
    item_kind: Literal["service", "product"] = "service"
    billing_method: Literal["fixed", "hourly", "usage"] = "fixed"
    service_type_id: Name | None = None
    service_type_name: Name | None = None
    default_rate: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0
    unit_of_measure: Name = "unit"
    is_active: bool = True
    sku: Name | None = None


class UiRoute(_Seed):
    """A route of the host's own API, and its answer."""

    method: Literal["GET", "POST"] = "GET"
    route: Annotated[str, Field(min_length=1, max_length=2_000)]
    status: Annotated[int, Field(ge=200, le=599)] = 200
    answer: Annotated[Any, AfterValidator(_json)] = None

    @property
    def path(self) -> str:
        """The route without slashes at its ends, and without empty parts."""
        return "/".join(filter(None, self.route.split("/")))


class TenantSeed(_Seed):
    """What there is of one tenant."""

    clients: list[Client] = Field(default_factory=list)
    services: list[Service] = Field(default_factory=list)
    ui_routes: list[UiRoute] = Field(default_factory=list)
    users: dict[Name, list[Permission]] | None = None
    """What each user may read. Without it, every user may read everything."""
    tax_percent: Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)] = 0
    """Of every invoice."""

    @model_validator(mode="after")
    def _each_is_there_once(self) -> TenantSeed:
        for name, keys in {
            "clientId": [client.client_id for client in self.clients],
            "serviceId": [service.service_id for service in self.services],
            "route": [f"{route.method} /{route.path}" for route in self.ui_routes],
        }.items():
            if twice := sorted({key for key in keys if keys.count(key) > 1}):
                raise ValueError(f"{name} {twice[0]} is there twice")
        return self

    def route(self, method: str, path: str) -> UiRoute | None:
        """Return the route with that method and path."""
        return next((route for route in self.ui_routes if (route.method, route.path) == (method, path)), None)

    def may(self, user_id: str, permission: Permission) -> bool:
        """Whether the user has the permission."""
        return self.users is None or permission in self.users.get(user_id, ())


class _Document(_Seed):
    tenants: dict[Annotated[str, AfterValidator(_tenant)], TenantSeed]


class SeedData:
    """The data of all tenants, in memory; a tenant without any has nothing."""

    def __init__(self, tenants: Mapping[str, TenantSeed] | None = None) -> None:
        self._tenants = dict(tenants or {})

    def of(self, tenant_id: str) -> TenantSeed:
        """Return the tenant's data."""
        return self._tenants.get(tenant_id, _NOTHING)

    def add(self, tenant_id: str, members: Mapping[str, object]) -> None:
        """Add the members, lists to lists, to the tenant's data. Raises ``ValueError`` with each fault's place."""
        before = self.of(tenant_id).model_dump(by_alias=True, exclude_unset=True)
        merged = dict(before)
        for name, value in members.items():
            earlier = before.get(name)
            if isinstance(earlier, list) and isinstance(value, list):
                merged[name] = [*earlier, *value]
            elif isinstance(earlier, dict) and isinstance(value, dict):
                merged[name] = {**earlier, **value}
            else:
                merged[name] = value
        try:
            self._tenants[_tenant(tenant_id)] = TenantSeed.model_validate(merged)
        except ValidationError as error:
            raise ValueError("; ".join(_faults(error, lambda _: None))) from None


_NOTHING = TenantSeed()


def load(path: Path) -> SeedData:
    """Return the data of a YAML or JSON file. Raises ``SettingsError`` that names the line and the field."""
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise _refused(path, [f"it is larger than {MAX_FILE_BYTES} bytes"])
        text = path.read_text("utf-8")
    except OSError as error:
        raise _refused(path, [f"it cannot be read: {error.strerror}"]) from None
    except UnicodeDecodeError:
        raise _refused(path, ["it is not UTF-8"]) from None
    # JSON is YAML, but for tabs, which its strings cannot hold.
    text = _TAB.sub("  ", text) if text.lstrip().startswith("{") else text
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        value = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or "it cannot be read"
        raise _refused(
            path, [_at(None if mark is None else mark.line + 1, f"not YAML or JSON: {problem}")]
        ) from None
    if node is not None and (twice := _repeated_key(node)):
        raise _refused(path, [_at(twice.start_mark.line + 1, f"the member {twice.value} is there twice")])
    try:
        document = _Document.model_validate({"tenants": {}} if value is None else value)
    except ValidationError as error:
        raise _refused(path, _faults(error, lambda place: _line(node, place))) from None
    return SeedData(document.tenants)


def _refused(path: Path, faults: Sequence[str]) -> SettingsError:
    more = f" (and {len(faults) - _SHOWN_FAULTS} more)" if len(faults) > _SHOWN_FAULTS else ""
    return SettingsError(
        f"The seed data {path} cannot be used: {'; '.join(faults[:_SHOWN_FAULTS])}{more}.",
        hint="docs/extension-data.md describes its members.",
    )


def _faults(error: ValidationError, line: Callable[[Sequence[int | str]], int | None]) -> list[str]:
    return [
        _at(
            line(fault["loc"]),
            f"{escape_controls('.'.join(map(str, fault['loc'])))}: {fault['msg'].removeprefix('Value error, ')}",
        )
        for fault in error.errors(include_input=False, include_url=False)
    ]


def _at(line: int | None, fault: str) -> str:
    return fault if line is None else f"line {line}: {fault}"


def _line(node: yaml.Node | None, place: Sequence[int | str]) -> int | None:
    """The line of the member at ``place``, or of the nearest one around it."""
    if node is None:
        return None
    line = node.start_mark.line + 1
    for step in place:
        if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
            line = node.start_mark.line + 1
        elif isinstance(node, yaml.MappingNode):
            member = next(((key, value) for key, value in node.value if key.value == str(step)), None)
            if member is None:
                return line
            line, node = member[0].start_mark.line + 1, member[1]
        else:
            return line
    return line


def _repeated_key(node: yaml.Node) -> yaml.Node | None:
    """The first key that its mapping has twice: of two sections for one tenant the first would be lost."""
    waiting: list[yaml.Node] = [node]
    while waiting:
        inner = waiting.pop()
        if isinstance(inner, yaml.SequenceNode):
            waiting += inner.value
        elif isinstance(inner, yaml.MappingNode):
            names: set[str] = set()
            members: list[tuple[yaml.Node, yaml.Node]] = inner.value
            for key, value in members:
                if isinstance(key.value, str) and key.value in names:
                    return key
                names.add(str(key.value))
                waiting.append(value)
    return None
