"""Archives are untrusted: only a plain tar in zstd is accepted, and everything in it is bounded."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from alga_runner.errors import BundleInvalid
from alga_runner.models import pack, unpack

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


def test_a_window_that_asks_for_more_memory_than_zstd_would_give_is_refused() -> None:
    parameters = zstandard.ZstdCompressionParameters(window_log=28, enable_ldm=False)
    writer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()

    with pytest.raises(BundleInvalid, match="not zstd"):
        unpack(writer.compress(tar(entry("a"))) + writer.flush())


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
