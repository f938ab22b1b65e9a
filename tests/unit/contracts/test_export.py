"""What is exported says what the templates and the workers say, in the words of each bus."""

from collections.abc import Callable
from typing import Any

import jsonschema_rs
import orjson
import pytest

from stepbus.adapters.kafka.topology import Names as KafkaNames
from stepbus.adapters.nats.topology import Names as NatsNames
from stepbus.adapters.rabbitmq.topology import Names as RabbitNames
from stepbus.adapters.redis.topology import Names as RedisNames
from stepbus.contracts.channels import Channel, to_send
from stepbus.contracts.export import BUSES, BusName, asyncapi_of, handler_contracts, schema_files
from stepbus.contracts.messages import MESSAGES, ServedHandler
from stepbus.contracts.template import TaskTemplate, from_mapping

TEXT, WHOLE = {"type": "string"}, {"type": "integer"}


def template(*steps: dict[str, Any], **words: Any) -> TaskTemplate:
    return from_mapping({"name": "t", "version": "1.0.0", "steps": list(steps)} | words)


ORDER = template(
    {"name": "a", "handler": "x.a", "result_schema": TEXT},
    {"name": "b", "handler": "x.b", "queue": "slow", "depends_on": ["a"]},
    context_schema={"required": ["id"]},
)
SERVED = ServedHandler(handler="x.alone", contract=1, result_schema=WHOLE)


def schema(part: str, *steps: dict[str, Any]) -> Any:
    (contract,) = handler_contracts([template(*steps)])
    return contract.schema(part)


@pytest.mark.parametrize(
    ("results", "expected"),
    [
        ((TEXT,), TEXT),
        ((TEXT, TEXT), TEXT),
        ((TEXT, WHOLE), {"anyOf": [TEXT, WHOLE]}),
        ((TEXT, None), {}),
        ((TEXT, True), {}),
        ((False,), {"not": {}}),
        (({"$ref": "#n", "$defs": {"b": {"$anchor": "n"}}},), {"$ref": "#/$defs/b", "$defs": {"b": {"$anchor": "n"}}}),
        (
            (TEXT, {"$ref": "#/$defs/b", "$defs": {"b": WHOLE}}),
            {"anyOf": [TEXT, {"$ref": "#/anyOf/1/$defs/b", "$defs": {"b": WHOLE}}]},
        ),
    ],
)
def test_what_several_steps_say_of_one_handler_is_any_of_it(results: Any, expected: Any) -> None:
    steps = [{"name": f"s{number}", "handler": "x.a", "result_schema": result} for number, result in enumerate(results)]

    assert schema("result", *steps) == expected


def test_the_input_of_a_handler_is_what_its_step_receives_and_needs() -> None:
    needs = {"properties": {"results": {"properties": {"a": {"minLength": 3}}}}}
    gives = TEXT | {"minLength": 3}
    order = template({"name": "a", "result_schema": gives}, {"name": "b", "depends_on": ["a"], "input_schema": needs})
    _, contract = handler_contracts([order])

    validator = jsonschema_rs.Draft202012Validator(contract.schema("input"))
    for inputs, is_valid in (
        ({"context": {}, "results": {"a": "long"}}, True),
        ({"context": {}, "results": {"a": "no"}}, False),
        ({"context": {}, "results": {"a": 7}}, False),
        ({"context": {}, "results": {}}, False),
        ({"context": [], "results": {"a": "long"}}, False),
    ):
        assert validator.is_valid(inputs) is is_valid


def test_what_workers_say_counts_where_no_template_speaks() -> None:
    served = [SERVED, ServedHandler(handler="x.a", contract=1, result_schema=WHOLE)]

    contracts = {contract.name: contract for contract in handler_contracts([ORDER], served)}

    assert sorted(contracts) == ["x.a", "x.alone", "x.b"]
    assert (contracts["x.alone"].schema("result"), contracts["x.alone"].schema("input")) == (WHOLE, {})
    assert contracts["x.a"].schema("result") == TEXT
    assert contracts["x.b"].queues == {"slow"}


def test_every_message_and_every_handler_has_its_schemas_as_the_standard_wants_them() -> None:
    files = schema_files([ORDER], [SERVED])

    assert {path for path in files if path.startswith("messages/")} == {
        f"messages/{message.TYPE}.v{message.VERSION}.json" for message in MESSAGES
    }
    assert {path for path in files if path.startswith("handlers/")} == {
        f"handlers/{handler}/{part}.json"
        for handler in ("x.a", "x.b", "x.alone")
        for part in ("input", "result", "error")
    }
    schemas = [orjson.loads(text) for text in files.values()]
    assert all(jsonschema_rs.meta.is_valid(each) for each in schemas)
    assert len({each["$id"] for each in schemas}) == len(schemas)


