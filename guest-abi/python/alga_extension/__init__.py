"""What an extension in Python imports."""

from __future__ import annotations

from wit_world.imports.types import ContextData, ExecuteRequest, ExecuteResponse, HttpHeader

from .host import Host
from .response import empty_response, header_of, json_of, json_response, path_of, text_of, text_response
from .router import Handler, Router
from .serve import extension
from .types import UNSET, EndpointInfo, HostError, Json, ScheduleInfo, WriteResult

__all__ = [
    "UNSET",
    "ContextData",
    "EndpointInfo",
    "ExecuteRequest",
    "ExecuteResponse",
    "Handler",
    "Host",
    "HostError",
    "HttpHeader",
    "Json",
    "Router",
    "ScheduleInfo",
    "WriteResult",
    "empty_response",
    "extension",
    "header_of",
    "json_of",
    "json_response",
    "path_of",
    "text_of",
    "text_response",
]
