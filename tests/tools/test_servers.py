"""The servers that other tests stand on behave as `tools.servers` says."""

import os

import nats
import psycopg
import pytest

from tools.servers import Nats, Server, ServerError, server


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
