"""The demo on each broker: the same orders, and the same end of each."""

import re
import subprocess
import sys

import pytest

from tests.end_to_end.test_demo import demo, folder_of, processes_of
from tests.support import typescript
from tests.support.command_line import ROOT, environment

SHIPS = {"nats": "typescript-1: node", "kafka": "typescript-1: node", "rabbitmq": "typescript-1: node"}


@pytest.mark.parametrize("kind", ["nats", "kafka", "rabbitmq", "redis"])
def test_the_demo_ends_alike_on_every_broker(kind: str, request: pytest.FixtureRequest) -> None:
    url: str = request.getfixturevalue(f"{kind}_url")
    typescript.build()

    played = demo(arguments=("--bus", url))

    assert played.returncode == 0, played.stdout + played.stderr
    for said in (
        r"provisioned  \d+ channels, as ",
        SHIPS.get(kind, "it does not speak to redis:"),
        r"kill -9 \d+: python-[12], in the middle of ORD-1017's pack_order",
        r"ORD-1007  authorise_payment #1 failed \(card.declined\): it has failed for good",
        r"25 tasks, \d+ events, 0 violations",
        "25 tasks folded anew from their first event, 25 equal the live state",
        "25 orders, 0 surprises",
    ):
        assert re.search(said, played.stdout), (said, played.stdout)
    assert len(re.findall(r"ORD-10\d\d +[0-9a-f-]{36}  complete  10/10", played.stdout)) == 24
    assert not processes_of(folder_of(played.stdout))


def test_a_password_is_not_shown(rabbitmq_url: str) -> None:
    played = demo(arguments=("--bus", rabbitmq_url.replace("guest:guest@", "guest:wrong-0815@"), "--python-only"))

    assert played.returncode == 1
    assert "wrong-0815" not in played.stdout + played.stderr


def test_a_broker_of_no_known_kind_is_refused() -> None:
    command = [sys.executable, "-m", "tools.demo", "pigeon"]
    played = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False)

    assert (played.returncode, played.stdout) == (2, "")
    assert "expected a broker among kafka, nats, rabbitmq, redis, found ['pigeon']" in played.stderr
