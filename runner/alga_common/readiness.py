"""Readiness: checks that run concurrently, each for a bounded time, with results that are kept for a moment.

A check is under way at most once, and its result is used again for ``KEPT_S``: a flood of probes costs no more than a
probe a second. Further questions wait for the check that is under way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any

TIME_LIMIT_S = 2.0
"""How long an answer waits for a check."""

KEPT_S = 1.0
"""How long the result of a check is used again."""

WATCH_S = 5.0
"""How often a service that started checks again, until no check fails."""

OK = "ok"
NOT_CHECKED = "not_checked"
NOT_CONFIGURED = "not_configured"
TIMED_OUT = "timed_out"
REFUSED = "refused"

_NO_FAILURES = frozenset({OK, NOT_CHECKED, NOT_CONFIGURED})


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check: a stable code and a sentence, without secrets, addresses and paths.

    ``detail`` and ``hint``, the next step, are for an operator at a terminal or reading the log.
    """

    name: str
    code: str
    sentence: str
    hint: str | None = None
    detail: str | None = None

    @property
    def failed(self) -> bool:
        """Whether the check failed; one that could not be made, or has nothing to check, did not."""
        return self.code not in _NO_FAILURES

    def document(self) -> dict[str, Any]:
        """Return the finding for machines."""
        members = {"name": self.name, "code": self.code, "failed": self.failed, "message": self.sentence}
        return {**members, "detail": self.detail, "hint": self.hint}


@dataclass(frozen=True, slots=True)
class Check:
    """A check by its name. ``run`` may find more than one thing. With ``of_peer`` it asks the other half."""

    name: str
    title: str
    """What the check is about, at the start of a sentence: ``The database``."""
    run: Callable[[], Awaitable[Iterable[Finding]]]
    of_peer: bool = False


class Checks:
    """The checks of one process, on one event loop. ``clock`` gives seconds."""

    def __init__(
        self,
        checks: Sequence[Check],
        *,
        clock: Callable[[], float] = monotonic,
        limit_s: float | None = None,
    ) -> None:
        limit_s = TIME_LIMIT_S if limit_s is None else limit_s
        self._results = [_Result(check, clock, limit_s) for check in checks]

    async def findings(self, *, own: bool = False) -> list[Finding]:
        """Return what every check found, or with ``own`` those that do not ask the other half."""
        asked = [result for result in self._results if not (own and result.check.of_peer)]
        await asyncio.gather(*(result.refresh() for result in asked))
        return [finding for result in asked for finding in result.findings]

    async def watch(
        self,
        log: Callable[[Finding], None],
        *,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        """Check until nothing fails; ``log`` gets each failure when it is new, for the start of a service."""
        known: Mapping[str, str] = {}
        while True:
            failures = [finding for finding in await self.findings() if finding.failed]
            for finding in failures:
                if known.get(finding.name) != finding.code:
                    log(finding)
            if not failures:
                return
            known = {finding.name: finding.code for finding in failures}
            await sleep(WATCH_S)

    async def aclose(self) -> None:
        """Cancel the checks under way and wait until they ended."""
        tasks = [task for result in self._results if (task := result.stop()) is not None]
        await asyncio.gather(*tasks, return_exceptions=True)


class _Result:
    """The last findings of a check, and the task that brings new ones."""

    def __init__(self, check: Check, clock: Callable[[], float], limit_s: float) -> None:
        self.check = check
        self.findings: Sequence[Finding] = ()
        self._clock = clock
        self._limit_s = limit_s
        self._task: asyncio.Task[Sequence[Finding]] | None = None
        self._begun_at = self._taken_at = 0.0

    async def refresh(self) -> None:
        """Bring the findings up to date. A cancelled caller leaves the check to the others that wait for it."""
        now = self._clock()
        if self._task is None:
            if self.findings and now - self._taken_at < KEPT_S:
                return
            self._begun_at = now
            self._task = asyncio.create_task(self._run())
        task = self._task
        # A check that is late already is not waited for again.
        await asyncio.wait({task}, timeout=max(0.0, self._begun_at + self._limit_s - now))
        if not task.done():
            self.findings = [self._timed_out()]
        elif self._task is task:
            self._task = None
            self.findings = [self._interrupted()] if task.cancelled() else task.result()
            self._taken_at = self._clock()

    def stop(self) -> asyncio.Task[Sequence[Finding]] | None:
        """Cancel the task, if there is one, and return it."""
        if self._task is not None:
            self._task.cancel()
        return self._task

    async def _run(self) -> Sequence[Finding]:
        try:
            return list(await self.check.run())
        except Exception as error:  # noqa: BLE001 - a check that breaks is a failure, not the end of the probe
            return [self._failed("check_failed", f"could not be checked ({type(error).__name__})")]

    def _timed_out(self) -> Finding:
        hint = "Look what keeps it busy, such as another program's lock or a slow disk or network."
        return self._failed(TIMED_OUT, f"did not answer within {self._limit_s:g} s", hint)

    def _interrupted(self) -> Finding:
        return self._failed("check_failed", "could not be checked, because the process ends")

    def _failed(self, code: str, how: str, hint: str | None = None) -> Finding:
        return Finding(self.check.name, code, f"{self.check.title} {how}.", hint)


def document(findings: Iterable[Finding], **members: Any) -> dict[str, Any]:
    """Return the answer of ``/readyz``: ``checks`` maps names to codes, ``failures`` the failed ones to sentences."""
    listed = list(findings)
    failures = {finding.name: finding.sentence for finding in listed if finding.failed}
    return {
        "status": "not_ready" if failures else "ready",
        "checks": {finding.name: finding.code for finding in listed},
        "failures": failures,
        **members,
    }
