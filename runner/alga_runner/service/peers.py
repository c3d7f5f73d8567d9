"""The processes behind one port, as far as each of them speaks for all."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from ..telemetry import Telemetry


@dataclass(frozen=True, slots=True)
class Workers:
    """How many workers answer, of how many there should be."""

    ready: int
    of: int


class Peers(ABC):
    """This process and the others behind its port."""

    @property
    @abstractmethod
    def workers(self) -> Workers | None:
        """How many there are; ``None`` where this process is alone by design."""

    @abstractmethod
    async def metrics(self) -> bytes:
        """What all of them counted, in Prometheus' text form. Raises ``Refused`` 503 when that cannot be told."""


class Alone(Peers):
    """One process."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry

    @property
    def workers(self) -> None:
        """None but this one."""
        return None

    async def metrics(self) -> bytes:
        """What this one counted."""
        return self._telemetry.render()
