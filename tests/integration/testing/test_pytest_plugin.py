"""The plugin in a pytest of its own: what passes, what a failure looks like, what it costs a run without it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from wasmtime import wat2wasm

from alga_runner.errors import EndpointNotFound
from alga_runner.testing import Alga
from tests.support.bundles import manifest, manifest_api
from tests.support.guests import LIST_IMPORT

pytestmark = pytest.mark.processes

pytest_plugins = ["pytester"]

OTHERS = ("schemathesis", "hypothesispytest", "xdist", "xdist.looponfail")
"""Plugins that are installed here and not needed: to load them takes longer than a test."""

DEMO = Path(__file__).parents[3] / "sample-extensions" / "scheduler-demo"

MANIFEST = manifest(
    name="com.example.fragile", capabilities=["cap:scheduler.manage"], api=manifest_api("POST /run")
)


def write_extension(pytester: pytest.Pytester, wat: str | None) -> None:
    folder = pytester.mkdir("extension")
    (folder / "manifest.json").write_text(json.dumps(MANIFEST))
    (folder / "dist").mkdir()
    if wat is not None:
        (folder / "dist" / "main.wasm").write_bytes(wat2wasm(wat))


@pytest.fixture
def responds(pytester: pytest.Pytester, guest_wat: Callable[..., str]) -> None:
    """An extension that lists its schedules and answers 200 without a body."""
    imports = LIST_IMPORT
    handler = """
        (drop (call $list (i32.const 1024) (i32.const 1) (i32.const 0) (i32.const 0)))
        (call $respond (i32.const 0) (global.get $ok))"""
    write_extension(pytester, guest_wat(handler, imports=imports, data=b"\xc0"))


@pytest.fixture
def traps(pytester: pytest.Pytester, guest_wat: Callable[..., str]) -> None:
    """An extension that logs a line, lists its schedules and traps."""
    imports = """
        (import "alga:scheduler" "list" (func $list (param i32 i32 i32 i32) (result i32)))
        (import "alga:log" "emit" (func $emit (param i32 i32 i32)))"""
    handler = """
        (call $emit (i32.const 2) (i32.const 1025) (i32.const 9))
        (drop (call $list (i32.const 1024) (i32.const 1) (i32.const 0) (i32.const 0)))
        unreachable"""
    write_extension(pytester, guest_wat(handler, imports=imports, data=b"\xc0so far so"))


def run(pytester: pytest.Pytester, source: str) -> pytest.RunResult:
    pytester.makepyfile(test_extension=source)
    without = [option for name in ("cacheprovider", *OTHERS) for option in ("-p", f"no:{name}")]
    return pytester.runpytest_subprocess(*without, "-W", "error")


@pytest.mark.usefixtures("responds")
def test_each_test_starts_with_an_alga_of_its_own(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
        import pytest

        @pytest.mark.parametrize("time", [1, 2])
        def test_run(alga, time):
            ext = alga.install("extension", grant=["cap:scheduler.manage"])
            assert (alga.host_calls, alga.log, alga.schedules()) == ([], [], [])
            assert ext.call("POST", "/run").status == 200
            assert [call.operation for call in alga.host_calls] == ["scheduler.list"]
            assert 'operation="list",status="success"} 1.0' in alga.server_metrics()
        """,
    )

    result.assert_outcomes(passed=2)


@pytest.mark.usefixtures("traps")
def test_an_execution_that_fails_is_told_with_what_the_guest_did(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
        def test_run(alga):
            alga.install("extension", grant=["cap:scheduler.manage"]).call("POST", "/run")
        """,
    )

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            '>       alga.install("extension", grant=["cap:scheduler.manage"]).call("POST", "/run")',
            "E       alga_runner.errors.GuestTrap: *unreachable*",
            "E       in POST /run of com.example.fragile 1.0.0 for tenant acme",
            "E       the guest's stack:",
            "E         function * (offset 0x*)",
            "E       hint: Build with debug information *",
            "E       the guest's log:",
            "E         warn: so far so",
            "E       its host calls:",
            "E         1. scheduler.list -> ok",
        ]
    )


@pytest.mark.usefixtures("traps")
def test_a_failure_shows_no_frame_of_the_runner(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
        def test_run(alga):
            alga.install("extension").call("POST", "/run").json()

        def test_install(alga):
            alga.install("elsewhere")

        def test_fail(alga):
            alga.server.fail("scheduler.fire")
        """,
    )

    result.assert_outcomes(failed=3)
    result.stdout.no_fnmatch_line("*alga_runner/*")
    result.stdout.no_fnmatch_line("*anyio/*")
    result.stdout.no_fnmatch_line("*During handling of*")
    result.stdout.no_fnmatch_line("*direct cause*")


