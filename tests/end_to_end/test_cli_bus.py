"""`stepbus bus`: what a broker is given, and what it holds to."""

import asyncio
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nats
import orjson
import pytest
from nats.js.api import StreamConfig
from typer.testing import CliRunner, Result

from stepbus.adapters.nats.embedded import BINARY
from stepbus.orchestrator.cli import app
from tests.support.command_line import CommandLine, step
from tools.servers.kinds import Nats, free_port
from tools.servers.places import answers


def run(*words: str, code: int = 0) -> Result:
    result = CliRunner().invoke(app, ["bus", *words], env={"STEPBUS_BUS": "", "STEPBUS_STORE": ""})
    assert result.exit_code == code, f"expected {words} to end with {code}, but {result.exit_code}: {result.output}"
    return result


def answered(*words: str, code: int = 0) -> Any:
    return orjson.loads(run(*words, "--json", code=code).stdout)


async def streams(url: str) -> list[str]:
    client = await nats.connect(url)
    try:
        return [str(stream.config.name) for stream in await client.jsm().streams_info()]
    finally:
        await client.close()


@pytest.fixture
def place(nats_url: str, unique_name: str, tmp_path: Path) -> Iterator[Sequence[str]]:
    """The options that name a broker, a prefix of the test's own and an empty log; what is made is deleted."""
    yield ("--bus", nats_url, "--prefix", unique_name, "--store", f"sqlite:///{tmp_path / 'log.db'}")
    asyncio.run(delete_streams(nats_url, unique_name))


async def delete_streams(url: str, prefix: str) -> None:
    """Delete what was made below a prefix; one stream stays, so that the server keeps their folder."""
    client = await nats.connect(url)
    await client.jsm().add_stream(StreamConfig(name="STAYS", subjects=["stays"]))
    for stream in await client.jsm().streams_info():
        if str(stream.config.name).startswith(prefix.upper()):
            await client.jsm().delete_stream(str(stream.config.name))
    await client.close()


def test_provisioning_makes_all_channels_and_shows_them_in_the_words_of_the_broker(
    place: Sequence[str], nats_url: str, unique_name: str
) -> None:
    shown = answered("provision", *place, "--queue", "orders.check", "--set", "partitions=2")

    assert shown == {
        "prefix": unique_name,
        "channels": {
            channel: f"{unique_name}.{channel}"
            for channel in ("tasks", "jobs.orders.check", "results.0", "results.1", "events", "quarantine")
        },
    }
    made = {name for name in asyncio.run(streams(nats_url)) if name.startswith(unique_name.upper())}
    assert made == {f"{unique_name.upper()}_{kind}" for kind in ("TASKS", "JOBS", "RESULTS", "EVENTS", "QUARANTINE")}
    assert f"{unique_name}.jobs.orders.check" in run("provision", *place, "--queue", "orders.check").stdout


def test_the_queues_of_registered_templates_are_provisioned(
    command_line: CommandLine, nats_url: str, unique_name: str, tmp_path: Path
) -> None:
    command_line.register(tmp_path, unique_name, [step("a"), step("b", "a", queue=f"own.{unique_name}")])
    try:
        shown = answered(
            "provision", "--bus", nats_url, "--prefix", unique_name, "--data", str(command_line.data), "--set",
            f"store=sqlite://{command_line.data.absolute() / 'log.db'}",
        )  # fmt: skip
    finally:
        asyncio.run(delete_streams(nats_url, unique_name))

    assert {"jobs.handlers", f"jobs.own.{unique_name}"} <= shown["channels"].keys()


