"""FastAPI and Extism, with a fresh plugin for each request: what one would write first."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel

from .extism_plugin import call_fresh
from .messages import answer, document
from .serving import serve


class Context(BaseModel):
    """Who asks."""

    request_id: str
    tenant_id: str
    extension_id: str
    install_id: str
    content_hash: str
    version_id: str
    config: dict[str, str]


class Http(BaseModel):
    """The request for the guest."""

    method: str
    path: str
    headers: dict[str, str]
    body_b64: str


class ExecuteRequest(BaseModel):
    """One execution."""

    context: Context
    http: Http
    providers: list[str]


class ExecuteResponse(BaseModel):
    """What the guest answered."""

    status: int
    headers: dict[str, str]
    body_b64: str
    error: str | None


app = FastAPI()


@app.post("/v1/execute")
def execute(request: ExecuteRequest) -> ExecuteResponse:
    """FastAPI calls it in a thread."""
    given: dict[str, Any] = request.model_dump()
    return ExecuteResponse(**answer(call_fresh(document(given["context"], given["http"]))))


if __name__ == "__main__":
    serve(app)
