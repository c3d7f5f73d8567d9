from __future__ import annotations

import mmap
import os
from pathlib import Path

import pytest

from alga_common.system.memory import anonymous_bytes, available_bytes

MACHINE = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def a_system(root: Path, cgroup: str, **limits: str) -> Path:
    """A root folder with the process's cgroups, and files of limits by their path, ``__`` for ``/``."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(cgroup)
    for path, limit in limits.items():
        file = (
            root
            / "sys/fs/cgroup"
            / path.replace("__", "/").replace("_max", ".max").replace("_limit", ".limit")
        )
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(limit + "\n")
    return root


def test_the_limit_of_the_cgroup_counts(tmp_path: Path) -> None:
    assert available_bytes(a_system(tmp_path, "0::/app\n", app__memory_max="1000")) == 1000


def test_the_least_limit_of_the_groups_above_counts(tmp_path: Path) -> None:
    root = a_system(
        tmp_path, "0::/pod/app\n", pod__app__memory_max="5000", pod__memory_max="1000", memory_max="max"
    )

    assert available_bytes(root) == 1000


def test_in_a_container_the_group_at_the_top_is_its_own(tmp_path: Path) -> None:
    assert available_bytes(a_system(tmp_path, "0::/../../x\n", memory_max="1000")) == 1000


def test_cgroups_of_version_1_are_read(tmp_path: Path) -> None:
    root = a_system(tmp_path, "7:cpu:/a\n5:memory:/app\n", memory__app__memory_limit_in_bytes="1000")

    assert available_bytes(root) == 1000


@pytest.mark.parametrize("limit", ["max", str(2**63 - 4096), "0", "what"])
def test_without_a_limit_the_machine_s_memory_counts(tmp_path: Path, limit: str) -> None:
    assert available_bytes(a_system(tmp_path, "0::/app\n", app__memory_max=limit)) == MACHINE


def test_without_cgroups_the_machine_s_memory_counts(tmp_path: Path) -> None:
    assert available_bytes(tmp_path) == MACHINE


def test_memory_that_the_process_fills_is_its_own() -> None:
    size = 32 * 1024 * 1024
    with mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        before = anonymous_bytes()
        for page in range(0, size, mmap.PAGESIZE):
            memory[page] = 1

        assert anonymous_bytes() - before >= size * 0.9
