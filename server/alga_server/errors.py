"""Every refusal the server answers with. A class names its ``code``, and its status unless it inherits that.

A code is stable: lower case in admin answers, upper case in internal ones. The docstring's first line is the message
unless another is given. docs/errors.md lists the codes, each with what to do.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import ClassVar

from alga_common.wire import codes_below

_RUNNER_CODE = re.compile(r"([a-z][a-z0-9_]{0,63})(?::\s*([a-z][a-z0-9_]{0,63}):|:|$)")


class FieldRefused(ValueError):
    """One field of a request breaks a rule; the message goes to the caller, in a ``ValidationFailed``.

    ``schema`` means that the field is missing or has another type.
    """

    def __init__(self, message: str, *, schema: bool = False) -> None:
        super().__init__(message)
        self.schema = schema


class BackupRefused(Exception):
    """There is nothing that may be backed up or restored so; ``code`` is stable."""

    def __init__(self, code: str, message: str, *, hint: str) -> None:
        super().__init__(message)
        self.code = code
        self.hint = hint


class ServerError(Exception):
    """Internal error"""

    code: ClassVar[str] = "internal_error"
    http_status: ClassVar[int] = 500
    retry_after_s: int | None = None
    """After how many seconds the caller may try again; ``None`` if that changes nothing."""

    def __init_subclass__(cls, *, code: str, status: int | None = None) -> None:
        super().__init_subclass__()
        cls.code = code
        cls.http_status = status or cls.http_status

    def __init__(self, message: str = "") -> None:
        super().__init__(message or (type(self).__doc__ or type(self).__name__).splitlines()[0])

    @property
    def label(self) -> str:
        """The ``status`` of the call's metric."""
        return metric_label(self.code)


def metric_label(code: str) -> str:
    """Return the ``status`` of a host call's metric for a refusal with ``code``."""
    return {"internal_error": "internal", "capability_denied": "denied"}.get(code, code)


class Unauthorized(ServerError, code="unauthorized", status=401):
    """Invalid token"""


class ExecutionTokenInvalid(Unauthorized, code="execution_token_invalid"):
    """Invalid execution token"""


class Unauthenticated(Unauthorized, code="unauthenticated"):
    """The gateway does not know the caller"""


class CapabilityDenied(ServerError, code="capability_denied", status=403):
    """The install was not granted the capability"""


class NotFound(ServerError, code="not_found", status=404):
    """Not found"""


class NoSuchRoute(ServerError, code="no_such_route", status=404):
    """Not Found"""


class ExtensionNotAvailable(NotFound, code="extension_not_available"):
    """The extension is not installed for the tenant, or its install is disabled"""


class EndpointNotFound(NotFound, code="endpoint_not_found"):
    """The installed version has no such endpoint"""


class BodyTooLarge(ServerError, code="body_too_large", status=413):
    """Request body too large"""


class PayloadTooLarge(BodyTooLarge, code="payload_too_large"):
    """The request's body is larger than an extension may be sent"""


class DatabaseUnavailable(ServerError, code="database_unavailable", status=503):
    """The database cannot be used at present, please try again later"""

    retry_after_s = 5


class DatabaseBusy(DatabaseUnavailable, code="database_busy"):
    """The database has been locked for long, please try again later"""


class DatabaseFull(DatabaseUnavailable, code="database_full"):
    """The database has no room for anything new, please try again later"""

    retry_after_s = 30


class BundleStoreUnavailable(ServerError, code="bundle_store_unavailable", status=503):
    """The bundle store cannot be written"""


class DispatcherUnavailable(ServerError, code="dispatcher_unavailable", status=503):
    """This server is not running schedules"""


class Conflict(ServerError, code="conflict", status=409):
    """It exists already"""


class VersionExists(Conflict, code="version_exists"):
    """The version is published with other content; versions never change"""


class AlreadyInstalled(Conflict, code="already_installed"):
    """The extension is installed for this tenant already"""


class ScheduleRemapFailed(Conflict, code="SCHEDULE_REMAP_FAILED"):
    """Extension update blocked: one or more schedules reference endpoints missing in target version

    ``missing`` are those schedules: id, method, path. Code and message are Alga's own (alga-contract 5.8).
    """

    def __init__(self, message: str = "", *, missing: Sequence[tuple[str, str, str]] = ()) -> None:
        super().__init__(message)
        self.missing = [
            {"scheduleId": schedule_id, "method": method, "path": path}
            for schedule_id, method, path in missing
        ]


class ValidationFailed(ServerError, code="validation_failed", status=400):
    """Validation error

    ``field_errors`` maps every field that breaks a rule to its message. ``schema`` means that a field is missing or
    has another type: then the message is ``Validation error`` (alga-contract 5.1).
    """

    def __init__(
        self, message: str = "", *, field_errors: Mapping[str, str] | None = None, schema: bool = False
    ) -> None:
        self.field_errors = dict(field_errors or {})
        self.schema = schema
        first = next(iter(self.field_errors.values()), "")
        super().__init__(message or ("Validation error" if schema else first))


class BundleRefused(ValidationFailed, code="bundle_invalid"):
    """The bundle cannot be published"""


class QuotaExceeded(ValidationFailed, code="quota_exceeded"):
    """The install has as many as it may have"""


class LimitExceeded(ValidationFailed, code="limit_exceeded"):
    """A value is larger than one may be"""


