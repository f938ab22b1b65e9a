"""What is slow slows down what depends on it, and nothing else."""

import asyncio

from tests.support.deployment import Deployment


async def test_a_slow_worker_holds_up_only_the_steps_that_wait_for_it(deployment: Deployment) -> None:
    released = asyncio.Event()

    async def slow() -> str:
        await released.wait()
        return "at last"

    async def quick() -> str:
        return "at once"

    await deployment.register({"name": "slow"}, name="slow")
    await deployment.register({"name": "quick"}, name="quick")
    async with deployment.worker(slow=slow), deployment.worker(quick=quick):
        held_up = [await deployment.submit("slow") for _ in range(30)]
        for _ in range(5):
            assert (await deployment.ended(await deployment.submit("quick")))["status"] == "complete"
        assert {(await deployment.task(task_id))["status"] for task_id in held_up} == {"in_progress"}
        released.set()
        for task_id in held_up:
            assert (await deployment.ended(task_id))["status"] == "complete"
