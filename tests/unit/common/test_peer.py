"""What one half learns of the other from one answer."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from alga_common.http.exchange import Answer
from alga_common.http.peer import Peer, ask_peer
from alga_common.http.response import HttpProtocolError
from alga_common.readiness import Finding

pytestmark = pytest.mark.anyio

PEER = Peer("runner", "The runner", "runner_token", "runner_clock", "RUNNER_URL", "Compare the tokens.")
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DATE = "Sun, 01 Mar 2026 12:00:00 GMT"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def ask(
    answer: Answer | httpx.HTTPError, now: Callable[[], datetime] | None = lambda: NOW
) -> dict[str, Finding]:
    async def send() -> Answer:
        if isinstance(answer, Exception):
            raise answer
        return answer

    findings = await ask_peer(PEER, send, lambda got: got.status == 401, now)
    return {finding.name: finding for finding in findings}


def answer(status: int = 200, **headers: str) -> Answer:
    return Answer(status, httpx.Headers({"date": DATE, **headers}), b"{}")


def codes(findings: dict[str, Finding]) -> dict[str, str]:
    return {name: finding.code for name, finding in findings.items()}


async def test_a_half_that_accepts_the_token_passes_each_check() -> None:
    assert codes(await ask(answer())) == {"runner": "ok", "runner_token": "ok", "runner_clock": "ok"}


async def test_a_refused_token_fails_and_names_the_setting_to_compare() -> None:
    finding = (await ask(answer(401)))["runner_token"]

    assert (finding.code, finding.failed, finding.hint) == ("refused", True, "Compare the tokens.")


@pytest.mark.parametrize("status", [302, 404, 405])
async def test_a_half_without_the_route_is_reachable_and_its_token_unchecked(status: int) -> None:
    findings = await ask(answer(status))

    assert codes(findings) == {"runner": "ok", "runner_token": "not_checked", "runner_clock": "ok"}
    assert not any(finding.failed for finding in findings.values())


async def test_a_proxy_that_cannot_reach_it_fails() -> None:
    finding = (await ask(answer(502)))["runner"]

    assert (finding.code, finding.sentence) == ("failing", "The runner answers with HTTP 502.")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (httpx.ConnectError("x-runner-auth: secret"), "unreachable"),
        (httpx.ReadError("x-runner-auth: secret"), "unreachable"),
        (HttpProtocolError("is no HTTP"), "failing"),
    ],
)
async def test_a_lost_or_unusable_answer_fails_without_the_error_s_text(
    error: httpx.HTTPError, code: str
) -> None:
    findings = await ask(error)

    assert codes(findings) == {"runner": code}
    assert "secret" not in str(findings)


@pytest.mark.parametrize(("ahead_s", "code"), [(-11, "skewed"), (-10, "ok"), (10, "ok"), (11, "skewed")])
async def test_clocks_may_differ_by_ten_seconds(ahead_s: int, code: str) -> None:
    finding = (await ask(answer(), lambda: NOW + timedelta(seconds=ahead_s)))["runner_clock"]

    assert finding.code == code


@pytest.mark.parametrize(
    "headers", [{"date": "yesterday"}, {"date": ""}, {"age": "3600"}, {"date": "Sun, 99 Mar 2026"}]
)
async def test_an_answer_without_its_own_time_is_not_compared(headers: dict[str, str]) -> None:
    finding = (await ask(answer(**headers), lambda: NOW + timedelta(days=1)))["runner_clock"]

    assert (finding.code, finding.failed) == ("not_checked", False)


async def test_a_clock_that_is_moved_by_hand_is_not_compared() -> None:
    assert "runner_clock" not in await ask(answer(), None)
