"""How errors of the server are reported on the command line."""

from __future__ import annotations

from alga_common.cli.commands import unexpected
from alga_common.cli.failures import Failure
from alga_runner.errors import AlgaError

from ..errors import HINTS, BackupRefused, ServerError


def explain(error: Exception) -> Failure:
    """Describe ``error``: its code, its sentence and the next step."""
    if isinstance(error, AlgaError):
        return Failure(error.code, error.sentence(), hint=error.hint)
    if isinstance(error, ServerError):
        return Failure(error.code, f"{error}.", hint=HINTS[error.code])
    if isinstance(error, BackupRefused):
        return Failure(error.code, str(error), hint=error.hint)
    return unexpected(error, "alga-server")
