"""The report of ``doctor``, the same for both programs."""

from __future__ import annotations

from collections.abc import Sequence

from ..readiness import OK, Finding
from ..text import counted
from .failures import Failure, print_document
from .page import Page

_MARGIN = " " * 8


def setting_finding(failure: Failure) -> Finding:
    """Return the finding for settings with which the program does not start."""
    return Finding("settings", failure.code, failure.sentence, failure.hint)


def report_findings(findings: Sequence[Finding], *, as_json: bool) -> bool:
    """Print each finding in a sentence, with the next step where there is one; return whether no check failed."""
    failures = [finding for finding in findings if finding.failed]
    if as_json:
        document = {"ready": not failures, "checks": [finding.document() for finding in findings]}
        print_document(document)
        return not failures
    page = Page()
    for finding in findings:
        mark, style = ("ok", "green") if finding.code == OK else ("-", "")
        if finding.failed:
            mark, style = "FAILED", "red"
        page.line(f"{mark:<8}{finding.name}: {finding.sentence}", style=style)
        if finding.detail:
            page.line(f"{_MARGIN}{finding.detail}")
        if finding.hint and finding.code != OK:
            page.line(f"{_MARGIN}next: {finding.hint}")
    page.gap()
    if failures:
        page.line(f"Not ready: {counted(len(failures), 'check')} of {len(findings)} failed.")
    else:
        page.line("Ready: no check failed.")
    return not failures
