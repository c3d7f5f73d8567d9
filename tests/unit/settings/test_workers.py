"""The settings of a worker: those of the machine, with its share of what one tenant may have."""

from __future__ import annotations

import json

import msgpack
import pytest
from pydantic import Field, SecretStr

from alga_runner.errors import SettingsError
from alga_runner.settings import Settings


class Bounded(Settings):
    """Settings with bounds of a tenant."""

    max_things_per_tenant: int | None = Field(default=10, ge=0)
    max_others_per_tenant: int | None = None


@pytest.mark.parametrize(("bound", "workers"), [(10, 1), (10, 2), (10, 3), (10, 10), (7, 4), (1_000, 256)])
def test_the_shares_of_a_tenant_are_together_the_bound_and_nearly_equal(bound: int, workers: int) -> None:
    settings = Bounded(max_things_per_tenant=bound)

    shares = [settings.for_worker(number, workers).max_things_per_tenant for number in range(1, workers + 1)]

    assert sum(shares) == bound
    assert min(shares) >= 1
    assert max(shares) - min(shares) <= 1


def test_a_bound_smaller_than_the_number_of_workers_is_refused_by_name() -> None:
    with pytest.raises(
        SettingsError, match=r"max_things_per_tenant \(ALGA_\w+\) is 10, which cannot be divided among 11"
    ):
        Bounded().for_worker(1, 11)


@pytest.mark.parametrize("bound", [0, None])
def test_none_at_all_and_no_bound_stay_what_they_are(bound: int | None) -> None:
    assert Bounded(max_things_per_tenant=bound).for_worker(2, 4).max_things_per_tenant == bound


def test_what_is_no_tenants_bound_is_not_divided() -> None:
    settings = Settings()

    shared = settings.for_worker(1, 4)

    divided = {name for name in Settings.model_fields if getattr(shared, name) != getattr(settings, name)}
    assert divided == {"max_process_memory_mb"}
    assert shared.max_guests == settings.max_guests


def test_workers_divide_the_memory_of_the_machine_and_not_what_is_set_for_each() -> None:
    machine_mb = Settings().for_worker(1, 1).max_process_memory_mb

    assert Settings().for_worker(1, 4).max_process_memory_mb == machine_mb // 4
    assert Settings(max_process_memory_mb=1_000).for_worker(1, 4).max_process_memory_mb == 1_000


def test_settings_reach_another_process_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNNER_SERVICE_TOKEN", "of the environment")
    monkeypatch.setenv("RUNNER_STORAGE_API_TOKEN", "of the environment, too")
    settings = Settings(server_url="http://alga.test", max_guests=7, bundle_store="somewhere")
    document = msgpack.unpackb(msgpack.packb(settings.document()))
    monkeypatch.setenv("RUNNER_SERVICE_TOKEN", "of another environment")
    monkeypatch.setenv("ALGA_RUNNER_MAX_GUESTS", "9")

    read = Settings.of_document(document)

    assert read == settings
    assert read.service_token == SecretStr("of the environment")


def test_secrets_stand_apart_in_the_document() -> None:
    document = Settings(service_token=SecretStr("hunter2")).document()

    assert document["secret"]["service_token"] == "hunter2"
    assert "hunter2" not in json.dumps(document["plain"])
