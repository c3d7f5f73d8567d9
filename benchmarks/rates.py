"""Servers that take turns on one core, and how many answers a second each gives to the same load."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .figures import Spread
from .part import Effort
from .processes import Child
from .running import Server

_ROUNDS = 10
_TURN_S = 0.5


@dataclass(slots=True)
class Rate:
    """What each round measured of one server."""

    per_s: list[float] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)
    """CPU that the server took for an answer."""
    load_busy: list[float] = field(default_factory=list)
    """The share of its core that the load took."""
    answers: int = 0


def rates(
    effort: Effort, load: Child, servers: Mapping[str, Server], *, content_hash: str, path: str = "/echo"
) -> dict[str, Rate]:
    """Load one after the other, in the one order and then in the other; those that are named ``bare`` only echo."""
    measured = {name: Rate() for name in servers}
    names = list(servers)
    for number in effort.rounds(_ROUNDS + 1):
        for name in names:
            server, rate = servers[name], measured[name]
            before_s = server.cpu_s
            batch = load.ask(
                url=server.url,
                echo=name.startswith("bare"),
                seconds=effort.size(_TURN_S, 0.1),
                content_hash=content_hash,
                path=path,
            )
            if number > 0:  # the first warms up
                rate.per_s.append(batch.done / batch.wall_s)
                rate.cpu_us.append((server.cpu_s - before_s) / batch.done * 1e6)
                rate.load_busy.append(batch.cpu_s / batch.wall_s)
                rate.answers += batch.done
        names.reverse()
    return measured


def rate_figures(measured: Mapping[str, Rate]) -> dict[str, Spread | float]:
    """The absolute numbers."""
    figures: dict[str, Spread | float] = {}
    for name, rate in measured.items():
        figures[f"{name}_per_s"] = Spread.of(rate.per_s)
        figures[f"{name}_cpu_us"] = Spread.of(rate.cpu_us)
    fastest = max(measured.values(), key=lambda rate: Spread.of(rate.per_s).median)
    figures["load_busy_with_the_fastest"] = Spread.of(fastest.load_busy)
    return figures