class RevisionMismatch(Conflict, code="revision_mismatch"):
    """The record has another revision"""


class StorageFull(ServerError, code="storage_full", status=429):
    """The install stores as much as it may"""


class RateLimited(ServerError, code="rate_limited", status=429):
    """Too many requests, please try again later

    After ``retry_after_s`` seconds a request is accepted again.
    """

    def __init__(self, message: str = "", *, retry_after_s: int = 1) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class RunnerFailure(ServerError, code="runner_failure", status=502):
    """The runner did not give the handler's response"""


class RunnerUnavailable(RunnerFailure, code="runner_unavailable"):
    """The runner cannot be reached"""


class RunnerRefused(RunnerFailure, code="runner_refused"):
    """The runner refused the request"""


class RunnerProtocolError(RunnerFailure, code="runner_garbled"):
    """The runner's answer cannot be used"""


class RunnerBusy(RunnerFailure, code="runner_busy", status=429):
    """The runner has no room

    ``retry_after_s`` is how many seconds it asks to wait.
    """

    def __init__(self, message: str = "", *, retry_after_s: int = 1) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class RunnerTimeout(RunnerFailure, code="runner_timeout", status=504):
    """The runner did not answer in time"""


class ExecutionFailed(RunnerFailure, code="execution_failed"):
    """The execution ended without a response of the guest's

    ``status`` and ``error`` are those of the runner's answer (alga-contract 1.3). ``runner_code`` is the stable part of
    ``error``: ``guest_trap`` of ``execute_failed: guest_trap: ...``, or the whole string where it is only a code.
    ``log_tail`` is the end of the guest's log, where the runner was asked for it and gave it.
    """

    def __init__(self, status: int = 500, error: str = "", log_tail: str | None = None) -> None:
        super().__init__(error)
        self.status = status
        self.error = error
        self.log_tail = log_tail

    @property
    def runner_code(self) -> str:
        """Return the runner's code, or this error's own if ``error`` does not begin with one."""
        match = _RUNNER_CODE.match(self.error)
        return (match[2] or match[1]) if match else self.code


class ExecutionTimedOut(ExecutionFailed, code="execution_timed_out", status=504):
    """The execution did not finish within its time"""


SERVER_CODES = frozenset(codes_below(ServerError))
"""Every code that the server refuses a request with."""

HINTS: Mapping[str, str] = {
    "internal_error": "The reason is in the server's log.",
    "unauthorized": "ALGA_SERVER_ADMIN_TOKEN must be the token that the server was started with.",
    "execution_token_invalid": "Make host calls from inside an execution, with the token of its request.",
    "unauthenticated": "ALGA_SERVER_GATEWAY_TOKEN must be the token that the server was started with.",
    "capability_denied": "`alga-server grant` grants a capability that the manifest declares.",
    "not_found": "Check the names and ids, and --tenant; `alga-server extensions` and `installs` list what there is.",
    "no_such_route": "Check --server, or ALGA_SERVER_URL; the server may be of another version.",
    "extension_not_available": "`alga-server installs` lists what a tenant has; `alga-server enable` enables one.",
    "endpoint_not_found": "Call an endpoint that the installed version declares, or declare this one in api.endpoints.",
    "body_too_large": "Send less.",
    "payload_too_large": "Send less.",
    "database_unavailable": "The reason is in the server's log; `alga-server doctor` tries the database.",
    "database_busy": "Try again; see which transactions hold the database's locks for long.",
    "database_full": "Give the database's disk more room, or delete some data; the server goes on by itself.",
    "bundle_store_unavailable": "Give ALGA_SERVER_BUNDLE_STORE a folder that the server can write, with free space.",
    "dispatcher_unavailable": "Try again shortly; a server with dispatch_schedules off runs no schedule.",
    "conflict": "Read it again, then decide.",
    "version_exists": "Give the changed extension another version in its manifest.json.",
    "already_installed": "`alga-server upgrade` moves it to another version, `alga-server grant` grants it more.",
    "SCHEDULE_REMAP_FAILED": "With --disable-missing-schedules they are disabled, and the upgrade goes on.",
    "validation_failed": "Mend what the message names.",
    "bundle_invalid": "Mend what the message names, and pack the extension again.",
    "quota_exceeded": "Delete schedules that are not needed.",
    "limit_exceeded": "Store less under one key.",
    "revision_mismatch": "Get the record again, and put it with the revision that it has now.",
    "storage_full": "Delete records that are not needed, or store them with a ttl.",
    "rate_limited": "Try again after the time in retry-after.",
    "runner_failure": "The reason is in the server's log and in the runner's.",
    "runner_unavailable": "Start the runner, or check ALGA_SERVER_RUNNER_URL; `alga-server doctor` tries it.",
    "runner_refused": "ALGA_SERVER_RUNNER_SERVICE_TOKEN must be the runner's RUNNER_SERVICE_TOKEN.",
    "runner_garbled": "Check that ALGA_SERVER_RUNNER_URL names a runner of this version.",
    "runner_busy": "Try again shortly, or raise the runner's limits (docs/limits.md).",
    "runner_timeout": "Let the handler do less, or raise execution_timeout_ms; the handler may have acted.",
    "execution_failed": "The message is the runner's; see its code in docs/errors.md.",
    "execution_timed_out": "Let the handler do less, or raise execution_timeout_ms.",
}
"""The next step after each refusal, for an admin at a terminal."""
