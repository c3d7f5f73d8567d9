"""What a tenant at its bounds does to another one's executions, for each resource that a runner shares out itself.

Each resource has a runner of its own, with bounds that an attack reaches in a second. Of compilations the memory is
not in the runner's process, so they have no peak.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from alga_runner.models.archive import MAX_UNPACKING_BYTES

from ..figures import Result
from ..part import Effort, Part
from ..running import Server
from ..seeding import TOKEN
from .attacking import Round, Sides, keys, ratios, rounds_of

_PROCESS_MB = 1024
_LOADED_MB = 256


@dataclass(frozen=True, slots=True)
class _Resource:
    """``module`` has both sides; ``total_mb`` bounds what the process grows by, or all that it has."""

    module: str
    total_mb: float | None = None
    all_of_process: bool = False
    anew: bool = False
    """Whether each round has a new runner: an attack leaves work that would go on into the next quiet one."""
    variables: tuple[tuple[str, str], ...] = ()


_RESOURCES = {
    "memory": _Resource(
        "memory",
        _PROCESS_MB,
        all_of_process=True,
        variables=(("ALGA_RUNNER_MAX_PROCESS_MEMORY_MB", str(_PROCESS_MB)),),
    ),
    "programs": _Resource(
        "programs", _LOADED_MB, variables=(("ALGA_RUNNER_MAX_LOADED_MB", str(_LOADED_MB)),)
    ),
    "compile": _Resource("compiling", anew=True),
    "unpacking": _Resource("unpacking", MAX_UNPACKING_BYTES / 2**20),
}


def run(effort: Effort) -> Sequence[Result]:
    """One resource after the other."""
    results: list[Result] = []
    for place, name in enumerate(_RESOURCES):
        results += _measured(name, effort)
        effort.advance((place + 1) / len(_RESOURCES))
    return results


@contextmanager
def _started(resource: _Resource, effort: Effort) -> Iterator[tuple[Server, Sides]]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        serve = ["alga_runner.cli", "serve", "--port", "0", "--bundle-store", str(folder)]
        variables = {
            "RUNNER_SERVICE_TOKEN": TOKEN,
            "ALGA_RUNNER_CODE_CACHE": str(folder / "code"),
            **dict(resource.variables),
        }
        runner = stack.enter_context(Server(serve, effort.core, variables))
        yield runner, stack.enter_context(Sides(resource.module, effort, url=runner.url, folder=str(folder)))


def _measured(name: str, effort: Effort) -> list[Result]:
    resource = _RESOURCES[name]
    rounds: list[Round] = []
    count = rounds_of(effort)
    for _ in range(count if resource.anew else 1):
        with _started(resource, effort) as (runner, sides):
            before_mb = runner.resident_mb
            rounds += [sides.round(name) for _ in range(1 if resource.anew else count)]
            peak_mb = runner.peak_mb
    results = ratios(name, rounds)
    if resource.total_mb is not None:
        used_mb = peak_mb - (0 if resource.all_of_process else before_mb)
        figures = {
            f"{name}_before_mb": before_mb,
            f"{name}_peak_mb": peak_mb,
            f"{name}_total_mb": resource.total_mb,
        }
        attacks = {"attacks": int(sum(attack.counts["answered"] for _, _, attack in rounds)) or 1}
        results.append(
            Result(
                f"shares.{name}_peak_of_total",
                used_mb / resource.total_mb,
                counts=attacks,
                figures=figures,
            )
        )
    return results


PART = Part(
    "shares_runner",
    tuple(
        key
        for name, resource in _RESOURCES.items()
        for key in (*keys(name), *([f"shares.{name}_peak_of_total"] if resource.total_mb is not None else []))
    ),
    (),
    run,
)
