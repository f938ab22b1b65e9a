"""Who may come in: keys, hosts, origins."""

import httpx
import pytest

from stepbus.contracts.problems import Refused
from stepbus.orchestrator.ports import ApiSettings, Surroundings
from stepbus.projections.api.server import ApiServer
from tests.support.api import checked_client, staged

KEY = "k-0123456789abcdef"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "stepbus.example"])  # noqa: S104
async def test_an_address_that_others_reach_is_not_opened_without_a_key(host: str) -> None:
    async with staged() as stage:
        around = Surroundings(stage.store, stage.views, stage.parts.desk, ApiSettings(host, 0))

        with pytest.raises(Refused, match=r"api.key_missing.*expected an API key"):
            await ApiServer(around).start()


async def test_an_empty_key_is_no_key() -> None:
    async with staged() as stage:
        around = Surroundings(stage.store, stage.views, stage.parts.desk, ApiSettings(port=0, api_key=" "))

        with pytest.raises(Refused, match=r"api.key_empty"):
            await ApiServer(around).start()


async def test_any_address_may_be_opened_with_a_key() -> None:
    async with staged() as stage:
        settings = ApiSettings("0.0.0.0", 0, KEY)  # noqa: S104
        server = ApiServer(Surroundings(stage.store, stage.views, stage.parts.desk, settings))
        url = (await server.start()).replace("0.0.0.0", "127.0.0.1")  # noqa: S104
        try:
            async with checked_client(url, Authorization=f"Bearer {KEY}", Host="stepbus.example") as client:
                assert (await client.get("/v1/tasks")).status_code == 200
        finally:
            await server.stop()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Authorization": f"Bearer {KEY}"}, 200),
        ({"Authorization": f"bearer  {KEY}"}, 200),
        ({"X-API-Key": KEY}, 200),
        ({}, 401),
        ({"Authorization": f"Basic {KEY}"}, 401),
        ({"Authorization": "Bearer"}, 401),
        ({"Authorization": f"Bearer {KEY}x"}, 401),
        ({"X-API-Key": KEY[:-1]}, 401),
        ({"X-API-Key": ""}, 401),
        ({"X-API-Key": "clé".encode("latin-1").decode("latin-1")}, 401),
    ],
    ids=str,
)
async def test_a_key_that_is_set_is_demanded(headers: dict[str, str], status: int) -> None:
    async with staged(api_key=KEY) as stage:
        raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
        answer = await stage.client.get("/v1/tasks", headers=raw)

    assert answer.status_code == status
    if status == 401:
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        assert answer.json()["code"] == "api.key"
        assert KEY not in answer.text


async def test_only_whether_the_process_lives_is_told_without_the_key() -> None:
    async with staged(api_key=KEY) as stage:
        alive = await stage.client.get("/v1/health/live")
        others = [
            await stage.client.get(path) for path in ("/v1/health/ready", "/openapi.json", "/v1/templates", "/nowhere")
        ]
        written = await stage.client.post("/v1/tasks", json={"template": "fork_and_join"})

    assert alive.status_code == 200
    assert {answer.status_code for answer in (*others, written)} == {401}


@pytest.mark.parametrize(
    "host", ["stepbus.example", "stepbus.example:8300", "127.0.0.1.example", "10.0.0.1", "[::2]:1"]
)
async def test_a_name_that_only_resolves_to_this_machine_is_not_its_name(host: str) -> None:
    async with staged() as stage:
        answer = await stage.client.get("/v1/tasks", headers={"Host": host})

    assert (answer.status_code, answer.json()["code"]) == (421, "api.host")


@pytest.mark.parametrize("host", ["localhost", "localhost:1", "127.0.0.1:9", "[::1]:8300", "LOCALHOST"])
async def test_the_names_of_this_machine_are_taken(host: str) -> None:
    async with staged() as stage:
        answer = await stage.client.get("/v1/tasks", headers={"Host": host})

    assert answer.status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
    ids=str,
)
async def test_a_page_of_another_origin_changes_nothing(headers: dict[str, str]) -> None:
    async with staged() as stage:
        task = await stage.task()
        answer = await stage.client.post(f"/v1/tasks/{task}/cancel", headers=headers)
        shown = await stage.get(f"/v1/tasks/{task}")

    assert (answer.status_code, answer.json()["code"]) == (403, "api.origin")
    assert shown["status"] == "in_progress"


async def test_a_page_of_this_host_may_change_something() -> None:
    async with staged() as stage:
        headers = {"Origin": stage.url, "Sec-Fetch-Site": "same-origin"}
        answer = await stage.client.post(f"/v1/tasks/{await stage.task()}/cancel", headers=headers)

    assert answer.status_code == 200


async def test_answers_are_neither_cached_nor_sniffed() -> None:
    async with staged() as stage:
        answers = [await stage.client.get(path) for path in ("/v1/tasks", "/nowhere", "/v1/tasks/x")]

    for answer in answers:
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "server" not in answer.headers


async def test_an_address_that_is_taken_is_refused_with_its_reason() -> None:
    async with staged() as stage:
        port = httpx.URL(stage.url).port
        assert port is not None
        around = Surroundings(stage.store, stage.views, stage.parts.desk, ApiSettings(port=port))

        with pytest.raises(Refused, match=rf"api.address.*port {port}, but .*in use"):
            await ApiServer(around).start()
