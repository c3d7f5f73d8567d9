"""A stack's functions are called as their authors called them."""

from __future__ import annotations

import string

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
    ("mangled", "name"),
    [
        ("_RNvNtCsgXGp5Oqx2Ny_4core3str19slice_error_fail_rt", "core::str::slice_error_fail_rt"),
        (
            "_RNvMs0_NtCsjqx8TIyZbP9_8dlmalloc8dlmallocINtB5_8DlmallocNtNtB7_3sys6SystemE6mallocCsebHcaeoSrxy_3std",
            "<dlmalloc::dlmalloc::Dlmalloc<dlmalloc::sys::System>>::malloc",
        ),
        (
            "_RNvXCsdOmxBqW8nI2_1mINtB2_4PlanNtNtCs5cOc02OMXlo_5alloc6string6StringENtB2_4Fire4fireB2_",
            "<m::Plan<alloc::string::String> as m::Fire>::fire",
        ),
        (
            (
                "_RNvYNCNvCsdOmxBqW8nI2_1m11alga_handles1_0INtNtNtCsgXGp5Oqx2Ny_4core3ops8function6FnOnceTRemEE"
                "9call_onceB6_"
            ),
            "<m::alga_handle::{closure#3} as core::ops::function::FnOnce<(&str, u32)>>::call_once",
        ),
        (
            (
                "_RINvMs_CsdOmxBqW8nI2_1mINtB5_4PlanINtNtCs5cOc02OMXlo_5alloc5boxed3BoxoEE4sizeKj11_"
                "NCNvB5_11alga_handle0EB5_"
            ),
            "<m::Plan<alloc::boxed::Box<u128>>>::size::<17, m::alga_handle::{closure#0}>",
        ),
        (
            (
                "_RINvMNtCsgXGp5Oqx2Ny_4core6optionINtB3_6OptioncE8and_thenuNCNCNvMNtNtB5_3net6parserNtB11_6Parser"
                "15read_given_char00EB5_"
            ),
            (
                "<core::option::Option<char>>::and_then::<(),"
                " <core::net::parser::Parser>::read_given_char::{closure#0}::{closure#0}>"
            ),
        ),
        (
            (
                "_RINvCsdOmxBqW8nI2_1m7genericINtNtCsgXGp5Oqx2Ny_4core6option6OptionRDG_INtNtNtBv_3ops8function2Fn"
                "TRL0_hEEp6OutputINtNtBv_6result6ResultuNtNtBv_3fmt5ErrorEEL_EFUKChEuEB2_"
            ),
            (
                "m::generic::<core::option::Option<&dyn for<'a> core::ops::function::Fn<(&'a u8,),"
                ' Output = core::result::Result<(), core::fmt::Error>>>, unsafe extern "C" fn(u8)>'
            ),
        ),
        (
            "_RINvCsdOmxBqW8nI2_1m7genericFG_RL0_hEzAbj2_EB2_",
            "m::generic::<for<'a> fn(&'a u8) -> !, [bool; 2]>",
        ),
        ("_RINvCsdOmxBqW8nI2_1m5flagsKb1_Kcfc_Kln7_EB2_", "m::flags::<true, 'ü', -7>"),
        (
            "_RNvMs0_CsdOmxBqW8nI2_1mINtB5_4PlanThcQSxPeEE3odd",
            "<m::Plan<(u8, char, &mut [i64], *const str)>>::odd",
        ),
        ("_RINvNtCsdOmxBqW8nI2_1mu12schlssel_95au9gre_6ka8ihEB4_", "m::schlüssel::größe::<u8>"),
        ("_RNvCsdOmxBqW8nI2_1m1g.llvm.1234567890", "m::g"),
    ],
)
def test_a_rust_function_of_the_newer_scheme_is_a_path_too(mangled: str, name: str) -> None:
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
        "_R",
        "_RNv",
        "_RNvC3ext",
        "_RNvC3ext9main",
        "_RNvC3ext4mainx",
        "_RNvC3ext4main_",
        "_RNvB_4main",
        "_RNvB5_4main",
        "_RINvC3ext4mainKc110000_E",
        "_RINvC3ext4mainKjg_E",
        "_RINvC3ext4mainRL0_hE",
        "_RNvC3extu5\u00fc_95a",
        "_RNvC3ext4ma\x1b[",
        "_RNvC3ext" + "9" * 5000 + "x",
        "_RINvC3ext4main" + "S" * 5000 + "hE",
        "_RINvC3ext4mainKj" + "f" * 5000 + "_E",
        "",
    ],
)
def test_every_other_name_stays_as_it_is(name: str) -> None:
    assert readable(name) == name


@pytest.mark.parametrize("escape", ["$u1b$", "$ud800$", "$u110000$", "$uffffff$"])
def test_what_is_not_for_reading_stays_escaped(escape: str) -> None:
    assert escape in readable(f"_ZN{len(escape) + 1}x{escape}17h0123456789abcdefE")


def test_a_name_that_repeats_itself_for_ever_is_given_up() -> None:
    """Each tuple has its predecessor twice: the last one would have 2^40 parts."""
    name, before = "_RINvC3ext4main", "ThE"
    for _ in range(40):
        at = base_62(len(name) - 2)
        name += before
        before = f"TB{at}B{at}E"
    name += "E"

    assert readable(name) == name


def base_62(number: int) -> str:
    """A number as a reference has it."""
    digits = ""
    number -= 1
    while number >= 0:
        digits = (string.digits + string.ascii_letters)[number % 62] + digits
        number = number // 62 or -1
    return digits + "_"


@given(st.text(alphabet="_ZNE0123456789hxabcdef$u.:<", max_size=60))
def test_no_name_breaks_anything(name: str) -> None:
    readable("_ZN" + name)


@given(
    st.sampled_from(["NvC1a1b", "INvC1a1b"]),
    st.text(alphabet="_CMXYNIBLKTFDESARQGsunp019abcf\u00fc", max_size=60),
)
def test_no_name_of_the_newer_scheme_breaks_anything(start: str, name: str) -> None:
    readable("_R" + start + name)
