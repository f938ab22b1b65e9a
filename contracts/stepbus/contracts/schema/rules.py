"""What a schema must keep to before it is ever run, every breach of it with a place."""

from collections.abc import Iterator, Mapping
from functools import cache, lru_cache
from typing import Any, Final

import jsonschema_rs
import orjson

from stepbus.contracts import codec
from stepbus.contracts.problems import Problem, Refused, escape_pointer
from stepbus.contracts.schema.cost import MAX_LOOKS, SHALLOW, circle, looks
from stepbus.contracts.schema.walk import Node, subschemas, target
from stepbus.contracts.validation import found

MAX_SCHEMA_BYTES = 64 * 1024
MAX_SCHEMA_DEPTH = 32
MAX_SUBSCHEMAS = 500
MAX_PATTERNS = 64
MAX_PATTERN_LENGTH = 256

_PATTERNS: Final = jsonschema_rs.RegexOptions(size_limit=4 * 1024 * 1024, dfa_size_limit=1024 * 1024)
_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_DYNAMIC: Final = ("$dynamicRef", "$recursiveRef")


def schema_problems(schema: Any, pointer: str = "") -> Iterator[Problem]:
    """Give every reason why a schema can't be used; `pointer` is where it stands in a larger document."""
    if not isinstance(schema, dict | bool):
        message = f"expected an object or true or false, found {found(schema)}"
        yield Problem(code="schema.invalid", message=message, pointer=pointer)
        return
    try:
        body = codec.encode(schema)
    except Refused as refused:
        yield Problem(code="schema.invalid", message=refused.problems[0].message, pointer=pointer)
        return
    if len(body) > MAX_SCHEMA_BYTES:
        message = f"expected a schema of at most {MAX_SCHEMA_BYTES} bytes, found {len(body)}"
        yield Problem(code="schema.too_large", message=message, pointer=pointer)
        return
    for problem in _checked(body):
        yield problem.under(pointer)


def compiled(schema: Any) -> jsonschema_rs.Validator:
    """Give the validator of a schema; it fetches nothing.

    Raises:
        jsonschema_rs.ValidationError: the schema is no schema.
    """
    return jsonschema_rs.Draft202012Validator(
        schema, validate_formats=True, pattern_options=_PATTERNS, retriever=_fetch_nothing
    )


def _fetch_nothing(uri: str) -> Any:
    raise LookupError(f"nothing is fetched, not {uri} either")


@lru_cache(maxsize=1024)
def _checked(body: bytes) -> tuple[Problem, ...]:
    schema = orjson.loads(body)
    nodes: dict[str, Node] = {}
    for node in subschemas(schema):
        if node.depth > MAX_SCHEMA_DEPTH:
            return (_problem("depth", f"expected at most {MAX_SCHEMA_DEPTH} levels of subschemas, found more", node),)
        if len(nodes) == MAX_SUBSCHEMAS:
            return (_problem("too_many_subschemas", f"expected at most {MAX_SUBSCHEMAS} subschemas, found more"),)
        nodes[node.pointer] = node
    problems = [problem for node in nodes.values() for problem in _own(node, nodes)]
    patterns = sum(1 for node in nodes.values() for _ in _patterns(node))
    if patterns > MAX_PATTERNS:
        problems.append(_problem("too_many_patterns", f"expected at most {MAX_PATTERNS} patterns, found {patterns}"))
    else:
        problems += [problem for node in nodes.values() for problem in _broken_patterns(node)]
    problems += _against_the_standard(schema, {problem.pointer for problem in problems})
    return tuple(problems) or tuple(_costs(nodes)) or tuple(_refused_by_compiler(schema))


def _own(node: Node, nodes: Mapping[str, Node]) -> Iterator[Problem]:
    """Give what is wrong with the words that one subschema says about schemas."""
    schema = node.schema
    if not isinstance(schema, dict):
        return
    dialect = schema.get("$schema")
    if isinstance(dialect, str) and dialect.removesuffix("#") != _DIALECT:
        yield _problem("dialect", f"expected {_DIALECT}, found {found(dialect)}", node, "$schema")
    if "$id" in schema and node.pointer:
        yield _problem("id", "expected no $id inside of a schema, found one", node, "$id")
    for keyword in _DYNAMIC:
        if keyword in schema:
            yield _problem("dynamic_ref", f"expected $ref, found {keyword}", node, keyword)
    reference = schema.get("$ref")
    if not isinstance(reference, str):
        return
    if not reference.startswith("#"):
        message = f"expected a reference into this schema, as in #/$defs/name, found {found(reference)}"
        yield _problem("remote_ref", message, node, "$ref")
    elif target(reference, nodes) is None:
        yield _problem("unknown_ref", f"expected a reference to a subschema, found {found(reference)}", node, "$ref")


def _patterns(node: Node) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Give the patterns that one subschema writes, each with the keys that lead to it."""
    if not isinstance(node.schema, dict):
        return
    pattern, by_pattern = node.schema.get("pattern"), node.schema.get("patternProperties")
    if isinstance(pattern, str):
        yield pattern, ("pattern",)
    if isinstance(by_pattern, dict):
        for name in by_pattern:
            yield name, ("patternProperties", name)


def _broken_patterns(node: Node) -> Iterator[Problem]:
    for pattern, keys in _patterns(node):
        if len(pattern) > MAX_PATTERN_LENGTH:
            message = f"expected a pattern of at most {MAX_PATTERN_LENGTH} characters, found {len(pattern)}"
            yield _problem("pattern", message, node, *keys)
            continue
        try:
            compiled({"pattern": pattern})
        except jsonschema_rs.ValidationError:
            message = (
                "expected a regular expression that runs in linear time (no look-around, no back-references, "
                f"no large repetition of large parts), found {found(pattern)}"
            )
            yield _problem("pattern", message, node, *keys)


def _against_the_standard(schema: Any, already: set[str]) -> Iterator[Problem]:
    seen = set(already)
    for error in _standard().iter_errors(schema):
        pointer = "".join("/" + escape_pointer(str(token)) for token in error.instance_path)
        if pointer not in seen:
            seen.add(pointer)
            yield Problem(
                code="schema.invalid", message=f"expected a JSON Schema: {error.message[:200]}", pointer=pointer
            )


@cache
def _standard() -> jsonschema_rs.Validator:
    return jsonschema_rs.Draft202012Validator({"$ref": _DIALECT})


def _costs(nodes: Mapping[str, Node]) -> Iterator[Problem]:
    endless = circle(nodes)
    if endless is not None:
        message = "expected $ref to lead into a part of the value, found one that leads back here on the same value"
        yield _problem("endless_ref", message, endless)
        return
    shallow = looks(nodes)[SHALLOW:]
    if shallow and shallow[0] > MAX_LOOKS:
        message = f"expected $refs by which one part of a value is looked at {MAX_LOOKS} times at most, found more"
        yield _problem("too_costly", message)


def _refused_by_compiler(schema: Any) -> Iterator[Problem]:
    try:
        compiled(schema)
    except jsonschema_rs.ValidationError as error:
        yield _problem("invalid", f"expected a schema that can be compiled: {error.message[:200]}")


def _problem(code: str, message: str, node: Node | None = None, *keys: str) -> Problem:
    pointer = (node.pointer if node else "") + "".join("/" + escape_pointer(key) for key in keys)
    return Problem(code=f"schema.{code}", message=message, pointer=pointer)
