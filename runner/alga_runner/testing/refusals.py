"""What the gateway refused, as the error that says so to an author."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

import httpx

from ..errors import (
    AlgaError,
    DeadlineExceeded,
    EndpointNotFound,
    ExtensionNotAvailable,
    InvalidResponse,
    Overloaded,
    RequestInvalid,
)
from ..models import ExecuteResponse

_BY_STATUS: Mapping[int, type[AlgaError]] = {
    400: RequestInvalid,
    409: RequestInvalid,
    413: RequestInvalid,
    429: Overloaded,
    504: DeadlineExceeded,
}


def is_refusal(answer: httpx.Response) -> bool:
    """Whether the gateway speaks for itself: a guest's answer it would put into a sandbox."""
    return answer.status_code >= 400 and "content-security-policy" not in answer.headers


def refusal(answer: httpx.Response, install: Mapping[str, Any], method: str, path: str) -> AlgaError:
    """Why nothing ran. ``install`` is as the admin API shows it."""
    name, wanted = install["extensionName"], f"{method.upper()} {path}"
    if answer.status_code == 404:
        if install["enabled"]:
            return unknown_endpoint(install, wanted)
        return ExtensionNotAvailable(
            f"The install of {name} for tenant {install['tenantId']} is disabled.", hint="Enable it first."
        )
    document = answer.json()
    said = document.get("code", document["error"])
    kind = _BY_STATUS.get(answer.status_code, AlgaError)
    return kind(f"The gateway refused {wanted} of {name} with HTTP {answer.status_code}: {said}.")


def unknown_endpoint(install: Mapping[str, Any], wanted: str) -> EndpointNotFound:
    """The endpoints that there are, and the nearest."""
    known = [f"{each['method']} {each['path']}" for each in install["endpoints"]]
    nearest = difflib.get_close_matches(wanted, known, n=1)
    return EndpointNotFound(
        f"{install['extensionName']} has no endpoint {wanted}. It has {', '.join(known) or 'none'}.",
        hint=f"Did you mean {nearest[0]}?"
        if nearest
        else "Endpoints are declared in manifest.json, api.endpoints.",
    )


def withheld(answer: httpx.Response, response: ExecuteResponse) -> AlgaError:
    """The guest responded, and the gateway did not hand that on."""
    return InvalidResponse(
        f"The gateway did not hand on the guest's response, whose status is {response.status}, and answered "
        f"HTTP {answer.status_code}.",
        hint="A response has a status from 200 to 599.",
    )
