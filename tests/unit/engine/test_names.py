"""A stack's functions are called as their authors called them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alga_runner.debuginfo.demangle import readable


@pytest.mark.parametrize(
    ("mangled", "name"),
    [
        ("_ZN4core9panicking5panic17h0123456789abcdefE", "core::panicking::panic"),
        (
            "_ZN58_$LT$alloc..string..String$u20$as$u20$core..fmt..Debug$GT$3fmt17h0123456789abcdefE",
            "<alloc::string::String as core::fmt::Debug>::fmt",
        ),
        ("_ZN3ext4main28_$u7b$$u7b$closure$u7d$$u7d$17h0123456789abcdefE", "ext::main::{{closure}}"),
        ("alga_handle::h0123456789abcdef", "alga_handle"),
    ],
)
def test_a_rust_function_is_a_path_without_its_hash(mangled: str, name: str) -> None:
    assert readable(mangled) == name


@pytest.mark.parametrize(
    "name",
    [
        "divide",
        "tests/crash/queue",
        "~lib/array/Array<i32>#push",
        "std::__1::sort(int*, int*)",
        "_ZN3foo3barE",
        "_ZNSt3__16vectorIiE4pushEi",
        "_ZN",
        "_ZNE",
        "_ZN99xE",
        "_ZN17h0123456789abcdefE5extraE",
        "_ZN3ext",
        "_RNvC3ext4main",
        "",
    ],
)
def test_every_other_name_stays_as_it_is(name: str) -> None:
    assert readable(name) == name


@pytest.mark.parametrize("escape", ["$u1b$", "$ud800$", "$u110000$", "$uffffff$"])
def test_what_is_not_for_reading_stays_escaped(escape: str) -> None:
    assert escape in readable(f"_ZN{len(escape) + 1}x{escape}17h0123456789abcdefE")


@given(st.text(alphabet="_ZNE0123456789hxabcdef$u.:<", max_size=60))
def test_no_name_breaks_anything(name: str) -> None:
    readable("_ZN" + name)
