"""Prints progress on stderr and the table on stdout; in colour on a terminal, plain in a pipe."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from time import perf_counter

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from .figures import Result, Spread, rounded
from .goals import GOALS
from .profiles import Profile

_WIDE = 160
_FUNCTIONS = 30
"""Of a profile, as printed."""


class Page:
    """Prints progress, results and remarks."""

    def __init__(self) -> None:
        self._out = Console(highlight=False)
        self._err = Console(stderr=True, highlight=False)
        if not self._out.is_terminal:
            self._out = Console(highlight=False, width=_WIDE)

    def say(self, line: str, style: str = "") -> None:
        """Print a remark on the results."""
        self._err.print(line, style=style, markup=False, soft_wrap=True)

    @contextmanager
    def progress(self, name: str) -> Iterator[Callable[[float], None]]:
        """Show that a part runs; call the yielded function with its progress, from 0 to 1."""
        started = perf_counter()
        if self._err.is_terminal:
            columns = (TextColumn("{task.description:<14}"), BarColumn(), TimeElapsedColumn())
            with Progress(*columns, console=self._err, transient=True) as bar:
                task = bar.add_task(name, total=1.0)
                yield lambda fraction: bar.update(task, completed=fraction)
        else:
            yield lambda _: None
        self.say(f"{name:<14} {perf_counter() - started:6.1f} s")

    def table(self, results: Sequence[Result]) -> None:
        """Every result with its spread, its goal, and the absolute figures behind it."""
        table = Table(box=None, pad_edge=False, header_style="bold")
        for heading, justify in (
            ("KEY", "left"),
            ("VALUE", "right"),
            ("QUARTILES", "left"),
            ("GOAL", "left"),
            ("", "left"),
            ("WHAT IT IS", "left"),
        ):
            table.add_column(
                heading, justify="right" if justify == "right" else "left", no_wrap=heading != "WHAT IT IS"
            )
        for result in results:
            goal = GOALS[result.key]
            met = goal.met(result.value)
            verdict = {True: "[green]met[/]", False: "[bold red]missed[/]", None: ""}[met]
            table.add_row(
                result.key,
                "-" if result.value is None else shown(result.value),
                _quartiles(result.spread),
                str(goal),
                verdict,
                result.note or goal.meaning,
            )
        self._out.print(table)

    def figures(self, results: Sequence[Result]) -> None:
        """The absolute numbers."""
        table = Table(box=None, pad_edge=False, header_style="bold")
        for heading in ("FIGURE", "MEDIAN", "QUARTILES"):
            table.add_column(heading, justify="right" if heading == "MEDIAN" else "left", no_wrap=True)
        for result in results:
            group = result.key.partition(".")[0]
            for name, figure in result.figures.items():
                spread = figure if isinstance(figure, Spread) else None
                table.add_row(
                    f"{group}: {name.replace('_', ' ')}",
                    shown(spread.median if spread else float(figure)),  # type: ignore[arg-type]
                    _quartiles(spread),
                )
        self._out.print()
        self._out.print(table)

    def profile(self, profile: Profile) -> None:
        """Where the time of one thing goes, by room and by function."""
        total = profile.total_us
        heading = f"{profile.what}: {total:.1f} us of CPU ({profile.samples:,} samples)"
        self._out.print()
        self._out.print(heading, style="bold")
        groups = Table(box=None, pad_edge=False, show_header=False)
        for justify in ("right", "right", "left"):
            groups.add_column(justify=justify, no_wrap=True)
        for name, spent_us in profile.by_group.items():
            groups.add_row(f"{spent_us:.1f} us", f"{spent_us / total:.0%}", name)
        self._out.print(groups)
        self._out.print()
        functions = Table(box=None, pad_edge=False, show_header=False)
        functions.add_column(justify="right", no_wrap=True)
        for name, spent_us in profile.dearest[:_FUNCTIONS]:
            functions.add_row(f"{spent_us:.1f} us", name)
        self._out.print(functions)


def _quartiles(spread: Spread | None) -> str:
    return f"{shown(spread.low)} - {shown(spread.high)}" if spread and spread.samples > 1 else ""


def shown(number: float) -> str:
    """``number`` as people read it: three digits that count, thousands apart."""
    if float(number).is_integer():
        return f"{number:,.0f}"
    return f"{rounded(float(f'{number:.3g}')):,.6g}"
