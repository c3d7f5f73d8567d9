"""Who executes, as log lines, spans and debug events name it, and what they sum up."""

from __future__ import annotations

from typing import Protocol


class Who(Protocol):
    """An execution's context, as far as telemetry needs it."""

    @property
    def tenant_id(self) -> str: ...  # noqa: D102
    @property
    def install_id(self) -> str | None: ...  # noqa: D102
    @property
    def extension_id(self) -> str: ...  # noqa: D102
    @property
    def version_id(self) -> str | None: ...  # noqa: D102
    @property
    def request_id(self) -> str | None: ...  # noqa: D102


class Caller(Protocol):
    """The same of a request, as far as it is known."""

    @property
    def tenant_id(self) -> str | None: ...  # noqa: D102
    @property
    def install_id(self) -> str | None: ...  # noqa: D102
    @property
    def extension_id(self) -> str | None: ...  # noqa: D102
    @property
    def version_id(self) -> str | None: ...  # noqa: D102
    @property
    def request_id(self) -> str | None: ...  # noqa: D102


class HostCall(Protocol):
    """A host call that has ended."""

    @property
    def status(self) -> str: ...  # noqa: D102
    @property
    def duration_s(self) -> float: ...  # noqa: D102
