"""`stepbus dev`, `stepbus serve` and the live board, as processes."""

import fcntl
import os
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import termios
from pathlib import Path

import httpx
import orjson
import pytest

from tests.support.command_line import STEPBUS, CommandLine, environment, serving, step

PATIENCE_S = 30


def stepbus(folder: Path, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Run a verb as a process to its end."""
    command = [STEPBUS, *arguments]
    return subprocess.run(
        command,
        cwd=folder,
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def is_ready(url: str) -> bool:
    return httpx.get(f"{url}/v1/health/ready").json()["ready"] is True


def test_dev_starts_everything_and_says_where_it_is(tmp_path: Path) -> None:
    with serving(tmp_path, "dev", "--port", "0", "--nats-port", "0") as dev:
        assert dev.said.keys() == {"ready", "api", "bus", "data"}
        assert dev.said["data"] == str(tmp_path / ".stepbus")
        assert is_ready(dev.url)
        host, _, port = dev.said["bus"].removeprefix("nats://").partition(":")
        with socket.create_connection((host, int(port)), PATIENCE_S) as broker:
            assert broker.recv(5) == b"INFO "
        assert dev.stop() == 0

    assert (tmp_path / ".stepbus" / "log.db").exists()


def test_dev_tells_a_person_how_to_go_on(tmp_path: Path) -> None:
    command = [STEPBUS, "dev", "--port", "0", "--bus", "memory:dev"]
    with subprocess.Popen(command, cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(9)]
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_S) == 0

    text = "".join(said)
    url = re.search(r"^API +(http://127\.0\.0\.1:\d+)$", text, re.MULTILINE)
    assert url is not None
    assert re.search(r"^bus +memory:dev \(in this process only", text, re.MULTILINE)
    assert f"data  {tmp_path}/.stepbus" in text
    assert f"export STEPBUS_URL={url[1]}" in text
    assert "stop  Ctrl-C" in text
    assert "stepbus submit NAME" in text


def test_what_was_accepted_is_there_after_a_restart(tmp_path: Path, unique_name: str) -> None:
    arguments = ("dev", "--port", "0", "--bus", "memory:dev")
    with serving(tmp_path, *arguments) as dev:
        before = CommandLine(dev.url, tmp_path / ".stepbus")
        before.register(tmp_path, unique_name, [step("a")])
        task = before.submit(unique_name, context={"order": 7})
    with serving(tmp_path, *arguments) as dev:
        after = CommandLine(dev.url, tmp_path / ".stepbus")

        assert after.json("task", "show", task)["context"] == {"order": 7}


def test_two_processes_do_not_serve_from_one_data_folder(tmp_path: Path) -> None:
    with serving(tmp_path, "dev", "--port", "0", "--bus", "memory:dev"):
        second = stepbus(tmp_path, "dev", "--port", "0", "--bus", "memory:dev")

    assert second.returncode == 1
    assert second.stderr.startswith("error[settings.data_in_use] at /data: ")


def test_a_port_that_is_taken_is_said_to_be(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        result = stepbus(tmp_path, "dev", "--port", port, "--bus", "memory:dev", "--json")

    assert result.returncode == 1
    assert port in orjson.loads(result.stdout)["error"]["message"]
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--bus", "ftp://host"), "settings.url"),
        (("--store", "nats://host"), "settings.store"),
        (("--set", "api_host=0.0.0.0"), "api.key_missing"),
        (("--set", "api_prot=1"), "settings.unknown_key"),
    ],
)
def test_settings_that_cannot_work_are_refused_at_the_start(
    arguments: tuple[str, ...], code: str, tmp_path: Path
) -> None:
    verb = ("serve",) if "--store" in arguments else ("dev", "--port", "0")
    bus = () if "--bus" in arguments else ("--set", "bus=memory:dev")

    result = stepbus(tmp_path, *verb, *bus, *arguments, "--json")

    assert (result.returncode, orjson.loads(result.stdout)["error"]["code"]) == (1, code)
    assert "Traceback" not in result.stderr


def test_a_store_that_cannot_be_reached_is_said_to_be_away(tmp_path: Path) -> None:
    result = stepbus(
        tmp_path, "serve", "--store", "postgresql://nobody@127.0.0.1:1/none", "--set", "bus=memory:x", "--json"
    )

    assert (result.returncode, orjson.loads(result.stdout)["error"]["code"]) == (1, "store.unavailable")
    assert "Traceback" not in result.stderr


def test_unknown_variables_are_refused_by_a_process_too(tmp_path: Path) -> None:
    result = stepbus(tmp_path, "dev", STEPBUS_API_PROT="1")

    assert result.returncode == 1
    assert "did you mean STEPBUS_API_PORT?" in result.stderr


def test_settings_are_read_from_the_folder_and_from_a_file_that_the_environment_names(tmp_path: Path) -> None:
    (tmp_path / "stepbus.toml").write_text('prefix = "here"\n')
    (tmp_path / "other.toml").write_text('prefix = "there"\n')

    here = orjson.loads(stepbus(tmp_path, "config", "--json").stdout)
    there = orjson.loads(stepbus(tmp_path, "config", "--json", STEPBUS_CONFIG="other.toml").stdout)

    assert (here["prefix"]["value"], there["prefix"]["value"]) == ("here", "there")


def test_roles_run_apart(postgres_database: str, nats_url: str, unique_name: str, tmp_path: Path) -> None:
    shared = ("--store", postgres_database, "--set", f"bus={nats_url}", "--set", f"prefix={unique_name}")
    with (
        serving(tmp_path, "serve", "--roles", "coordinator", *shared) as coordinator,
        serving(tmp_path, "serve", "--roles", "projections", *shared),
        serving(tmp_path, "serve", "--roles", "api", "--set", "api_port=0", *shared) as api,
    ):
        assert (coordinator.said["roles"], coordinator.said["api"]) == (["coordinator"], None)
        command_line = CommandLine(api.url, tmp_path / ".stepbus")
        command_line.register(tmp_path, unique_name, [step("a")])
        task = command_line.submit(unique_name)

        assert command_line.json("task", "show", task)["status"] == "in_progress"
        assert api.stop(signal.SIGINT) == 0


def test_the_password_of_a_broker_is_told_by_no_process(nats_url: str, unique_name: str, tmp_path: Path) -> None:
    url = nats_url.replace("://", "://ann:hush-hush@")

    with serving(tmp_path, "serve", "--set", f"bus={url}", "--set", f"prefix={unique_name}") as process:
        assert process.said["bus"] == url.replace("hush-hush", "********")
        assert process.stop() == 0

    assert "hush-hush" not in (tmp_path / "serve.log").read_text()


def test_a_role_that_is_none_is_wrong_usage(tmp_path: Path) -> None:
    for roles in ("cook", "", "api,,cook"):
        assert stepbus(tmp_path, "serve", "--roles", roles).returncode == 2


def test_the_key_is_demanded_of_the_command_line_too(tmp_path: Path) -> None:
    arguments = ("dev", "--port", "0", "--bus", "memory:dev", "--set", "api_key=open-sesame")
    with serving(tmp_path, *arguments) as dev:
        without = stepbus(tmp_path, "task", "list", "--json", "--url", dev.url)
        with_key = stepbus(tmp_path, "task", "list", "--json", STEPBUS_URL=dev.url, STEPBUS_API_KEY="open-sesame")

    assert orjson.loads(without.stdout)["error"]["code"] == "api.key"
    assert orjson.loads(with_key.stdout) == {"tasks": [], "next_cursor": None}


def on_a_terminal(folder: Path, *arguments: str, columns: int = 100, lines: int = 30) -> tuple[int, str]:
    """Run a verb on a terminal of its own; give its exit code, and all that it wrote."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    process = subprocess.Popen([STEPBUS, *arguments], cwd=folder, env=environment(TERM="xterm-256color"), stdout=theirs)
    os.close(theirs)
    written = bytearray()
    while select.select([ours], [], [], PATIENCE_S)[0]:
        try:
            found = os.read(ours, 65_536)
        except OSError:  # the other end is closed
            break
        if not found:
            break
        written += found
    os.close(ours)
    return process.wait(PATIENCE_S), re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written.decode())


