"""``python -m benchmarks [PART ...]``: measure, print a table, write ``benchmarks/results/latest.json``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from time import perf_counter

from .document import update
from .figures import Result
from .machine import about
from .page import Page
from .part import Effort, Part
from .parts import PARTS
from .pinning import cores
from .processes import NotMeasured
from .profiles import Profile
from .results import LATEST, PROFILES, before, document, write

_INTERRUPTED = 130


def main(arguments: list[str]) -> int:
    """Run the requested parts; the exit status is 0 even when goals are missed, 1 when a part could not be measured."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Measure the runner side by side with its peers."
    )
    parser.add_argument(
        "parts", nargs="*", metavar="PART", help=f"{', '.join(part.name for part in PARTS)}; default: all"
    )
    parser.add_argument(
        "--profile", action="store_true", help="say where the time goes, instead of comparing"
    )
    parser.add_argument(
        "--quick", action="store_true", help="try the benchmark itself: the numbers mean nothing"
    )
    parser.add_argument(
        "--document",
        action="store_true",
        help="measure nothing; rewrite the tables of the documents from the latest results and profiles",
    )
    parser.add_argument(
        "--merge", action="store_true", help="keep what the file has of other parts, measured before"
    )
    parser.add_argument(
        "--output", type=Path, default=LATEST, metavar="FILE", help="where results go as JSON"
    )
    options = parser.parse_args(arguments)
    known = {part.name: part for part in PARTS}
    if unknown := [name for name in options.parts if name not in known]:
        parser.error(f"there is no part {', '.join(unknown)}; there are {', '.join(known)}")
    chosen = [known[name] for name in options.parts] or list(PARTS)

    if options.document:
        update()
        return 0
    page = Page()
    try:
        if options.profile:
            return _profile(chosen, page, quick=options.quick)
        return _measure(chosen, page, quick=options.quick, output=options.output, merge=options.merge)
    except KeyboardInterrupt:
        page.say("Interrupted; nothing was written.")
        return _INTERRUPTED


def _measure(chosen: list[Part], page: Page, *, quick: bool, output: Path, merge: bool) -> int:
    started = perf_counter()
    core, load_core = cores()
    results: list[Result] = []
    failed = False
    for part in chosen:
        try:
            with page.progress(part.name) as advance:
                results += part.run(Effort(quick, core, load_core, advance))
        except NotMeasured as failure:
            failed = True
            page.say(str(failure), "red")
            results += [Result(key, None, note="could not be measured") for key in part.keys]
    page.table(results)
    page.figures(results)
    seconds = round(perf_counter() - started)
    written = document(results, {**about(), "seconds": seconds, "quick": quick})
    write(output, {**before(output), **written} if merge else written)
    page.say(
        f"\nWritten to {output.relative_to(Path.cwd()) if output.is_relative_to(Path.cwd()) else output}"
    )
    return int(failed)


def _profile(chosen: list[Part], page: Page, *, quick: bool) -> int:
    core, load_core = cores()
    profiles: list[Profile] = []
    for part in chosen:
        if part.profile is not None:
            with page.progress(part.name) as advance:
                made = part.profile(Effort(quick, core, load_core, advance))
            for profile in made:
                page.profile(profile)
            profiles += made
    if not quick:
        write(PROFILES, [profile.document() for profile in profiles])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
