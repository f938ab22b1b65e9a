"""The bare worker: as little as an honest worker can do.

It reads a job, answers it with a result that was made ready before, and acks the job when the answer is confirmed, as
every worker must. Handlers, timeouts and retries are the library's.
"""

import asyncio
import os
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from itertools import count

import orjson

from stepbus.contracts import messages
from stepbus.orchestrator.bench.workloads import PAYLOAD, QUEUE
from stepbus.orchestrator.ports import Bus, Delivery, NotSent, Outgoing, Subscription

_HANDS = 4
_BATCH = 256
_RECEIVE_S = 1.0

_PARTITION = re.compile(r"[0-9]+$")
_TYPE = messages.StepCompleted.TYPE
_DATASCHEMA = messages.StepCompleted.dataschema()
_RESULT = orjson.dumps(PAYLOAD).decode()


class BareWorker:
    """Answers every job of the bench's queue. A few batches are under way at once: one is read as another is sent."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._numbers = count(1)
        self._name = f"{os.getpid()}.{id(self):x}"

    async def run(self) -> None:
        """Work until cancelled."""
        jobs = await self._bus.subscribe(f"jobs.{QUEUE}", group="worker", in_hand=_HANDS * _BATCH)
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(_HANDS):
                    group.create_task(self._work(jobs))
        finally:
            await jobs.close()

    async def _work(self, jobs: Subscription) -> None:
        while True:
            deliveries = await jobs.receive(_BATCH, _RECEIVE_S)
            if deliveries:
                await self._answer(jobs, deliveries)

    async def _answer(self, jobs: Subscription, deliveries: Sequence[Delivery]) -> None:
        time = datetime.now(UTC).isoformat()
        sent = await self._bus.publish([self._outgoing(delivery, time) for delivery in deliveries])
        done = [delivery for delivery, answer in zip(deliveries, sent, strict=True) if not isinstance(answer, NotSent)]
        await jobs.ack(done)

    def _outgoing(self, delivery: Delivery, time: str) -> Outgoing:
        job = orjson.loads(delivery.body)
        data = job["data"]
        task_id = data["task_id"]
        message_id = f"{self._name}.{next(self._numbers)}"
        body = (
            f'{{"specversion":"1.0","id":"{message_id}","source":"/stepbus/worker/bench","type":"{_TYPE}","time":"{time}",'
            f'"datacontenttype":"application/json","dataschema":"{_DATASCHEMA}","partitionkey":"{task_id}",'
            f'"causationid":"{job["id"]}","tenant":"default","correlationid":"{job["correlationid"]}","data":{{'
            f'"task_id":"{task_id}","step":"{data["step"]}","attempt":{data["attempt"]},"token":"{data["token"]}",'
            f'"worker":"bench","result":{_RESULT}}}}}'
        )
        return Outgoing(_channel(data["replyto"]), message_id, body.encode(), task_id)


@lru_cache(maxsize=4096)
def _channel(replyto: str) -> str:
    """Give the channel of an address, which ends with the partition whatever the broker puts before it."""
    return f"results.{_PARTITION.findall(replyto)[0]}"
