"""DWARF gives the line that a guest was at; its broken or hostile parts give none."""

from __future__ import annotations

import os
import re
import struct
import subprocess
import sys
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alga_runner.debuginfo import MAX_TABLE_BYTES, LineTable, has_debug_info, read_lines
from alga_runner.debuginfo.dwarf import MAX_BYTES
from alga_runner.debuginfo.table import MAX_ROWS
from alga_runner.frames import Frame

END = b"\0\1\1"
OPERANDS = bytes([0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1])
COPY, ADVANCE_PC, ADVANCE_LINE, SET_FILE, SET_COLUMN = b"\1", b"\2", b"\3", b"\4", b"\5"
CONST_ADD_PC, FIXED_ADVANCE_PC, SET_ISA = b"\x08", b"\x09", b"\x0c"


def leb(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def at(address: int) -> bytes:
    return b"\0\5\2" + struct.pack("<I", address)


def row(lines: int = 0, bytes_on: int = 0) -> bytes:
    """A special instruction: a row that many lines and bytes after the last."""
    return bytes([13 + 14 * bytes_on + lines + 5])


def unit(
    instructions: bytes,
    *,
    version: int = 4,
    directories: Sequence[bytes] = (),
    files: Sequence[tuple[bytes, int]] = ((b"a.c", 0),),
    line_range: int = 14,
    operands: bytes = OPERANDS,
) -> bytes:
    """A unit of DWARF 2 to 4 whose special instructions go from 5 lines back to 8 on."""
    names = b"".join(name + b"\0" for name in directories) + b"\0"
    names += b"".join(name + b"\0" + leb(folder) + b"\0\0" for name, folder in files) + b"\0"
    numbers = b"\1\1" if version >= 4 else b"\1"
    header = numbers + struct.pack("<BbBB", 1, -5, line_range, len(operands) + 1) + operands + names
    return _framed(struct.pack("<HI", version, len(header)) + header + instructions)


def unit_5(instructions: bytes, names: bytes) -> bytes:
    """A unit of DWARF 5, whose tables of directories and files are ``names``."""
    header = b"\1\1" + struct.pack("<BbBB", 1, -5, 14, 13) + OPERANDS + names
    return _framed(struct.pack("<HBBI", 5, 4, 0, len(header)) + header + instructions)


def _framed(content: bytes) -> bytes:
    return struct.pack("<I", len(content)) + content


@pytest.fixture
def lines(module, table_of, place):
    """The places that a ``.debug_line`` gives some offsets in the code section."""

    def read(data: bytes, *offsets: int, **others: bytes) -> list[str]:
        sections = {b".debug_line": data} | {f".{name}".encode(): content for name, content in others.items()}
        table = table_of(module(sections))
        return [place(table, offset) for offset in offsets]

    return read


ORACLE = """
import sys, wasmtime
engine = wasmtime.Engine()
module = wasmtime.Module(engine, open(sys.argv[1], "rb").read())
store, linker = wasmtime.Store(engine), wasmtime.Linker(engine)
body = b"do:d"
i32 = wasmtime.ValType.i32
def request(at, capacity):
    instance.exports(store)["memory"].write(store, body, at)
    return len(body)
linker.define_func("alga:abi", "request", wasmtime.FuncType([i32()] * 2, [i32()]), request)
linker.define_unknown_imports_as_traps(module)
instance = linker.instantiate(store, module)
try:
    instance.exports(store)["alga_handle"](store, len(body))
except wasmtime.Trap as trap:
    print([frame.module_offset for frame in trap.frames])
    print(trap)
"""


@pytest.mark.parametrize("version", [4, 5])
def test_a_stack_s_lines_are_those_that_wasmtime_finds(c_guest, table_of, tmp_path, version: int) -> None:
    (tmp_path / "guest.wasm").write_bytes(c_guest(version))
    ran = subprocess.run(
        [sys.executable, "-c", ORACLE, str(tmp_path / "guest.wasm")],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"WASMTIME_BACKTRACE_DETAILS": "1"},
    )
    offsets = [int(number) for number in re.findall(r"\d+", ran.stdout.partition("\n")[0])]
    theirs = re.findall(r"at (?:\./)*(\S+)", ran.stdout)

    table = table_of(c_guest(version))
    ours = [table.locate(Frame("f", offset)).place for offset in offsets]

    assert ours == ["divide.h:4:16", "crash.c:50:13"]
    assert [place for place in theirs if place in ours] == ours, "it names inlined calls, too"


def test_a_module_with_line_programs_has_debug_information(c_guest, module) -> None:
    assert has_debug_info(c_guest(4))
    assert not has_debug_info(module({b"name": b""}))
    assert not has_debug_info(b"")


