"""A runner with the environment of Alga's, and the lines that ``doctor --alga`` adds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from alga_common.environment import parse_environment

pytestmark = pytest.mark.processes

EXAMPLE = Path(__file__).parents[2] / "dropin" / "alga-runner.env"


@pytest.fixture
def variables(tmp_path: Path) -> dict[str, str]:
    """The example's variables with the lines appended; loopback, since tests open no ports to others."""
    file = tmp_path / "runner.env"
    # No Redis is asked, and the store is the test's folder.
    kept = [
        line for line in EXAMPLE.read_text().splitlines() if not line.startswith(("RUNNER_DEBUG_", "BUNDLE_"))
    ]
    file.write_text("\n".join([*kept, f"BUNDLE_STORE_BASE={tmp_path}\n"]))
    program = "from alga_runner.cli import main; main(prog_name='alga-runner')"
    done = subprocess.run(
        [sys.executable, "-c", program, "doctor", "--alga", "--env-file", str(file)],
        capture_output=True,
        text=True,
        check=True,
    )
    added = parse_environment(done.stdout)
    assert added["HOST"] == "0.0.0.0"
    return parse_environment(file.read_text()) | added | {"HOST": "127.0.0.1"}


def test_a_caller_without_a_token_is_served_and_the_open_door_is_in_the_log(
    serve, publish, request_for, variables: dict[str, str]
) -> None:
    content_hash = publish()
    del variables["BUNDLE_STORE_BASE"]  # the option names the test's
    server = serve(**variables)

    response = server.client.post(
        "/v1/execute",
        json=request_for(content_hash, limits={"timeout_ms": 30_000}),
        headers={"x-alga-tenant": "acme", "x-alga-extension": "ext"},
    )

    assert response.json() == {"status": 200, "headers": {}, "body_b64": None, "error": None}
    assert server.log_line("execute_open")["level"] == "warning"


def test_without_the_lines_the_log_names_the_one_that_is_missing(serve, request_for) -> None:
    server = serve()

    response = server.client.post("/v1/execute", json=request_for("0" * 64))

    assert response.status_code == 401
    detail = server.log_line("http_request", status="401")["detail"]
    assert "ALGA_RUNNER_ALLOW_UNAUTHENTICATED_EXECUTE=true admits such callers" in detail
