"""``POST /warmup``: fetches, verifies and compiles a bundle, so that its first execution does not wait for that.

Nothing of the extension is executed. A bundle is loaded once, so the next request for it costs nothing.
"""

from __future__ import annotations

from time import perf_counter

from pydantic_core import to_json

from alga_common.fair_limiter import FairLimiter, share

from ..errors import AlgaError, BundleError, ModuleError, NoHandler, Overloaded
from ..models import WarmupRequest
from ..runner import Runner
from ..settings import Settings
from .callers import Callers
from .http import Answer, Exchange, Refused
from .request import parse_request, require_json
from .request_tracker import RequestTracker, no_room, overloaded

MAX_WARMUPS = 16
"""Requests under way; a tenant may have a fourth of them."""

_MAX_BODY_BYTES = 4 * 1024
_RETRY_AFTER_S = 5
_WITHOUT_CONTEXT = b"warmup unsupported without tenant + extension context"
"""Upstream's answer to every request, whose form has neither (alga-contract 2)."""


class Warmup:
    """The route, for ``callers``."""

    def __init__(
        self, runner: Runner, settings: Settings, requests: RequestTracker, callers: Callers
    ) -> None:
        self._runner = runner
        self._settings = settings
        self._requests = requests
        self._callers = callers
        self._limiter = FairLimiter(MAX_WARMUPS, share(MAX_WARMUPS))

    async def __call__(self, exchange: Exchange) -> Answer:
        """Answer one request when its bundle is loaded.

        Raises ``Refused``, with the module's own code and hint if it cannot be loaded, and ``ClientGone``: then the
        bundle is loaded nevertheless.
        """
        self._callers.require_token(exchange)
        async with self._requests.track("", exchange) as tracked:
            require_json(exchange)
            body = await tracked.read_body(
                limit=_MAX_BODY_BYTES, timeout_s=self._settings.http_body_timeout_ms / 1000
            )
            request = parse_request(body, WarmupRequest, "a warm-up request")
            tenant, extension = request.tenant_id, request.extension_id
            if not tenant or not extension:
                return Answer(400, _WITHOUT_CONTEXT, content_type=b"text/plain; charset=utf-8")
            exchange.tenant_id, exchange.extension_id = tenant, extension
            return await self._load(tenant, extension, request.content_hash)
        raise tracked.refusal()

    async def _load(self, tenant: str, extension: str, content_hash: str) -> Answer:
        if not self._limiter.try_acquire(tenant):
            raise overloaded(
                "The runner loads as many bundles ahead as it may.",
                retry_after_s=_RETRY_AFTER_S,
                of_tenant=self._limiter.has_its_share(tenant),
            )
        started = perf_counter()
        status = "ready"
        try:
            await self._runner.warm_up(tenant, extension, content_hash)
        except NoHandler:
            status = "no_module"
        except Overloaded as error:
            raise no_room(error) from None
        except AlgaError as error:
            is_its_own = isinstance(error, BundleError | ModuleError)
            raise Refused(
                422 if is_its_own else 503,
                error.code,
                error.at(extension=extension).sentence(),
                hint=error.hint,
            ) from None
        finally:
            self._limiter.release(tenant)
        duration_ms = round((perf_counter() - started) * 1000)
        return Answer(
            200, to_json({"status": status, "content_hash": content_hash, "duration_ms": duration_ms})
        )
