"""Archives are untrusted: only a plain tar in zstd is accepted, and everything in it is bounded."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from typing import Any

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from alga_runner.errors import BundleInvalid
from alga_runner.models import pack, unpack
from alga_runner.models.tar import pax_attributes

FILES = {"manifest.json": b"{}", "dist/main.wasm": b"\0asm" * 500, "ui/index.html": b"", "ui/a/b.js": b"1"}


def tar(*entries: tarfile.TarInfo, content: bytes = b"", layout: int = tarfile.GNU_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=layout) as archive:
        for entry in entries:
            entry.size = len(content) if entry.isreg() else 0
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def squeeze(data: bytes) -> bytes:
    return zstandard.compress(data)


def entry(name: str, kind: bytes = tarfile.REGTYPE, **attributes: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    for key, value in attributes.items():
        setattr(info, key, value)
    return info


def test_what_is_packed_comes_back() -> None:
    assert unpack(pack(FILES)) == FILES


def test_the_same_files_give_the_same_bytes_in_any_order() -> None:
    assert pack(FILES) == pack(dict(reversed(FILES.items())))


def test_a_path_longer_than_a_tar_header_comes_back() -> None:
    files = {"ui/" + "ö" * 120 + "/" + "x" * 150: b"1"}

    assert unpack(pack(files)) == files


def test_gnu_long_names_are_read() -> None:
    name = "ui/" + "x" * 200

    assert unpack(squeeze(tar(entry(name), content=b"1"))) == {name: b"1"}


SCREENSHOT = "ui/Screenshot 2026-11-02 at 3.14.15\u202fPM.png"
NAMES = [
    pytest.param(SCREENSHOT, id="narrow no-break space"),
    pytest.param("ui/\U0001f468\u200d\U0001f469\u200d\U0001f467.svg", id="family of emoji"),
    pytest.param("ui/caf\u00e9.html", id="composed"),
    pytest.param("ui/cafe\u0301.html", id="decomposed"),
    pytest.param("ui/\u0646\u0645\u0648\u0630\u062c.html", id="right to left"),
    pytest.param("ui/\u3000\u00a0 .txt", id="spaces"),
    pytest.param("ui/\U000e0fff.txt", id="a character that Unicode has not assigned"),
    pytest.param("ui/" + "\u00f6" * 60, id="over 100 bytes in under 100 characters"),
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("layout", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT], ids=["gnu", "pax"])
def test_a_name_in_any_script_is_read_as_it_was_written(name: str, layout: int) -> None:
    assert unpack(pack({name: b"1"})) == {name: b"1"}
    assert unpack(squeeze(tar(entry(name), content=b"1", layout=layout))) == {name: b"1"}


@pytest.mark.parametrize(
    ("name", "character"),
    [
        ("ui/a\nb", "a control character in its name: U+000A, character 5 of its path"),
        ("ui/\x7f", "a control character in its name: U+007F, character 4 of its path"),
        ("ui/\x9b31m", "a control character in its name: U+009B, character 4 of its path"),
        ("a\\b", "a backslash in its name: U+005C, character 2 of its path"),
        ("ui/a\u2028", "a line separator in its name: U+2028, character 5 of its path"),
        ("ui/\u202egnp.exe", "a mark that turns the direction of text in its name: U+202E, character 4"),
        ("ui/\u2067", "a mark that turns the direction of text in its name: U+2067, character 4"),
    ],
)
def test_a_character_that_cannot_be_in_a_name_is_named_with_its_place(name: str, character: str) -> None:
    for refuse in (lambda: pack({name: b""}), lambda: unpack(squeeze(tar(entry(name))))):
        with pytest.raises(BundleInvalid) as refused:
            refuse()
        assert character in str(refused.value)
        assert "Rename it" in (refused.value.hint or "")


def test_half_of_a_surrogate_pair_in_a_name_is_not_packed() -> None:
    with pytest.raises(BundleInvalid, match=r"half of a surrogate pair in its name: U\+D83D, character 4"):
        pack({"ui/\ud83d": b""})


@pytest.mark.parametrize("layout", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT], ids=["gnu", "pax"])
@pytest.mark.parametrize("tail", ["", "x" * 120], ids=["in the header", "in a record"])
def test_a_name_that_is_not_utf8_is_refused_with_the_byte(layout: int, tail: str) -> None:
    name = b"ui/na\xefve" + tail.encode()

    with pytest.raises(BundleInvalid, match=r"not UTF-8: byte 0xEF after 5 bytes"):
        unpack(squeeze(tar(entry(name.decode("utf-8", "surrogateescape")), layout=layout)))


def test_an_owner_s_name_that_is_not_utf8_does_not_matter() -> None:
    owner = b"jos\xe9".decode("utf-8", "surrogateescape")

    assert unpack(squeeze(tar(entry("a", uname=owner, gname=owner)))) == {"a": b""}


@pytest.mark.parametrize("names", [("ui/caf\u00e9", "ui/cafe\u0301"), ("ui/\u212b", "ui/\u00c5")])
def test_one_name_in_two_normal_forms_is_refused(names: tuple[str, str]) -> None:
    for refuse in (
        lambda: pack(dict.fromkeys(names, b"")),
        lambda: unpack(squeeze(tar(*map(entry, names)))),
    ):
        with pytest.raises(BundleInvalid, match="one name in two of Unicode's normal forms") as refused:
            refuse()
        assert all(ascii(name) in str(refused.value) for name in names)


def test_a_long_name_is_quoted_in_part() -> None:
    with pytest.raises(BundleInvalid) as refused:
        unpack(squeeze(tar(entry("/" + "x" * 10_000))))

    assert len(str(refused.value)) < 400


def test_directories_are_ignored_and_a_leading_dot_is_removed() -> None:
    archive = tar(entry(".", tarfile.DIRTYPE), entry("./ui", tarfile.DIRTYPE), entry("./ui/a"), content=b"1")

    assert unpack(squeeze(archive)) == {"ui/a": b"1"}


def test_hidden_files_are_ignored_as_desktops_leave_them() -> None:
    archive = tar(
        entry(".DS_Store"), entry("ui/._index.html"), entry("ui/.git/config"), entry("a"), content=b"1"
    )

    assert unpack(squeeze(archive)) == {"a": b"1"}


def test_several_zstd_frames_are_one_archive() -> None:
    data = tar(entry("a"), content=b"x" * 2000)

    assert unpack(squeeze(data[:700]) + squeeze(data[700:])) == {"a": b"x" * 2000}


def test_a_global_comment_is_ignored() -> None:
    buffer = io.BytesIO()
    with tarfile.open(
        fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT, pax_headers={"comment": "x"}
    ) as archive:
        archive.addfile(entry("a"))

    assert unpack(squeeze(buffer.getvalue())) == {"a": b""}


@pytest.mark.parametrize(
    "name",
    [
        "/etc/passwd",
        "../up",
        "ui/../../up",
        "ui//a",
        "../.env",
        "/.env",
        "a\\..\\b",
        "a\nb",
        "./",
        "..",
    ],
)
def test_a_path_that_is_not_plain_is_refused_by_name(name: str) -> None:
    with pytest.raises(BundleInvalid) as refused:
        unpack(squeeze(tar(entry(name))))

    assert repr(name) in str(refused.value)


@pytest.mark.parametrize(
    "kind",
    [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, b"S", b"V"],
)
def test_what_is_not_a_regular_file_is_refused_by_name(kind: bytes) -> None:
    with pytest.raises(BundleInvalid, match="'evil'"):
        unpack(squeeze(tar(entry("evil", kind, linkname="manifest.json"))))


def test_a_path_that_stands_twice_is_refused() -> None:
    with pytest.raises(BundleInvalid, match="'a' is in the archive twice"):
        unpack(squeeze(tar(entry("a"), entry("./a"))))


def test_a_bomb_is_cut_off_at_the_limit() -> None:
    with pytest.raises(BundleInvalid, match="more than 1000000 bytes"):
        unpack(squeeze(bytes(100_000_000)), max_bytes=1_000_000)


def test_too_many_entries_are_refused() -> None:
    with pytest.raises(BundleInvalid, match="more than 3 entries"):
        unpack(pack(FILES), max_files=3)


def test_records_about_entries_count_as_entries() -> None:
    with pytest.raises(BundleInvalid, match="more than 1 entries"):
        unpack(squeeze(tar(entry("x" * 200))), max_files=1)


@pytest.mark.parametrize("log", [27, 28, 30])
def test_a_window_of_any_size_is_read_in_the_memory_that_its_content_takes(log: int) -> None:
    parameters = zstandard.ZstdCompressionParameters(window_log=log, enable_ldm=False)
    writer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    archive = writer.compress(tar(entry("a"), content=b"1")) + writer.flush()

    assert zstandard.get_frame_parameters(archive).window_size == 1 << log
    assert unpack(archive) == {"a": b"1"}


def test_an_archive_that_unpacks_to_much_more_than_its_size_is_refused() -> None:
    with pytest.raises(BundleInvalid, match="more than 200 times its own size"):
        unpack(squeeze(tar(entry("a"), content=bytes(40_000_000))))


def test_a_small_archive_may_unpack_to_some_megabytes_of_zeros() -> None:
    assert unpack(squeeze(tar(entry("a"), content=bytes(4_000_000)))) == {"a": bytes(4_000_000)}


def skipping(archive: bytes) -> tuple[dict[str, bytes], list[str]]:
    """The files of ``archive`` where others are left out, and the sentences about them."""
    sentences: list[str] = []
    return unpack(archive, on_skip=sentences.append), sentences


@pytest.mark.parametrize(
    ("odd", "reason"),
    [
        (entry("a", tarfile.SYMTYPE, linkname="/etc/passwd"), "'a' is a link, a device or sparse"),
        (entry("a", tarfile.LNKTYPE, linkname="b"), "'a' is a link, a device or sparse"),
        (entry("a", tarfile.CHRTYPE), "'a' is a link, a device or sparse"),
        (entry("a", tarfile.FIFOTYPE), "'a' is a link, a device or sparse"),
        (entry("x" * 150, tarfile.SYMTYPE, linkname="y" * 150), "is a link, a device or sparse"),
        (entry("/etc/passwd"), "'/etc/passwd' does not have a plain relative path"),
        (entry("../up"), "'../up' does not have a plain relative path"),
        (entry("ui//a"), "'ui//a' does not have a plain relative path"),
        (entry("a\\..\\b"), "has a backslash in its name"),
        (entry("a\nb"), "has a control character in its name"),
        (entry("x" * 1025), "has a path of more than 1024 bytes"),
        (entry("./b"), "'b' is in the archive twice"),
        (entry("ui/cafe\u0301"), "one name in two of Unicode's normal forms"),
    ],
    ids=lambda value: "" if isinstance(value, tarfile.TarInfo) else value,
)
def test_an_entry_that_no_bundle_has_is_refused_or_left_out_by_name(
    odd: tarfile.TarInfo, reason: str
) -> None:
    archive = squeeze(tar(entry("b"), entry("ui/caf\u00e9"), odd, entry("c"), content=b"1"))

    files, [sentence] = skipping(archive)

    assert files == {"b": b"1", "ui/caf\u00e9": b"1", "c": b"1"}
    assert reason in sentence
    with pytest.raises(BundleInvalid) as refused:
        unpack(archive)
    assert str(refused.value) == sentence


def test_of_two_entries_with_one_path_the_first_is_taken() -> None:
    first, second = tar(entry("a"), content=b"1")[:1024], tar(entry("a"), content=b"2")

    assert skipping(squeeze(first + second))[0] == {"a": b"1"}


def test_a_sparse_entry_is_left_out_with_every_block_of_its_map() -> None:
    header = bytearray(tar(entry("hole", b"S"))[:512])
    header[482] = 1
    header[124:136] = b"00000001000\0"
    header[148:156] = b" " * 8
    header[148:156] = f"{sum(header):06o}\0 ".encode()
    goes_on, ends = bytes(504) + b"\1" + bytes(7), bytes(512)

    files, [sentence] = skipping(
        squeeze(header + goes_on + ends + b"x" * 512 + tar(entry("a"), content=b"1"))
    )

    assert files == {"a": b"1"}
    assert "'hole' is a link, a device or sparse" in sentence


def test_what_is_left_out_counts_as_entries() -> None:
    with pytest.raises(BundleInvalid, match="more than 1 entries"):
        unpack(squeeze(tar(entry("/a"), entry("/b"))), max_files=1, on_skip=lambda _: None)


@pytest.mark.parametrize("cut_at", [100, 700])
def test_a_broken_archive_is_refused_where_odd_entries_are_left_out(cut_at: int) -> None:
    with pytest.raises(BundleInvalid, match=r"truncated|does not hold a tar|past the end"):
        skipping(squeeze(tar(entry("a"), content=b"1" * 600)[:cut_at]))


def test_an_archive_of_a_folder_is_read_as_of_what_is_in_it() -> None:
    assert unpack(pack({f"my-extension/{path}": content for path, content in FILES.items()})) == FILES


def test_what_is_next_to_the_folder_with_the_manifest_goes_before_what_is_in_it() -> None:
    files = {
        "inner/manifest.json": b"{}",
        "inner/dist/main.wasm": b"1",
        "dist/main.wasm": b"2",
        "notes": b"3",
    }

    assert unpack(pack(files)) == {"manifest.json": b"{}", "dist/main.wasm": b"2", "notes": b"3"}


@pytest.mark.parametrize(
    "paths",
    [
        ("manifest.json", "inner/manifest.json"),
        ("one/manifest.json", "two/manifest.json"),
        ("inner/deeper/manifest.json",),
        ("ui/manifest.json",),
    ],
)
def test_paths_stay_where_no_one_folder_is_the_extension_s(paths: tuple[str, ...]) -> None:
    files = dict.fromkeys(paths, b"{}")

    assert unpack(pack(files)) == files


class Counted(bytes):
    """Bytes that count how many of them were read."""

    read = 0

    def find(self, sub: Any, start: Any = 0, end: Any = None, /) -> int:
        Counted.read += min(len(self), len(self) if end is None else end) - start
        return super().find(sub, start, end)

    def partition(self, separator: Any, /) -> Any:
        Counted.read += len(self)
        return tuple(map(Counted, super().partition(separator)))

    def __getitem__(self, key: Any, /) -> Any:
        part = super().__getitem__(key)
        if not isinstance(part, bytes):
            return part
        Counted.read += len(part)
        return Counted(part)


@settings(max_examples=50)
@given(lines=st.lists(st.integers(4, 2000), min_size=1, max_size=64))
def test_reading_attributes_costs_their_size_and_no_more(lines: list[int]) -> None:
    record = b"".join(b"%d %s=\n" % (length, b"k" * (length - len(str(length)) - 3)) for length in lines)
    Counted.read = 0

    assert len(list(pax_attributes(Counted(record)))) == len(lines)
    assert Counted.read <= 4 * len(record) + 16 * len(lines)


def test_a_record_of_the_shortest_lines_is_refused_after_a_few() -> None:
    record = tarfile.TarInfo("x")
    record.type, record.size = tarfile.XHDTYPE, 64 * 1024
    header = record.tobuf(tarfile.USTAR_FORMAT)

    with pytest.raises(BundleInvalid, match="more than 64 attributes"):
        unpack(squeeze(header + b"4 =\n" * (16 * 1024) + tar(entry("a"))))


def corrupted_size(value: bytes) -> bytes:
    header = bytearray(tar(entry("a")))
    header[124:136] = value
    header[148:156] = b" " * 8
    header[148:156] = f"{sum(header[:512]):06o}\0 ".encode()
    return bytes(header)


@pytest.mark.parametrize(
    "size", [b"\xff" * 11 + b"\x00", b"\x80" + b"\x00" * 3 + b"\xff" * 8, b"00077777777\0"]
)
def test_a_size_that_cannot_be_is_refused(size: bytes) -> None:
    with pytest.raises(BundleInvalid, match="'a' runs past the end"):
        unpack(squeeze(corrupted_size(size)))


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({"size": "0"}, "size is not allowed"),
        ({"GNU.sparse.map": "0,9"}, r"GNU.sparse.map is not allowed"),
        ({"path": "../up"}, "plain relative path"),
    ],
)
def test_attributes_that_change_what_an_entry_is_are_refused(headers: dict[str, str], reason: str) -> None:
    with pytest.raises(BundleInvalid, match=reason):
        unpack(squeeze(tar(entry("a", pax_headers=headers), layout=tarfile.PAX_FORMAT)))


def test_an_attribute_record_with_a_false_length_is_refused() -> None:
    data = tar(entry("a", pax_headers={"comment": "hello"}), layout=tarfile.PAX_FORMAT)

    with pytest.raises(BundleInvalid, match="a length does not fit"):
        unpack(squeeze(data.replace(b"17 comment=hello", b"99 comment=hello")))


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        pytest.param(lambda data: b"", "empty", id="nothing"),
        pytest.param(lambda data: b"PK\x03\x04" + data, "not zstd at byte 0", id="zip"),
        pytest.param(lambda data: data[:-1], "truncated", id="a byte short"),
        pytest.param(lambda data: data[:6], "truncated", id="head only"),
        pytest.param(lambda data: data + b"!", "truncated|not zstd", id="garbage behind"),
        pytest.param(lambda data: data + data, "after the end of its tar", id="two archives"),
        pytest.param(lambda data: squeeze(b"hello"), "does not hold a tar", id="not tar"),
        pytest.param(lambda data: squeeze(tar(entry("a"))[:512]), "no end", id="tar without end"),
        pytest.param(lambda data: squeeze(tar(entry("a")) + b"!"), "after the end", id="garbage in zstd"),
        pytest.param(lambda data: data[:-4] + bytes(4), "not zstd", id="wrong checksum"),
    ],
)
def test_what_is_not_a_whole_archive_is_refused(spoil: Callable[[bytes], bytes], reason: str) -> None:
    with pytest.raises(BundleInvalid, match=reason):
        unpack(spoil(pack(FILES)))


@pytest.mark.parametrize("path", ["", "/a", "../a", "a//b", "./a", ".hidden", "a/", "a\x00b"])
def test_a_path_that_could_not_be_read_back_is_not_packed(path: str) -> None:
    with pytest.raises(BundleInvalid):
        pack({path: b""})


@settings(max_examples=50)
@given(name=st.text(max_size=8))
def test_every_name_that_is_packed_comes_back(name: str) -> None:
    try:
        archive = pack({"ui/" + name: b"1"})
    except BundleInvalid:
        return
    assert unpack(archive) == {"ui/" + name: b"1"}


@given(data=st.binary(max_size=2000))
def test_any_bytes_give_files_or_bundle_invalid(data: bytes) -> None:
    for archive in (data, squeeze(data)):
        try:
            unpack(archive)
        except BundleInvalid as refused:
            assert str(refused)  # noqa: PT017


@given(position=st.integers(0, 3 * 512 - 1), value=st.integers(0, 255))
def test_any_changed_byte_of_a_tar_gives_files_or_bundle_invalid(position: int, value: int) -> None:
    data = bytearray(tar(entry("x" * 120, mtime=1)))
    data[position] = value

    try:
        files = unpack(squeeze(bytes(data)))
    except BundleInvalid:
        return
    assert len(files) <= 1
