"""A manifest is taken by the rules of a publish, and every refusal names its field."""

from __future__ import annotations

import json
from typing import Any

import pytest

from alga_runner.errors import ManifestInvalid
from alga_runner.models import parse_manifest

SMALLEST: dict[str, Any] = {"name": "com.example.demo", "version": "1.0.0", "runtime": "wasm-js@1"}


def endpoint(**changes: Any) -> dict[str, Any]:
    return {"method": "GET", "path": "/a", "handler": "dist/handlers/a", **changes}


def refusal(document: Any) -> str:
    with pytest.raises(ManifestInvalid) as refused:
        parse_manifest(document)
    assert refused.value.hint is not None
    return str(refused.value)


def test_name_version_and_runtime_are_enough() -> None:
    manifest = parse_manifest(json.dumps(SMALLEST))

    assert (manifest.capabilities, manifest.endpoints) == ([], ())


@pytest.mark.parametrize("field", ["name", "version"])
def test_a_missing_field_is_named(field: str) -> None:
    document = {key: value for key, value in SMALLEST.items() if key != field}

    assert refusal(document) == f"The manifest's {field} is required."


UI = {"type": "iframe", "entry": "ui/index.html"}


@pytest.mark.parametrize("changes", [{}, {"ui": UI, "api": {"endpoints": [endpoint()]}}])
def test_only_pages_alone_can_do_without_a_runtime(changes: dict[str, Any]) -> None:
    document = {"name": "demo", "version": "1.0.0", **changes}

    assert refusal(document).startswith("The manifest's runtime is required (only an extension of ui/ alone")
    assert parse_manifest({"name": "demo", "version": "1.0.0", "ui": UI}).runtime is None


@pytest.mark.parametrize("version", ["1.2.3", "1.2.3-rc.1", "1.2.3+build.5", "1.2.3-rc.1+5", "1.2.*"])
def test_versions_that_a_publish_takes(version: str) -> None:
    assert parse_manifest({**SMALLEST, "version": version}).version == version


@pytest.mark.parametrize(
    "version", ["1", "1.2", "1.*.*", "v1.2.3", "1.2.3 ", "1.2.*-rc", "\u0661.2.3", "1.2.3\n"]
)
def test_versions_that_a_publish_refuses(version: str) -> None:
    assert "The manifest's version must be X.Y.Z" in refusal({**SMALLEST, "version": version})


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"name": ""}, "The manifest's name must not be empty."),
        ({"name": 5}, "The manifest's name must be a string."),
        ({"publisher": ""}, "The manifest's publisher must not be empty."),
        ({"runtime": "wasm"}, "The manifest's runtime must name a runtime and its version"),
        ({"capabilities": "cap:log.emit"}, "The manifest's capabilities must be an array."),
        ({"capabilities": [""]}, "The manifest's capabilities[0] must not be empty."),
        ({"ui": {"type": "page", "entry": "a"}}, "The manifest's ui.type must be 'iframe'."),
        ({"ui": {"type": "iframe", "entry": "../a"}}, "The manifest's ui.entry must not hold '..'"),
        (
            {"ui": {"type": "iframe", "entry": "a", "hooks": {"appMenu": {"label": ""}}}},
            "The manifest's ui.hooks.appMenu.label must not be empty.",
        ),
        ({"api": {"endpoints": [endpoint(method="TRACE")]}}, "api.endpoints[0].method must be one of DELETE"),
        ({"api": {"endpoints": [endpoint(), endpoint(path="/a b")]}}, "api.endpoints[1].path must not hold"),
        ({"api": {"endpoints": [endpoint(path="/../a")]}}, "api.endpoints[0].path must not hold '..'"),
        ({"api": {"endpoints": [endpoint(handler="../h")]}}, "api.endpoints[0].handler must not hold '..'"),
        ({"api": {"endpoints": ["GET /a"]}}, "The manifest's api.endpoints[0] must be an object."),
        ({"assets": {}}, "The manifest's assets must be an array."),
        ({"precompiled": {"x86": 1}}, "The manifest's precompiled.x86 must be a string."),
    ],
)
def test_a_broken_rule_names_its_field(changes: dict[str, Any], sentence: str) -> None:
    assert sentence in refusal({**SMALLEST, **changes})


