"""The install that schedules belong to, as the rules of schedules see it."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from sqlalchemy import Connection, bindparam, update

from ..storage import tables
from ..storage.owned import place

TOUCH = update(tables.install).where(
    tables.install.c.tenant_id == bindparam("of_tenant"), tables.install.c.id == bindparam("of_install")
)


class ScheduleOwner(Protocol):
    """An install; ``catalog.installs.Install`` is one."""

    @property
    def tenant_id(self) -> str:
        """The tenant that owns the install."""

    @property
    def install_id(self) -> str:
        """The install."""

    @property
    def version_id(self) -> str:
        """The extension's version that is installed; its endpoints can be scheduled."""

    @property
    def enabled(self) -> bool:
        """Whether anything of the install fires."""

    @property
    def rate_arrival_at(self) -> datetime | None:
        """Where its changes have moved the arrival time of its rate (``rate_limit``)."""


def touch(connection: Connection, owner: ScheduleOwner, now: datetime) -> None:
    """Set the time of the install's last change."""
    connection.execute(TOUCH, place(owner.tenant_id, owner.install_id) | {"updated_at": now})
