"""A guest may redirect to its extension's own paths, as a browser reads them."""

from __future__ import annotations

import pytest

from alga_server.http.gateway.location import is_own

ROOT = "/api/ext/7f"
ASKED = ROOT + "/reports/7"


@pytest.mark.parametrize(
    "location",
    [
        "8",
        "./8?year=2026#top",
        "../items",
        "../",
        "?page=2",
        "#top",
        "/api/ext/7f/",
        "/api/ext/7f/a/../b",
        "/api/ext/7f/a%2Fb?next=https://elsewhere.test/",
        "./a:b",
    ],
)
def test_a_path_of_the_extension_passes(location: str) -> None:
    assert is_own(location, ASKED, ROOT)


@pytest.mark.parametrize(
    "location",
    [
        "",
        "/",
        "/login",
        "/api/ext/7f",
        "/api/ext/7f0/",
        "/api/ext/8f/x",
        "/api/ext/7f/../8f/x",
        "/api/ext/7f/%2e%2E/8f/x",
        "/api/ext/7f/a/../../8f/x",
        "../../x",
        "../..",
        "..%2f/../../../x",
        ".%2e/../x",
        "../../../../../api/ext/8f/x",
        "//elsewhere.test/",
        "https://elsewhere.test/",
        "https:/elsewhere.test/",
        "javascript:alert(1)",
        "a:b",
        "\\\\elsewhere.test\\",
        "/\\elsewhere.test/",
        "/api/ext/7f/..\\8f",
        "/\t/elsewhere.test/",
        " https://elsewhere.test/",
        "8\r\nset-cookie: a=b",
        "reports/größe",
        "8?" + "x" * 2048,
    ],
)
def test_any_other_is_dropped(location: str) -> None:
    assert not is_own(location, ASKED, ROOT)


def test_a_relative_path_is_read_from_the_one_that_was_asked_for() -> None:
    assert is_own("x", ROOT + "/", ROOT)
    assert not is_own("x", ROOT, ROOT)
    assert not is_own("../x", ROOT + "/a", ROOT)
