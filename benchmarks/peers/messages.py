"""The peers' messages: an execute request in JSON, what the guest reads and writes in MessagePack, and the answer."""

from __future__ import annotations

import base64
import json
from typing import Any

import msgpack


def guest_input(body: bytes) -> bytes:
    """The guest's request document, of an execute request."""
    request = json.loads(body)
    return document(request["context"], request["http"])


def document(context: dict[str, Any], http: dict[str, Any]) -> bytes:
    """The guest's request document, of the two halves of an execute request."""
    guest_request = {
        "context": {
            "requestId": context["request_id"],
            "tenantId": context["tenant_id"],
            "extensionId": context["extension_id"],
            "installId": context["install_id"],
            "versionId": context["version_id"],
            "config": context["config"],
        },
        "http": {
            "method": http["method"],
            "url": http["path"],
            "headers": [{"name": name, "value": value} for name, value in http["headers"].items()],
            "body": base64.b64decode(http["body_b64"]),
        },
    }
    packed: bytes = msgpack.packb(guest_request)
    return packed


def answer(output: bytes) -> dict[str, Any]:
    """The execute response, of the guest's response document."""
    response = msgpack.unpackb(output)
    return {
        "status": response["status"],
        "headers": {header["name"]: header["value"] for header in response["headers"]},
        "body_b64": base64.b64encode(response["body"]).decode(),
        "error": None,
    }


def answer_json(output: bytes) -> bytes:
    """The execute response in JSON, of the guest's response document."""
    return json.dumps(answer(output), separators=(",", ":")).encode()
