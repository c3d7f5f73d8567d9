from __future__ import annotations

import resource
from collections.abc import Iterator

import pytest

from alga_common.system.open_files import ENOUGH, raise_open_files

HERE, MOST = resource.getrlimit(resource.RLIMIT_NOFILE)


@pytest.fixture
def limit() -> Iterator[None]:
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (HERE, MOST))


@pytest.mark.usefixtures("limit")
def test_a_low_limit_of_open_files_is_raised_as_far_as_the_system_lets_it() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, MOST))

    assert raise_open_files() == (ENOUGH if MOST == resource.RLIM_INFINITY else min(ENOUGH, MOST))


@pytest.mark.usefixtures("limit")
def test_a_limit_that_is_high_enough_stays() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (MOST, MOST))

    assert raise_open_files() == MOST
