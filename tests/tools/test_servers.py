"""The servers that other tests stand on behave as `tools.servers` says."""

import os
import re
from collections.abc import Iterator
from typing import Any, Self
from unittest.mock import Mock, call

import nats
import psycopg
import pytest

from tools.servers import KINDS, Kind, Nats, Server, ServerError, own_server, server
from tools.servers.places import docker_answers


async def test_a_killed_nats_server_comes_back_at_its_url_with_what_it_had_confirmed(own_nats: Server) -> None:
    url = own_nats.url
    client = await nats.connect(url)
    await client.jetstream().add_stream(name="kept", subjects=["kept"])
    await client.jetstream().publish("kept", b"1")
    await client.close()

    own_nats.kill()
    own_nats.start()

    assert own_nats.url == url
    client = await nats.connect(url)
    assert (await client.jetstream().stream_info("kept")).state.messages == 1
    await client.close()


def test_a_killed_postgres_server_comes_back_at_its_url_with_what_it_had_committed(own_postgres: Server) -> None:
    url = own_postgres.url
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS number")
    open_while_killed = psycopg.connect(url)

    own_postgres.kill()
    own_postgres.start()

    open_while_killed.close()
    assert own_postgres.url == url
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT number FROM kept").fetchall() == [(1,)]


@pytest.mark.parametrize("kind", ["kafka", "nats", "postgres", "rabbitmq", "redis"])
def test_a_server_of_each_kind_serves_again_after_a_kill_and_says_its_version(
    kind: str, request: pytest.FixtureRequest
) -> None:
    running: Server = request.getfixturevalue(f"own_{kind}")
    (of_kind,) = [one for one in KINDS if type(one).__name__.lower() == kind]

    running.kill()
    running.start()

    assert re.fullmatch(r"[0-9]+(\.[0-9]+)+", of_kind.version(running.url))


async def test_a_wiped_server_comes_back_at_its_url_with_nothing(own_nats: Server) -> None:
    url = own_nats.url
    client = await nats.connect(url)
    await client.jetstream().add_stream(name="lost", subjects=["lost"])
    await client.close()

    own_nats.wipe()
    own_nats.start()

    assert own_nats.url == url
    client = await nats.connect(url)
    assert await client.jetstream().streams_info() == []
    await client.close()


def test_a_server_ends_by_its_pid(own_nats: Server) -> None:
    pid = own_nats.pid
    os.kill(pid, 0)

    own_nats.stop()

    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_each_test_gets_a_database_of_its_own(postgres_database: str, unique_name: str) -> None:
    with psycopg.connect(postgres_database) as connection:
        assert connection.execute("SELECT current_database()").fetchone() == (unique_name,)
        assert connection.execute("SELECT count(*) FROM pg_stat_user_tables").fetchone() == (0,)


def test_a_server_that_the_environment_names_is_used_and_left_alone(
    own_nats: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEPBUS_TEST_NATS_URL", own_nats.url)

    with server(Nats()) as given:
        assert given.url == own_nats.url
        with pytest.raises(ServerError, match="not ours"):
            given.kill()


def test_a_server_without_its_program_is_an_error_that_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("sysconfig.get_path", lambda _name: "")

    with pytest.raises(ServerError, match="make install"), server(Nats()):
        pass


class Ready(Kind):
    """A kind of server that is ready as soon as it is started."""

    name = "Ready"
    environment_variable = "STEPBUS_TEST_READY_URL"
    image = "ready:1"
    container_port = 7
    container_command = ("ready",)

    def url(self, port: int) -> str:
        return f"ready://127.0.0.1:{port}"

    def command(self, port: int) -> list[str]:
        return ["false", str(port)]

    def is_ready(self, port: int) -> bool:
        return port > 0

    def version(self, url: str) -> str:
        return url

    def container_environment(self, port: int) -> dict[str, str]:
        assert port > 0
        return {"LICENCE": "none"}


@pytest.fixture
def docker(monkeypatch: pytest.MonkeyPatch) -> Mock:
    """The calls that a Docker engine gets, in their order."""
    calls = Mock()
    engine: Any = calls.engine
    engine.attrs = {"State": {"Pid": 4711}}

    class Container:
        """The part of testcontainers' class that is used."""

        def __init__(self, image: str) -> None:
            calls.create(image)

        def with_command(self, command: list[str]) -> Self:
            calls.command(*command)
            return self

        def with_envs(self, **variables: str) -> Self:
            calls.environment(**variables)
            return self

        def with_bind_ports(self, container: int, host: int) -> Self:
            calls.bind(container, host)
            return self

        def get_wrapped_container(self) -> Any:
            return engine

        start = calls.start
        stop = calls.remove

    monkeypatch.setattr("testcontainers.core.container.DockerContainer", Container)
    monkeypatch.setattr("tools.servers.docker_answers", lambda: True)
    return calls


def test_a_server_in_a_container_is_killed_and_started_again_in_the_same_container(docker: Mock) -> None:
    with own_server(Ready()) as own:
        port = int(own.url.rpartition(":")[2])
        assert own.pid == 4711
        own.kill()
        own.start()

    assert docker.mock_calls == [
        call.create("ready:1"),
        call.command("ready"),
        call.environment(LICENCE="none"),
        call.bind(7, port),
        call.start(),
        call.engine.reload(),
        call.engine.kill("SIGKILL"),
        call.engine.wait(),
        call.engine.start(),
        call.remove(),
    ]


@pytest.fixture
def fresh_answer() -> Iterator[None]:
    """Docker is asked anew, now and after the test."""
    docker_answers.cache_clear()
    yield
    docker_answers.cache_clear()


@pytest.mark.usefixtures("fresh_answer")
def test_a_docker_engine_that_does_not_answer_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")

    assert not docker_answers()


def test_a_server_that_ends_at_its_first_start_is_an_error_that_gives_its_last_words(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tools.servers.docker_answers", lambda: False)
    monkeypatch.setattr(Ready, "command", lambda _self, _port: ["sh", "-c", "echo no licence; exit 1"])
    monkeypatch.setattr(Ready, "is_ready", lambda _self, _port: False)

    with pytest.raises(ServerError, match="no licence"), own_server(Ready()):
        pass