def references(part: Any) -> list[str]:
    if isinstance(part, dict):
        here = [part["$ref"]] if isinstance(part.get("$ref"), str) else []
        return here + [found for value in part.values() for found in references(value)]
    return [found for value in part for found in references(value)] if isinstance(part, list) else []


@pytest.mark.parametrize("bus", BUSES)
def test_every_reference_of_a_document_leads_somewhere(bus: BusName) -> None:
    document = asyncapi_of(bus, [ORDER], [SERVED])

    for reference in references(document):
        part = document
        for token in reference.removeprefix("#/").split("/"):
            part = part[token.replace("~1", "/")]


def test_each_handler_has_messages_of_its_own_on_its_queue_and_among_the_answers() -> None:
    document = asyncapi_of("nats", [ORDER], [SERVED])

    channels = document["channels"]
    assert sorted(name for name in channels if name.startswith("jobs")) == ["jobs.slow", "jobs.x.a", "jobs.x.alone"]
    assert list(channels["jobs.slow"]["messages"]) == ["step.requested.x.b"]
    assert {"step.completed.x.a", "step.failed.x.a", "step.completed"} <= set(channels["results"]["messages"])
    payload = document["components"]["messages"]["step.completed.x.a"]["payload"]
    assert payload["allOf"][1]["properties"]["data"]["allOf"][1] == {
        "properties": {"result": {"$ref": "#/components/schemas/x.a.result"}}
    }
    assert document["components"]["schemas"]["x.a.result"] == TEXT


def test_without_handlers_the_queue_is_a_parameter() -> None:
    document = asyncapi_of("redis")

    assert document["channels"]["jobs"]["address"] == "stepbus:jobs:{queue}"
    assert list(document["channels"]["jobs"]["parameters"]) == ["queue"]


@pytest.mark.parametrize("bus", BUSES)
def test_a_server_is_secured_as_its_adapter_can_be(bus: BusName) -> None:
    document = asyncapi_of(bus, host="broker:1")

    (server,) = document["servers"].values()
    assert server["host"] == "broker:1"
    schemes = document["components"].get("securitySchemes", {})
    assert [each["$ref"].rpartition("/")[2] for each in server.get("security", ())] == list(schemes)
    assert bool(schemes) == (bus != "memory")


NAMES: dict[BusName, Callable[[Channel], str]] = {
    "nats": NatsNames("acme").subject,
    "kafka": KafkaNames("acme", 8, 3, 1_000).topic,
    "rabbitmq": RabbitNames("acme", 3).queue,
    "redis": RedisNames("acme", 3).stream,
}


@pytest.mark.parametrize("bus", NAMES)
def test_addresses_are_what_the_adapter_calls_the_channels(bus: BusName) -> None:
    channels = asyncapi_of(bus, [ORDER], prefix="acme", partitions=3)["channels"]

    for key, described in channels.items():
        name = {"results": "results.2", "replies": "replies.me"}.get(key, key)
        address = described["address"].format(partition="2", name="me")
        if bus == "kafka":
            address = described["bindings"]["kafka"]["topic"]
        assert address == NAMES[bus](to_send(name))
    assert channels["results"]["parameters"]["partition"]["enum"] == ["0", "1", "2"]


def test_bindings_are_those_of_the_protocol_alone() -> None:
    protocols = {"rabbitmq": "amqp", "memory": None}
    for bus in BUSES:
        document = asyncapi_of(bus, [ORDER])
        parts = [*document["channels"].values(), *document["operations"].values()]
        parts += document["components"]["messages"].values()
        bound = {name for part in parts for name in part.get("bindings", {})}
        assert bound == {protocols.get(bus, bus)} - {None}


def test_what_is_kept_on_kafka_is_what_the_adapter_creates() -> None:
    channels = asyncapi_of("kafka", [ORDER], partitions=3)["channels"]
    names = KafkaNames("stepbus", 8, 3, 1_000)
    topics = {topic.name: topic for topic in (*names.topics(), names.of_queue("slow"), names.of_queue("x.a"))}

    for described in channels.values():
        binding = described["bindings"]["kafka"]
        topic = topics.pop(binding["topic"])
        assert str(binding["topicConfiguration"]["retention.ms"]) == topic.config["retention.ms"]
        assert binding.get("partitions", 8) == topic.partitions
    assert not topics
