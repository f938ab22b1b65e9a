"""The log, read once from its beginning to its end."""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b, sha256
from uuid import UUID

from stepbus.contracts import codec
from stepbus.contracts import events as e
from stepbus.contracts.problems import Refused
from stepbus.contracts.template import TaskTemplate
from stepbus.orchestrator.ports import EventStore, StoredRecord
from stepbus.orchestrator.runtime.verify.invariants import Finding, Invariant, Violation
from stepbus.orchestrator.runtime.verify.judge import Judge, Outline

KEPT = 1_000
"""How many violations a report shows. Those of one broken log are mostly alike."""

_BATCH = 1_000


@dataclass(frozen=True, slots=True)
class Report:
    """What a log holds, and what does not hold in it.

    Shape: `open_tasks` have not ended, or have failed and can be reopened. `found` counts all violations, `violations`
    are the first of them, in the order of the log.
    """

    tasks: int
    open_tasks: int
    records: int
    events: int
    found: int
    violations: tuple[Violation, ...]


async def verify(store: EventStore) -> Report:
    """Judge the log as it is now. It can be in use: what comes later is left for the next time."""
    auditor = Auditor()
    head, position = await store.head(), 0
    while position < head:
        records = await store.read(position, _BATCH)
        for stored in records:
            auditor.take(stored)
        if not records or records[-1].position <= position:
            break
        position = records[-1].position
    return auditor.report()


class Auditor:
    """Judges a log, record by record. Of a task that has ended, and of other streams, only the place is remembered."""

    def __init__(self) -> None:
        self._tasks = 0
        self._records = 0
        self._events = 0
        self._found = 0
        self._violations: list[Violation] = []
        self._position = 0
        self._places: dict[UUID, tuple[int, int | None]] = {}
        self._judges: dict[UUID, Judge] = {}
        self._beyond_judgement: set[UUID] = set()
        self._outlines: dict[str, Outline | None] = {}
        self._versions: dict[tuple[str, str, str], str] = {}
        self._requests: dict[bytes, UUID] = {}

    def report(self) -> Report:
        """Give what was found so far."""
        open_tasks = len(self._judges) + len(self._beyond_judgement)
        found = tuple(self._violations)
        return Report(self._tasks, open_tasks, self._records, self._events, self._found, found)

    def take(self, stored: StoredRecord) -> None:
        """Judge the next record."""
        self._records += 1
        for invariant, message in self._findings(stored):
            self._found += 1
            if len(self._violations) < KEPT:
                self._violations.append(Violation(invariant, stored.stream, stored.position, message))

    def _findings(self, stored: StoredRecord) -> Iterator[Finding]:
        version, events = self._places.get(stored.stream, (0, 0))
        is_first = version == 0
        self._tasks += is_first and stored.category == e.TASK
        if stored.position <= self._position:
            yield Invariant.DENSE, f"expected a position above {self._position}, found {stored.position}"
        if stored.version != version + 1:
            yield Invariant.DENSE, f"expected version {version + 1} of the stream, found {stored.version}"
        self._position = max(self._position, stored.position)
        try:
            record = e.decode_record(stored.data)
        except Refused as refusal:
            yield Invariant.READABLE, f"expected a record that this release can read, but {refusal}"
            self._places[stored.stream] = (stored.version, None)
            self._give_up(stored)
            return
        if events is not None and record.first != events + 1:
            message = f"expected the record to begin with event {events + 1} of the stream, found {record.first}"
            yield Invariant.DENSE, message
        self._events += len(record.events)
        self._places[stored.stream] = (stored.version, record.first + len(record.events) - 1)
        if not record.events:
            yield Invariant.READABLE, "expected a record of one event or more, found an empty one"
            self._give_up(stored)
        elif stored.category == e.TASK:
            yield from self._of_task(stored, record.events, is_first=is_first)
        elif stored.category == e.CATALOGUE:
            for event in record.events:
                yield from self._registered(event)

    def _give_up(self, stored: StoredRecord) -> None:
        """Judge a task no further of which something can't be known: all else would seem wrong."""
        if stored.category == e.TASK:
            self._judges.pop(stored.stream, None)
            self._beyond_judgement.add(stored.stream)

    def _of_task(self, stored: StoredRecord, events: tuple[e.Event, ...], *, is_first: bool) -> Iterator[Finding]:
        if stored.stream in self._beyond_judgement:
            return
        if is_first:
            yield from self._begun(stored, events)
            events = events[1:]
        judge = self._judges.get(stored.stream)
        if judge is not None:
            for event in events:
                yield from judge.judge(event)
            if judge.is_over:
                del self._judges[stored.stream]
        elif not is_first:
            yield Invariant.ONE_END, f"expected nothing after the end of the task, found {events[0].TYPE}"

    def _begun(self, stored: StoredRecord, events: tuple[e.Event, ...]) -> Iterator[Finding]:
        accepted = events[0]
        if not isinstance(accepted, e.TaskAccepted):
            yield Invariant.ONE_ACCEPTANCE, f"expected a task to begin with TaskAccepted, found {accepted.TYPE}"
            self._give_up(stored)
            return
        other = self._requests.setdefault(_digest(accepted.request_id), stored.stream)
        if other != stored.stream:
            message = f"expected request {accepted.request_id!r} to have made one task, but it made {other} before"
            yield Invariant.ONE_TASK_A_REQUEST, message
        outline = self._outlines.get(accepted.template_hash)
        title = (accepted.namespace, accepted.name, accepted.version)
        if accepted.template_hash not in self._outlines:
            message = (
                f"expected a template of hash {accepted.template_hash} to be registered before the task, found none"
            )
            yield Invariant.TEMPLATE, message
        elif outline is not None and outline.title != title:
            yield Invariant.TEMPLATE, f"expected the template to be {_named(outline.title)}, found {_named(title)}"
        if outline is None:
            self._give_up(stored)
        else:
            self._judges[stored.stream] = Judge(outline)

    def _registered(self, event: e.Event) -> Iterator[Finding]:
        if not isinstance(event, e.TemplateRegistered):
            yield Invariant.TEMPLATE, f"expected a template in the catalogue, found {event.TYPE}"
            return
        title = (event.namespace, event.name, event.version)
        earlier = self._versions.setdefault(title, event.template_hash)
        if earlier != event.template_hash:
            yield Invariant.TEMPLATE, f"expected {_named(title)} to stay {earlier}, found {event.template_hash}"
        self._outlines[event.template_hash] = None
        try:
            found = sha256(codec.canonical(event.template)).hexdigest()
            outline = Outline(TaskTemplate.model_validate(event.template))
        except (LookupError, ValueError) as error:
            yield Invariant.TEMPLATE, f"expected {_named(title)} to be a template, but {error}"
            return
        if found != event.template_hash:
            message = f"expected {_named(title)} to have the hash {event.template_hash}, found {found}"
            yield Invariant.TEMPLATE, message
        if outline.title != title:
            yield Invariant.TEMPLATE, f"expected {_named(title)} under its name, found {_named(outline.title)}"
        self._outlines[event.template_hash] = outline


def _digest(request_id: str) -> bytes:
    return blake2b(request_id.encode(), digest_size=16).digest()


def _named(title: tuple[str, str, str]) -> str:
    namespace, name, version = title
    return f"{namespace}/{name} {version}"
