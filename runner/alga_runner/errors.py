"""Every failure a person can meet, in one tree.

Each leaf has a stable ``code`` (documented in ``docs/errors.md``), a message that names what failed and why, and
where there is a next step, a ``hint``::

    AlgaError
    ├── SettingsError             settings_invalid
    ├── EngineError
    │   ├── EngineUnavailable     engine_unavailable
    │   ├── EngineForked          engine_forked
    │   └── CodeCacheUnusable     code_cache_unusable
    ├── WorkerFailed              worker_failed
    ├── BundleError
    │   ├── BundleNotFound        bundle_not_found
    │   ├── BundleInvalid         bundle_invalid
    │   ├── BundleHashMismatch    bundle_hash_mismatch
    │   └── ManifestInvalid       manifest_invalid
    ├── ModuleError
    │   ├── NotWasm               not_wasm
    │   ├── ModuleTooLarge        module_too_large
    │   ├── ModuleUnsupported     module_unsupported
    │   ├── AbiMarkerMissing      abi_marker_missing
    │   ├── AbiMarkerConflict     abi_marker_conflict
    │   ├── ExportMissing         export_missing
    │   ├── ExportMistyped        export_mistyped
    │   ├── ImportUnknown         import_unknown
    │   ├── ImportMistyped        import_mistyped
    │   └── CompilationError
    │       ├── CompileTimeout    compile_timeout
    │       ├── CompileMemory     compile_memory
    │       └── CompileCrash      compile_crash
    ├── RequestError
    │   ├── RequestInvalid        request_invalid
    │   ├── BodyNotBase64         body_not_base64
    │   ├── UnknownCapabilities   unknown_capabilities
    │   ├── SecretDecryptFailed   secret_decrypt_failed
    │   ├── EndpointNotFound      endpoint_not_found
    │   └── ExtensionNotAvailable extension_not_available
    ├── AdminRefused              admin_refused
    ├── ExecutionError
    │   ├── GuestTrap             guest_trap
    │   ├── GuestAbort            guest_abort
    │   ├── GuestExit             guest_exit
    │   ├── NoResponse            no_response
    │   ├── InvalidResponse       invalid_response
    │   ├── DeadlineExceeded      deadline_exceeded
    │   ├── Overloaded            overloaded
    │   ├── Draining              draining
    │   ├── AbiBreach
    │   │   ├── OutOfBounds       out_of_bounds
    │   │   ├── BrokenFraming     broken_framing
    │   │   ├── TooEarly          too_early
    │   │   └── SecondResponse    second_response
    │   └── LimitExceeded
    │       ├── CpuLimit          cpu_limit
    │       ├── MemoryLimit       memory_limit
    │       ├── TableLimit        table_limit
    │       ├── StackLimit        stack_limit
    │       ├── HostCallLimit     host_call_limit
    │       ├── CopyLimit         copy_limit
    │       ├── MessageLimit      message_limit
    │       └── LogLimit          log_limit
    └── HostCallError             one of ``HostCallCode``: a value for the guest, never a trap

Guests meet only ``HostCallError``, as an envelope. Everything else ends the load or the execution it
happened in, never the runner.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import ClassVar, Self

from .frames import Frame


class AlgaError(Exception):
    """Something the runner can explain.

    ``code`` is stable; ``str(error)`` is a sentence; ``hint`` is the next step or ``None``; ``where`` names
    what it happened to (``extension``, ``version``, ``handler``, ``host_call``, ``request_id``).
    """

    code: ClassVar[str] = "internal"

    def __init__(self, message: str = "", *, hint: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or type(self).__name__).splitlines()[0])
        self.hint = hint
        self.where: dict[str, str] = {}

    def at(self, **where: str | None) -> Self:
        """Add where this happened; known parts and ``None`` are left alone. Returns itself."""
        for key, value in where.items():
            if value is not None:
                self.where.setdefault(key, value)
        return self

    def fresh(self) -> Self:
        """The same error as an object of its own, for one failure that several executions meet.

        Each adds its own place with ``at``, and must not see the others'.
        """
        clone = type(self).__new__(type(self))
        clone.args = self.args
        clone.__dict__.update(self.__dict__)
        clone.where = dict(self.where)
        return clone

    def sentence(self) -> str:
        """The message, then what it happened to, on one line."""
        if not self.where:
            return str(self)
        place = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in self.where.items())
        return f"{self} ({place})"


class SettingsError(AlgaError):
    """A setting has a value the runner cannot use."""

    code = "settings_invalid"


class EngineError(AlgaError):
    """The WebAssembly engine cannot be used here."""


class EngineUnavailable(EngineError):
    """The installed wasmtime or this platform lacks something the engine needs."""

    code = "engine_unavailable"


class EngineForked(EngineError):
    """The engine was made in another process; worker processes must be spawned, not forked."""

    code = "engine_forked"


class CodeCacheUnusable(EngineError):
    """The folder for compiled code cannot be used."""

    code = "code_cache_unusable"


class WorkerFailed(AlgaError):
    """A worker process ended before it answered, or died again and again."""

    code = "worker_failed"


class BundleError(AlgaError):
    """An extension bundle cannot be used."""


class BundleNotFound(BundleError):
    """The bundle does not exist, or cannot be read."""

    code = "bundle_not_found"


class BundleInvalid(BundleError):
    """The bundle is not a tar archive in zstd that holds an extension."""

    code = "bundle_invalid"


class BundleHashMismatch(BundleError):
    """The archive's bytes are not the ones its content hash names."""

    code = "bundle_hash_mismatch"


