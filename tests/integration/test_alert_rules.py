"""The alerts and the dashboard under ``deploy`` ask for metrics that exist, and alerts fire when they should."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr

from alga_runner import Runner, Settings
from alga_runner.service import create_service
from alga_runner.telemetry.exposition import render
from alga_runner.workers.totals import WORKER_FAMILIES, Totals
from alga_server import Server, ServerSettings

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "prometheus"
RULES = FOLDER / "alga-rules.yml"
DASHBOARD = ROOT / "deploy" / "grafana" / "alga.json"

_SELECTOR = re.compile(r"\b((?:alga|extension)_[a-z_]+|up\b)(?:\{([^}]*)\})?")
_MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"')
_OF_THE_SCRAPE = {"job", "instance"}

Series = dict[str, list[dict[str, str]]]


def rules() -> list[dict[str, Any]]:
    yaml = pytest.importorskip("yaml")
    document = yaml.safe_load(RULES.read_text())
    return [rule for group in document["groups"] for rule in group["rules"]]


def panels() -> Iterator[tuple[str, str]]:
    """Each expression of the dashboard, after its panel's title."""
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]


def selectors(expression: str) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """The metrics that ``expression`` asks for, each with the values of labels that it names."""
    for name, matchers in _SELECTOR.findall(expression):
        named = [
            (label, value)
            for label, operator, values in _MATCHER.findall(matchers)
            for value in (values.split("|") if "~" in operator else [values])
            if label not in _OF_THE_SCRAPE
        ]
        yield name, named


@pytest.fixture
async def series() -> Series:
    """The labels of every sample that a fresh runner with workers and a fresh server show."""
    runner = Runner(Settings(service_token=SecretStr("token-of-the-test")))
    service = create_service(runner)
    server = Server(ServerSettings(dispatch_schedules=False))
    pages = [render(WORKER_FAMILIES, [await Totals(lambda: ()).collect()]).decode()]
    for app in (service, server.app):
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            pages.append((await client.get("/metrics")).text)
    await server.aclose()
    shown: Series = {"up": [{}]}
    for page in pages:
        for family in text_string_to_metric_families(page):
            shown.setdefault(family.name, [])  # a gauge of each worker has no sample without workers
            for sample in family.samples:
                shown.setdefault(sample.name, []).append(sample.labels)
    return shown


@pytest.mark.anyio
async def test_every_metric_and_label_of_the_rules_and_the_dashboard_is_there_from_the_start(
    series: Series,
) -> None:
    asked = [(rule["alert"], rule["expr"]) for rule in rules()]
    missing = [
        f"{title}: {name}{{{label}={value}}}"
        for title, expression in (*asked, *panels())
        for name, named in selectors(expression)
        for label, value in named or [("", "")]
        if name not in series or (label and not any(labels.get(label) == value for labels in series[name]))
    ]

    assert missing == []


def test_every_rule_asks_for_something_of_ours() -> None:
    assert [rule["alert"] for rule in rules() if not list(selectors(rule["expr"]))] == []


def test_every_panel_asks_for_something_of_ours_and_explains_it() -> None:
    assert [title for title, expression in panels() if not list(selectors(expression))] == []
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        assert panel["type"] == "row" or panel["description"]


def test_a_label_that_is_not_there_is_found() -> None:
    expression = 'sum(rate(alga_x_total{job="a",status=~"no|yes",code!="c"}[5m])) > up{job="b"}'

    assert list(selectors(expression)) == [
        ("alga_x_total", [("status", "no"), ("status", "yes"), ("code", "c")]),
        ("up", []),
    ]


def test_every_rule_says_how_bad_it_is_and_what_to_do_and_is_documented() -> None:
    documented = (ROOT / "docs" / "service.md").read_text()

    for rule in rules():
        assert rule["labels"]["severity"] in {"info", "warning", "critical"}
        assert rule["annotations"].keys() == {"summary", "description"}
        assert f"`{rule['alert']}`" in documented


def test_names_of_rules_are_unique() -> None:
    names = [rule["alert"] for rule in rules()]

    assert len(set(names)) == len(names)


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
@pytest.mark.parametrize(
    "arguments", [("check", "rules", "alga-rules.yml"), ("test", "rules", "alga-rules-test.yml")]
)
def test_prometheus_reads_the_rules_and_they_fire_when_they_should(arguments: tuple[str, ...]) -> None:
    ended = subprocess.run(["promtool", *arguments], cwd=FOLDER, capture_output=True, text=True, check=False)

    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_prometheus_reads_every_expression_of_the_dashboard(tmp_path: Path) -> None:
    filled = [
        expression.replace("$__rate_interval", "5m").replace("$instance", ".*") for _, expression in panels()
    ]
    recorded = [{"record": f"panel:{number}", "expr": text} for number, text in enumerate(filled)]
    file = tmp_path / "panels.yml"
    file.write_text(json.dumps({"groups": [{"name": "panels", "rules": recorded}]}))

    ended = subprocess.run(["promtool", "check", "rules", file], capture_output=True, text=True, check=False)

    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert f"{len(filled)} rules found" in ended.stdout
