"""Contracts of a stepbus that runs: workers announce themselves, templates are held against that, all is exported."""

from pathlib import Path
from typing import Any

import orjson

from stepbus.orchestrator.testing.waiting import wait_until
from tests.support.command_line import CommandLine, step

SERVED = {"handlers.succeed", "handlers.refuse", "handlers.stumble", "handlers.wait"}


def written(folder: Path, name: str, *steps: dict[str, Any], **more: Any) -> str:
    file = folder / f"{name}-{more.get('version', '1.0.0')}.json"
    file.write_bytes(orjson.dumps({"name": name, "version": "1.0.0", "steps": steps} | more))
    return str(file)


async def announced(command_line: CommandLine, folder: Path) -> set[str]:
    """Give the handlers that are exported, once the worker has announced itself."""
    found: set[str] = set()

    def is_there() -> bool:
        files = command_line.json("contracts", "export", str(folder))["files"]
        found.update(path.split("/")[1] for path in files if path.startswith("handlers/"))
        return found >= SERVED

    await wait_until(is_there)
    return found


async def test_what_workers_announce_is_exported(command_line: CommandLine, tmp_path: Path) -> None:
    assert await announced(command_line, tmp_path) >= SERVED

    document = orjson.loads(command_line.text("contracts", "asyncapi", "--bus", "nats"))
    assert {f"step.requested.{handler}" for handler in SERVED} <= document["components"]["messages"].keys()


async def test_a_template_that_nobody_serves_is_refused_unless_it_is_forced(
    command_line: CommandLine, tmp_path: Path, unique_name: str
) -> None:
    await announced(command_line, tmp_path)
    file = written(tmp_path, unique_name, step("a"), {"name": "b", "handler": "nobody.serves"})

    refused = command_line.run("template", "register", file, code=1)
    assert "error[template.unserved] at /steps/1/handler: expected a worker that serves nobody.serves" in refused.stderr
    error = command_line.json("template", "register", file, code=1)["error"]
    assert [problem["code"] for problem in error["errors"]] == ["template.unserved"]

    assert command_line.json("template", "register", file, "--force")["repeated"] is False


def test_a_template_that_breaks_with_open_tasks_is_refused_unless_it_is_forced(
    command_line: CommandLine, tmp_path: Path, unique_name: str
) -> None:
    gate = tmp_path / "gate"
    command_line.register(tmp_path, unique_name, [step("a", handler="wait")])
    task = command_line.submit(unique_name, context={"gate": str(gate)})
    breaking = written(tmp_path, unique_name, step("z", handler="wait", timeout="1m"), version="2.0.0")

    error = command_line.json("template", "register", breaking, code=1)["error"]
    assert "1 open task of version 1.0.0" in error["message"]
    assert {problem["code"] for problem in error["errors"]} == {"template.breaks_open_tasks"}

    gate.touch()
    command_line.run("task", "watch", task)
    assert command_line.json("template", "register", breaking)["version"] == "2.0.0"
