"""The registered templates, ready to run: a fold of the catalogue's one stream."""

from collections.abc import Callable, Mapping
from time import monotonic
from typing import Any

from stepbus.contracts import events as e
from stepbus.contracts.problems import Problem
from stepbus.contracts.template import TaskTemplate, from_mapping, semver_key
from stepbus.orchestrator.core.decide import Decision, Rejection
from stepbus.orchestrator.core.plan import Plan
from stepbus.orchestrator.ports import EventStore
from stepbus.orchestrator.runtime.workers import Workers

FRESH_S = 0.25
"""How long what was read of the log is taken for all that it holds."""


class Catalogue:
    """Finds the plan of a template by name and version, or by hash.

    What this process registers is here at once. What another registers is here when it is asked for by its version; the
    highest version, asked for without one, may be that of `FRESH_S` before.
    """

    def __init__(
        self, store: EventStore, environment: str | None = None, now_s: Callable[[], float] = monotonic
    ) -> None:
        self._store = store
        self._environment = environment
        self._now_s = now_s
        self._fresh_until_s = now_s()
        self._plans: dict[str, Plan] = {}
        self._versions: dict[tuple[str, str], dict[str, str]] = {}
        self._highest: dict[tuple[str, str], str] = {}
        self.workers = Workers(store)
        self.version = 0
        self.events = 0

    async def refresh(self) -> None:
        """Take in what was registered since the last time, by whichever process."""
        fresh_until_s = self._now_s() + FRESH_S
        for stored in await self._store.read_stream(e.CATALOGUE_STREAM, self.version):
            self.absorb(stored.version, e.decode_record(stored.data))
        self._fresh_until_s = fresh_until_s

    def absorb(self, version: int, record: e.Record) -> None:
        """Take in one record of the catalogue's stream; one that was taken in before changes nothing."""
        if version <= self.version:
            return
        self.version = version
        self.events += len(record.events)
        for event in record.events:
            if isinstance(event, e.TemplateRegistered):
                name = (event.namespace, event.name)
                self._plans[event.template_hash] = Plan.of(TaskTemplate.model_validate(event.template))
                self._versions.setdefault(name, {})[event.version] = event.template_hash
                self._highest[name] = max(self._highest.get(name, event.version), event.version, key=semver_key)

    @property
    def queues(self) -> list[str]:
        """The queues of all steps of all registered templates, in order."""
        return sorted({step.queue for plan in self._plans.values() for step in plan.steps})

    async def by_hash(self, template_hash: str) -> Plan:
        """Give the plan that a task keeps to. It is there: no task is accepted before its template is registered."""
        if template_hash not in self._plans:
            await self.refresh()
        return self._plans[template_hash]

    async def find(self, namespace: str, name: str, version: str | None) -> Plan | Problem:
        """Give the plan of this version, or of the highest one; or what is wrong with the question.

        Shape: the pointer of a problem is into the request.

        Guarantee: a template or version is unknown only if the log has just been asked for it.
        """
        found = self._find(namespace, name, version)
        if found is None or (version is None and self._now_s() >= self._fresh_until_s):
            await self.refresh()
            found = self._find(namespace, name, version)
        if found is not None:
            return found
        known = sorted(self._versions.get((namespace, name), {}), key=semver_key)
        if not known:
            names = ", ".join(sorted(f"{space}/{title}" for space, title in self._versions)[:20]) or "none"
            message = f"expected a registered template, found {namespace}/{name}; registered: {names}"
            return Problem(code="template.unknown", message=message, pointer="/template")
        message = f"expected a version of {namespace}/{name} among {', '.join(known)}, found {version}"
        return Problem(code="template.unknown_version", message=message, pointer="/version")

    def _find(self, namespace: str, name: str, version: str | None) -> Plan | None:
        wanted = self._highest.get((namespace, name)) if version is None else version
        template_hash = None if wanted is None else self._versions.get((namespace, name), {}).get(wanted)
        return None if template_hash is None else self._plans[template_hash]

    def versions(self, namespace: str, name: str) -> Mapping[str, TaskTemplate]:
        """Give the templates of a name by their versions, as of the last `refresh`."""
        hashes = self._versions.get((namespace, name), {})
        return {version: self._plans[template_hash].template for version, template_hash in hashes.items()}

    def read(self, document: Mapping[str, Any]) -> TaskTemplate:
        """Give the template that a document holds, in this orchestrator's environment.

        Raises:
            Refused: with everything that is wrong with it.
        """
        environments = document.get("environments")
        is_named = isinstance(environments, Mapping) and self._environment in environments
        return from_mapping(document, environment=self._environment if is_named else None)

    def decide(self, template: TaskTemplate) -> Decision:
        """Register the template: nothing if it is there already, a rejection if other content holds its version."""
        registered = self._versions.get((template.namespace, template.name), {}).get(template.version)
        if registered == template.hash:
            return Decision()
        if registered is not None:
            message = (
                f"expected {template.namespace}/{template.name} {template.version} to stay as registered "
                f"(hash {registered[:12]}), found hash {template.hash[:12]}; give the change a new version"
            )
            return Decision(
                rejection=Rejection((Problem(code="template.immutable", message=message, pointer="/version"),))
            )
        return Decision(
            (
                e.TemplateRegistered(
                    namespace=template.namespace,
                    name=template.name,
                    version=template.version,
                    template_hash=template.hash,
                    template=template.canonical(),
                ),
            )
        )
