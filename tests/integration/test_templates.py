"""The templates of the SDKs for Rust, C and Go, tested the way an extension's author tests."""

from __future__ import annotations

from pathlib import Path
from shutil import copyfile, copytree, ignore_patterns

import pytest

from alga_runner.testing import Alga, Extension

ON_WASI = "rust_on_wasi"
GUEST_ABI = Path(__file__).parents[2] / "guest-abi"


def installed(alga: Alga, sdk: str) -> Extension:
    if not (GUEST_ABI / sdk / "template/dist/main.wasm").exists():
        pytest.skip(f"the template is not built: `make guest-{sdk}` builds it")
    return alga.install(GUEST_ABI / sdk / "template", grant=["cap:scheduler.manage"])


@pytest.fixture(
    params=["rust", "c", *(pytest.param(name, marks=pytest.mark.guests) for name in ("go", ON_WASI))]
)
def template(request: pytest.FixtureRequest, alga: Alga, tmp_path: Path) -> Extension:
    if request.param != ON_WASI:
        return installed(alga, request.param)
    built = GUEST_ABI.parent / ".make/guest-rust-wasi/hello.wasm"
    if not built.exists():
        pytest.skip("the template is not built for WASI: `make guest-rust` builds it")
    copytree(GUEST_ABI / "rust/template", tmp_path / "template", ignore=ignore_patterns("target"))
    copyfile(built, tmp_path / "template/dist/main.wasm")
    return alga.install(tmp_path / "template", grant=["cap:scheduler.manage"])


def test_hello_greets_the_world(template: Extension) -> None:
    assert template.call("GET", "/hello").text == "Hello, world!\n"


def test_setup_creates_a_schedule_that_runs_every_hour(alga: Alga, template: Extension) -> None:
    response = template.call("POST", "/setup")

    (schedule,) = alga.schedules()
    assert (response.status, response.json()) == (201, {"success": True, "scheduleId": schedule.id})
    assert (schedule.cron, schedule.payload) == ("0 * * * *", {"full": False})


def test_a_refused_setup_names_the_member_that_is_to_blame(template: Extension) -> None:
    template.call("POST", "/setup")

    again = template.call("POST", "/setup")

    assert again.status == 409
    assert again.json()["fieldErrors"] == {"name": "Schedule name already in use for this extension"}


@pytest.mark.parametrize("sdk", ["rust", pytest.param("go", marks=pytest.mark.guests)])
def test_a_sync_without_json_answers_400(sdk: str, alga: Alga) -> None:
    response = installed(alga, sdk).call("POST", "/sync")

    assert response.status == 400
    assert response.json()["error"]["code"] == "bad-request"
