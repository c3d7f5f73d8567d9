"""The configuration of an install, with secrets that no argument holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.server_cli import NAME, Run, document, done, refused, unasked

CONFIGURE = ("configure", NAME, "--tenant", "acme")


def config(alga: Run) -> dict[str, str]:
    [install] = document(alga("installs", "--tenant", "acme", "--json"))["installs"]
    values: dict[str, str] = install["config"]
    return values


def test_values_are_set_and_removed_and_the_others_stay(alga: Run, installed: dict[str, Any]) -> None:
    done(alga(*CONFIGURE, "--config", "region=eu", "--config", "currency=EUR"))

    said = done(alga(*CONFIGURE, "--config", "region=us", "--unset", "currency", "--config", "note=a=b"))

    assert said == f"{NAME} is configured for tenant acme.\n  values  note, region\n"
    assert config(alga) == {"region": "us", "note": "a=b"}


@pytest.mark.parametrize("as_json", [[], ["--json"]])
def test_a_secret_comes_from_a_file_or_stdin_and_is_not_printed(
    alga: Run, installed: dict[str, Any], tmp_path: Path, as_json: list[str]
) -> None:
    (tmp_path / "key").write_text("hunter2\n\n")

    first = done(alga(*CONFIGURE, "--config-file", f"fromFile={tmp_path / 'key'}", *as_json))
    second = done(alga(*CONFIGURE, "--config-file", "fromStdin=-", *as_json, input="hunter3\r\n"))

    assert config(alga) == {"fromFile": "hunter2\n", "fromStdin": "hunter3"}
    assert "hunter" not in first + second


def test_more_values_than_an_install_has_are_refused(alga: Run, installed: dict[str, Any]) -> None:
    many = [f"--config=key{number}=x" for number in range(200)]
    more = [f"--config=other{number}=x" for number in range(57)]
    done(alga(*CONFIGURE, *many))

    said = refused(alga(*CONFIGURE, *more), "validation_failed")

    assert "At most 256 values" in said
    assert len(config(alga)) == 200


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--config", "region=eu", "--unset", "region"],
        ["--config-file", "a=-", "--config-file", "b=-"],
        ["--config-file", "a=/nowhere"],
        ["--config", "region"],
    ],
)
def test_bad_usage_asks_nothing(alga: Run, options: list[str]) -> None:
    assert alga(*CONFIGURE, *options, transport=unasked()).exit_code == 2


def test_a_value_that_is_not_text_is_bad_usage(alga: Run, tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"\xff")

    result = alga(*CONFIGURE, "--config-file", f"a={tmp_path / 'key'}", transport=unasked())

    assert (result.exit_code, "the value of a is not UTF-8" in result.stderr) == (2, True)
