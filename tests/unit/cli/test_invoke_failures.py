"""Bad usage, bad extensions and bad guests: one sentence with a code, the right exit status, and no traceback."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.patience import read_all_lines

ROOT = Path(__file__).parents[3]
CRASH = ROOT / "tests/guests/crash-dwarf5.wasm"
TYPESCRIPT = ROOT / "guest-abi/assemblyscript/tests/crash.wasm"


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    read_all_lines(monkeypatch)


def fails(result, code: str) -> str:
    """The sentence of a failure with this code; that there is no traceback is checked by the way."""
    assert result.exit_code == 1, result.output
    assert "Traceback" not in result.output
    lines = [line for line in result.stderr.splitlines() if line.startswith("error")]
    assert [line.partition(":")[0] for line in lines] == [f"error[{code}]"]
    return lines[0]


def test_a_trap_is_told_with_the_guest_s_stack(run, extension) -> None:
    path = extension("(call $deep)", module="(func $deep unreachable)")

    result = run("invoke", path, "POST", "/go")

    assert "unreachable" in fails(result, "guest_trap")
    assert "\n  in deep (offset 0x6f)\n" in result.stderr
    assert "failed (guest_trap) after " in result.stdout


def test_a_trap_is_told_with_files_and_lines_where_the_module_has_them(run, extension) -> None:
    path = extension(wasm=CRASH.read_bytes())

    result = run("invoke", path, "POST", "/go", "--body", "do:d")

    fails(result, "guest_trap")
    assert "\n  in total (divide.h:4:16)\n  in alga_handle (crash.c:50:13)\n" in result.stderr
    assert "debug information" not in result.stderr


def test_a_source_map_beside_the_module_is_taken(run, extension) -> None:
    path = extension(wasm=TYPESCRIPT.read_bytes())
    Path(path, "dist/main.wasm.map").write_bytes(TYPESCRIPT.with_suffix(".wasm.map").read_bytes())

    result = run("invoke", path, "POST", "/go", "--body", "do:d")

    fails(result, "guest_trap")
    assert "\n  in tests/crash/share (tests/crash.ts:21:10)\n" in result.stderr


def test_a_recursion_without_end_takes_one_line(run, extension) -> None:
    result = run("invoke", extension(wasm=CRASH.read_bytes()), "POST", "/go", "--body", "do:r")

    fails(result, "stack_limit")
    assert result.stderr.count("  in dig") <= 3
    assert " times\n" in result.stderr


def test_the_document_has_the_stack_in_parts(run, extension) -> None:
    path = extension(wasm=CRASH.read_bytes())

    result = run("invoke", path, "POST", "/go", "--body", "do:d", "--json")

    error = json.loads(result.stdout)["error"]
    assert error["trapCode"] == "integer_division_by_zero"
    assert error["frames"][1] == {
        "function": "alga_handle",
        "offset": error["frames"][1]["offset"],
        "file": "crash.c",
        "line": 50,
        "column": 13,
    }


def test_the_document_has_an_abort_s_position(run, extension) -> None:
    result = run("invoke", extension(wasm=TYPESCRIPT.read_bytes()), "POST", "/go", "--body", "do:t", "--json")

    position = json.loads(result.stdout)["error"]["position"]
    assert position == {"file": "tests/crash.ts", "line": 25, "column": 3}


def test_an_abort_is_told_with_the_guest_s_own_message(run, extension, as_text) -> None:
    path = extension(
        "(call $abort (i32.const 1028) (i32.const 0) (i32.const 0) (i32.const 0))",
        imports='(import "env" "abort" (func $abort (param i32 i32 i32 i32)))',
        data=as_text("no \x1b[31mway"),
    )

    assert "no \\x1b[31mway" in fails(run("invoke", path, "POST", "/go"), "guest_abort")


def test_an_exit_is_told_with_its_status(run, extension) -> None:
    path = extension(
        "(call $exit (i32.const 3))",
        imports='(import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))',
    )

    assert "status 3" in fails(run("invoke", path, "POST", "/go"), "guest_exit")


def test_a_loop_ends_at_its_timeout(run, extension) -> None:
    result = run("invoke", extension("(loop (br 0))"), "POST", "/go", "--timeout", "20")

    assert "20 ms" in fails(result, "deadline_exceeded")
    assert "hint: Give it more time with --timeout." in result.stderr


def test_a_guest_without_a_response_is_told(run, extension) -> None:
    fails(run("invoke", extension("nop"), "POST", "/go"), "no_response")


def test_a_failed_execution_still_shows_its_log(run, extension) -> None:
    path = extension(
        "(call $emit (i32.const 3) (i32.const 1024) (i32.const 4)) unreachable",
        imports='(import "alga:log" "emit" (func $emit (param i32 i32 i32)))',
        data=b"last words"[:4],
    )

    assert "  error  last\n" in run("invoke", path, "POST", "/go").stdout


def test_json_output_of_a_failed_execution_is_a_document_too(run, extension) -> None:
    result = run("invoke", extension("unreachable"), "POST", "/go", "--json")

    document = json.loads(result.stdout)
    assert result.exit_code == 1
    assert document["succeeded"] is False
    assert document["response"] is None
    assert document["error"]["code"] == "guest_trap"
    assert document["error"]["trapCode"] == "unreachable"


def test_a_missing_path_is_told(run, tmp_path: Path) -> None:
    assert "neither a folder nor a file" in fails(
        run("invoke", str(tmp_path / "nothing"), "POST", "/go"), "bundle_not_found"
    )


def test_a_failure_before_the_call_is_a_document_too(run, tmp_path: Path) -> None:
    result = run("invoke", str(tmp_path / "nothing"), "POST", "/go", "--json")

    assert json.loads(result.stdout)["error"]["code"] == "bundle_not_found"
    fails(result, "bundle_not_found")


def test_a_broken_manifest_is_told_with_its_field(run, extension) -> None:
    path = extension(manifest={"name": "", "version": "one"})

    assert "name must not be empty" in fails(run("invoke", path, "POST", "/go"), "manifest_invalid")


def test_a_manifest_that_is_not_json_is_told_with_the_place(run, extension) -> None:
    path = extension()
    (Path(path) / "manifest.json").write_text('{"name": }')

    assert "line 1, column 10" in fails(run("invoke", path, "POST", "/go"), "manifest_invalid")


def test_a_module_that_is_not_wasm_is_told(run, extension) -> None:
    fails(run("invoke", extension(wasm=b"not wasm"), "POST", "/go"), "not_wasm")


def test_a_module_without_the_marker_is_told(run, extension) -> None:
    fails(run("invoke", extension(wat="(module)"), "POST", "/go"), "abi_marker_missing")


def test_an_unknown_import_is_told_with_the_nearest_known_one(run, extension) -> None:
    path = extension(imports='(import "alga:scheduler" "lists" (func (param i32 i32 i32 i32) (result i32)))')

    result = run("invoke", path, "POST", "/go")

    assert "alga:scheduler lists" in fails(result, "import_unknown")
    assert "alga:scheduler list" in result.stderr.partition("hint: ")[2]


def test_an_unknown_endpoint_is_told_with_the_ones_there_are(run, extension) -> None:
    result = run("invoke", extension(), "GET", "/go")

    assert "It has POST /go." in fails(result, "endpoint_not_found")
    assert "hint: Did you mean POST /go?" in result.stderr


def test_a_bare_module_has_no_endpoints(run, extension) -> None:
    path = extension()

    result = run("invoke", f"{path}/dist/main.wasm", "POST", "/go")

    assert "without a manifest" in fails(result, "bundle_invalid")
    assert "alga-runner inspect" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(["--body", "@/no/such/file"], "No such file", id="no body file"),
        pytest.param(["--grant", "shedule.manage"], "nearest known one is cap:scheduler.manage", id="grant"),
        pytest.param(["--grant", "\N{SNOWMAN}"], "there is no capability", id="garbage grant"),
        pytest.param(["--grant", "http.fetch"], "does not declare cap:http.fetch", id="undeclared grant"),
        pytest.param(["--header", "no-colon"], "is not NAME:VALUE", id="header"),
        pytest.param(["--header", "a b: c"], "cannot be the name of a header", id="header name"),
        pytest.param(["--header", "a: b\nc: d"], "holds characters that a header cannot", id="header value"),
        pytest.param(["--header", "a: größe"], "holds characters that a header cannot", id="header in ASCII"),
        pytest.param(["--config", "=1"], "is not NAME=VALUE", id="config"),
        pytest.param(["--config", "a=\udcff"], "is not NAME=VALUE in UTF-8", id="config not UTF-8"),
        pytest.param(["--tenant", "../x"], "cannot be a tenant's id", id="tenant"),
        pytest.param(["--timeout", "0"], "0 is not in the range", id="timeout"),
    ],
)
def test_a_bad_option_is_bad_usage(run, extension, arguments: list[str], said: str) -> None:
    result = run("invoke", extension(), "POST", "/go", *arguments)

    assert result.exit_code == 2
    assert said in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("method", "route", "said"),
    [
        ("FETCH", "/go", "'FETCH' is not one of GET"),
        ("POST", "go", "does not start with a slash; try '/go'"),
        ("POST", "/\udcff", "is not UTF-8"),
    ],
)
def test_a_bad_method_or_route_is_bad_usage(run, extension, method: str, route: str, said: str) -> None:
    result = run("invoke", extension(), method, route)

    assert result.exit_code == 2
    assert said in result.stderr


def test_a_body_larger_than_the_limit_is_refused(run, extension, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("ALGA_RUNNER_MAX_BODY_BYTES", "10")
    (tmp_path / "body").write_bytes(b"x" * 11)

    result = run("invoke", extension(), "POST", "/go", "--body", f"@{tmp_path / 'body'}")

    assert result.exit_code == 2
    assert "larger than 10 bytes" in result.stderr


def test_a_setting_that_cannot_be_used_is_told(run, extension, monkeypatch) -> None:
    monkeypatch.setenv("ALGA_RUNNER_MAX_GUESTS", "many")

    assert "max_guests" in fails(run("invoke", extension(), "POST", "/go"), "settings_invalid")


def test_debug_lets_the_exception_through(run, tmp_path: Path) -> None:
    result = run("--debug", "invoke", str(tmp_path / "nothing"), "POST", "/go")

    assert type(result.exception).__name__ == "BundleNotFound"


def test_pages_alone_have_no_handler_to_call(run, pages: str) -> None:
    sentence = fails(run("invoke", pages, "GET", "/status"), "endpoint_not_found")

    assert "com.example.pages has no handler for GET /status: its manifest declares no endpoint." in sentence