class ManifestInvalid(BundleError):
    """The manifest breaks a rule; the message names the field."""

    code = "manifest_invalid"


class ModuleError(AlgaError):
    """The WebAssembly module cannot be loaded."""


class NotWasm(ModuleError):
    """The file is not a WebAssembly module."""

    code = "not_wasm"


class ModuleTooLarge(ModuleError):
    """The module is larger than the runner accepts."""

    code = "module_too_large"


class ModuleUnsupported(ModuleError):
    """The module uses a WebAssembly feature the runner does not allow, or does not validate."""

    code = "module_unsupported"


class AbiMarkerMissing(ModuleError):
    """The module does not say which guest ABI it speaks."""

    code = "abi_marker_missing"


class AbiMarkerConflict(ModuleError):
    """The module claims more than one guest ABI."""

    code = "abi_marker_conflict"


class ExportMissing(ModuleError):
    """The module lacks an export that its ABI requires."""

    code = "export_missing"


class ExportMistyped(ModuleError):
    """An export does not have the type its ABI requires."""

    code = "export_mistyped"


class ImportUnknown(ModuleError):
    """The module imports a function that the runner does not have."""

    code = "import_unknown"


class ImportMistyped(ModuleError):
    """The module imports a host function with another type than the host's."""

    code = "import_mistyped"


class CompilationError(ModuleError):
    """The compiler did not finish with the module."""


class CompileTimeout(CompilationError):
    """Compiling the module takes longer than its limit."""

    code = "compile_timeout"


class CompileMemory(CompilationError):
    """Compiling the module takes more memory than its limit."""

    code = "compile_memory"


class CompileCrash(CompilationError):
    """The compiler crashed on the module."""

    code = "compile_crash"


class RequestError(AlgaError):
    """The execute request cannot be carried out."""


class RequestInvalid(RequestError):
    """A field of the request has a wrong shape; the message names it."""

    code = "request_invalid"


class BodyNotBase64(RequestError):
    """The request's ``http.body_b64`` is not base64."""

    code = "body_not_base64"


class UnknownCapabilities(RequestError):
    """The request grants capabilities that do not exist."""

    code = "unknown_capabilities"


class SecretDecryptFailed(RequestError):
    """The request's secret envelope cannot be opened."""

    code = "secret_decrypt_failed"


class EndpointNotFound(RequestError):
    """The installed version has no such endpoint."""

    code = "endpoint_not_found"


class ExtensionNotAvailable(RequestError):
    """The extension is not installed for the tenant, or its install is disabled."""

    code = "extension_not_available"


