"""Only a folder that is this user's alone is trusted with native code."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from alga_runner.engine.compile.private_folder import open_private
from alga_runner.errors import CodeCacheUnusable


def test_a_folder_is_made_private_and_so_are_those_above_it(tmp_path: Path) -> None:
    os.close(open_private(tmp_path / "above" / "code"))

    assert [
        oct(path.stat().st_mode & 0o777) for path in (tmp_path / "above", tmp_path / "above" / "code")
    ] == [
        "0o700",
        "0o700",
    ]


@pytest.mark.parametrize("mode", [0o701, 0o704, 0o710, 0o740, 0o722, 0o777])
def test_a_folder_that_others_can_enter_is_refused(tmp_path: Path, mode: int) -> None:
    folder = tmp_path / "code"
    folder.mkdir()
    folder.chmod(mode)

    with pytest.raises(CodeCacheUnusable, match=f"is open to others \\(mode {mode:04o}\\)") as raised:
        open_private(folder)

    assert raised.value.hint is not None
    assert "0700" in raised.value.hint


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_another_user_s_folder_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "code"
    folder.mkdir(mode=0o700)
    os.chown(folder, 12_345, -1)

    with pytest.raises(CodeCacheUnusable, match="belongs to another user"):
        open_private(folder)


def test_a_link_to_a_private_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "private").mkdir(mode=0o700)
    (tmp_path / "code").symlink_to("private")

    with pytest.raises(CodeCacheUnusable, match="is a link"):
        open_private(tmp_path / "code")


def test_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "code").write_bytes(b"")

    with pytest.raises(CodeCacheUnusable, match="is not a folder"):
        open_private(tmp_path / "code")


def test_a_folder_that_cannot_be_made_is_told() -> None:
    with pytest.raises(CodeCacheUnusable, match="/proc/alga-runner/code, cannot be opened: No such file"):
        open_private(Path("/proc/alga-runner/code"))
