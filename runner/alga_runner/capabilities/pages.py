"""What the clients' and the services' operations ask alike (alga-contract 4)."""

from __future__ import annotations

from pydantic import BaseModel

from .operation import Execution

FIRST_PAGE, PAGE_SIZE = 1, 25
"""What a list gives unless it is asked otherwise."""


def page_of(which: BaseModel) -> dict[str, object]:
    """The input of a list, with the first page unless it names one."""
    return {"page": FIRST_PAGE, "pageSize": PAGE_SIZE, **which.model_dump(by_alias=True, exclude_none=True)}


def asked_by(execution: Execution) -> dict[str, object]:
    """The member that names who asks, whose rights the server checks; nothing where no person asks."""
    user = execution.user
    return {} if user is None else {"user": {"userId": user.user_id, "userType": user.user_type}}
