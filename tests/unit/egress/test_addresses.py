"""Which addresses are the internet's, compared with Python's own ``ipaddress``."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from alga_runner.egress import AddressRules, parse_networks
from alga_runner.egress.addresses import carried_v4, special_kind

v4 = st.integers(0, 2**32 - 1).map(IPv4Address)
v6 = st.integers(0, 2**128 - 1).map(IPv6Address) | st.integers(0, 2**125 - 1).map(
    lambda bits: IPv6Address(1 << 125 | bits)
)
near_blocks = st.sampled_from(
    [*ip_network("2001::/23").subnets(new_prefix=32), *ip_network("100.64.0.0/10").subnets(new_prefix=16)]
).map(lambda network: network[0])


@settings(max_examples=50)
@given(v4 | v6 | near_blocks)
@example(ip_address("255.255.255.255"))
@example(ip_address("192.0.0.9"))
@example(ip_address("fec0::1"))
def test_no_address_that_python_calls_special_is_the_internets(address: IPv4Address | IPv6Address) -> None:
    special = (
        not address.is_global
        or address.is_multicast
        or address.is_reserved
        or address.is_loopback
        or address.is_link_local
        or address.is_unspecified
    )
    if special:
        assert special_kind(address) is not None


@settings(max_examples=50)
@given(v4)
def test_an_address_that_python_calls_global_is_the_internets_but_for_a_few(address: IPv4Address) -> None:
    own = ["168.63.129.16/32", "192.0.0.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24"]
    own += ["192.175.48.0/24", "224.0.0.0/4"]
    if address.is_global and not any(address in ip_network(block) for block in own):
        assert special_kind(address) is None


@pytest.mark.parametrize("text", ["93.184.216.34", "8.8.8.8", "2606:2800:220:1::1", "2a00:1450::1"])
def test_addresses_of_the_internet_are_allowed(text: str) -> None:
    assert AddressRules().refusal(ip_address(text)) is None


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("127.0.0.1", "loopback"),
        ("127.255.255.254", "loopback"),
        ("10.1.2.3", "private"),
        ("172.31.255.255", "private"),
        ("192.168.0.1", "private"),
        ("169.254.169.254", "link-local, as metadata services are"),
        ("168.63.129.16", "a cloud's own"),
        ("100.100.100.200", "shared by a carrier's customers"),
        ("0.0.0.0", "unspecified"),
        ("224.0.0.1", "multicast"),
        ("203.0.113.9", "for documentation"),
        ("::", "unspecified"),
        ("::1", "loopback"),
        ("::ffff:93.184.216.34", "an IPv4 address in another form"),
        ("::127.0.0.1", "an IPv4 address in another form"),
        ("64:ff9b::5db8:d822", "translated to IPv4"),
        ("64:ff9b:1::a00:1", "translated to IPv4"),
        ("2002:7f00:1::", "translated to IPv4"),
        ("2001:0:4136:e378:8000:63bf:3fff:fdd2", "translated to IPv4"),
        ("fd00:ec2::254", "private"),
        ("fe80::1", "link-local"),
        ("fe80::1%eth0", "link-local"),
        ("2606:2800:220:1::1%eth0", "link-local"),
        ("ff02::1", "multicast"),
        ("2001:db8::1", "for documentation"),
        ("4000::1", "reserved"),
    ],
)
def test_special_addresses_are_refused_and_named(text: str, kind: str) -> None:
    assert AddressRules().refusal(ip_address(text)) == kind


@pytest.mark.parametrize(
    ("text", "carried"),
    [
        ("::ffff:10.0.0.1", ["10.0.0.1"]),
        ("64:ff9b::a00:1", ["10.0.0.1"]),
        ("2002:a00:1::", ["10.0.0.1"]),
        ("2001:0:4136:e378:8000:63bf:3fff:fdd2", ["65.54.227.120", "192.0.2.45"]),
        ("2606:2800:220:1::1", []),
    ],
)
def test_the_address_behind_a_translator_is_found(text: str, carried: list[str]) -> None:
    assert list(map(str, carried_v4(ip_address(text)))) == carried


def test_an_operator_allows_one_network_and_no_other() -> None:
    rules = AddressRules(parse_networks("10.1.2.0/24 ::1"))

    assert rules.refusal(ip_address("10.1.2.3")) is None
    assert rules.refusal(ip_address("::1")) is None
    assert rules.refusal(ip_address("10.1.3.3")) == "private"


def test_to_allow_a_translator_opens_nothing_private_behind_it() -> None:
    rules = AddressRules(parse_networks("64:ff9b::/96"))

    assert rules.refusal(ip_address("64:ff9b::5db8:d822")) is None
    assert rules.refusal(ip_address("64:ff9b::a9fe:a9fe")) == "link-local, as metadata services are"


@pytest.mark.parametrize("entry", ["10.0.0.1/8", "example.com", "10.0.0.0/33"])
def test_what_is_no_network_is_refused_by_its_number(entry: str) -> None:
    with pytest.raises(ValueError, match="an entry 2 that is no address"):
        parse_networks(f"10.0.0.0/8, {entry}")
