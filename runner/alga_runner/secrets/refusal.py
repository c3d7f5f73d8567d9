"""An envelope that cannot be opened: the guest learns that, the operator why."""

from __future__ import annotations

from typing import NoReturn

from ..errors import HostCallCode, HostCallError, ServerFault


def refuse(reason: str) -> NoReturn:
    """Raise the ``HostCallError``; ``reason`` is for the operator, and completes "... cannot be opened: "."""
    raise HostCallError(
        HostCallCode.INTERNAL,
        "The execution's secrets cannot be opened; the operator's log has the reason.",
        fault=ServerFault.SECRETS,
        detail=f"An envelope of secrets cannot be opened: {reason}.",
    ) from None
