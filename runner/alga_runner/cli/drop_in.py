"""``alga-runner doctor --alga``: what to add to an environment of Alga's runner so that this one can take its place.

The report is a piece of an environment file: the lines to add, and everything else in comments.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap
from typing import Any

from alga_common.cli.failures import Failure, print_document
from alga_common.cli.page import Page
from alga_common.environment import parse_environment, variable
from alga_common.wire import WELL_KNOWN_TOKENS

from ..errors import AlgaError
from ..runner import Runner
from ..service.callers import OPENING
from ..settings import Settings
from .upstream import misspelt, without_effect

_COLUMNS = 98
_COMPONENT_BODY_BYTES = 2_600_000
_FILE_BYTES = 1024 * 1024
_BASE_URLS = Settings.variables("server_url")
_SERVER_TOKENS = Settings.variables("server_token")
_LOG_LEVELS = {"trace": "debug", "debug": "debug", "warn": "warning", "error": "error", "off": "error"}


@dataclass(frozen=True, slots=True)
class Addition:
    """A line to add, and what it leaves open."""

    variable: str
    value: str
    opens: str

    @property
    def line(self) -> str:
        """The line of an environment file."""
        return f"{self.variable}={self.value}"


@dataclass(frozen=True, slots=True)
class Correction:
    """A variable that has to be set or changed before the runner can take the place, and why."""

    variable: str
    why: str


@dataclass(frozen=True, slots=True)
class Report:
    """The lines to add, the variables to correct, and those without effect, each name with the reason."""

    additions: tuple[Addition, ...]
    corrections: tuple[Correction, ...]
    without_effect: tuple[tuple[str, str], ...]

    def document(self) -> dict[str, Any]:
        """The report for machines."""
        return {
            "ready": not self.corrections,
            "add": [{"line": one.line, "opens": one.opens} for one in self.additions],
            "correct": [{"variable": one.variable, "why": one.why} for one in self.corrections],
            "withoutEffect": [{"variable": name, "why": why} for name, why in self.without_effect],
        }


def report(env_file: Path | None, *, as_json: bool) -> bool:
    """Print the report for ``env_file``, or for the environment of this process; whether nothing is to be corrected.

    Raises ``Failure`` for a file that cannot be read.
    """
    with _environment(env_file):
        corrections = tuple(_corrections()) or tuple(_settings_fault())
        result = Report(tuple(_additions()), corrections, tuple(without_effect()))
    if as_json:
        print_document(result.document())
    else:
        _print(result, str(env_file) if env_file else "this environment")
    return not result.corrections


@contextmanager
def _environment(env_file: Path | None) -> Iterator[None]:
    """The variables of the file alone, in place of this process' own, until the block ends."""
    if env_file is None:
        yield
        return
    try:
        with env_file.open("rb") as file:
            variables = parse_environment(file.read(_FILE_BYTES).decode())
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise Failure(
            "settings_invalid",
            f"The environment file {env_file} cannot be read: {reason}.",
            hint="Its lines are NAME=VALUE, with # before a comment, as docker --env-file reads them.",
        ) from None
    own = dict(os.environ)
    os.environ.clear()
    try:
        os.environ.update(variables)
        yield
    finally:
        os.environ.clear()
        os.environ.update(own)


