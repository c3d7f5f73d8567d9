"""Asking the other half of the pair, runner or server, whether it accepts this half's token.

The route that is asked checks the token and nothing else, so that two halves that ask each other make no circle.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import anyio
import httpx

from ..readiness import NOT_CHECKED, OK, REFUSED, TIME_LIMIT_S, TIMED_OUT, Finding
from .exchange import Answer
from .response import HttpProtocolError

MAX_SKEW = timedelta(seconds=10)
"""How far two clocks may differ: more than a ``date`` header's second and an answer's delay."""

MAX_ANSWER_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Peer:
    """The other half, as it is named in findings."""

    name: str
    """``alga_server`` or ``runner``."""
    title: str
    """At the start of a sentence: ``The runner``."""
    token_check: str
    clock_check: str
    address_variable: str
    token_hint: str


async def ask_peer(
    peer: Peer,
    ask: Callable[[], Awaitable[Answer]],
    is_refusal: Callable[[Answer], bool],
    now: Callable[[], datetime] | None,
) -> list[Finding]:
    """Return whether the other half answers, accepts the token, and has the time of ``now``, if a clock is given."""
    answer: Answer | None = None
    with anyio.move_on_after(TIME_LIMIT_S):
        try:
            answer = await ask()
        except httpx.HTTPError as error:
            return [_unreachable(peer, error)]
    if answer is None:
        sentence = f"{peer.title} did not answer within {TIME_LIMIT_S:g} s."
        hint = f"Check that {peer.address_variable} names it, and that no firewall is in between."
        return [Finding(peer.name, TIMED_OUT, sentence, hint)]
    if answer.status >= 500:
        sentence = f"{peer.title} answers with HTTP {answer.status}."
        hint = f"See its log; or {peer.address_variable} names a proxy that cannot reach it."
        return [Finding(peer.name, "failing", sentence, hint)]
    findings = [Finding(peer.name, OK, f"{peer.title} answers."), _token(peer, answer, is_refusal)]
    if now is not None:
        findings.append(_clock(peer, answer, now()))
    return findings


def accepted(peer: Peer) -> Finding:
    """Return that the other half accepts the token."""
    return Finding(peer.token_check, OK, f"{peer.title} accepts this process's token.")


def refused(peer: Peer) -> Finding:
    """Return that the other half refuses the token."""
    return Finding(peer.token_check, REFUSED, f"{peer.title} refuses this process's token.", peer.token_hint)


def clock_finding(name: str, title: str, difference: timedelta) -> Finding:
    """Return whether two clocks agree. ``title`` names the other one: ``the runner``."""
    if abs(difference) <= MAX_SKEW:
        return Finding(name, OK, f"The clocks of {title} and of this machine agree.")
    return Finding(
        name,
        "skewed",
        f"The clocks of {title} and of this machine differ by {round(abs(difference).total_seconds())} s; "
        f"{MAX_SKEW.total_seconds():g} s are tolerated.",
        "Set both by NTP.",
    )


def _unreachable(peer: Peer, error: httpx.HTTPError) -> Finding:
    if isinstance(error, HttpProtocolError):
        sentence = f"{peer.title}'s answer {error}."
        return Finding(peer.name, "failing", sentence, f"Check what answers at {peer.address_variable}.")
    # An httpx error's text may quote a header, and the token is one.
    return Finding(
        peer.name,
        "unreachable",
        f"{peer.title} cannot be reached.",
        f"Start it, or correct {peer.address_variable}.",
    )


def _token(peer: Peer, answer: Answer, is_refusal: Callable[[Answer], bool]) -> Finding:
    if is_refusal(answer):
        return refused(peer)
    if answer.status == 200:
        return accepted(peer)
    return Finding(
        peer.token_check,
        NOT_CHECKED,
        f"{peer.title} has no route that checks a token (HTTP {answer.status}); "
        "the first call shows whether it is accepted.",
    )


def _clock(peer: Peer, answer: Answer, now: datetime) -> Finding:
    try:
        date = parsedate_to_datetime(answer.headers.get("date", ""))
    except (TypeError, ValueError):
        date = None
    # An answer of a cache has the date at which it was made.
    if date is None or "age" in answer.headers:
        return Finding(peer.clock_check, NOT_CHECKED, f"{peer.title}'s answer does not show its time.")
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    title = peer.title[0].lower() + peer.title[1:]
    return clock_finding(peer.clock_check, title, date - now)
