"""Clients and services that extensions read (alga-contract 4, "Clients/Services").

The install's capability is always checked; what the user behind the call may read only where the call names one.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field
from sqlalchemy import Connection

from ...capabilities import directory
from ...capabilities.seed import CLIENT_READ, SERVICE_READ, Client, Permission, Service, TenantSeed
from ...catalog.installs import Install
from ...errors import CapabilityDenied, ValidationFailed
from ..dependencies import Services
from ..params import UNKNOWN_ID, parse_uuid
from ..schemas import Output
from .call import Api, Body, Operation, Reply
from .requests import Asked, Whole, read


class User(Asked):
    """The person behind the call."""

    user_id: Annotated[str, Field(min_length=1, max_length=256)]
    user_type: Annotated[str, Field(max_length=64)] | None = None


class _Page(Asked):
    search: Annotated[str, Field(max_length=200)] | None = None
    page: Annotated[Whole, Field(ge=1, le=10_000)] | None = None
    page_size: Annotated[Whole, Field(ge=1, le=100)] | None = None


class ClientsInput(_Page):
    """Which clients."""

    include_inactive: bool | None = None


class ServicesInput(_Page):
    """Which services."""

    item_kind: Literal["service", "product"] | None = None
    is_active: bool | None = None
    billing_method: Literal["fixed", "hourly", "usage"] | None = None


class ClientRef(Asked):
    """Which client."""

    client_id: str


class ServiceRef(Asked):
    """Which service."""

    service_id: str


class ListClients(Asked):
    """A page of clients by name."""

    operation: Literal["list"]
    input: ClientsInput = ClientsInput()
    user: User | None = None


class GetClient(Asked):
    """One client, or null."""

    operation: Literal["get"]
    input: ClientRef
    user: User | None = None


class ListServices(Asked):
    """A page of services by name."""

    operation: Literal["list"]
    input: ServicesInput = ServicesInput()
    user: User | None = None


class GetService(Asked):
    """One service, or null."""

    operation: Literal["get"]
    input: ServiceRef
    user: User | None = None


class _Listed(Output):
    total_count: int
    page: int
    page_size: int


class ClientsListed(_Listed):
    """A page of clients."""

    items: list[Client]


class ServicesListed(_Listed):
    """A page of services."""

    items: list[Service]


class ClientFound(Output):
    """One client, or null."""

    item: Client | None


class ServiceFound(Output):
    """One service, or null."""

    item: Service | None


def _list_clients(services: Services, connection: Connection, install: Install, body: Body) -> Reply:
    asked = read(ListClients, body)
    seed = _readable(services, install, asked.user, CLIENT_READ)
    page, page_size = asked.input.page or 1, asked.input.page_size or 25
    listing = directory.clients(
        seed.clients,
        search=asked.input.search or "",
        include_inactive=asked.input.include_inactive or False,
        page=page,
        page_size=page_size,
    )
    return _listed(listing, page, page_size)


def _get_client(services: Services, connection: Connection, install: Install, body: Body) -> Reply:
    asked = read(GetClient, body)
    seed = _readable(services, install, asked.user, CLIENT_READ)
    client_id = _id("clientId", asked.input.client_id)
    return _item(next((client for client in seed.clients if client.client_id == client_id), None))


def _list_services(services: Services, connection: Connection, install: Install, body: Body) -> Reply:
    asked = read(ListServices, body)
    seed = _readable(services, install, asked.user, SERVICE_READ)
    page, page_size = asked.input.page or 1, asked.input.page_size or 25
    listing = directory.services(
        seed.services,
        search=asked.input.search or "",
        item_kind=asked.input.item_kind,
        is_active=asked.input.is_active,
        billing_method=asked.input.billing_method,
        page=page,
        page_size=page_size,
    )
    return _listed(listing, page, page_size)


def _get_service(services: Services, connection: Connection, install: Install, body: Body) -> Reply:
    asked = read(GetService, body)
    seed = _readable(services, install, asked.user, SERVICE_READ)
    service_id = _id("serviceId", asked.input.service_id)
    return _item(next((service for service in seed.services if service.service_id == service_id), None))


def _readable(services: Services, install: Install, user: User | None, permission: Permission) -> TenantSeed:
    """The tenant's data, if the user behind the call, where there is one, may read it."""
    seed = services.seed.of(install.tenant_id)
    if user is not None and not seed.may(user.user_id, permission):
        raise CapabilityDenied(f"Permission denied: {permission}")
    return seed


def _id(name: str, text: str) -> str:
    if (parsed := parse_uuid(text)) == UNKNOWN_ID:
        raise ValidationFailed(field_errors={f"input.{name}": "Invalid UUID"}, schema=True)
    return parsed


def _listed(listing: directory.Listing[Any], page: int, page_size: int) -> Reply:
    items = [item.model_dump(by_alias=True) for item in listing.items]
    return Reply({"items": items, "totalCount": listing.total, "page": page, "pageSize": page_size})


def _item(item: Client | Service | None) -> Reply:
    return Reply({"item": None if item is None else item.model_dump(by_alias=True)})


_CODES = {"capability_denied": "NOT_ALLOWED", "validation_failed": "INVALID_INPUT"}

CLIENTS = Api(
    "clients",
    capability="cap:client.read",
    operations={
        "list": Operation(_list_clients, writes=False),
        "get": Operation(_get_client, writes=False),
    },
    codes=_CODES,
)
SERVICES = Api(
    "services",
    capability="cap:service.read",
    operations={
        "list": Operation(_list_services, writes=False),
        "get": Operation(_get_service, writes=False),
    },
    codes=_CODES,
)
