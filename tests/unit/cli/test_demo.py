"""The demonstration holds, and reports it when it does not."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from alga_runner.cli import main
from alga_runner.cli.demo import play, steps
from alga_runner.cli.demo import steps as sampling
from alga_runner.cli.demo.counters import counted
from alga_runner.cli.demo.stage import Stage
from alga_runner.errors import BundleNotFound

pytestmark = pytest.mark.processes


@pytest.fixture(scope="module")
def shown() -> Result:
    return CliRunner().invoke(main, ["demo"])


def test_every_step_of_the_demo_holds(shown: Result) -> None:
    assert shown.exit_code == 0, shown.output
    assert shown.stderr == ""
    assert shown.stdout.splitlines()[-1].startswith("Every step held.")


@pytest.mark.parametrize(
    "said",
    [
        r"  \$ alga-server serve --dev --port \d+ --runner-url http://127\.0\.0\.1:\d+ --database ",
        r"  \$ alga-runner serve --workers 2 --port \d+ --server-url http://127\.0\.0\.1:\d+ --bundle-store ",
        r"ok  the first setup created 2 schedules\n  ok  the second setup found those 2 and created none",
        r"Hourly sync +POST /sync  0 \* \* \* \* +UTC +20\d\d-",
        r"Nightly full sync +POST /sync  30 2 \* \* \* +Europe/Berlin +20\d\d-",
        r"Hourly sync +POST /sync  0 \*/6 \* \* \* +UTC ",
        r"SCHEDULE +NOMINAL TIME +STARTED \(UTC\) +STATUS +TOOK\n  Hourly sync  20\S+Z +20\S+Z +success +\d+ ms\n",
        r"trigger +schedule\n +schedule +[0-9a-f-]{36}\n +nominal time +20\S+Z\n +payload +{\"full\":false}\n",
        r"every minute: validation-failed \(cron: Cron too frequent",
        r"does not have: validation-failed \(endpoint: Endpoint not found",
        r"delete: not-found \(Schedule not found\)",
        r"list: denied \(Permission denied: cap:scheduler.manage not granted",
        r"refused with 401: Missing execution token",
        r"ok  2 schedules deleted, none left\n  ok  initech still has its 2",
        r"list +denied +1 +0\n",
        r"ok  the runner executed \d+: \d+ for the gateway, \d+ for schedules\n",
        r"ok  both ended by themselves\n",
    ],
)
def test_the_demo_shows(shown: Result, said: str) -> None:
    assert re.search(said, shown.stdout)


def test_a_step_that_does_not_hold_ends_the_demo_with_a_sentence(
    run, extension, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sample whose guest answers everything with 200 and nothing."""
    path = Path(extension())
    shutil.copy(Path(sampling.sample_path()) / "manifest.json", path / "manifest.json")
    monkeypatch.setattr(steps, "sample_path", lambda: path)

    result = run("demo")

    assert result.exit_code == 1
    assert result.stderr.splitlines()[0] == "error: POST /setup of acme was not answered with a JSON object."
    assert "hint: Run `alga-runner doctor`" in result.stderr
    assert "Every step held" not in result.stdout


def test_an_expectation_names_what_differs(run, monkeypatch: pytest.MonkeyPatch) -> None:
    def step(stage: Stage) -> None:
        stage.expect({"a": 1}, {"a": 2}, "The answer")

    monkeypatch.setattr(play, "STEPS", (step,))

    result = run("demo")

    assert result.exit_code == 1
    assert result.stderr.splitlines()[0] == 'error: The answer is {"a": 1}, not {"a": 2}.'


def test_a_refusal_that_nobody_expected_is_shown(run, monkeypatch: pytest.MonkeyPatch) -> None:
    def step(stage: Stage) -> None:
        stage.admin("GET", "tenants/acme/installs/none/schedules")

    monkeypatch.setattr(play, "STEPS", (step,))

    assert run("demo").stderr.startswith(
        "error: GET /api/admin/tenants/acme/installs/none/schedules was answered with 404, not 200: "
    )


def test_a_process_that_goes_away_is_told_with_its_last_words(run, monkeypatch: pytest.MonkeyPatch) -> None:
    def step(stage: Stage) -> None:
        stage.pair.runner.terminate()
        stage.pair.runner.end()
        stage.send("GET", f"{stage.pair.runner_url}/metrics")

    monkeypatch.setattr(play, "STEPS", (step,))

    stderr = run("demo").stderr
    assert stderr.startswith("error: alga-runner ended (exit status 0). Its last words: {")
    assert "Shutting down: draining" in stderr
    assert stderr.count("\n") == 2  # the second is the hint


def test_a_missing_sample_is_told(run, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> Path:
        raise BundleNotFound("The sample extension is not installed.")

    monkeypatch.setattr(steps, "sample_path", missing)

    assert run("demo").stderr.startswith(
        "error[bundle_not_found]: The sample extension is not installed.\nhint: "
    )


def test_the_sample_of_a_wheel_is_found_beside_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "site-packages" / "alga_runner"
    (package / "samples" / "scheduler-demo").mkdir(parents=True)
    (package / "samples" / "scheduler-demo" / "manifest.json").write_text("{}")
    monkeypatch.setattr(sampling, "__file__", str(package / "cli" / "demo" / "sample.py"))

    assert sampling.sample_path() == package / "samples" / "scheduler-demo"


def test_a_package_without_the_sample_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        sampling, "__file__", str(tmp_path / "site" / "alga_runner" / "cli" / "demo" / "x.py")
    )

    with pytest.raises(BundleNotFound, match="not installed with alga-runner"):
        sampling.sample_path()


def test_counters_of_both_parts_are_read_under_one_name() -> None:
    text = (
        "# TYPE extension_scheduler_api_calls_total counter\n"
        'extension_scheduler_api_calls_total{operation="getEndpoints",status="success"} 2.0\n'
        'extension_scheduler_api_calls_total{operation="list",status="denied"} 1.0\n'
        "# TYPE other_total counter\n"
        "other_total 9.0\n"
    )

    assert counted(text) == Counter({("get-endpoints", "success"): 2, ("list", "denied"): 1})