def test_a_row_reaches_up_to_the_next(lines) -> None:
    data = unit(at(10) + row(4) + row(1, 3) + row(2, 1) + ADVANCE_PC + b"\6" + END)

    assert lines(data, 9, 10, 12, 13, 14, 19, 20) == [
        "offset 0x6d",
        "a.c:5",
        "a.c:5",
        "a.c:6",
        "a.c:8",
        "a.c:8",
        "offset 0x78",
    ]


def test_every_instruction_moves_what_it_should(lines) -> None:
    program = at(10) + COPY + SET_COLUMN + b"\7" + ADVANCE_LINE + b"\x7e" + ADVANCE_LINE + leb(300)
    program += CONST_ADD_PC + COPY + FIXED_ADVANCE_PC + b"\2\0" + SET_FILE + b"\2" + SET_ISA + b"\1" + COPY
    program += ADVANCE_PC + b"\5" + END
    data = unit(program, files=[(b"a.c", 0), (b"b.c", 0)])

    assert lines(data, 10, 27, 29) == ["a.c:1", "a.c:299:7", "b.c:299:7"]


def test_an_unknown_instruction_is_skipped(lines) -> None:
    data = unit(
        b"\x0d\x81\1\2" + at(10) + bytes([14 + 5]) + ADVANCE_PC + b"\1" + END, operands=OPERANDS + b"\2"
    )

    assert lines(data, 10) == ["a.c:1"]


@pytest.mark.parametrize("version", [2, 3, 4])
def test_files_lie_in_their_directories(lines, version: int) -> None:
    files = [(b"here.c", 0), (b"there.c", 1), (b"/abs/olute.c", 1), (b"lost.c", 9)]
    program = b"".join(
        at(10 * number) + SET_FILE + leb(number) + COPY + ADVANCE_PC + b"\1" + END
        for number in (1, 2, 3, 4, 5)
    )

    places = lines(unit(program, version=version, directories=[b"lib"], files=files), 10, 20, 30, 40, 50)

    assert places == ["here.c:1", "lib/there.c:1", "/abs/olute.c:1", "lost.c:1", "offset 0x96"]


def test_the_directory_where_the_compiler_ran_is_left_out(lines) -> None:
    names = b"\1\1\x08" + b"\3" + b"/build/ext\0/build/ext/lib\0/usr\0"
    names += (
        b"\3\1\x1f\2\x0b\5\x1e" + b"\2" + struct.pack("<IB16s", 0, 0, b"") + struct.pack("<IB16s", 4, 1, b"")
    )
    program = b"".join(
        at(10 * (file + 1)) + SET_FILE + leb(file) + COPY + ADVANCE_PC + b"\1" + END for file in (0, 1)
    )

    assert lines(unit_5(program, names), 10, 20, debug_line_str=b"a.c\0b.c\0") == ["a.c:1", "lib/b.c:1"]


def test_of_a_long_path_the_end_is_shown(lines) -> None:
    data = unit(at(10) + COPY + ADVANCE_PC + b"\1" + END, files=[(b"x" * 500 + b"/main.c", 0)])

    (place,) = lines(data, 10)

    assert place.startswith("…xxx")
    assert place.endswith("x/main.c:1")
    assert len(place) == 122


@pytest.mark.parametrize("address", [0, 0xFFFFFFFF, 0xFFFFFFFE, 100])
def test_functions_that_the_linker_dropped_have_no_lines(lines, address: int) -> None:
    dropped = at(address) + row(1) + row(1, 3) + ADVANCE_PC + b"\x32" + END
    data = unit(dropped + at(10) + row(1) + ADVANCE_PC + b"\1" + END)

    assert lines(data, 0, 10, 40) == ["offset 0x64", "a.c:2", "offset 0x8c"]


def test_a_line_0_belongs_to_no_line(lines) -> None:
    data = unit(at(10) + row(-1) + ADVANCE_PC + b"\1" + END)

    assert lines(data, 10) == ["offset 0x6e"]


