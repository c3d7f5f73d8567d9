"""The benchmark itself: every part runs, with counts so small that its numbers mean nothing, and ends cleanly."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from pydantic_core import to_json

from benchmarks.contestants.load import response
from benchmarks.contestants.workload import works
from benchmarks.peers.messages import answer_json, guest_input
from tests.support.patience import PATIENCE_S

pytestmark = pytest.mark.bench

ROOT = Path(__file__).parents[2]

KEYS = {
    "execute": ["execute.vs_extism_reused", "execute.vs_extism_isolated", "execute.one_call_ratio"],
    "hostcall": ["hostcall.vs_extism", "hostcall.same_work_vs_extism"],
    "sdk": [f"sdk.{name}_create_us" for name in ("assemblyscript", "rust", "c", "go")],
    "hostcall_http": ["hostcall_http.vs_httpx_default"],
    "suspended": ["suspended.count", "suspended.kb_each", "suspended.host_kb_each"],
    "fairness": ["fairness.loop_p99_ms", "fairness.burst_p99_ms"],
    "compile": ["compile.loop_p99_ms"],
    "shares": [
        *(
            f"shares.{kind}_{share}_ratio"
            for kind in ("reads", "places", "bodies", "runs")
            for share in ("p50", "p99")
        ),
        "shares.runs_missed",
    ],
    "shares_runner": [
        f"shares.{kind}_{what}"
        for kind in ("memory", "programs", "compile", "unpacking")
        for what in ("p50_ratio", "p99_ratio", *(["peak_of_total"] if kind != "compile" else []))
    ],
    "flood": [f"flood.{kind}_p50_ratio" for kind in ("spinning", "short", "hanging", "bodies")],
    "component": [
        *(f"component.{kind}vs_wasmtime_py" for kind in ("", "quickjs_", "execute_", "body64k_")),
        *(f"component.{kind}" for kind in ("two_processes", "first_answer_ms", "private_kb_each")),
        "component.loop_p99_ms",
        "component.leak_kb_per_10k",
    ],
    "scale": ["scale.two_processes"],
    "growth": [f"scale.{kind}" for kind in ("tenants_10k", "modules_1k", "suspended_10k", "bodies_8m")],
    "http": [
        "http.vs_bare_asgi",
        *(f"http.vs_{peer}" for peer in ("wasmtime_threads", "extism_isolated", "fastapi_extism")),
        "http.vs_bare_httptools",
    ],
    "http_hostcall": ["http_hostcall.vs_bare_httptools"],
    "leak": ["leak.kb_per_200k"],
    "server": [
        *(f"server.{kind}_rps" for kind in ("create", "list")),
        *(f"server.fire_10k_{kind}" for kind in ("s", "twice", "lost")),
    ],
    "server_postgres": [
        *(f"server_postgres.{kind}_rps" for kind in ("create", "list")),
        *(f"server_postgres.fire_10k_{kind}" for kind in ("s", "twice", "lost")),
    ],
}

unmeasurable = set()
if find_spec("extism") is None:
    unmeasurable |= {*KEYS["execute"], *KEYS["hostcall"], *KEYS["http"]}
if find_spec("uvloop") is None or find_spec("httptools") is None:
    unmeasurable |= {*KEYS["http"], *KEYS["http_hostcall"]}
if len(os.sched_getaffinity(0)) == 1:
    unmeasurable |= {*KEYS["scale"], *KEYS["http"], *KEYS["http_hostcall"], "component.two_processes"}
if not os.environ.get("ALGA_BENCH_POSTGRES"):
    unmeasurable |= {*KEYS["server_postgres"]}
if not (ROOT / "guest-abi/go/template/dist/main.wasm").exists():
    unmeasurable.add("sdk.go_create_us")
if not os.environ.get("ALGA_BENCH_SPIDERMONKEY"):
    unmeasurable.add("component.vs_wasmtime_py")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("part", KEYS)
def test_a_part_measures_its_keys_and_counts_what_it_did(part: str, tmp_path: Path):
    file = tmp_path / "results.json"

    done = run(part, "--quick", "--output", str(file))

    assert done.returncode == 0, done.stderr
    results: dict[str, Any] = json.loads(file.read_text("utf-8"))
    assert list(results) == ["about", *KEYS[part]]
    for key in KEYS[part]:
        assert (results[key]["value"] is None) is (key in unmeasurable)
        assert results[key].get("note") or all(count > 0 for count in results[key]["counts"].values())


def test_peers_give_their_guests_the_bytes_that_the_runner_gives_its_own():
    for work in works("/create/1"):
        assert guest_input(to_json(work.document)) == work.guest_input
        assert answer_json(work.guest_output) == to_json(response(work))


@pytest.fixture(scope="module")
def quick(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[subprocess.CompletedProcess[str], dict[str, Any]]:
    """What one part printed and wrote."""
    file = tmp_path_factory.mktemp("benchmark") / "results.json"
    done = run("suspended", "--quick", "--output", str(file))
    return done, json.loads(file.read_text("utf-8"))


def test_a_pipe_gets_a_plain_table(quick: tuple[subprocess.CompletedProcess[str], dict[str, Any]]):
    done, _ = quick

    assert done.stdout.startswith("KEY ")
    assert "\x1b" not in done.stdout + done.stderr


def test_results_say_what_they_were_measured_with(
    quick: tuple[subprocess.CompletedProcess[str], dict[str, Any]],
):
    _, results = quick

    assert results["about"]["quick"] is True
    assert {"date", "cpu", "cores", "python", "versions", "seconds"} <= set(results["about"])
    assert {"alga-runner", "wasmtime"} <= set(results["about"]["versions"])


@pytest.mark.parametrize("part", ["hostcall", "http"])
def test_a_profile_shares_out_the_time(part: str):
    done = run("--profile", part, "--quick")

    assert done.returncode == 0, done.stderr
    assert "us of CPU" in done.stdout


def test_results_of_other_parts_are_kept_on_demand(tmp_path: Path):
    file = tmp_path / "results.json"
    file.write_text(json.dumps({"about": {}, "flood.spinning_p50_ratio": {"value": 7}, "gone.key": {}}))

    assert run("server_postgres", "--quick", "--merge", "--output", str(file)).returncode == 0

    results = json.loads(file.read_text("utf-8"))
    assert list(results) == ["about", "flood.spinning_p50_ratio", *KEYS["server_postgres"]]
    assert results["about"]["quick"] is True


def test_an_unknown_part_is_named(tmp_path: Path):
    done = run("exeucte", "--output", str(tmp_path / "results.json"))

    assert done.returncode == 2
    assert "there is no part exeucte" in done.stderr


def test_an_interrupt_leaves_no_process_behind(tmp_path: Path):
    file = tmp_path / "results.json"
    command = [sys.executable, "-m", "benchmarks", "suspended", "fairness", "--output", str(file)]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as bench:
        children = first_children(bench)

        bench.send_signal(signal.SIGINT)

        _, said = bench.communicate(timeout=PATIENCE_S)
    assert bench.returncode == 130
    assert "Interrupted" in said
    assert children
    assert [child for child in children if Path(f"/proc/{child}").exists()] == []
    assert not file.exists()


def first_children(bench: subprocess.Popen[str]) -> list[int]:
    """The processes that it started, as soon as there is one."""
    listing = Path(f"/proc/{bench.pid}/task/{bench.pid}/children")
    while bench.poll() is None:
        if children := listing.read_text("ascii").split():
            return [int(child) for child in children]
    return []
