"""The runner's errors, in one tree.

Each leaf names its stable ``code`` (docs/errors.md). An error has a message, which names what failed and why, and a
``hint``, which names the next step::

    AlgaError
    ├── SettingsError             settings_invalid
    ├── EngineError
    │   ├── EngineUnavailable     engine_unavailable
    │   ├── EngineForked          engine_forked
    │   └── CodeCacheUnusable     code_cache_unusable
    ├── WorkerFailed              worker_failed
    ├── SigningKeyUnusable        signing_key_unusable
    ├── BundleError
    │   ├── BundleNotFound        bundle_not_found
    │   ├── BundleInvalid         bundle_invalid
    │   ├── BundleHashMismatch    bundle_hash_mismatch
    │   ├── BundleDownloadFailed  bundle_download_failed
    │   ├── BundleUnsigned        bundle_unsigned
    │   ├── BundleSignatureInvalid bundle_signature_invalid
    │   ├── NoHandler             no_handler
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
    │   ├── EndpointNotFound      endpoint_not_found
    │   └── ExtensionNotAvailable extension_not_available
    ├── AdminRefused              admin_refused
    ├── ExecutionError
    │   ├── GuestTrap             guest_trap
    │   ├── GuestAbort            guest_abort
    │   ├── GuestFailed           guest_failed
    │   ├── GuestExit             guest_exit
    │   ├── NoResponse            no_response
    │   ├── InvalidResponse       invalid_response
    │   ├── DeadlineExceeded      deadline_exceeded
    │   ├── Overloaded            overloaded
    │   ├── MemoryShortage        memory_shortage
    │   ├── Draining              draining
    │   ├── AbiBreach
    │   │   ├── OutOfBounds       out_of_bounds
    │   │   ├── BrokenFraming     broken_framing
    │   │   ├── TooEarly          too_early
    │   │   ├── TooLate           too_late
    │   │   ├── CanonicalAbiBreach canonical_abi_breach
    │   │   ├── HostFunctionMissing host_function_missing
    │   │   └── SecondResponse    second_response
    │   └── LimitExceeded
    │       ├── CpuLimit          cpu_limit
    │       ├── MemoryLimit       memory_limit
    │       ├── TableLimit        table_limit
    │       ├── StackLimit        stack_limit
    │       ├── HostCallLimit     host_call_limit
    │       ├── CopyLimit         copy_limit
    │       ├── MessageLimit      message_limit
    │       ├── ResourceLimit     resource_limit
    │       └── LogLimit          log_limit
    └── HostCallError             one of ``HostCallCode``: a value for the guest, never a trap

Guests meet only ``HostCallError``, as an envelope. Everything else ends the load or the execution it
happened in, never the runner.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import ClassVar, Self

from alga_common.environment import EnvironmentFault

from .frames import Frame
from .hints import HINTS


class AlgaError(Exception):
    """An error with a stable ``code`` and a sentence as its message.

    ``hint`` is the next step, that of the code (``HINTS``) unless another is given. ``where`` names the ``extension``,
    ``version``, ``handler``, ``host_call`` and ``request_id`` that it concerns, as far as they are known. A subclass
    gives its code in its class line.
    """

    code: ClassVar[str] = "internal"

    def __init_subclass__(cls, *, code: str | None = None) -> None:
        super().__init_subclass__()
        if code is not None:
            cls.code = code

    def __init__(self, message: str = "", *, hint: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or type(self).__name__).splitlines()[0])
        self.hint = hint or HINTS[self.code]
        self.where: dict[str, str] = {}

    def at(self, **where: str | None) -> Self:
        """Add to ``where``, except parts that are known already and ``None``. Returns itself."""
        for key, value in where.items():
            if value is not None:
                self.where.setdefault(key, value)
        return self

    def fresh(self) -> Self:
        """Return a copy, for a failure that several executions share: each adds its own ``where`` to its copy."""
        clone = type(self).__new__(type(self))
        clone.args = self.args
        clone.__dict__.update(self.__dict__)
        clone.where = dict(self.where)
        return clone

    def sentence(self) -> str:
        """The message and ``where``, on one line."""
        if not self.where:
            return str(self)
        place = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in self.where.items())
        return f"{self} ({place})"


class SettingsError(AlgaError, code="settings_invalid"):
    """A setting, or a variable of the environment, has a value that cannot be used."""

    @classmethod
    def of(cls, fault: EnvironmentFault) -> Self:
        """The error for ``fault``."""
        return cls(str(fault), hint=fault.hint)


class EngineError(AlgaError):
    """The WebAssembly engine cannot be used here."""


class EngineUnavailable(EngineError, code="engine_unavailable"):
    """The installed wasmtime or this platform lacks something the engine needs."""


class EngineForked(EngineError, code="engine_forked"):
    """The engine was made in another process; worker processes must be spawned, not forked."""


class CodeCacheUnusable(EngineError, code="code_cache_unusable"):
    """The folder for compiled code cannot be used."""


class WorkerFailed(AlgaError, code="worker_failed"):
    """A worker process ended before it answered, or died again and again."""


class SigningKeyUnusable(AlgaError, code="signing_key_unusable"):
    """The file for a private key to sign bundles with cannot be used."""


class BundleError(AlgaError):
    """An extension bundle cannot be used."""


class BundleNotFound(BundleError, code="bundle_not_found"):
    """The bundle does not exist, or cannot be read."""


class BundleInvalid(BundleError, code="bundle_invalid"):
    """The bundle is not a tar archive in zstd that holds an extension."""


class BundleHashMismatch(BundleError, code="bundle_hash_mismatch"):
    """The archive's bytes are not the ones its content hash names."""


