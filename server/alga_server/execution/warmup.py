"""Asks the runner to load a version before its first execution, which then waits for no compiler.

A runner fetches bundles under a tenant's key alone. A version that was just published belongs to no tenant yet, so its
bundle is in the store under a key that no tenant can have, for as long as the runner takes.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Literal

from anyio import CancelScope

from alga_common.text import cut
from alga_common.wire import MAX_ERROR_CHARACTERS

from ..catalog.bundle_store import Placement
from ..catalog.bundle_sync import BundleCopies
from ..errors import BundleStoreUnavailable, RunnerFailure
from .runner_client import RunnerClient, Unfit

PUBLISHING = "_publishing"
"""In place of a tenant: no tenant's id begins with an underscore."""

_MAX_CODE = 100

logger = logging.getLogger("alga_server")

Status = Literal["ready", "no_module", "refused", "unavailable", "skipped"]


@dataclass(frozen=True, slots=True)
class Warmup:
    """Whether the runner has a version loaded.

    ``refused``: it cannot execute the version, for the reason that ``code``, ``message`` and ``hint`` give.
    ``unavailable``: the runner could not be asked, or takes longer than the server waits; the first execution loads
    the version. ``skipped``: the server has no bundle store, or is set not to ask.
    """

    status: Status
    duration_ms: int = 0
    code: str | None = None
    message: str | None = None
    hint: str | None = None


class Warmups:
    """Asks ``runner``, for at most ``timeout_s`` seconds; not at all if that is 0 or ``bundles`` has no store."""

    def __init__(self, bundles: BundleCopies, runner: RunnerClient, timeout_s: float) -> None:
        self._bundles = bundles
        self._runner = runner
        self._timeout_s = timeout_s
        self._asks = bundles.stored and timeout_s > 0

    async def of_published(self, extension_id: str, content_hash: str) -> Warmup:
        """Have a published version loaded, which no tenant need have. Raises nothing."""
        if not self._asks:
            return Warmup("skipped")
        placement = Placement(PUBLISHING, extension_id, content_hash)
        try:
            await self._bundles.bring(placement)
            return await self.of_installed(placement)
        except BundleStoreUnavailable as error:
            return Warmup("unavailable", code=error.code, message=str(error))
        finally:
            with CancelScope(shield=True):
                await self._bundles.drop(placement)

    async def of_installed(self, placement: Placement) -> Warmup:
        """Have a tenant's bundle loaded, which is in the store. Raises nothing."""
        if not self._asks:
            return Warmup("skipped")
        started = perf_counter()
        try:
            answer = await self._runner.warm_up(placement, timeout_s=self._timeout_s)
        except RunnerFailure as failure:
            warmup = Warmup("unavailable", code=failure.code, message=str(failure))
        else:
            if isinstance(answer, Unfit):
                message = cut(answer.message, MAX_ERROR_CHARACTERS)
                hint = None if answer.hint is None else cut(answer.hint, MAX_ERROR_CHARACTERS)
                warmup = Warmup("refused", code=cut(answer.error, _MAX_CODE), message=message, hint=hint)
            else:
                warmup = Warmup(answer.status)
        warmup = replace(warmup, duration_ms=round((perf_counter() - started) * 1000))
        _log(placement, warmup)
        return warmup


def _log(placement: Placement, warmup: Warmup) -> None:
    status = warmup.code or warmup.status
    logger.log(
        logging.WARNING if warmup.status == "refused" else logging.INFO,
        "Bundle %s loaded ahead: %s%s",
        placement.content_hash,
        status,
        f": {warmup.message}" if warmup.message else "",
        extra={
            "action": "warmup",
            "tenant_id": placement.tenant_id,
            "extension_id": placement.extension_id,
            "status": status,
            "duration_ms": warmup.duration_ms,
        },
    )
