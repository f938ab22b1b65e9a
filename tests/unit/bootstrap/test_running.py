"""Bootstrap: which adapter stands behind which port is said by a URL, and what nothing answers to is refused."""

from collections.abc import Mapping
from pathlib import Path

import httpx
import pytest

from stepbus.contracts.problems import Refused
from stepbus.orchestrator.bootstrap import ROLES, opened_store, opened_views, running
from stepbus.orchestrator.bootstrap.settings import Settings, read_settings
from stepbus.orchestrator.ports import Statement


def settings(folder: Path, **overrides: object) -> Settings:
    values: Mapping[str, object] = {"data": folder, "bus": f"memory:{folder.name}", "api_port": 0} | overrides
    return read_settings(None, {}, values).settings


async def test_all_roles_run_in_one_process_and_the_api_answers(tmp_path: Path) -> None:
    async with running(settings(tmp_path), ROLES) as found:
        assert found.api_url is not None
        async with httpx.AsyncClient(base_url=found.api_url) as client:
            ready = await client.get("/v1/health/ready")
        assert ready.status_code == 200
        assert set(found.serving.health()["parts"]) == {
            "rounds",
            "passivation",
            "relay",
            "timers",
            "intake",
            "projections",
            "api",
        }
    assert (tmp_path / "log.db").exists()


async def test_the_api_alone_leaves_intake_and_relay_to_others(tmp_path: Path) -> None:
    async with running(settings(tmp_path), ["api"]) as found:
        assert set(found.serving.health()["parts"]) == {"rounds", "passivation", "api"}


async def test_two_processes_do_not_serve_from_one_folder(tmp_path: Path) -> None:
    async with running(settings(tmp_path), ["coordinator"]):
        with pytest.raises(Refused) as refusal:
            async with running(settings(tmp_path), ["coordinator"]):
                raise AssertionError("expected the folder to be in use")
    assert refusal.value.problems[0].code == "settings.data_in_use"
    async with running(settings(tmp_path), ["coordinator"]):
        pass


@pytest.mark.parametrize(
    ("overrides", "roles", "code"),
    [
        ({}, ["conductor"], "settings.role"),
        ({"store": "mysql://nowhere"}, ["coordinator"], "settings.url"),
        ({"store": "nats://127.0.0.1:4222"}, ["coordinator"], "settings.store"),
        ({"bus": "stomp://nowhere"}, ["coordinator"], "settings.url"),
        ({"bus": "sqlite:///nowhere/log.db"}, ["coordinator"], "settings.bus"),
    ],
)
async def test_what_nothing_answers_to_is_refused(
    tmp_path: Path, overrides: Mapping[str, object], roles: list[str], code: str
) -> None:
    with pytest.raises(Refused) as refusal:
        async with running(settings(tmp_path, **overrides), roles):
            raise AssertionError("expected a refusal")
    assert refusal.value.problems[0].code == code


async def test_log_and_views_can_be_opened_without_serving(tmp_path: Path) -> None:
    async with running(settings(tmp_path), ["coordinator"]):
        pass
    async with opened_store(settings(tmp_path)) as store, opened_views(settings(tmp_path)) as views:
        assert await store.head() == 0
        assert [dict(row) for row in await views.query(Statement("SELECT 1 AS one"))] == [{"one": 1}]


async def test_a_part_that_ends_is_heard_of(tmp_path: Path) -> None:
    async with running(settings(tmp_path), ["coordinator"]) as found:
        await found.serving.parts["timers"].end()
        await found.stopped()