class BundleDownloadFailed(BundleError, code="bundle_download_failed"):
    """The bundle store did not give the bundle, though it may have it."""


class BundleUnsigned(BundleError, code="bundle_unsigned"):
    """The bundle has no signature, and signatures are required."""


class BundleSignatureInvalid(BundleError, code="bundle_signature_invalid"):
    """The bundle's signature is not one of a trusted key over its content hash."""


class NoHandler(BundleError, code="no_handler"):
    """The extension is pages alone: its bundle holds no module that could be executed."""


class ManifestInvalid(BundleError, code="manifest_invalid"):
    """The manifest breaks a rule; the message names the field."""


class ModuleError(AlgaError):
    """The WebAssembly module cannot be loaded."""


class NotWasm(ModuleError, code="not_wasm"):
    """The file is not a WebAssembly module."""


class ModuleTooLarge(ModuleError, code="module_too_large"):
    """The module is larger than the runner accepts."""


class ModuleUnsupported(ModuleError, code="module_unsupported"):
    """The module uses a WebAssembly feature the runner does not allow, or does not validate."""


class AbiMarkerMissing(ModuleError, code="abi_marker_missing"):
    """The module does not say which guest ABI it speaks."""


class AbiMarkerConflict(ModuleError, code="abi_marker_conflict"):
    """The module claims more than one guest ABI."""


class ExportMissing(ModuleError, code="export_missing"):
    """The module lacks an export that its ABI requires."""


class ExportMistyped(ModuleError, code="export_mistyped"):
    """An export does not have the type its ABI requires."""


class ImportUnknown(ModuleError, code="import_unknown"):
    """The module imports a function that the runner does not have."""


class ImportMistyped(ModuleError, code="import_mistyped"):
    """The module imports a host function with another type than the host's."""


class CompilationError(ModuleError):
    """The compiler did not finish with the module."""


class CompileTimeout(CompilationError, code="compile_timeout"):
    """Compiling the module takes longer than its limit."""


class CompileMemory(CompilationError, code="compile_memory"):
    """Compiling the module takes more memory than its limit."""


class CompileCrash(CompilationError, code="compile_crash"):
    """The compiler crashed on the module."""


class RequestError(AlgaError):
    """The execute request cannot be carried out."""


class RequestInvalid(RequestError, code="request_invalid"):
    """A field of the request has a wrong shape; the message names it."""


class BodyNotBase64(RequestError, code="body_not_base64"):
    """The request's ``http.body_b64`` is not base64."""


class UnknownCapabilities(RequestError, code="unknown_capabilities"):
    """The request grants capabilities that do not exist."""


class EndpointNotFound(RequestError, code="endpoint_not_found"):
    """The installed version has no such endpoint."""


class ExtensionNotAvailable(RequestError, code="extension_not_available"):
    """The extension is not installed for the tenant, or its install is disabled."""


class AdminRefused(AlgaError, code="admin_refused"):
    """The Alga server refused what an admin asked for.

    ``server_code`` is the server's own code, ``http_status`` went with it, ``field_errors`` maps a field of the
    request to what is wrong with it.
    """

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


class GuestTrap(ExecutionError, code="guest_trap"):
    """The guest trapped. ``trap_code`` is wasmtime's name for why."""

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


class GuestAbort(ExecutionError, code="guest_abort"):
    """The guest aborted, with its language's own message.

    ``file``, ``line`` and ``column`` are the position it gave, if it gave one.
    """

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


class GuestFailed(ExecutionError, code="guest_failed"):
    """The guest ended itself through ``alga:abi fail``, with its own message."""


class GuestExit(ExecutionError, code="guest_exit"):
    """The guest left through ``proc_exit`` without having responded, or with a status other than 0."""


class NoResponse(ExecutionError, code="no_response"):
    """The handler returned without a response."""


class InvalidResponse(ExecutionError, code="invalid_response"):
    """The guest's response is malformed; the message names the fault."""