@pytest.mark.parametrize("field", ["entry", "events", "sbom"])
def test_an_unknown_top_level_field_is_refused_in_the_contract_words(field: str) -> None:
    assert refusal({**SMALLEST, field: {}}) == f"Unknown top-level field '{field}'."


@pytest.mark.parametrize(
    ("field", "hint"),
    [
        ("capabilites", "Did you mean capabilities? See docs/manifest.md for every field and its rule."),
        ("endpoints", "See docs/manifest.md for every field and its rule."),
    ],
)
def test_a_misspelled_field_is_told_the_nearest_one(field: str, hint: str) -> None:
    with pytest.raises(ManifestInvalid) as refused:
        parse_manifest({**SMALLEST, field: []})

    assert refused.value.hint == hint


def test_every_fault_is_listed_after_the_first() -> None:
    sentence = refusal({"name": "", "version": "1", "runtime": "wasm-js@1", "events": 1})

    assert sentence.startswith("The manifest's name must not be empty. Also: The manifest's version must")
    assert sentence.endswith("Unknown top-level field 'events'.")


def test_a_hundred_faults_make_a_short_sentence() -> None:
    sentence = refusal({**SMALLEST, **{f"k{number}": 1 for number in range(100)}})

    assert sentence.endswith("And 80 more.")


def test_a_long_value_is_cut_in_the_sentence() -> None:
    assert len(refusal({**SMALLEST, "version": "1" * 100_000})) < 300


def test_nested_extra_fields_are_dropped() -> None:
    manifest = parse_manifest({**SMALLEST, "api": {"endpoints": [endpoint(schedulable=False)], "x": 1}})

    assert manifest.endpoints[0].schedulable


def test_capabilities_are_normalised_sorted_and_taken_once() -> None:
    names = [" CAP:Scheduler.Manage ", "cap:log.emit", "cap:scheduler.manage"]

    assert parse_manifest({**SMALLEST, "capabilities": names}).capabilities == [
        "cap:log.emit",
        "cap:scheduler.manage",
    ]


@pytest.mark.parametrize("name", ["scheduler.manage", "cap:schedular.manage", "cap:scheduler"])
def test_an_unknown_capability_is_refused_with_the_nearest_known_one(name: str) -> None:
    assert refusal({**SMALLEST, "capabilities": [name]}) == (
        f"The manifest's capabilities[0] names the unknown capability '{name}'; "
        "the nearest known one is cap:scheduler.manage."
    )


@pytest.mark.parametrize(
    ("written", "clean"),
    [("/a", "/a"), ("a/b", "/a/b"), ("./a", "/a"), ("//a//b", "/a/b"), ("/a/./b", "/a/b"), ("/a.b", "/a.b")],
)
def test_paths_are_cleaned(written: str, clean: str) -> None:
    manifest = parse_manifest({**SMALLEST, "api": {"endpoints": [endpoint(path=written)]}})

    assert manifest.endpoints[0].path == clean


@pytest.mark.parametrize(
    ("method", "path", "schedulable"),
    [
        ("get", "/a", True),
        ("POST", "/a", True),
        ("PUT", "/a", False),
        ("DELETE", "/a", False),
        ("GET", "/a/:id", False),
        ("GET", "/a/{id}", False),
    ],
)
def test_get_and_post_without_parameters_are_schedulable(method: str, path: str, schedulable: bool) -> None:
    manifest = parse_manifest({**SMALLEST, "api": {"endpoints": [endpoint(method=method, path=path)]}})

    assert manifest.endpoints[0].method == method.upper()
    assert manifest.endpoints[0].schedulable is schedulable


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('{"name":\n  x}', "The manifest is not JSON at line 2, column 3: Expecting value."),
        ('{"name": "a", "name": "b"}', "The manifest gives 'name' twice in one object."),
        ('{"ui": {"a": 1, "a": 2}}', "The manifest gives 'a' twice in one object."),
        ("[]", "The manifest must be a JSON object."),
        ('{"name": NaN}', "The manifest holds NaN, which is not JSON."),
        ("[" * 100_000, "The manifest nests too deeply."),
        (b'{"name": "\xff"}', "The manifest is not UTF-8 at byte 10."),
        ("1" * 5000, "The manifest holds a number with thousands of digits."),
        (" " * 2_000_000, "The manifest is larger than 1048576 bytes."),
    ],
)
def test_what_is_not_json_says_where(text: str | bytes, sentence: str) -> None:
    assert refusal(text) == sentence


