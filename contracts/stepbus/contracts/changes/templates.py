"""What changed between two versions of a task template, and what of it breaks those who work with the old."""

from collections.abc import Iterator
from typing import Any

from stepbus.contracts.changes.catalogue import Change, Direction, change
from stepbus.contracts.changes.schemas import schema_changes
from stepbus.contracts.inclusion import Document, includes
from stepbus.contracts.template import StepTemplate, TaskTemplate, format_duration, inputs_schema, semver_key

_BACKOFF = ("backoff", "initial", "factor", "max", "jitter")
_GIVEN = ("result_schema", "error_schema")


def template_changes(old: TaskTemplate, new: TaskTemplate) -> list[Change]:
    """Give what changed from one template to another: what is said of the whole first, then step by step."""
    found = [*_of_whole(old, new), *_of_steps(old, new)]
    if found and (old.namespace, old.name) == (new.namespace, new.name):
        found += _of_version(old, new)
    return found


def _of_whole(old: TaskTemplate, new: TaskTemplate) -> Iterator[Change]:
    for key in ("namespace", "name"):
        yield from _differing("template.renamed", f"/{key}", getattr(old, key), getattr(new, key))
    yield from _differing("description.changed", "/description", old.description, new.description)
    yield from _of_schema(old.context_schema, new.context_schema, "input", "/context_schema")
    match old.timeout, new.timeout:
        case None, int(after):
            yield change("deadline.added", "/timeout", None, format_duration(after))
        case int(before), None:
            yield change("deadline.removed", "/timeout", format_duration(before), None)
        case int(before), int(after):
            yield from _of_duration("deadline", "/timeout", before, after)


def _of_steps(old: TaskTemplate, new: TaskTemplate) -> Iterator[Change]:
    before = {step.name: (number, step) for number, step in enumerate(old.steps)}
    after = {step.name: (number, step) for number, step in enumerate(new.steps)}
    renamed = _renamed(before, after)
    handlers = {step.handler for step in old.steps}
    for name, (number, step) in before.items():
        if name not in after and name not in renamed:
            yield change("step.removed", f"/steps/{number}", _written(step), None)
    origins = {to: name for name, to in renamed.items()}
    for name, (number, step) in after.items():
        pointer = f"/steps/{number}"
        origin = before.get(origins.get(name, name))
        if origin is None:
            yield change("step.added", pointer, None, _written(step))
            if step.handler not in handlers:
                yield change("handler.introduced", f"{pointer}/handler", None, step.handler)
            continue
        if name in origins:
            yield change("step.renamed", f"{pointer}/name", origins[name], name)
        yield from _of_step(origin[1], step, pointer, renamed)
        yield from _of_need(old, origin[1], step, f"{pointer}/input_schema")


def _renamed(before: dict[str, tuple[int, StepTemplate]], after: dict[str, tuple[int, StepTemplate]]) -> dict[str, str]:
    """Give the new names of steps that are gone, where one that came is the same in all but its name."""
    gone = [step for name, (_, step) in before.items() if name not in after]
    come = [step for name, (_, step) in after.items() if name not in before]
    found: dict[str, str] = {}
    for step in gone:
        same = (other.name for other in come if other.name not in found.values() and _is_like(step, other))
        name = next(same, None)
        if name is not None:
            found[step.name] = name
    return found


def _is_like(one: StepTemplate, other: StepTemplate) -> bool:
    fields = [step.model_dump(mode="json", exclude={"name", "description", "depends_on"}) for step in (one, other)]
    return fields[0] == fields[1]


def _of_step(old: StepTemplate, new: StepTemplate, pointer: str, renamed: dict[str, str]) -> Iterator[Change]:
    yield from _differing("description.changed", f"{pointer}/description", old.description, new.description)
    yield from _of_dependencies(old, new, f"{pointer}/depends_on", renamed)
    yield from _differing("handler.changed", f"{pointer}/handler", old.handler, new.handler)
    yield from _differing("queue.changed", f"{pointer}/queue", old.queue, new.queue)
    yield from _of_retry(old, new, f"{pointer}/retry")
    yield from _of_duration("timeout", f"{pointer}/timeout", old.timeout, new.timeout)
    if old.skippable != new.skippable:
        code = "skippable.added" if new.skippable else "skippable.removed"
        yield change(code, f"{pointer}/skippable", old.skippable, new.skippable)
    for key in _GIVEN:
        yield from _of_schema(getattr(old, key), getattr(new, key), "output", f"{pointer}/{key}")


def _of_need(template: TaskTemplate, old: StepTemplate, new: StepTemplate, pointer: str) -> Iterator[Change]:
    """Give what changed of what a step needs. Where it is shown that tasks of the old template give it, none breaks."""
    found = list(_of_schema(old.input_schema, new.input_schema, "input", pointer))
    if new.input_schema is not None and any(each.breaking for each in found):
        given = inputs_schema(template, old, {step.name: step for step in template.steps})
        if includes(Document(new.input_schema).top, Document(given).top):
            found = [each._replace(breaking=False) for each in found]
    yield from found


def _of_dependencies(old: StepTemplate, new: StepTemplate, pointer: str, renamed: dict[str, str]) -> Iterator[Change]:
    before = [renamed.get(name, name) for name in old.depends_on]
    for name in before:
        if name not in new.depends_on:
            yield change("dependency.removed", pointer, name, None)
    for name in new.depends_on:
        if name not in before:
            yield change("dependency.added", pointer, None, name)


def _of_retry(old: StepTemplate, new: StepTemplate, pointer: str) -> Iterator[Change]:
    before, after = old.retry.max_attempts, new.retry.max_attempts
    if before != after:
        code = "attempts.raised" if after > before else "attempts.lowered"
        yield change(code, f"{pointer}/max_attempts", before, after)
    backoffs = old.retry.model_dump(mode="json"), new.retry.model_dump(mode="json")
    for key in _BACKOFF:
        yield from _differing("backoff.changed", f"{pointer}/{key}", backoffs[0][key], backoffs[1][key])


def _of_duration(family: str, pointer: str, old: int, new: int) -> Iterator[Change]:
    if old != new:
        code = f"{family}.lengthened" if new > old else f"{family}.shortened"
        yield change(code, pointer, format_duration(old), format_duration(new))


def _of_schema(old: Any, new: Any, direction: Direction, pointer: str) -> Iterator[Change]:
    if old is None and new is None:
        return
    if old is None:
        yield change("schema.declared", pointer, old, new, direction)
    elif new is None:
        yield change("schema.withdrawn", pointer, old, new, direction)
    else:
        yield from schema_changes(old, new, direction, pointer)


def _of_version(old: TaskTemplate, new: TaskTemplate) -> Iterator[Change]:
    if semver_key(new.version) <= semver_key(old.version):
        yield change("version.not_raised", "/version", old.version, new.version)


def _differing(code: str, pointer: str, old: Any, new: Any) -> Iterator[Change]:
    if old != new:
        yield change(code, pointer, old, new)


def _written(step: StepTemplate) -> Any:
    return step.model_dump(mode="json", exclude_none=True)