def test_a_unit_that_cannot_be_read_hides_no_other(lines) -> None:
    good = unit(at(10) + COPY + ADVANCE_PC + b"\1" + END)
    broken = unit(at(20) + COPY + SET_COLUMN + b"\xff" * 20 + ADVANCE_PC + b"\1" + END)
    other_version = bytearray(good)
    other_version[4] = 6

    assert lines(broken + bytes(other_version) + good, 10, 20) == ["a.c:1", "offset 0x78"]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(unit(at(10) + COPY, line_range=0), id="divides by zero"),
        pytest.param(
            unit(at(10) + COPY + ADVANCE_LINE + b"\x7f" * 3 + b"\x40" + COPY + END), id="a negative line"
        ),
        pytest.param(unit(at(10) + (ADVANCE_PC + b"\xff" * 9 + b"\1") * 9 + COPY + END), id="a huge address"),
        pytest.param(unit(at(10) + SET_COLUMN + b"\xff" * 100_000), id="an endless number"),
        pytest.param(unit(at(10) + b"\0\xff\xff\xff\xff\x0f\1"), id="an instruction longer than the section"),
        pytest.param(
            unit_5(at(10) + COPY + END, b"\1\1\x08" + b"\xff" * 9 + b"\1"), id="more entries than bytes"
        ),
        pytest.param(
            unit_5(at(10) + COPY + END, b"\0" + b"\xff" * 9 + b"\1"), id="endless entries of nothing"
        ),
        pytest.param(unit_5(at(10) + COPY + END, b"\xff" + b"\1\x08" * 255), id="too many fields"),
        pytest.param(unit_5(at(10) + COPY + END, b"\1\1\x21\1"), id="a form without bytes"),
        pytest.param(b"\xff\xff\xff\xff" + bytes(100), id="64 bits"),
        pytest.param(b"\4\0", id="cut off"),
        pytest.param(b"", id="empty"),
    ],
)
def test_bytes_without_sense_give_no_line(lines, data: bytes) -> None:
    assert lines(data, 10) == ["offset 0x6e"]


def test_rows_are_bounded(module, table_of) -> None:
    sequence = at(10) + row() * 60_000 + ADVANCE_PC + b"\1" + END

    table = table_of(module({b".debug_line": unit(sequence * 10)}))

    assert len(table) <= MAX_ROWS


def test_names_are_bounded(module, table_of, place) -> None:
    files = [(b"%d-" % number + b"x" * 110, 0) for number in range(20_000)]
    program = at(10) + COPY + ADVANCE_PC + b"\1" + SET_FILE + leb(20_000) + COPY + ADVANCE_PC + b"\1" + END
    wasm = module({b".debug_line": unit(program, files=files)})

    assert len(read_lines(wasm)) <= MAX_TABLE_BYTES
    assert [place(table_of(wasm), offset)[:3] for offset in (10, 11)] == ["0-x", "off"]


def test_of_sequences_that_overlap_the_later_counts(lines) -> None:
    early = at(10) + row(1) + row(1, 8) + ADVANCE_PC + b"\x14" + END
    late = at(15) + row(6) + ADVANCE_PC + b"\4" + END

    assert lines(unit(early + late), 10, 15, 18, 19, 30) == [
        "a.c:2",
        "a.c:7",
        "a.c:7",
        "offset 0x77",
        "offset 0x82",
    ]


@pytest.mark.parametrize(
    "content",
    [b"", b"\1\0\0\0", b"\xff" * 100, bytes(MAX_TABLE_BYTES + 1)],
    ids=["empty", "cut", "rows", "large"],
)
def test_bytes_that_are_no_table_are_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match="line table"):
        LineTable(content)


@given(st.binary(max_size=200), st.integers(0, 3))
def test_a_table_of_hostile_bytes_breaks_nothing(content: bytes, rows: int) -> None:
    table = LineTable(struct.pack("=I", rows) + content.ljust(14 * rows, b"\xff"))

    for offset in (0, 1 << 16, (1 << 32) - 1):
        assert table.locate(Frame("f", offset)).function == "f"


def test_programs_beyond_the_bound_are_not_read(module, table_of, place) -> None:
    early, late = (unit(at(address) + COPY + ADVANCE_PC + b"\1" + END) for address in (10, 20))
    filler = unit(b"\0" + leb(MAX_BYTES) + bytes(MAX_BYTES))

    table = table_of(module({b".debug_line": early + filler + late}))

    assert [place(table, offset) for offset in (10, 20)] == ["a.c:1", "offset 0x78"]


def test_a_module_cut_off_anywhere_breaks_nothing(c_guest, table_of) -> None:
    wasm = c_guest(5)
    for length in range(0, len(wasm), 3):
        table_of(wasm[:length])


@settings(max_examples=300)
@given(st.data())
def test_a_module_with_damaged_bytes_breaks_nothing(c_guest, table_of, data) -> None:
    wasm = bytearray(c_guest(data.draw(st.sampled_from([4, 5]))))
    start = wasm.index(b".debug_line") - 4
    for position in data.draw(st.lists(st.integers(start, len(wasm) - 1), min_size=1, max_size=20)):
        wasm[position] = data.draw(st.integers(0, 255))

    table = table_of(bytes(wasm))

    assert table.locate(Frame("f", 0x120)).function == "f"