def _additions() -> Iterator[Addition]:
    if not _any_set("ALGA_RUNNER_HOST", "HOST"):
        yield Addition(
            "HOST",
            "0.0.0.0",  # noqa: S104 - Alga's runner listens on every address
            "Listens on every address, as Alga's runner does; without it on this machine alone. "
            "Let the network keep others out.",
        )
    if variable(OPENING) is None:
        yield Addition(
            OPENING,
            "true",
            "Two of Alga's three callers send no token. With this line everyone who can connect executes any extension "
            "of the bundle store, for any tenant and with any grants: let only the Alga server connect, with a "
            "NetworkPolicy or a firewall. Leave it out if a proxy before the runner adds x-runner-service-token.",
        )
    if variable("ALGA_RUNNER_BUNDLE_ENTRIES") is None:
        yield Addition(
            "ALGA_RUNNER_BUNDLE_ENTRIES",
            "skip",
            "Archives with links, climbing paths or special files run without those entries, as they do on Alga's "
            "runner; each is logged. Without it such an archive is refused.",
        )
    if not _any_set("ALGA_RUNNER_EGRESS_ALLOW", "EXT_EGRESS_ALLOWLIST"):
        yield Addition(
            "ALGA_RUNNER_EGRESS_ALLOW",
            "http://*:*,https://*:*",
            "EXT_EGRESS_ALLOWLIST is empty, which allows everything on Alga's runner and nothing here. With this line "
            "extensions that may call http.fetch reach every address of the internet: name the hosts that they need. "
            "Private addresses stay out of reach until ALGA_RUNNER_EGRESS_ALLOW_ADDRESSES names them.",
        )
    if variable("ALGA_RUNNER_MAX_COMPONENT_BODY_BYTES") is None:
        yield Addition(
            "ALGA_RUNNER_MAX_COMPONENT_BODY_BYTES",
            str(_COMPONENT_BODY_BYTES),
            "Bodies of components may be as large as their border lets through, and larger than Alga's runner takes "
            "them. Each byte takes 48 of memory meanwhile, beyond the guest's limit. Without it they end at 1 MiB.",
        )
    level = _rust_log_level()
    if level is not None and variable("ALGA_RUNNER_LOG_LEVEL") is None:
        yield Addition("ALGA_RUNNER_LOG_LEVEL", level, "Opens nothing; RUST_LOG has no effect here.")


def _corrections() -> Iterator[Correction]:
    if variable("BUNDLE_STORE_BASE") is None:
        yield Correction("BUNDLE_STORE_BASE", "It names the store that extensions are taken from.")
    if not _any_set(*_BASE_URLS):
        yield Correction(_BASE_URLS[0], "It is the Alga server that answers host calls.")
    if not _any_set(*_SERVER_TOKENS):
        yield Correction(_SERVER_TOKENS[0], "The Alga server refuses host calls without it.")
    for name in _SERVER_TOKENS:
        if (variable(name) or "").strip().lower() in WELL_KNOWN_TOKENS:
            yield Correction(name, _well_known(name))
    for name, nearest in misspelt():
        yield Correction(name, f"Nothing reads it; the nearest name is {nearest}.")


def _settings_fault() -> Iterator[Correction]:
    """What keeps a runner from being made of the environment, if nothing more precise was found."""
    try:
        Runner(Settings.load())
    except AlgaError as error:
        yield Correction("settings", f"{error} {error.hint}")


def _well_known(name: str) -> str:
    who = "The runner does not start with it" if name == "RUNNER_SERVICE_TOKEN" else "Servers refuse it"
    return f"Everyone knows this token, which examples have. {who}: set one of your own on both sides."


def _rust_log_level() -> str | None:
    """The level of ``RUST_LOG`` without the targets that it may name; ``None`` for the level that is the default."""
    for part in (variable("RUST_LOG") or "").lower().split(","):
        if "=" not in part and part.strip() in _LOG_LEVELS:
            return _LOG_LEVELS[part.strip()]
    return None


def _any_set(*names: str) -> bool:
    return any(variable(name) is not None for name in names)


def _print(result: Report, of: str) -> None:
    page = Page()
    page.line(f"# To run Alga Runner in place of Alga's runner with {of}:")
    for one in result.additions:
        page.gap()
        for text in wrap(one.opens, _COLUMNS):
            page.line(f"# {text}")
        page.line(one.line)
    if result.corrections:
        page.gap()
        page.line("# To set or change:")
        for correction in result.corrections:
            page.line(f"#   {correction.variable}: {correction.why}")
    if result.without_effect:
        page.gap()
        page.line("# Without effect here:")
        for name, why in result.without_effect:
            page.line(f"#   {name}: {why}")
    page.gap()
    page.line("# docs/drop-in.md has what differs, and why.")
