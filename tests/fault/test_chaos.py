"""Coordinators, workers and the broker killed at random while clients ask for tasks.

Whatever is killed, no task that was promised is lost, every task comes to its end soon after the last blow, the log
keeps every invariant, the views are what a rebuild makes of the log, and each step that is complete has had its effect.
"""

import asyncio
import logging
import os
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from tests.support.ledger import effects
from tests.support.nemesis import Client, Victim, seed_of, torment
from tests.support.town import STEPS, check_log, client_bus, register, town_of, until_at_rest, until_ready
from tools.servers import Server

_log = logging.getLogger(__name__)

FOR_S = float(os.environ.get("STEPBUS_TEST_CHAOS_S") or 60)
"""How long the torment lasts: longer where the environment says so."""

ENDS_WITHIN_S = 60.0
EVERY_S = 0.07
SEED = "STEPBUS_TEST_CHAOS_SEED"


@pytest.mark.timeout(FOR_S + 240)
@pytest.mark.parametrize(("store", "coordinators"), [("sqlite", 1), ("postgres", 2)])
async def test_no_death_loses_or_doubles_anything(
    store: str, coordinators: int, own_nats: Server, unique_name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    seed = seed_of(SEED)
    url = f"sqlite:///{tmp_path / 'log.db'}" if store == "sqlite" else request.getfixturevalue("postgres_database")
    with town_of(tmp_path, url, own_nats.url, unique_name, coordinators) as town:
        async with client_bus(own_nats.url, unique_name) as bus:
            for api in town.urls:
                await until_ready(api)
            await register(town.urls[0])
            client = Client(bus, town.urls, Random(seed))  # noqa: S311 - to be had again
            victims: list[Victim] = [*town.coordinators, *town.workers, own_nats]
            blows, _ = await asyncio.gather(
                torment(victims, Random(seed + 1), FOR_S),  # noqa: S311 - as above
                client.ask("diamond", EVERY_S, FOR_S),
            )
            tasks = await until_at_rest(town, client.history.promised, ENDS_WITHIN_S)
        for member in town.coordinators:
            assert member.stop() == 0, member.said()
        check_log(town, len(tasks))

    history = client.history
    said = "killed: %s; tasks: %d asked for, %d promised, %d there"
    _log.warning(said, dict(Counter(blows)), history.asked, len(history.promised), len(tasks))
    assert not history.refused
    assert tasks.keys() <= history.promised | history.unknown
    assert Counter(task["status"] for task in tasks.values()) == {"complete": len(tasks)}
    assert {(task_id, step) for task_id in tasks for step in STEPS} <= effects(town.ledger)
    assert len(set(blows)) == len(victims)
    assert len(history.promised) >= FOR_S
