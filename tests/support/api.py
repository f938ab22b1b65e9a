"""The API of a whole stepbus in this process, and a client that holds every answer against the OpenAPI document."""

import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any
from uuid import UUID

import httpx
import jsonschema_rs

from stepbus.adapters import memory, postgres, sqlite
from stepbus.contracts.messages import StepError
from stepbus.contracts.template import TaskTemplate
from stepbus.orchestrator.core.commands import FailStep, RecordHeartbeat
from stepbus.orchestrator.ports import Adapter, ApiSettings, EventStore, Surroundings, ViewStore
from stepbus.orchestrator.runtime.intents import TaskIntent
from stepbus.orchestrator.runtime.serve import Limits, Serving
from stepbus.projections.api import openapi
from stepbus.projections.api.routes import ENDPOINTS
from stepbus.projections.api.server import ApiServer
from stepbus.projections.runner import Runner
from tests.support.world import CAUSE, completion, memory_bus, now_ms, serving

CONNECT: Mapping[str, Callable[[str], Adapter]] = {
    "memory": memory.connect,
    "sqlite": sqlite.connect,
    "postgresql": postgres.connect,
}


@dataclass(slots=True)
class Stage:
    """What runs, and a client of it."""

    client: httpx.AsyncClient
    url: str
    parts: Serving
    store: EventStore
    views: ViewStore
    runner: Runner
    server: ApiServer

    async def task(self, **request: Any) -> UUID:
        """Ask for a task, of the fork and join unless another template is named, and give its id."""
        answer = await self.client.post("/v1/tasks", json={"template": "fork_and_join"} | request)
        assert answer.status_code == httpx.codes.ACCEPTED, answer.text
        return UUID(answer.json()["task_id"])

    async def register(self, template: TaskTemplate) -> None:
        answer = await self.client.post("/v1/templates", json=template.canonical())
        assert answer.status_code == httpx.codes.CREATED, answer.text

    async def get(self, path: str, **query: Any) -> Any:
        """Read a view that shows all that is in the log by now."""
        answer = await self.client.get(path, params=query | {"min_position": await self.store.head()})
        assert answer.status_code == httpx.codes.OK, answer.text
        return answer.json()

    async def post(self, path: str, body: Any = None) -> httpx.Response:
        return await self.client.post(path, json={} if body is None else body)

    async def complete(self, task_id: UUID, *steps: str, attempt: int = 1, result: Any = None) -> None:
        """Be the worker who completes these steps."""
        for step in steps:
            await self._answer(completion(task_id, step, attempt, result))

    async def fail(self, task_id: UUID, step: str, attempt: int = 1, *, retryable: bool = False) -> None:
        """Be the worker whose attempt fails."""
        error = StepError(code="stock.none", message="no stock", retryable=retryable, details={"sku": 7})
        await self._answer(TaskIntent(FailStep(task_id, step, attempt, error, now_ms()), CAUSE))

    async def beat(self, task_id: UUID, step: str, progress: Any = None) -> None:
        """Be the worker who has the step in hand."""
        await self._answer(TaskIntent(RecordHeartbeat(task_id, step, 1, progress, now_ms()), CAUSE))

    async def _answer(self, intent: TaskIntent) -> None:
        outcome = await self.parts.coordinator.submit(intent)
        assert outcome.rejection is None, outcome.rejection


@asynccontextmanager
async def staged(
    url: str = "memory:", api_key: str | None = None, limits: Limits | None = None
) -> AsyncIterator[Stage]:
    """Run a coordinator, the projections and the API over this database, with the fork and join registered."""
    async with AsyncExitStack() as stack:
        store, views = await opened(url, stack)
        parts = await stack.enter_async_context(serving(store, await memory_bus(), limits=limits))
        runner = Runner(store, views)
        await runner.start()
        stack.push_async_callback(runner.stop)
        surroundings = Surroundings(store, views, parts.desk, ApiSettings(port=0, api_key=api_key))
        server = ApiServer(surroundings)
        found = await server.start()
        stack.push_async_callback(server.stop)
        client = await stack.enter_async_context(checked_client(found))
        parts.roles = {"projections": runner, "api": server}
        yield Stage(client, found, parts, store, views, runner, server)


async def opened(url: str, stack: AsyncExitStack) -> tuple[EventStore, ViewStore]:
    """Open a log and its views."""
    adapter = CONNECT[url.partition(":")[0]](url)
    assert adapter.store is not None
    assert adapter.views is not None
    store = await adapter.store()
    stack.push_async_callback(store.close)
    views = await adapter.views()
    stack.push_async_callback(views.close)
    return store, views


def checked_client(url: str, **headers: str) -> httpx.AsyncClient:
    """Give a client that fails where an answer is not what the OpenAPI document says."""
    return httpx.AsyncClient(base_url=url, headers=headers, event_hooks={"response": [demand_documented]}, timeout=30)


async def demand_documented(response: httpx.Response) -> None:
    """See that the document knows this answer: its status, its media type, its shape."""
    described = description()
    path = response.request.url.path
    found = [paths for template, paths in described["paths"].items() if _pattern(template).fullmatch(path)]
    method = response.request.method.lower().replace("head", "get")
    media_type = response.headers.get("content-type", "").partition(";")[0]
    if not found or method not in found[0] or response.status_code == httpx.codes.METHOD_NOT_ALLOWED:
        assert media_type in ("application/problem+json", "application/json"), (path, media_type)
        return
    answers = found[0][method]["responses"]
    assert str(response.status_code) in answers, f"{method} {path} answered {response.status_code}, not documented"
    content = answers[str(response.status_code)].get("content", {})
    if not content:
        return
    assert media_type in content, f"{method} {path} answered {media_type}, not documented"
    if media_type.endswith("json") and response.request.method != "HEAD":
        await response.aread()
        schema = content[media_type]["schema"] | {"components": described["components"]}
        jsonschema_rs.validator_for(schema).validate(response.json())


@cache
def description() -> dict[str, Any]:
    """The OpenAPI document."""
    return openapi.document(ENDPOINTS, "1")


@cache
def _pattern(template: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\\{[a-z_]+\\\}", "[^/]+", re.escape(template)))
