"""Whether a template can be put to use now: its steps are served, and open tasks can live with what it changes."""

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from stepbus.contracts.changes import KEPT_BY_OPEN_TASKS, template_changes
from stepbus.contracts.inclusion import Answer, Document, inclusion
from stepbus.contracts.inclusion.place import written
from stepbus.contracts.messages import ServedHandler, StepRequested
from stepbus.contracts.problems import Problem
from stepbus.contracts.template import Findings, StepTemplate, TaskTemplate, add_findings, semver_key
from stepbus.orchestrator.ports import EventStore
from stepbus.orchestrator.runtime.catalogue import Catalogue
from stepbus.orchestrator.runtime.open_tasks import OpenTasks
from stepbus.orchestrator.runtime.workers import Announced

MOST_TOLD: Final = 100
_SHOWN: Final = 120


class Activation:
    """Says what speaks against a template that is valid."""

    def __init__(self, store: EventStore, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._open_tasks = OpenTasks(store)

    async def problems(self, template: TaskTemplate) -> list[Problem]:
        """Give the reasons to wait with this template. None speaks against one that is registered already."""
        await self._catalogue.refresh()
        await self._catalogue.workers.refresh()
        versions = self._catalogue.versions(template.namespace, template.name)
        if template.version in versions:
            return []
        announced = [worker for worker in self._catalogue.workers.all.values() if worker.handlers]
        found = await asyncio.to_thread(lambda: list(_unserved(template, announced)))
        lower = [old for old in versions.values() if semver_key(old.version) < semver_key(template.version)]
        breaking = await asyncio.to_thread(_all_breaking, lower, template)
        counts = await self._open_tasks.by_template() if breaking else {}
        for old, of_old in breaking:
            found += _told(old, counts.get(old.hash, 0), of_old)
        return found[:MOST_TOLD]


def _unserved(template: TaskTemplate, announced: Sequence[Announced]) -> Iterator[Problem]:
    """Give the handlers that no worker serves, if workers say at all what they serve."""
    if not announced:
        return
    served: dict[str, dict[bytes, tuple[str, ServedHandler]]] = {}
    for worker in announced:
        for handler in worker.handlers:
            alike = served.setdefault(handler.handler, {})
            alike.setdefault(written(handler.model_dump(mode="json")), (worker.worker, handler))
    steps = {step.name: step for step in template.steps}
    told: set[str] = set()
    for number, step in enumerate(template.steps):
        if step.handler in told:
            continue
        why: list[str] = []
        for worker_name, handler in served.get(step.handler, {}).values():
            why.append(_reason(template, step, steps, worker_name, handler))
            if not why[-1]:
                break
        else:
            told.add(step.handler)
            message = f"expected a worker that serves {step.handler}, found none among {len(announced)} announced"
            message += "".join(f": {reason}" for reason in why[:1])
            yield Problem(code="template.unserved", message=message, pointer=f"/steps/{number}/handler")


def _reason(
    template: TaskTemplate,
    step: StepTemplate,
    steps: Mapping[str, StepTemplate],
    worker: str,
    served: ServedHandler,
) -> str:
    """Say why a worker that serves the handler can't serve this step; "" if nothing is known against it."""
    if served.contract != StepRequested.VERSION:
        return f"{worker} understands version {served.contract} of step.requested, not {StepRequested.VERSION}"
    findings = Findings()
    if served.input_schema is not None:
        add_findings(findings, template, step, steps, served.input_schema, "")
    if findings.errors:
        return f"{worker} needs other inputs: {findings.errors[0].message}"
    for part in ("result", "error"):
        wanted, given = getattr(step, f"{part}_schema"), getattr(served, f"{part}_schema")
        if wanted is not None and given is not None:
            found = inclusion(Document(wanted).top, Document(given).top)
            if found.answer is Answer.REFUTED:
                return f"{worker} may give the {part} {json.dumps(found.value)[:_SHOWN]}, which the step does not allow"
    return ""


def _all_breaking(lower: Sequence[TaskTemplate], new: TaskTemplate) -> list[tuple[TaskTemplate, list[Problem]]]:
    """Give the versions with which the new one breaks, each with what breaks. Large ones take a while to compare."""
    return [(old, problems) for old in lower if (problems := list(_breaking(old, new)))]


def _breaking(old: TaskTemplate, new: TaskTemplate) -> Iterator[Problem]:
    """Give what a task that keeps the old template can't live with, since it shares its workers with the new."""
    for change in template_changes(old, new):
        if change.breaking and change.code not in KEPT_BY_OPEN_TASKS:
            message = f"{change.code}, {change.why}"
            yield Problem(code="template.breaks_open_tasks", message=message, pointer=change.pointer)


def _told(old: TaskTemplate, count: int, problems: list[Problem]) -> Iterator[Problem]:
    if count:
        tasks = f"{count} open task{'s' if count > 1 else ''} of version {old.version}"
        for problem in problems:
            message = f"expected a change that {tasks} can live with, found {problem.message}"
            yield problem.model_copy(update={"message": message})
