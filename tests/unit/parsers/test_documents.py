"""What it costs to read a manifest, a signature or a version grows with its size, in any shape."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from alga_runner.bundles.signatures.signature import parse_signature
from alga_runner.models import parse_content_hash
from alga_runner.models.manifest import MAX_MANIFEST_BYTES, parse_manifest
from alga_server.catalog.versions import precedence
from tests.support.cost import assert_bounded, assert_linear


def manifest(**members: Any) -> bytes:
    return json.dumps({"name": "a", "version": "1.0.0", "runtime": "wasm-js@1", **members}).encode()


def _endpoints(one: Callable[[int], Any]) -> Callable[[int], bytes]:
    return lambda size: manifest(api={"endpoints": [one(number) for number in range(size // 32)]})


MANIFESTS: dict[str, Callable[[int], bytes]] = {
    "endpoints": _endpoints(lambda number: {"method": "GET", "path": f"/a/{number}", "handler": "h"}),
    "endpoints-of-nothing": _endpoints(lambda _: {}),
    "endpoints-of-many-members": _endpoints(lambda _: {str(name): 1 for name in range(5)}),
    "one-path": lambda size: _endpoints(lambda _: {"method": "GET", "path": "/a" * size, "handler": "h"})(32),
    "path-of-dots": lambda size: _endpoints(lambda _: {"method": "GET", "path": "/." * size, "handler": "h"})(
        32
    ),
    "unknown-capabilities": lambda size: manifest(capabilities=["a"] * (size // 64)),
    "one-capability": lambda size: manifest(capabilities=["a" * size]),
    "assets": lambda size: manifest(assets=[1] * (size // 8)),
    "precompiled": lambda size: manifest(precompiled={str(number): 1 for number in range(size // 8)}),
    "unknown-fields": lambda size: manifest(**{f"x{number}": 1 for number in range(size // 8)}),
    "one-field": lambda size: manifest(**{"x" * size: 1}),
    "repeated-fields": lambda size: b"{" + b'"a":1,' * (size // 6) + b'"a":1}',
    "one-name": lambda size: manifest(name="a" * size),
    "one-version": lambda size: manifest(version="1.0.0-" + "a" * size + "!"),
    "blanks": lambda size: b"{" + b" " * size + b"}",
    "arrays": lambda size: b"[" * size,
    "digits": lambda size: b"1" * size,
    "escapes": lambda size: b'"' + b"\\u0041" * (size // 6) + b'"',
}


@pytest.mark.parametrize("shape", MANIFESTS)
def test_reading_a_manifest_costs_its_size(shape: str) -> None:
    assert_linear(parse_manifest, MANIFESTS[shape], [2048])


@pytest.mark.parametrize("entry", [b"{}", b"1", b'"a"', b"[]"])
@pytest.mark.parametrize("field", [b'"api":{"endpoints":[%s]}', b'"capabilities":[%s]', b'"assets":[%s]'])
def test_the_largest_manifest_has_no_more_faults_than_memory_for_them(field: bytes, entry: bytes) -> None:
    document = b"{" + field % b",".join([entry] * 20_000) + b"}"

    assert len(document) < MAX_MANIFEST_BYTES
    assert_bounded(parse_manifest, document, steps=150_000, peak_bytes=6 * 1024 * 1024)


@pytest.mark.parametrize("one", ["a", "1.", "-", "+", "0"])
def test_ordering_versions_costs_their_size(one: str) -> None:
    assert_linear(precedence, lambda size: "1.0.0-" + one * size, [4096])


@pytest.mark.parametrize("one", [b" ", b"[", b'{"a":', b"1,", b"\\"])
def test_reading_a_signature_costs_its_size(one: bytes) -> None:
    assert_linear(parse_signature, lambda size: one * (size // len(one)), [4096, 64 * 1024])


@pytest.mark.parametrize("one", ["a", " ", "sha256:"])
def test_reading_a_hash_costs_its_size(one: str) -> None:
    assert_linear(parse_content_hash, lambda size: one * size, [4096])
