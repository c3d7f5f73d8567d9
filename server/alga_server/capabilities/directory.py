"""Clients and services of a tenant, page by page (alga-contract 4, "Clients/Services")."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from .seed import Client, Service

T = TypeVar("T", Client, Service)


@dataclass(frozen=True, slots=True)
class Listing(Generic[T]):
    """One page, and how many there are on all pages."""

    items: Sequence[T]
    total: int


def clients(
    known: Iterable[Client], *, search: str, include_inactive: bool, page: int, page_size: int
) -> Listing[Client]:
    """Clients by name; ``search`` is part of a name, an id or a billing address, in any case."""
    matching = [
        client
        for client in known
        if (include_inactive or not client.is_inactive)
        and _has(search, client.client_name, client.client_id, client.billing_email)
    ]
    matching.sort(key=lambda client: (client.client_name.casefold(), client.client_id))
    return _page(matching, page, page_size)


def services(
    known: Iterable[Service],
    *,
    search: str,
    item_kind: str | None,
    is_active: bool | None,
    billing_method: str | None,
    page: int,
    page_size: int,
) -> Listing[Service]:
    """Services by name; ``search`` is part of a name, an id or a SKU, in any case."""
    matching = [
        service
        for service in known
        if (item_kind is None or service.item_kind == item_kind)
        and (is_active is None or service.is_active == is_active)
        and (billing_method is None or service.billing_method == billing_method)
        and _has(search, service.service_name, service.service_id, service.sku)
    ]
    matching.sort(key=lambda service: (service.service_name.casefold(), service.service_id))
    return _page(matching, page, page_size)


def _has(search: str, *texts: str | None) -> bool:
    # The id is text here: Alga's own looks for text in a UUID, and fails (alga-contract 7, fault 27).
    return any(search.casefold() in text.casefold() for text in texts if text is not None)


def _page(items: list[T], page: int, page_size: int) -> Listing[T]:
    start = (page - 1) * page_size
    return Listing(items[start : start + page_size], len(items))
