"""What travels: requests, responses, schedules, manifests, capability names, content hashes."""

from __future__ import annotations

from alga_common.capabilities import (
    DEFAULT_CAPABILITIES,
    KNOWN_CAPABILITIES,
    granted_capabilities,
    normalise_capabilities,
    unknown_capabilities,
)

from .archive import pack, unpack
from .content_hash import content_hash, parse_content_hash
from .execute import (
    ExecuteAnswer,
    ExecuteRequest,
    ExecuteResponse,
    ExecutionContext,
    ExecutionLimits,
    HttpCall,
    User,
    WarmupRequest,
)
from .json_value import MAX_DEPTH, MAX_PAYLOAD_DEPTH, JsonValue, json_fault, readable
from .manifest import Manifest, ManifestEndpoint, parse_manifest
from .schedule import (
    CreatedSchedule,
    CreateScheduleInput,
    EndpointInfo,
    EndpointList,
    FoundSchedule,
    ScheduleInfo,
    ScheduleList,
    ScheduleRef,
    UpdateScheduleInput,
)
from .secret_envelope import SecretEnvelope

__all__ = [
    "DEFAULT_CAPABILITIES",
    "KNOWN_CAPABILITIES",
    "MAX_DEPTH",
    "MAX_PAYLOAD_DEPTH",
    "CreateScheduleInput",
    "CreatedSchedule",
    "EndpointInfo",
    "EndpointList",
    "ExecuteAnswer",
    "ExecuteRequest",
    "ExecuteResponse",
    "ExecutionContext",
    "ExecutionLimits",
    "FoundSchedule",
    "HttpCall",
    "JsonValue",
    "Manifest",
    "ManifestEndpoint",
    "ScheduleInfo",
    "ScheduleList",
    "ScheduleRef",
    "SecretEnvelope",
    "UpdateScheduleInput",
    "User",
    "WarmupRequest",
    "content_hash",
    "granted_capabilities",
    "json_fault",
    "normalise_capabilities",
    "pack",
    "parse_content_hash",
    "parse_manifest",
    "readable",
    "unknown_capabilities",
    "unpack",
]
