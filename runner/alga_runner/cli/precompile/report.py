"""Precompiling as it goes and as it went, to read or as JSON."""

from __future__ import annotations

import os
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from alga_common.cli.commands import say
from alga_common.cli.failures import print_document
from alga_common.cli.page import Page
from alga_common.cli.progress import ProgressLine
from alga_common.signals.coroutines import run
from alga_common.text import counted, size

from ...settings import Settings
from ..failures import error_document, report
from .precompilation import Result, Source, find_sources, precompile_all

_HASH_DIGITS = 12


class Progress:
    """Shows on stderr how far it is: one moving line in a terminal, elsewhere a line for each module."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._done = 0
        self._under_way: dict[Source, None] = {}
        self._line = ProgressLine(f"0 of {total} done")

    def __enter__(self) -> Self:
        self._line.__enter__()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._line.__exit__(exc_type, exc, traceback)

    def begun(self, source: Source) -> None:
        """See ``Watcher``."""
        self._under_way[source] = None
        self._update()

    def done(self, source: Source, result: Result | None) -> None:
        """See ``Watcher``."""
        self._done += 1
        self._under_way.pop(source, None)
        if not self._line.shown:
            went = f"{result.outcome} after {result.seconds:.1f} s" if result else "nothing new to compile"
            say(f"{self._done} of {self._total}:", f"{source.path}: {went}", colon=False)
        self._update()

    def _update(self) -> None:
        names = ", ".join(str(source.path) for source in self._under_way)
        self._line.update(f"{self._done} of {self._total} done; at {names}")


def precompile(paths: Sequence[str], *, code_cache: str | None, jobs: int | None, as_json: bool) -> bool:
    """Compile the modules at ``paths`` and print how it went, on stderr why a module is not ready; whether all are."""
    given = {"code_cache": code_cache, "max_compilations": jobs or len(os.sched_getaffinity(0))}
    settings = Settings.load(**{name: value for name, value in given.items() if value is not None})
    sources = find_sources(paths)
    with Progress(len(sources)) as progress:
        results = run(precompile_all, settings, sources, progress)
    if as_json:
        _print_json(results)
    else:
        _print_text(results)
    for result in results:
        if result.refusal is not None:
            report(result.refusal.at(module=result.paths[0]))
    return all(result.ready for result in results)


def _print_text(results: Sequence[Result]) -> None:
    page = Page()
    page.table(
        ("MODULE", "SIZE", "RESULT", "SECONDS", "FROM"),
        [
            (
                _short(result.wasm_hash),
                size(result.wasm_bytes) if result.wasm_bytes else "-",
                result.outcome,
                f"{result.seconds:.1f}",
                result.paths[0] + (f" and {more} more" if (more := result.copies - 1) else ""),
            )
            for result in results
        ],
        indent=2,
    )
    page.gap()
    _print_summary(page, results)


def _print_summary(page: Page, results: Sequence[Result]) -> None:
    unfit = sum(not result.ready for result in results)
    there = sum(result.ready and result.cached for result in results)
    parts = [f"{len(results) - unfit - there} compiled", f"{there} there already"]
    parts += [f"{unfit} not ready"] if unfit else []
    page.line(f"{counted(len(results), 'module')}: {', '.join(parts)}.", style="red" if unfit else "green")


def _print_json(results: Sequence[Result]) -> None:
    print_document(
        {
            "modules": [
                {
                    "hash": result.wasm_hash,
                    "bytes": result.wasm_bytes,
                    "paths": result.paths,
                    "copies": result.copies,
                    "ready": result.ready,
                    "compiled": result.ready and not result.cached,
                    "seconds": round(result.seconds, 3),
                    "error": None if result.refusal is None else error_document(result.refusal),
                }
                for result in results
            ]
        }
    )


def _short(wasm_hash: str | None) -> str:
    return "-" if wasm_hash is None else wasm_hash.removeprefix("sha256:")[:_HASH_DIGITS]
