"""Every refusal the server answers with.

``code`` is stable: lower case in admin answers, upper case in internal ones; ``http_status`` goes with it::

    ServerError                 internal_error      500
    ├── Unauthorized            unauthorized        401
    │   ├── ExecutionTokenInvalid execution_token_invalid 401
    │   └── Unauthenticated     unauthenticated     401
    ├── CapabilityDenied        capability_denied   403
    ├── NotFound                not_found           404
    │   ├── ExtensionNotAvailable extension_not_available 404
    │   └── EndpointNotFound    endpoint_not_found  404
    ├── BodyTooLarge            body_too_large      413
    │   └── PayloadTooLarge     payload_too_large   413
    ├── BundleStoreUnavailable  bundle_store_unavailable  503
    ├── DispatcherUnavailable   dispatcher_unavailable    503
    ├── Conflict                conflict            409
    │   ├── VersionExists       version_exists      409
    │   ├── AlreadyInstalled    already_installed   409
    │   └── ScheduleRemapFailed SCHEDULE_REMAP_FAILED 409
    ├── ValidationFailed        validation_failed   400
    │   ├── BundleRefused       bundle_invalid      400
    │   └── QuotaExceeded       quota_exceeded      400
    ├── RateLimited             rate_limited        429
    └── RunnerFailure           runner_failure      502
        ├── RunnerUnavailable   runner_unavailable  502
        ├── RunnerRefused       runner_refused      502
        ├── RunnerProtocolError       runner_garbled      502
        ├── ExecutionFailed     execution_failed    502
        │   └── ExecutionTimedOut execution_timed_out 504
        ├── RunnerBusy          runner_busy         429
        └── RunnerTimeout       runner_timeout      504

``FieldRefused`` is what a rule says about one field; whoever checks a request gathers them into ``ValidationFailed``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import ClassVar

_RUNNER_CODE = re.compile(r"([a-z][a-z0-9_]{0,63})(?::\s*([a-z][a-z0-9_]{0,63}):|:|$)")


class FieldRefused(ValueError):
    """One field of a request breaks a rule; the message is for whoever sent it.

    ``schema`` says that the field is missing or does not even have the type.
    """

    def __init__(self, message: str, *, schema: bool = False) -> None:
        super().__init__(message)
        self.schema = schema


class ServerError(Exception):
    """Internal error"""

    code: ClassVar[str] = "internal_error"
    http_status: ClassVar[int] = 500
    status_label: ClassVar[str | None] = "internal"
    """The ``status`` of the call's metric, where it is not the code."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message or (type(self).__doc__ or type(self).__name__).splitlines()[0])

    @property
    def label(self) -> str:
        """The ``status`` of the call's metric."""
        return self.status_label or self.code


class Unauthorized(ServerError):
    """Invalid token"""

    code = "unauthorized"
    http_status = 401
    status_label = None


class ExecutionTokenInvalid(Unauthorized):
    """Invalid execution token"""

    code = "execution_token_invalid"


class Unauthenticated(Unauthorized):
    """The gateway does not know the caller"""

    code = "unauthenticated"


class CapabilityDenied(ServerError):
    """The install was not granted the capability"""

    code = "capability_denied"
    http_status = 403
    status_label = "denied"


class NotFound(ServerError):
    """Not found"""

    code = "not_found"
    http_status = 404
    status_label = None


class ExtensionNotAvailable(NotFound):
    """The extension is not installed for the tenant, or its install is disabled"""

    code = "extension_not_available"


class EndpointNotFound(NotFound):
    """The installed version has no such endpoint"""

    code = "endpoint_not_found"


class BodyTooLarge(ServerError):
    """Request body too large"""

    code = "body_too_large"
    http_status = 413
    status_label = None


class PayloadTooLarge(BodyTooLarge):
    """The request's body is larger than an extension may be sent"""

    code = "payload_too_large"


class BundleStoreUnavailable(ServerError):
    """The bundle store cannot be written"""

    code = "bundle_store_unavailable"
    http_status = 503
    status_label = None