def test_a_mismatch_shows_what_is_expected_and_what_is_there(
    place: Sequence[str], nats_url: str, unique_name: str
) -> None:
    async def make_another() -> None:
        client = await nats.connect(nats_url)
        name, subject = f"{unique_name.upper()}_JOBS", f"{unique_name}.jobs.>"
        await client.jsm().add_stream(StreamConfig(name=name, subjects=[subject]))
        await client.close()

    asyncio.run(make_another())

    error = answered("provision", *place, code=1)["error"]

    messages = [one["message"] for one in error["errors"]]
    assert f"expected stream {unique_name.upper()}_JOBS to have retention 'workqueue', but it has 'limits'" in messages
    assert {one["code"] for one in error["errors"]} == {"bus.mismatch"}
    assert "error[bus.mismatch]" in run("provision", *place, code=1).stderr


@pytest.mark.parametrize("queue", ["", "a b", "jobs.>", "*", "$SYS", "a" * 200])
def test_a_queue_that_cannot_exist_is_refused_before_anything_is_made(
    place: Sequence[str], nats_url: str, unique_name: str, queue: str
) -> None:
    error = answered("provision", *place, "--queue", "good", "--queue", queue, code=1)["error"]

    assert error["code"] == "channel.name"
    assert [name for name in asyncio.run(streams(nats_url)) if name.startswith(unique_name.upper())] == []


@pytest.mark.parametrize("verb", ["provision", "resync"])
def test_the_bus_that_a_process_starts_for_itself_is_not_guessed(verb: str, tmp_path: Path) -> None:
    error = answered(verb, "--bus", "embedded", "--store", f"sqlite:///{tmp_path / 'log.db'}", code=1)["error"]

    assert (error["code"], error["errors"][0]["pointer"]) == ("settings.bus", "/bus")


def test_a_resync_says_what_it_sent(place: Sequence[str]) -> None:
    assert answered("resync", *place) == {"jobs": 0, "tasks": 0, "queues": [], "undeliverable": {}}
    assert run("resync", *place).stdout == "sent 0 jobs of 0 tasks again, on 0 queues\n"


def test_the_doctor_finds_that_all_holds_and_leaves_nothing(nats_url: str, unique_name: str) -> None:
    base = unique_name[:12]
    document = answered("doctor", nats_url, "--prefix", base, "--only", "poison", "--only", "ordering")

    assert (document["holds"], document["broken"], document["left"]) == (True, 0, {})
    assert [family["family"] for family in document["families"]] == ["ordering", "poison"]
    assert document["tried"] > 20
    assert [name for name in asyncio.run(streams(nats_url)) if name.startswith(base.upper())] == []


@contextmanager
def server_with(folder: Path, settings: str) -> Iterator[str]:
    """A server that somebody has set up in their own way."""
    port = free_port()
    file = folder / "nats.conf"
    file.write_text(f'listen: "127.0.0.1:{port}"\njetstream {{ store_dir: "{folder / "js"}" }}\n{settings}\n')
    process = subprocess.Popen([BINARY, "--config", str(file)], stderr=subprocess.DEVNULL)
    try:
        while not answers(Nats(), port):
            assert process.poll() is None
        yield f"nats://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def test_the_doctor_says_which_promise_a_broker_breaks_and_why(tmp_path: Path) -> None:
    with server_with(tmp_path, "max_payload: 100KB") as url:
        result = run("doctor", url, "--only", "limits", "--only", "ordering", code=1)

    assert "limits    broken" in result.stdout
    assert "ordering  holds" in result.stdout
    assert "limits.a_message_of_any_size_to_the_limit_arrives_whole-262144\n" in result.stdout
    assert "limits: " in result.stderr


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["nats://127.0.0.1:1?connect_timeout=0.1"], "bus.unavailable"),
        (["carrier-pigeon://loft"], "settings.url"),
        (["sqlite:///x.db"], "settings.bus"),
        (["nats://127.0.0.1:1", "--only", "everything"], "doctor.family"),
        (["nats://127.0.0.1:1", "--prefix", "a.b"], "channel.prefix"),
        (["nats://127.0.0.1:1", "--prefix", "a" * 17], "doctor.prefix"),
    ],
)
def test_what_the_doctor_cannot_try_is_refused(words: Sequence[str], code: str) -> None:
    assert answered("doctor", *words, code=1)["error"]["code"] == code
