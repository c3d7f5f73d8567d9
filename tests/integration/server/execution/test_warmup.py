"""Publishing, installing and upgrading have the runner load the version, and never fail because of the runner."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from alga_server import ServerSettings
from alga_server.catalog.bundle_store import BundleStore
from alga_server.errors import BundleStoreUnavailable
from alga_server.execution.warmup import PUBLISHING
from tests.support.server import Alga, ScriptedRunner, extension_archive

pytestmark = pytest.mark.anyio

READY = {"status": "ready", "content_hash": "sha256:0", "duration_ms": 5}
UNFIT = {
    "error": "abi_marker_missing",
    "message": "The module has no marker. (extension e)",
    "hint": "Add it.",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "bundles"


@pytest.fixture
def changes() -> dict[str, Any]:
    """Settings that are not the usual ones."""
    return {}


@pytest.fixture
def settings(settings: ServerSettings, root: Path, changes: dict[str, Any]) -> ServerSettings:
    return settings.model_copy(update={"bundle_store": root, **changes})


@pytest.fixture
def scripted() -> ScriptedRunner:
    runner = ScriptedRunner()
    runner.answer = lambda _: httpx.Response(200, json=READY)
    return runner


@pytest.fixture
def runner_transport(scripted: ScriptedRunner) -> httpx.AsyncBaseTransport:
    return httpx.MockTransport(scripted)


def archives(root: Path) -> list[str]:
    return [str(path.relative_to(root).parent) for path in sorted(root.rglob("bundle.tar.zst"))]


async def test_a_published_version_is_in_the_store_under_no_tenant_while_the_runner_loads_it(
    alga: Alga, scripted: ScriptedRunner, root: Path
) -> None:
    seen: list[list[str]] = []

    def answer(_: httpx.Request) -> httpx.Response:
        seen.append(archives(root))
        return httpx.Response(200, json=READY)

    scripted.answer = answer

    published = await alga.publish()

    content_hash, extension = published["contentHash"], published["extensionId"]
    digits = content_hash.removeprefix("sha256:")
    assert seen == [[f"tenants/{PUBLISHING}/extensions/{extension}/sha256/{digits}"]]
    assert archives(root) == []
    [request] = scripted.asked
    assert (request.method, request.url.path) == ("POST", "/warmup")
    assert json.loads(request.content) == {
        "content_hash": content_hash,
        "tenant_id": PUBLISHING,
        "extension_id": extension,
    }
    assert published["warmup"].pop("durationMs") >= 0
    assert published["warmup"] == {"status": "ready", "code": None, "message": None, "hint": None}


async def test_publishing_the_same_again_has_it_loaded_again(alga: Alga, scripted: ScriptedRunner) -> None:
    first, again = await alga.publish(), await alga.publish()

    assert (first["warmup"]["status"], again["warmup"]["status"]) == ("ready", "ready")
    assert len(scripted.asked) == 2


async def test_a_version_that_the_runner_refuses_is_published_with_the_reason(
    alga: Alga, scripted: ScriptedRunner, root: Path
) -> None:
    scripted.answer = lambda _: httpx.Response(422, json=UNFIT)

    response = await alga.admin("POST", "/api/admin/extensions", content=extension_archive())

    assert response.status_code == 201
    warmup = response.json()["warmup"]
    assert (warmup["status"], warmup["code"], warmup["hint"]) == ("refused", "abi_marker_missing", "Add it.")
    assert warmup["message"] == "The module has no marker. (extension e)"
    assert archives(root) == []


def lost(_: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("refused")


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        pytest.param(lost, "runner_unavailable", id="no runner"),
        pytest.param(lambda _: httpx.Response(503), "runner_unavailable", id="one that ends"),
        pytest.param(lambda _: httpx.Response(429), "runner_busy", id="a full one"),
        pytest.param(lambda _: httpx.Response(401, json={}), "runner_refused", id="another token"),
        pytest.param(
            lambda _: httpx.Response(400, text="warmup unsupported without tenant + extension context"),
            "runner_refused",
            id="Alga's own",
        ),
        pytest.param(lambda _: httpx.Response(404, json={}), "runner_refused", id="an older one"),
        pytest.param(lambda _: httpx.Response(200, text="<p>"), "runner_garbled", id="another server"),
        pytest.param(
            lambda _: httpx.Response(422, text="<p>"), "runner_garbled", id="another server refuses"
        ),
        pytest.param(
            lambda _: httpx.Response(200, json={"status": "sure"}), "runner_garbled", id="another status"
        ),
    ],
)
async def test_a_runner_that_cannot_be_asked_fails_no_publish(
    alga: Alga, scripted: ScriptedRunner, answer: Callable[[httpx.Request], httpx.Response], code: str
) -> None:
    scripted.answer = answer

    published = await alga.publish()

    assert (published["warmup"]["status"], published["warmup"]["code"]) == ("unavailable", code)
    assert published["warmup"]["message"]


@pytest.mark.parametrize("changes", [{"warmup_timeout_ms": 20}])
async def test_a_runner_that_takes_longer_goes_on_without_the_server(
    alga: Alga, scripted: ScriptedRunner
) -> None:
    async def answer(_: httpx.Request) -> httpx.Response:
        await anyio.sleep_forever()

    scripted.answer = answer

    warmup = (await alga.publish())["warmup"]

    assert (warmup["status"], warmup["code"]) == ("unavailable", "runner_timeout")
    assert warmup["message"] == "The runner is not done after 0.02 s, and goes on with it"


@pytest.mark.parametrize("changes", [{"warmup_timeout_ms": 0}, {"bundle_store": None}], ids=str)
async def test_without_time_or_a_store_the_runner_is_not_asked(alga: Alga, scripted: ScriptedRunner) -> None:
    published = await alga.publish()
    await alga.install()

    assert published["warmup"]["status"] == "skipped"
    assert scripted.asked == []


async def test_a_store_that_takes_nothing_fails_no_publish(
    alga: Alga, scripted: ScriptedRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise BundleStoreUnavailable("The bundle store cannot be written: No space left on device")

    monkeypatch.setattr(BundleStore, "put", full)

    warmup = (await alga.publish())["warmup"]

    assert (warmup["status"], warmup["code"]) == ("unavailable", "bundle_store_unavailable")
    assert scripted.asked == []


async def test_an_install_has_its_tenant_s_bundle_loaded(
    alga: Alga, scripted: ScriptedRunner, root: Path
) -> None:
    install = await alga.install("tenant-a")

    _, request = map(json.loads, (asked.content for asked in scripted.asked))
    assert (request["tenant_id"], request["extension_id"]) == ("tenant-a", install.extension)
    assert len(archives(root)) == 1


async def test_an_upgrade_has_the_version_loaded_before_the_install_moves(
    alga: Alga, scripted: ScriptedRunner
) -> None:
    install = await alga.install("tenant-a")
    published = await alga.publish(version="2.0.0")
    at: list[str] = []

    async def answer(_: httpx.Request) -> httpx.Response:
        at.append((await alga.admin("GET", install.admin_path)).json()["version"])
        return httpx.Response(200, json=READY)

    scripted.answer = answer
    moved = await alga.admin("POST", f"{install.admin_path}/upgrade", json={})

    assert at == ["1.0.0"]
    assert json.loads(scripted.asked[-1].content)["content_hash"] == published["contentHash"]
    assert (moved.json()["version"], moved.json()["warmup"]["status"]) == ("2.0.0", "ready")