@pytest.mark.usefixtures("traps")
def test_a_failure_can_be_looked_at(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
        import pytest
        from alga_runner.errors import GuestTrap

        def test_unchecked(alga):
            response = alga.install("extension").call("POST", "/run", check=False)
            assert response.error.code == "guest_trap"
            assert [call.status for call in response.host_calls] == ["denied"]

        def test_raised(alga):
            with pytest.raises(GuestTrap):
                alga.install("extension").call("POST", "/run")
            assert [line.message for line in alga.log] == ["so far so"]

        def test_asked_for_all_the_same(alga):
            response = alga.install("extension").call("POST", "/run", check=False)
            with pytest.raises(GuestTrap):
                response.status
        """,
    )

    result.assert_outcomes(passed=3)


def test_an_extension_that_is_not_built_says_so(pytester: pytest.Pytester) -> None:
    write_extension(pytester, None)

    result = run(pytester, "def test_run(alga):\n    alga.install('extension')")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            ">       alga.install('extension')",
            "E       *BundleInvalid: The extension in */extension is not built: it holds no dist/main.wasm, *",
            "E       hint: Run the extension's own build*",
        ]
    )


@pytest.mark.usefixtures("responds")
def test_an_endpoint_that_is_not_there_is_told_with_those_that_are(pytester: pytest.Pytester) -> None:
    result = run(pytester, "def test_run(alga):\n    alga.install('extension').call('POST', '/runs')")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "E       *EndpointNotFound: com.example.fragile has no endpoint POST /runs. It has POST /run.",
            "E       hint: Did you mean POST /run?",
        ]
    )


def test_what_other_calls_did_is_kept_when_one_is_refused(alga: Alga) -> None:
    demo = alga.install(DEMO, grant=["cap:scheduler.manage"])

    with pytest.raises(EndpointNotFound):
        demo.call_many([("GET", "/schedules"), ("GET", "/nowhere")])

    assert [call.operation for call in alga.host_calls] == ["scheduler.list"]


def test_a_body_that_is_both_json_and_bytes_is_a_mistake(alga: Alga) -> None:
    demo = alga.install(DEMO)

    with pytest.raises(ValueError, match="give json or body, not both"):
        demo.call("POST", "/sync", json={}, body=b"")


@pytest.mark.usefixtures("responds")
def test_a_failure_that_nothing_met_fails_the_test(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
        def test_unmet(alga):
            alga.server.fail("scheduler.create")

        def test_optional(alga):
            alga.server.fail("scheduler.create", optional=True)

        def test_met(alga):
            alga.server.fail("scheduler.list", code="internal")
            alga.install("extension", grant=["cap:scheduler.manage"]).call("POST", "/run")
            assert [call.status for call in alga.host_calls] == ["internal"]

        def test_that_fails_on_its_own(alga):
            alga.server.fail("scheduler.create")
            assert False
        """,
    )

    result.assert_outcomes(passed=3, failed=1, errors=1)
    result.stdout.fnmatch_lines(
        [
            "alga.server.fail('scheduler.create') was met 0 of 1 times: give optional=True if it need not be met."
        ]
    )


def test_a_run_without_the_fixture_imports_nothing_heavy(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
        import sys

        def test_imports():
            assert "alga_runner.testing.plugin" in sys.modules
            heavy = {"alga_server", "fastapi", "httpx", "pydantic", "sqlalchemy", "wasmtime"}
            assert not heavy & sys.modules.keys()
            assert not {"alga_runner.runner", "alga_runner.testing.harness"} & sys.modules.keys()
        """,
    )

    result.assert_outcomes(passed=1)
