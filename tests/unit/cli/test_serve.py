"""How many processes `alga-runner serve` is asked for."""

from __future__ import annotations

from typing import Any

import pytest

from alga_runner import Settings, workers
from alga_runner.service import serving


@pytest.fixture
def settings_used() -> list[Settings]:
    return []


@pytest.fixture
def started(run, settings_used: list[Settings], monkeypatch: pytest.MonkeyPatch):
    """How a command line is served: alone, or by so many workers."""
    served: list[int | str] = []

    async def alone(settings: Settings, **_door: Any) -> int:
        settings_used.append(settings)
        served.append("alone")
        return 0

    async def together(settings: Settings, *, workers: int, **_door: Any) -> int:
        settings_used.append(settings)
        served.append(workers)
        return 0

    monkeypatch.setattr(serving, "serve", alone)
    monkeypatch.setattr(workers, "serve_workers", together)

    def carry_out(*arguments: str, **variables: str) -> int | str:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        done = run("serve", "--dev", *arguments)
        assert done.exit_code == 0, done.output
        return served[-1]

    return carry_out


def test_one_process_needs_no_supervisor(started) -> None:
    assert started() == "alone"
    assert started("--workers", "1") == "alone"


def test_several_are_as_many_as_were_asked_for(started) -> None:
    assert started("--workers", "3") == 3
    assert started(ALGA_RUNNER_WORKERS="4") == 4
    assert started("--workers", "3", ALGA_RUNNER_WORKERS="4") == 3


def test_auto_is_one_for_each_core(started, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "usable_cores", lambda: 8)
    assert started("--workers", "auto") == 8

    monkeypatch.setattr(workers, "usable_cores", lambda: 1)
    assert started("--workers", "AUTO") == "alone"


@pytest.mark.parametrize(
    ("arguments", "variables", "shown"),
    [
        ((), {}, True),
        (("--workers", "2"), {}, True),
        ((), {"ALGA_RUNNER_LOG_GUEST_LINES": "0"}, False),
    ],
)
def test_development_shows_what_guests_log_unless_told_not_to(
    started, settings_used: list[Settings], arguments: tuple[str, ...], variables: dict[str, str], shown: bool
) -> None:
    started(*arguments, **variables)

    assert [settings.log_guest_lines for settings in settings_used] == [shown]


def test_without_development_guests_lines_are_not_shown(
    run, started, settings_used: list[Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    run("serve")

    assert [settings.log_guest_lines for settings in settings_used] == [False]


@pytest.mark.parametrize("count", ["0", "-1", "257", "many", "", "1.5", "٣"])
def test_what_is_no_number_of_processes_is_bad_usage(run, count: str) -> None:
    done = run("serve", "--dev", "--workers", count)

    assert done.exit_code == 2
    assert "is not a number from 1 to 256, nor auto" in done.output