class DeadlineExceeded(ExecutionError, code="deadline_exceeded"):
    """The execution did not finish within its time. ``doing`` is what it waited for, if it was not computing."""

    def __init__(
        self, message: str = "", *, frames: tuple[Frame, ...] = (), doing: str = "", hint: str | None = None
    ) -> None:
        super().__init__(message, frames=frames, hint=hint)
        self.doing = doing


class Overloaded(ExecutionError, code="overloaded"):
    """There is no room for another guest right now.

    Nothing was carried out, so it may be sent again, best after ``retry_after_ms``. ``of_tenant`` is set if the tenant
    has as much as one may, while there may be room for others.
    """

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


class MemoryShortage(ExecutionError, code="memory_shortage"):
    """The runner ended the guest, or the guest ended since it got no more memory, to keep the runner's within bounds.

    The tenant's guests had the most.
    """


class Draining(ExecutionError, code="draining"):
    """The runner is shutting down and takes no more executions; nothing was carried out."""


class AbiBreach(ExecutionError):
    """The guest broke the ABI's contract."""


class OutOfBounds(AbiBreach, code="out_of_bounds"):
    """A (pointer, length) from the guest does not lie in its memory."""


class BrokenFraming(AbiBreach, code="broken_framing"):
    """The bytes of a host call are not one MessagePack document."""


class TooEarly(AbiBreach, code="too_early"):
    """The guest called the host before its handler started."""


class TooLate(AbiBreach, code="too_late"):
    """The guest called the host after it had responded."""


class SecondResponse(AbiBreach, code="second_response"):
    """The guest responded twice."""


class CanonicalAbiBreach(AbiBreach, code="canonical_abi_breach"):
    """A component passed a value that its type does not allow, or broke another rule of the canonical ABI."""


class HostFunctionMissing(AbiBreach, code="host_function_missing"):
    """A component called a function that the host does not have, or has with another type."""


class LimitExceeded(ExecutionError):
    """The guest went past a limit."""


class CpuLimit(LimitExceeded, code="cpu_limit"):
    """The guest computed longer than its limit."""


class MemoryLimit(LimitExceeded, code="memory_limit"):
    """The guest needs more memory than its limit."""


class TableLimit(LimitExceeded, code="table_limit"):
    """The guest needs a larger table than its limit."""


class StackLimit(LimitExceeded, code="stack_limit"):
    """The guest's calls nest deeper than its stack."""


class HostCallLimit(LimitExceeded, code="host_call_limit"):
    """The guest called the host more often than its limit."""


class CopyLimit(LimitExceeded, code="copy_limit"):
    """The guest had more bytes copied across its border than its limit."""


class MessageLimit(LimitExceeded, code="message_limit"):
    """The guest's response is larger than its limit."""


class ResourceLimit(LimitExceeded, code="resource_limit"):
    """A component has more core instances, or holds more handles of resources, than it may."""


class LogLimit(LimitExceeded, code="log_limit"):
    """The guest wrote more log than its limit."""


class HostCallCode(StrEnum):
    """The codes a guest can meet in an ``err`` envelope (guest ABI, "Messages")."""

    DENIED = "denied"
    NOT_FOUND = "not-found"
    VALIDATION_FAILED = "validation-failed"
    QUOTA_EXCEEDED = "quota-exceeded"
    RATE_LIMITED = "rate-limited"
    CONFLICT = "conflict"
    EXPIRED = "expired"
    TOO_LARGE = "too-large"
    TIMEOUT = "timeout"
    UNAVAILABLE = "unavailable"
    UNSUPPORTED = "unsupported"
    INTERNAL = "internal"


class ServerFault(StrEnum):
    """What an operator has to mend between the runner and its Alga server, or what else it asks."""

    UNAUTHORIZED = "unauthorized"
    """The server does not accept the runner's token."""
    UNUSABLE_ANSWER = "unusable_answer"
    """What answered is not the server's API, or its answer cannot be read."""
    SECRETS = "secrets"
    """An envelope of secrets cannot be opened, by the runner or by Vault."""


class HostCallError(AlgaError, code="host_call_failed"):
    """A host call that failed: a value for the guest.

    ``host_code`` is what the guest switches on, ``field_errors`` maps a field of its request to what is
    wrong with it, ``retry_after_ms`` is when to try again. ``fault`` and ``detail`` are for the operator alone: what is
    to be mended, and what came back.
    """

    def __init__(
        self,
        host_code: HostCallCode,
        message: str,
        *,
        field_errors: Mapping[str, str] | None = None,
        retry_after_ms: int | None = None,
        fault: ServerFault | None = None,
        detail: str | None = None,
    ) -> None:
        super().__init__(message)
        self.host_code = host_code
        self.field_errors = dict(field_errors or {})
        self.retry_after_ms = retry_after_ms
        self.fault = fault
        self.detail = detail