class AdminRefused(AlgaError):
    """The Alga server refused what an admin asked for.

    ``server_code`` is the server's own code, ``http_status`` went with it, ``field_errors`` maps a field of the
    request to what is wrong with it.
    """

    code = "admin_refused"

    def __init__(
        self,
        message: str = "",
        *,
        server_code: str = "",
        http_status: int = 400,
        field_errors: Mapping[str, str] | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.server_code = server_code
        self.http_status = http_status
        self.field_errors = dict(field_errors or {})


class ExecutionError(AlgaError):
    """The guest's execution ended without a usable response.

    ``frames`` is the guest's stack as it ended, innermost first; empty if it was not inside a function.
    """

    def __init__(self, message: str = "", *, frames: tuple[Frame, ...] = (), hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.frames = frames


class GuestTrap(ExecutionError):
    """The guest trapped. ``trap_code`` is wasmtime's name for why."""

    code = "guest_trap"

    def __init__(
        self,
        message: str = "",
        *,
        trap_code: str | None = None,
        frames: tuple[Frame, ...] = (),
        hint: str | None = None,
    ) -> None:
        super().__init__(message, frames=frames, hint=hint)
        self.trap_code = trap_code


class GuestAbort(ExecutionError):
    """The guest aborted, with its language's own message.

    ``file``, ``line`` and ``column`` are the position it gave, if it gave one.
    """

    code = "guest_abort"

    def __init__(
        self,
        message: str = "",
        *,
        file: str | None = None,
        line: int | None = None,
        column: int | None = None,
        frames: tuple[Frame, ...] = (),
        hint: str | None = None,
    ) -> None:
        super().__init__(message, frames=frames, hint=hint)
        self.file = file
        self.line = line
        self.column = column


class GuestExit(ExecutionError):
    """The guest left through ``proc_exit`` without having responded, or with a status other than 0."""

    code = "guest_exit"


class NoResponse(ExecutionError):
    """The handler returned without a response."""

    code = "no_response"


class InvalidResponse(ExecutionError):
    """The guest's response is malformed; the message names the fault."""

    code = "invalid_response"


class DeadlineExceeded(ExecutionError):
    """The execution did not finish within its time. ``doing`` is what it waited for, if it was not computing."""

    code = "deadline_exceeded"

    def __init__(
        self, message: str = "", *, frames: tuple[Frame, ...] = (), doing: str = "", hint: str | None = None
    ) -> None:
        super().__init__(message, frames=frames, hint=hint)
        self.doing = doing


class Overloaded(ExecutionError):
    """There is no room for another guest right now.

    Nothing was carried out, so it may be sent again, best after ``retry_after_ms``. ``of_tenant`` is set if the tenant
    has as much as one may, while there may be room for others.
    """

    code = "overloaded"

    def __init__(
        self,
        message: str = "",
        *,
        retry_after_ms: int = 1_000,
        of_tenant: bool = False,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.retry_after_ms = retry_after_ms
        self.of_tenant = of_tenant


class Draining(ExecutionError):
    """The runner is shutting down and takes no more executions; nothing was carried out."""

    code = "draining"


class AbiBreach(ExecutionError):
    """The guest broke the ABI's contract."""


class OutOfBounds(AbiBreach):
    """A (pointer, length) from the guest does not lie in its memory."""

    code = "out_of_bounds"


class BrokenFraming(AbiBreach):
    """The bytes of a host call are not one MessagePack document."""

    code = "broken_framing"


class TooEarly(AbiBreach):
    """The guest called the host before its handler started."""

    code = "too_early"


class SecondResponse(AbiBreach):
    """The guest responded twice."""

    code = "second_response"


class LimitExceeded(ExecutionError):
    """The guest went past a limit."""


class CpuLimit(LimitExceeded):
    """The guest computed longer than its limit."""

    code = "cpu_limit"


class MemoryLimit(LimitExceeded):
    """The guest needs more memory than its limit."""

    code = "memory_limit"


class TableLimit(LimitExceeded):
    """The guest needs a larger table than its limit."""

    code = "table_limit"


class StackLimit(LimitExceeded):
    """The guest's calls nest deeper than its stack."""

    code = "stack_limit"


class HostCallLimit(LimitExceeded):
    """The guest called the host more often than its limit."""

    code = "host_call_limit"


class CopyLimit(LimitExceeded):
    """The guest had more bytes copied across its border than its limit."""

    code = "copy_limit"


class MessageLimit(LimitExceeded):
    """The guest's response is larger than its limit."""

    code = "message_limit"


class LogLimit(LimitExceeded):
    """The guest wrote more log than its limit."""

    code = "log_limit"


class HostCallCode(StrEnum):
    """The codes a guest can meet in an ``err`` envelope (guest ABI, "Messages")."""

    DENIED = "denied"
    NOT_FOUND = "not-found"
    VALIDATION_FAILED = "validation-failed"
    QUOTA_EXCEEDED = "quota-exceeded"
    RATE_LIMITED = "rate-limited"
    CONFLICT = "conflict"
    TOO_LARGE = "too-large"
    TIMEOUT = "timeout"
    UNAVAILABLE = "unavailable"
    INTERNAL = "internal"


class HostCallError(AlgaError):
    """A host call that failed: a value for the guest.

    ``host_code`` is what the guest switches on, ``field_errors`` maps a field of its request to what is
    wrong with it, ``retry_after_ms`` is when to try again.
    """

    code = "host_call_failed"

    def __init__(
        self,
        host_code: HostCallCode,
        message: str,
        *,
        field_errors: Mapping[str, str] | None = None,
        retry_after_ms: int | None = None,
    ) -> None:
        super().__init__(message)
        self.host_code = host_code
        self.field_errors = dict(field_errors or {})
        self.retry_after_ms = retry_after_ms
