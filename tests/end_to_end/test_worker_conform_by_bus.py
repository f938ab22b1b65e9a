"""Workers that pass every rule: the Python library on other buses than NATS, the TypeScript worker on NATS."""

import sys
from pathlib import Path

import pytest

from stepbus.orchestrator.testing.worker_kit import RULES
from tests.support.conforming import Ran, conform, redelivering_soon

pytestmark = pytest.mark.timeout(300)  # a whole trial, after the start of a server

LIBRARY = f"{sys.executable} -m stepbus.worker tests.support.probe:worker"
ALL = [rule.id for rule in RULES]


def passed(ran: Ran) -> list[str]:
    assert ran.code == 0, ran.rules("failed") if ran.said else ran.errors
    return list(ran.rules("passed"))


@pytest.mark.server
@pytest.mark.parametrize("bus", ["kafka", "rabbitmq", "redis"])
async def test_the_python_library_passes_on_every_bus(
    request: pytest.FixtureRequest, bus: str, unique_name: str, tmp_path: Path
) -> None:
    url = request.getfixturevalue(f"{bus}_url")
    variables = f"PROBE_EFFECTS={tmp_path / 'effects'} STEPBUS_BUS='{redelivering_soon(url)}'"

    ran = await conform(url, unique_name, "--command", f"env {variables} {LIBRARY}", "--json")

    assert passed(ran) == ALL
