"""What a URL leads to, and which rules allow it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alga_runner.egress.rules import UrlRefused, allows, parse_allowlist, parse_rules, parse_url


def leads_to(url: str) -> str:
    return str(parse_url(url)[1])


@pytest.mark.parametrize(
    ("url", "to"),
    [
        ("https://Api.Example.com/a?b#c", "https://api.example.com"),
        ("https://api.example.com./", "https://api.example.com"),
        ("http://api.example.com:80/", "http://api.example.com"),
        ("http://api.example.com:8080/", "http://api.example.com:8080"),
        ("https://münchen.example/", "https://xn--mnchen-3ya.example"),
        ("https://a。example/", "https://a.example"),
        ("http://[0:0::1]:8080/", "http://[::1]:8080"),
        ("http://127.0.0.1/", "http://127.0.0.1"),
        ("http://api.example.com\\@evil.example/", None),
        ("http://api.example.com@evil.example/", None),
        ("http://user:password@api.example.com/", None),
        ("http://2130706433/", None),
        ("http://0x7f000001/", None),
        ("http://0177.0.0.1/", None),
        ("http://127.1/", None),
        ("http://127.0.0.0x1/", None),
        ("http://\uff11\uff12\uff17.0.0.1/", None),
        ("http://127%2e0.0.1/", None),
        ("http://a b.example/", None),
        ("http://a.example\r\nx: y/", None),
        ("http://[fe80::1%25eth0]/", None),
        ("http://[::1/", None),
        ("http://-a.example/", None),
        ("http:///path", None),
        ("//a.example/", None),
        ("/path", None),
        ("", None),
        ("ftp://a.example/", None),
        ("file:///etc/passwd", None),
        ("http://a.example:0/", None),
        ("http://a.example:65536/", None),
        ("http://a.example/" + "a" * 20_000, None),
    ],
)
def test_where_a_url_leads(url: str, to: str | None) -> None:
    if to is None:
        with pytest.raises(UrlRefused):
            parse_url(url)
    else:
        assert leads_to(url) == to


def test_a_fragment_is_not_sent_and_a_query_is() -> None:
    assert parse_url("https://a.example/b c?d=e f#g")[0].raw_path == b"/b%20c?d=e%20f"


@pytest.mark.parametrize(
    ("rules", "url", "allowed"),
    [
        ("", "https://a.example", False),
        ("a.example", "https://a.example/x", True),
        ("a.example", "https://a.example:444", False),
        ("a.example", "http://a.example", False),
        ("a.example", "https://b.a.example", False),
        ("a.example", "https://a.example.evil.example", False),
        ("A.Example.", "https://a.example", True),
        ("http://a.example", "http://a.example", True),
        ("http://a.example", "https://a.example", False),
        ("a.example:444", "https://a.example:444", True),
        ("a.example:*", "https://a.example:444", True),
        ("*.example", "https://a.b.example", True),
        ("*.example", "https://example", False),
        ("*.example", "https://aexample", False),
        ("https://*", "https://a.example", True),
        ("*", "https://10.0.0.1", True),
        ("*", "http://a.example", False),
        ("http://[::1]:8080", "http://[0:0:0:0:0:0:0:1]:8080", True),
        ("http://10.0.0.7:*", "http://10.0.0.7:9", True),
        ("münchen.example", "https://xn--mnchen-3ya.example", True),
        ("b.example, a.example\n c.example", "https://c.example", True),
    ],
)
def test_what_rules_allow(rules: str, url: str, allowed: bool) -> None:
    assert allows(parse_rules(rules), parse_url(url)[1]) is allowed


@pytest.mark.parametrize(
    ("hosts", "url", "allowed"),
    [
        ("a.example", "https://a.example", True),
        ("a.example", "http://b.a.example:8080", True),
        ("a.example", "https://aa.example", False),
        ("10.0.0.7", "http://10.0.0.7:8080", True),
        (" , ", "https://a.example", False),
        ("*.a.example", "https://a.example", False),
    ],
)
def test_algas_own_list_allows_hosts_and_all_names_below_them(hosts: str, url: str, allowed: bool) -> None:
    assert allows(parse_allowlist(hosts), parse_url(url)[1]) is allowed


@pytest.mark.parametrize(
    "entry",
    [
        *("https://a.example/path", "u@a.example", "a.*.example", "*.10.0.0.1", "*a.example", "a.example:x"),
        *("a.example:65536", "ftp://a.example", "127.1", "[::1", "https://", "*."),
    ],
)
def test_what_is_no_rule_is_named_by_its_number(entry: str) -> None:
    with pytest.raises(ValueError, match="has an entry 2 that is no rule"):
        parse_rules(f"a.example {entry}")


@pytest.mark.parametrize("entry", ["https://a.example", "a.example:80", "a.example/path"])
def test_algas_own_list_has_hosts_alone(entry: str) -> None:
    with pytest.raises(ValueError, match="has an entry 1 that is no rule"):
        parse_allowlist(entry)


@settings(max_examples=50)
@given(
    st.text("aA1.:[]@%/?#\\_-\t\u3002\uff11\u00e9", max_size=30),
    st.sampled_from(["", "http://", "https://", "http://[", "https://a.example:"]),
)
def test_any_url_is_refused_or_allowed_by_the_rule_that_its_refusal_names(text: str, start: str) -> None:
    try:
        _, to = parse_url(start + text)
    except UrlRefused:
        return
    assert allows(parse_rules(to.rule()), to)
