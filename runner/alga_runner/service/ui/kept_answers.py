"""Answers of the registry that are used again, in a bounded number.

Anyone can ask about tenants and hosts that there are not. So a question is known once its answer was an install, and a
flood of others drives no answers of known ones out.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any, Generic, NamedTuple, TypeVar

import anyio

KEPT_S = 45.0
MAX_ANSWERS = 10_000
"""Answers that are kept. The one kept for longest goes first, of unknown questions as long as there are any."""

T = TypeVar("T")


class Given(NamedTuple, Generic[T]):
    """An answer, whether there is such an install, and how long the answer may be used."""

    answer: T
    is_install: bool
    kept_s: float = KEPT_S


class KeptAnswers(Generic[T]):
    """Answers by question; the same question is asked once at a time. ``clock`` gives seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._of_known: OrderedDict[Any, tuple[float, T]] = OrderedDict()
        self._of_others: OrderedDict[Any, tuple[float, T]] = OrderedDict()
        self._asking: dict[Any, anyio.Lock] = {}

    def is_known(self, question: Any) -> bool:
        """Whether the answer to ``question`` was an install, now or before."""
        return question in self._of_known

    async def get(self, question: Any, ask: Callable[[], Awaitable[Given[T]]]) -> T:
        """The answer to ``question``, which ``ask`` gives if none is kept."""
        if (kept := self._kept(question)) is not None:
            return kept[1]
        lock = self._asking.setdefault(question, anyio.Lock())
        try:
            async with lock:
                if (kept := self._kept(question)) is not None:
                    return kept[1]
                given = await ask()
                self._keep(question, given)
                return given.answer
        finally:
            if not lock.statistics().locked:
                self._asking.pop(question, None)

    def _kept(self, question: Any) -> tuple[float, T] | None:
        kept = self._of_known.get(question) or self._of_others.get(question)
        return kept if kept is not None and kept[0] > self._clock() else None

    def _keep(self, question: Any, given: Given[T]) -> None:
        known, others = self._of_known, self._of_others
        if given.is_install:
            others.pop(question, None)
        answers = known if given.is_install or question in known else others
        answers[question] = (self._clock() + given.kept_s, given.answer)
        answers.move_to_end(question)
        if len(known) + len(others) > MAX_ANSWERS:
            (others or known).popitem(last=False)
