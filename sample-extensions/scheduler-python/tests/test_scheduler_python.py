"""What only the Python sample does; `sample-extensions/tests` has the flows that it shares with the others."""

from __future__ import annotations

from pathlib import Path

import pytest

from alga_runner.testing import Alga, Extension
from tests.support.samples import sample_folder

pytestmark = pytest.mark.components


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sample_folder("scheduler-python", tmp_path_factory)


@pytest.fixture
def sample(alga: Alga, folder: Path) -> Extension:
    """The sample, installed for a tenant whose admin granted what it asks for."""
    return alga.install(folder, grant=["cap:scheduler.manage"])


def test_an_exception_is_answered_with_500_and_logged_with_its_traceback(
    alga: Alga, sample: Extension
) -> None:
    response = sample.call("POST", "/try", body=b"{")

    assert response.status == 500
    (line,) = alga.log
    assert line.level == "error"
    assert line.message.startswith("Traceback (most recent call last):")
    assert "in json_of" in line.message
    assert "json.decoder.JSONDecodeError" in line.message


@pytest.mark.parametrize(
    ("members", "why"),
    [
        (b'"cron": 5', "cron must be text, not int"),
        (b'"cron": "0 * * * *", "enabled": "yes"', "enabled must be True or False, not str"),
        (b'"cron": "0 * * * *", "name": "\\ud800"', "name holds half of a surrogate pair"),
        (b'"cron": "0 * * * *", "payload": NaN', "Out of range float values are not JSON compliant: nan"),
    ],
)
def test_a_create_that_cannot_be_sent_is_an_answer(
    alga: Alga, sample: Extension, members: bytes, why: str
) -> None:
    response = sample.call("POST", "/try", body=b'{"operation": "create", "endpoint": "/sync", %b}' % members)

    assert response.json() == {"error": {"message": f"scheduler.create was not called: {why}."}}
    assert alga.host_calls == []
