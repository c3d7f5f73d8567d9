"""The scheduler samples, one in each language, installed on a server and a runner that speak over sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import count

import pytest

from alga_runner.bundles import read_bundle
from alga_runner.models import pack
from tests.support.deployment import Deployment, Install, deployed
from tests.support.samples import sample_folder

SAMPLES = [
    "scheduler-demo",
    "scheduler-rust",
    pytest.param("scheduler-typescript", marks=pytest.mark.components),
    pytest.param("scheduler-python", marks=pytest.mark.components),
]

_tenants = count(1)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def alga(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Deployment]:
    async with deployed(tmp_path_factory.mktemp("alga")) as deployment:
        yield deployment


@pytest.fixture(scope="module", params=SAMPLES)
def archive(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The sample in this language, packed."""
    return pack(read_bundle(sample_folder(request.param, tmp_path_factory)).files)


@pytest.fixture(scope="module")
async def extension_id(alga: Deployment, archive: bytes) -> str:
    """The sample in this language, published."""
    return await alga.publish(archive)


@pytest.fixture
async def sample(alga: Deployment, extension_id: str) -> AsyncIterator[Install]:
    """The sample, installed for a new tenant whose admin granted what it asks for."""
    install = await alga.install(extension_id, f"tenant-{next(_tenants)}")
    yield install
    await install.uninstall()


@pytest.fixture
async def ungranted(alga: Deployment, extension_id: str) -> AsyncIterator[Install]:
    """The sample, installed for a tenant whose admin granted nothing."""
    install = await alga.install(extension_id, f"tenant-{next(_tenants)}", grants=())
    yield install
    await install.uninstall()
