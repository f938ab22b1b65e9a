"""The OpenAPI document: valid, complete, and the same as what is served."""

import re
from typing import Any

import jsonschema_rs
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from stepbus.projections.api.routes import ENDPOINTS
from tests.support.api import description, staged


async def served() -> dict[str, Any]:
    async with staged() as stage:
        answer = await stage.client.get("/openapi.json")
    document: dict[str, Any] = answer.json()
    return document


async def test_the_document_that_is_served_is_valid_openapi_3_1() -> None:
    document = await served()

    assert document["openapi"].startswith("3.1.")
    assert list(OpenAPIV31SpecValidator(document).iter_errors()) == []


async def test_the_document_lists_every_endpoint_and_no_other() -> None:
    document = await served()

    listed = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert listed == {(endpoint.method, endpoint.path) for endpoint in ENDPOINTS}


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: f"{endpoint.method} {endpoint.path}")
def test_every_operation_says_what_it_takes_and_what_it_refuses(endpoint: Any) -> None:
    operation = description()["paths"][endpoint.path][endpoint.method.lower()]

    parameters = {(parameter["in"], parameter["name"]) for parameter in operation.get("parameters", ())}
    assert {name for place, name in parameters if place == "path"} == set(re.findall(r"\{([a-z_]+)\}", endpoint.path))
    assert {name for place, name in parameters if place == "query"} == set(endpoint.query.model_fields)
    assert ("requestBody" in operation) == (endpoint.body is not None)
    assert {"400", "401", "406", "500"} <= set(operation["responses"])
    for status, response in operation["responses"].items():
        if int(status) >= 400:
            assert set(response["content"]) == {"application/problem+json"}


def test_operations_have_names_of_their_own() -> None:
    names = [endpoint.operation for endpoint in ENDPOINTS]

    assert len(set(names)) == len(names)


def test_a_view_is_read_only_by_endpoints_that_can_wait_for_it() -> None:
    for endpoint in ENDPOINTS:
        assert bool(endpoint.reads) == ("min_position" in endpoint.query.model_fields), endpoint.operation


def test_every_schema_of_the_document_is_one_that_a_validator_takes() -> None:
    components = description()["components"]

    for name in components["schemas"]:
        schema = {"$ref": f"#/components/schemas/{name}", "components": components}
        jsonschema_rs.validator_for(schema)


def test_answers_hold_nothing_that_the_document_does_not_name() -> None:
    schemas = description()["components"]["schemas"]

    open_objects = [
        name for name, schema in schemas.items() if "properties" in schema and schema.get("additionalProperties", True)
    ]
    assert set(open_objects) <= {"Problem", "Problem-Output"}  # the contract's own, which readers may extend
