"""What workers/README.md shows works as shown."""

import json
import re
from pathlib import Path
from typing import Any

from stepbus.contracts import messages
from stepbus.contracts.envelope import CloudEvent
from stepbus.worker import answer

WORKERS = Path(__file__).parents[3] / "workers"


def blocks(document: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (WORKERS / document).read_text(), re.DOTALL)


async def test_the_example_and_its_test_run() -> None:
    example, _, its_test = blocks("README.md", "python")
    names: dict[str, Any] = {"__name__": "shop.handlers"}
    exec(example, names)  # noqa: S102 - it is ours
    exec(its_test, names)  # noqa: S102

    await names["test_an_empty_cart_is_refused"]()


def test_the_job_and_the_answer_of_the_contract_are_what_the_models_say() -> None:
    job, reply, _ = (json.loads(block) for block in blocks("README.md", "json"))
    task_id = "0190f3f4-0000-7000-8000-000000000001"
    for event in (job, reply):
        event["time"] = "2026-01-01T12:00:00Z"
        event["data"]["task_id"] = task_id

    asked = messages.read(CloudEvent.model_validate(job))
    answered = messages.read(CloudEvent.model_validate(reply))

    assert isinstance(asked, messages.StepRequested)
    assert isinstance(answered, messages.StepCompleted)
    assert set(job["data"]) == set(messages.StepRequested.model_fields)
    assert set(reply["data"]) == set(messages.StepCompleted.model_fields)


def test_every_code_that_the_contract_names_is_one_that_the_library_sends() -> None:
    told = (WORKERS / "README.md").read_text().partition("## In any language")[2]
    named = set(re.findall(r"`(worker\.[a-z_]+)`", told)) - {messages.WorkerAnnounced.TYPE}
    sent = {value for value in vars(answer).values() if isinstance(value, str) and value.startswith("worker.")}

    assert named == sent