class DispatcherUnavailable(ServerError):
    """This server is not running schedules"""

    code = "dispatcher_unavailable"
    http_status = 503
    status_label = None


class Conflict(ServerError):
    """It is there already"""

    code = "conflict"
    http_status = 409
    status_label = None


class VersionExists(Conflict):
    """The version is published with other content; versions never change"""

    code = "version_exists"


class AlreadyInstalled(Conflict):
    """The extension is installed for this tenant already"""

    code = "already_installed"


class ScheduleRemapFailed(Conflict):
    """Extension update blocked: one or more schedules reference endpoints missing in target version

    ``missing`` are those schedules: id, method, path. Code and message are Alga's own (alga-contract 5.8).
    """

    code = "SCHEDULE_REMAP_FAILED"

    def __init__(self, message: str = "", *, missing: Sequence[tuple[str, str, str]] = ()) -> None:
        super().__init__(message)
        self.missing = [
            {"scheduleId": schedule_id, "method": method, "path": path}
            for schedule_id, method, path in missing
        ]


class ValidationFailed(ServerError):
    """Validation error

    ``field_errors`` maps a field of the request to what is wrong with it, every field at once. ``schema`` says
    that the request had not even the shape: then the message is ``Validation error`` (alga-contract 5.1).
    """

    code = "validation_failed"
    http_status = 400
    status_label = None

    def __init__(
        self, message: str = "", *, field_errors: Mapping[str, str] | None = None, schema: bool = False
    ) -> None:
        self.field_errors = dict(field_errors or {})
        self.schema = schema
        first = next(iter(self.field_errors.values()), "")
        super().__init__(message or ("Validation error" if schema else first))


class BundleRefused(ValidationFailed):
    """The bundle cannot be published"""

    code = "bundle_invalid"


class QuotaExceeded(ValidationFailed):
    """The install has as many as it may have"""

    code = "quota_exceeded"


class RateLimited(ServerError):
    """Too many requests, please try again later

    ``retry_after_s`` is after how many seconds one will be taken.
    """

    code = "rate_limited"
    http_status = 429
    status_label = None

    def __init__(self, message: str = "", *, retry_after_s: int = 1) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class RunnerFailure(ServerError):
    """The runner did not give the handler's response"""

    code = "runner_failure"
    http_status = 502
    status_label = None


class RunnerUnavailable(RunnerFailure):
    """The runner cannot be reached"""

    code = "runner_unavailable"


class RunnerRefused(RunnerFailure):
    """The runner refused the request"""

    code = "runner_refused"


class RunnerProtocolError(RunnerFailure):
    """The runner's answer cannot be used"""

    code = "runner_garbled"


class RunnerBusy(RunnerFailure):
    """The runner has no room; ``retry_after_s`` is how many seconds it asks to wait"""

    code = "runner_busy"
    http_status = 429

    def __init__(self, message: str = "The runner has no room", *, retry_after_s: int = 1) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class RunnerTimeout(RunnerFailure):
    """The runner did not answer in time"""

    code = "runner_timeout"
    http_status = 504


class ExecutionFailed(RunnerFailure):
    """The execution ended without a response of the guest's

    ``status`` and ``error`` are the runner's own words (alga-contract 1.3). ``runner_code`` is what of ``error`` is
    stable: ``guest_trap`` of ``execute_failed: guest_trap: ...``, or the contract's string where it says no more.
    """

    code = "execution_failed"

    def __init__(self, status: int = 500, error: str = "") -> None:
        super().__init__(error)
        self.status = status
        self.error = error

    @property
    def runner_code(self) -> str:
        """The runner's code; this error's own where ``error`` does not begin with one."""
        found = _RUNNER_CODE.match(self.error)
        return (found[2] or found[1]) if found else self.code


class ExecutionTimedOut(ExecutionFailed):
    """The execution did not finish within its time"""

    code = "execution_timed_out"
    http_status = 504
