"""Execute requests."""

from __future__ import annotations

from typing import Any

from alga_runner import ExecuteRequest


def execute_document(content_hash: str, *, tenant: str = "acme", **members: Any) -> dict[str, Any]:
    """The JSON of an execute request; those of ``context`` and ``http`` are merged, others are added."""
    context = {
        "tenant_id": tenant,
        "extension_id": "ext",
        "install_id": "install-1",
        "content_hash": content_hash,
        **members.pop("context", {}),
    }
    http = {"method": "POST", "path": "/go", **members.pop("http", {})}
    return {"context": context, "http": http, **members}


def execute_request(content_hash: str, **members: Any) -> ExecuteRequest:
    """An execute request of ``execute_document``."""
    return ExecuteRequest.model_validate(execute_document(content_hash, **members))
