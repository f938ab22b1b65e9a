"""Call a handler in a unit test, without a bus: inputs are validated and results encoded as they are in a worker.

```python
async def test_an_empty_cart_is_refused() -> None:
    called = await call(worker, "orders.validate_cart", context={"items": []})
    assert called.error.code == "cart.empty"
```
"""

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

from stepbus.contracts import codec
from stepbus.contracts.envelope import CloudEvent
from stepbus.contracts.messages import StepCompleted, StepError, StepFailed, StepHeartbeat, StepRequested
from stepbus.worker.answer import Ending
from stepbus.worker.attempt import Attempt
from stepbus.worker.job import Job
from stepbus.worker.worker import Worker

__all__ = ["Called", "call"]


@dataclass(frozen=True, slots=True)
class Called:
    """What came of a call: its ending as the coordinator would hear it, and the heartbeats before."""

    ending: Ending
    heartbeats: list[Any] = field(default_factory=list)

    @property
    def result(self) -> Any:
        """Give the result as JSON has it; an AssertionError if the handler failed."""
        if isinstance(self.ending, StepCompleted):
            return self.ending.result
        raise AssertionError(f"expected a result, but the handler failed with {self.ending.error!r}")

    @property
    def error(self) -> StepError:
        """Give the error; an AssertionError if the handler succeeded."""
        if isinstance(self.ending, StepFailed):
            return self.ending.error
        raise AssertionError(f"expected the handler to fail, but its result is {self.ending.result!r}")


async def call(  # noqa: PLR0913 - a job has as many parts, and each has a default
    worker: Worker,
    handler: str,
    *,
    context: dict[str, Any] | None = None,
    results: dict[str, Any] | None = None,
    step: str = "step",
    attempt: int = 1,
    timeout_s: float = 10.0,
    task_id: UUID | None = None,
    state: Any = None,
) -> Called:
    """Run one attempt of a handler of this worker. `state` stands for what its lifespan would give."""
    task = task_id or uuid4()
    data = {
        "task_id": str(task),
        "step": step,
        "attempt": attempt,
        "handler": handler,
        "inputs": {"context": context or {}, "results": results or {}},
        "timeout_ms": round(timeout_s * 1000),
        "idempotency_key": f"{task}/{step}",
        "replyto": "test.results.0",
        "token": "test",
    }
    request = StepRequested.model_validate(codec.decode(codec.encode(data)))
    heartbeats: list[Any] = []

    async def say(beat: StepHeartbeat) -> bool:
        heartbeats.append(beat.progress)
        return True

    job = Job(request, CloudEvent(id="test", source="/test", type=request.TYPE), "results.0")
    ran = Attempt(worker.handlers[handler], job, worker.options.name, say, state)
    return Called(await ran.run(), heartbeats)