def test_on_a_terminal_a_task_is_watched_on_a_board(
    command_line: CommandLine, tmp_path: Path, unique_name: str
) -> None:
    command_line.register(tmp_path, unique_name, [step("a"), step("b", "a"), step("c", "a"), step("d", "b", "c")])
    task = command_line.submit(unique_name)

    code, written = on_a_terminal(tmp_path, "task", "watch", task, "--url", command_line.url)

    assert code == 0
    assert f"default/{unique_name} 1.0.0  {task}  complete" in written
    assert "4/4 steps  100 %" in written
    assert "✓ a ─┤        ├─▶ ✓ d" in written
    assert "TaskCompleted" in written


def test_a_task_that_fails_on_the_board_ends_with_1(
    command_line: CommandLine, tmp_path: Path, unique_name: str
) -> None:
    command_line.register(tmp_path, unique_name, [step("a", handler="refuse")])
    task = command_line.submit(unique_name)

    code, written = on_a_terminal(tmp_path, "task", "watch", task, "--url", command_line.url)

    assert code == 1
    assert "✗ a" in written


def test_whoever_stops_reading_sees_no_traceback(tmp_path: Path) -> None:
    steps = [{"name": f"s{number}"} for number in range(9_000)]
    (tmp_path / "t.json").write_bytes(orjson.dumps({"name": "t", "version": "1.0.0", "steps": steps}))

    command = f"{STEPBUS} template graph t.json --json | head -c 8"
    result = subprocess.run(
        ["bash", "-c", command], cwd=tmp_path, env=environment(), capture_output=True, timeout=PATIENCE_S, check=False
    )

    assert (result.stdout, result.stderr) == (b'{"steps"', b"")


def test_an_output_that_lacks_symbols_still_gets_the_words(tmp_path: Path) -> None:
    (tmp_path / "t.json").write_text('{"name": "t", "version": "1.0.0", "steps": [{"name": "a"}]}')

    result = stepbus(tmp_path, "template", "graph", "t.json", PYTHONIOENCODING="latin-1")

    assert (result.returncode, result.stdout) == (0, "? a\n")
