"""What only the TypeScript sample does; `sample-extensions/tests` has the flows that it shares with the others."""

from __future__ import annotations

from pathlib import Path

import pytest

from alga_runner.testing import Alga, Extension
from tests.support.samples import sample_folder

pytestmark = pytest.mark.components


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sample_folder("scheduler-typescript", tmp_path_factory)


@pytest.fixture
def sample(alga: Alga, folder: Path) -> Extension:
    """The sample, installed for a tenant whose admin granted what it asks for."""
    return alga.install(folder, grant=["cap:scheduler.manage"])


def test_an_exception_is_answered_with_500_and_logged_with_its_stack(alga: Alga, sample: Extension) -> None:
    response = sample.call("POST", "/try", body=b"{")

    assert response.status == 500
    assert any(line.level == "error" and "SyntaxError" in line.message for line in alga.log)
    assert any("jsonOf" in line.message and "src/attempt.ts:21" in line.message for line in alga.log)


@pytest.mark.parametrize(
    ("members", "why"),
    [
        (b'"cron": 5', "input.cron must be text, not number"),
        (b'"name": "x"', "input.cron must be text, not undefined"),
        (b'"cron": "0 * * * *", "enabled": "yes"', "input.enabled must be true or false, not string"),
        (b'"cron": "0 * * * *", "name": "\\ud800"', "input.name holds half of a surrogate pair"),
    ],
)
def test_a_create_that_cannot_be_sent_is_an_answer(
    alga: Alga, sample: Extension, members: bytes, why: str
) -> None:
    response = sample.call("POST", "/try", body=b'{"operation": "create", "endpoint": "/sync", %b}' % members)

    assert response.json() == {"error": {"message": f"scheduler.create was not called: {why}."}}
    assert alga.host_calls == []
