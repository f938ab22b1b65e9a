"""The bare worker: as little as an honest worker can do.

It reads a job, answers it with a result that was made ready before, and acks the job when the answer is confirmed, as
every worker must. Handlers, timeouts and retries are the library's.
"""

import asyncio
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import count

import orjson

from stepbus.contracts import messages
from stepbus.orchestrator.bench.workloads import PAYLOAD, QUEUE
from stepbus.orchestrator.ports import Bus, Delivery, NotSent, Outgoing, Subscription

_HANDS = 4
_BATCH = 256
_RECEIVE_S = 1.0

_ANSWER = b"".join(
    (
        b'{"specversion":"1.0","id":"%b","source":"/stepbus/worker/bench","type":"',
        messages.StepCompleted.TYPE.encode(),
        b'","time":"%b","datacontenttype":"application/json","dataschema":"',
        messages.StepCompleted.dataschema().encode(),
        b'","partitionkey":"%b","causationid":"%b","tenant":"default","correlationid":"%b","data":{"task_id":"%b",',
        b'"step":"%b","attempt":%d,"token":"%b","worker":"bench","result":',
        orjson.dumps(PAYLOAD),
        b"}}",
    )
)


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
        time = datetime.now(UTC).isoformat().encode()
        sent = await self._bus.publish([self._outgoing(delivery, time) for delivery in deliveries])
        done = [delivery for delivery, answer in zip(deliveries, sent, strict=True) if not isinstance(answer, NotSent)]
        await jobs.ack(done)

    def _outgoing(self, delivery: Delivery, time: bytes) -> Outgoing:
        job = orjson.loads(delivery.body)
        data = job["data"]
        message_id = f"{self._name}.{next(self._numbers)}"
        task_id = data["task_id"].encode()
        body = _ANSWER % (
            message_id.encode(),
            time,
            task_id,
            job["id"].encode(),
            job["correlationid"].encode(),
            task_id,
            data["step"].encode(),
            data["attempt"],
            data["token"].encode(),
        )
        partition = data["replyto"].rpartition(".")[2]
        return Outgoing(f"results.{partition}", message_id, body, data["task_id"])