def test_a_byte_order_mark_is_no_fault() -> None:
    assert parse_manifest(b"\xef\xbb\xbf" + json.dumps(SMALLEST).encode()).name == "com.example.demo"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"name": "n" * 257}, "The manifest's name is too long: 257 characters, at most 256."),
        ({"publisher": "p" * 257}, "The manifest's publisher is too long: 257 characters, at most 256."),
        (
            {"version": "1.0.0-" + "a" * 123},
            "The manifest's version is too long: 129 characters, at most 128.",
        ),
        ({"name": "a\0b"}, "The manifest's name holds characters that cannot be stored: 'a\\x00b'."),
        (
            {"api": {"endpoints": [endpoint(handler="\ud800")]}},
            "The manifest's api.endpoints[0].handler holds characters that cannot be stored: '\\ud800'.",
        ),
        (
            {"api": {"endpoints": [endpoint(), endpoint(method="get", path="//a")]}},
            "The manifest's api.endpoints[1] repeats GET '/a', which is declared above it.",
        ),
        (
            {"api": {"endpoints": [endpoint(path=f"/{number}") for number in range(1001)]}},
            "The manifest's api.endpoints is too long: 1001 endpoints, at most 1000.",
        ),
    ],
    ids=["name", "publisher", "version", "NUL", "half a pair", "twice", "too many"],
)
def test_what_no_server_can_publish_is_refused_before(changes: dict[str, Any], sentence: str) -> None:
    assert refusal({**SMALLEST, **changes}) == sentence


def test_an_endpoint_that_no_schedule_could_name_is_not_schedulable() -> None:
    endpoints = [endpoint(path="/" + "a" * length) for length in (251, 252)]

    manifest = parse_manifest({**SMALLEST, "api": {"endpoints": endpoints}})

    assert [item.schedulable for item in manifest.endpoints] == [True, False]


def test_a_path_of_too_many_segments_is_named_with_the_limit() -> None:
    document = {**SMALLEST, "api": {"endpoints": [endpoint(path="/a" * 32), endpoint(path="/b" * 33)]}}

    assert refusal(document) == (
        f"The manifest's api.endpoints[1].path has 33 segments, at most 32: '{'/b' * 33}'."
    )


def test_a_path_of_too_many_bytes_is_named_with_the_limit() -> None:
    document = {**SMALLEST, "api": {"endpoints": [endpoint(path="/" + "a" * 2000)]}}

    assert refusal(document).startswith(
        "The manifest's api.endpoints[0].path is too long: 2001 bytes, at most 2000: '/aaa"
    )


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"capabilities": ["cap:user.read"] * 101},
            "capabilities is too long: 101 capabilities, at most 100.",
        ),
        ({"assets": ["a"] * 1001}, "assets is too long: 1001 assets, at most 1000."),
        (
            {"precompiled": {str(n): "a" for n in range(1001)}},
            "precompiled is too long: 1001 modules, at most 1000.",
        ),
        ({"api": {"endpoints": [{}] * 1001}}, "api.endpoints is too long: 1001 endpoints, at most 1000."),
    ],
)
def test_a_list_of_too_many_is_one_fault(changes: dict[str, Any], sentence: str) -> None:
    assert refusal({**SMALLEST, **changes}) == f"The manifest's {sentence}"


def test_a_manifest_of_too_many_fields_is_one_fault() -> None:
    assert refusal(dict.fromkeys(map(str, range(1001)))) == (
        "The manifest has 1001 top-level fields, at most 1000 are read."
    )
