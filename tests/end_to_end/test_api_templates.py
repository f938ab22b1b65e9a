"""Templates through the API, over real HTTP on loopback."""

from collections.abc import AsyncIterator
from textwrap import dedent
from typing import Any

import pytest

from tests.support.api import Stage, staged
from tests.support.world import FORK_AND_JOIN

YAML = dedent(
    """\
    name: pipeline
    namespace: shop
    version: 1.2.0
    steps:
      - name: fetch
      - name: store
        depends_on: [fetch]
    environments:
      production:
        steps:
          - name: fetch
            queue: fast
    """
)


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with staged() as found:
        yield found


async def register(stage: Stage, text: str, media_type: str = "application/yaml", **query: str) -> Any:
    return await stage.client.post("/v1/templates", content=text, headers={"Content-Type": media_type}, params=query)


def version(number: str) -> str:
    return YAML.replace("1.2.0", number)


async def test_a_template_in_yaml_is_registered_and_can_be_read(stage: Stage) -> None:
    answer = await register(stage, YAML)

    assert answer.status_code == 201
    receipt = answer.json()
    assert answer.headers["Location"] == "/v1/templates/shop/pipeline/1.2.0"
    shown = await stage.get(answer.headers["Location"])
    assert (shown["template_hash"], shown["total_steps"]) == (receipt["template_hash"], 2)
    assert shown["template"]["steps"][1]["depends_on"] == ["fetch"]
    assert shown["actor"] == "operator/http"


async def test_the_same_content_again_changes_nothing_and_other_content_of_a_version_is_a_conflict(
    stage: Stage,
) -> None:
    await register(stage, YAML)

    again = await register(stage, YAML, "text/yaml; charset=utf-8")
    changed = await register(stage, YAML.replace("store", "keep"))

    assert (again.status_code, again.json()["repeated"]) == (200, True)
    assert (changed.status_code, changed.json()["code"]) == (409, "template.immutable")


async def test_a_template_in_json_and_one_in_yaml_are_the_same(stage: Stage) -> None:
    in_yaml = await register(stage, YAML)
    document = (await stage.get("/v1/templates/shop/pipeline/1.2.0"))["template"]

    in_json = await stage.client.post("/v1/templates", json=document)

    assert in_json.json()["repeated"] is True
    assert in_json.json()["template_hash"] == in_yaml.json()["template_hash"]


async def test_a_template_is_registered_as_it_runs_in_an_environment(stage: Stage) -> None:
    await register(stage, YAML, environment="production")

    steps = (await stage.get("/v1/templates/shop/pipeline/1.2.0"))["template"]["steps"]

    assert steps[0]["queue"] == "fast"


async def test_what_is_wrong_with_a_template_is_said_with_lines(stage: Stage) -> None:
    answer = await register(
        stage, YAML.replace("[fetch]", "[fetsh]").replace("name: fetch", "name: fetch\n    qeue: x", 1)
    )

    assert answer.status_code == 422
    problems = answer.json()["errors"]
    assert {problem["line"] for problem in problems} >= {6, 8}
    assert all(problem["pointer"].startswith("/steps") for problem in problems)


async def test_a_template_that_is_no_document_at_all_is_a_bad_request(stage: Stage) -> None:
    broken = await register(stage, "name: [unclosed")
    aliases = await register(stage, "a: &a [1]\nb: *a\n")
    json = await register(stage, '{"name": "x",}', "application/json")

    assert [answer.status_code for answer in (broken, aliases, json)] == [400, 400, 400]
    assert all(answer.json()["errors"][0]["line"] for answer in (broken, aliases, json))


async def test_templates_are_listed_with_their_versions_the_highest_first(stage: Stage) -> None:
    for number in ("1.9.0", "1.10.0", "2.0.0-rc.1"):
        await register(stage, version(number))

    listed = await stage.get("/v1/templates")
    named = await stage.get("/v1/templates/shop/pipeline")

    assert [(found["namespace"], found["name"]) for found in listed["templates"]] == [
        ("default", "fork_and_join"),
        ("shop", "pipeline"),
    ]
    assert named == listed["templates"][1]
    assert named["latest_version"] == "2.0.0-rc.1"
    assert [found["version"] for found in named["versions"]] == ["2.0.0-rc.1", "1.10.0", "1.9.0"]


async def test_templates_are_listed_by_namespace_and_page_by_page(stage: Stage) -> None:
    for name in ("alpha", "beta", "gamma"):
        await register(stage, YAML.replace("pipeline", name))

    shop = await stage.get("/v1/templates", namespace="shop", limit=2)
    rest = await stage.get("/v1/templates", namespace="shop", limit=2, cursor=shop["next_cursor"])

    assert [found["name"] for found in shop["templates"]] == ["alpha", "beta"]
    assert [found["name"] for found in rest["templates"]] == ["gamma"]
    assert rest["next_cursor"] is None


async def test_the_graph_of_a_template_has_levels_and_no_states(stage: Stage) -> None:
    graph = await stage.get("/v1/templates/default/fork_and_join/1.0.0/graph")
    drawn = await stage.client.get("/v1/templates/default/fork_and_join/1.0.0/graph?format=mermaid")

    assert [(node["step"], node["level"], node["state"]) for node in graph["nodes"]] == [
        ("begin", 0, None),
        ("left", 1, None),
        ("right", 1, None),
        ("end", 2, None),
    ]
    assert len(graph["edges"]) == 4
    assert graph["title"] == "default/fork_and_join 1.0.0"
    assert '  s3["end"]\n' in drawn.text


async def test_a_namespace_without_templates_is_an_empty_list(stage: Stage) -> None:
    assert await stage.get("/v1/templates", namespace="nobody") == {"templates": [], "next_cursor": None}


@pytest.mark.parametrize("path", ["/none", "/fork_and_join/9.0.0", "/fork_and_join/9.0.0/graph"])
async def test_a_template_that_was_never_registered_is_not_found(stage: Stage, path: str) -> None:
    answer = await stage.client.get(f"/v1/templates/default{path}")

    assert (answer.status_code, answer.json()["code"]) == (404, "template.unknown")


async def test_a_registered_template_is_shown_as_it_was_given(stage: Stage) -> None:
    shown = await stage.get(f"/v1/templates/default/fork_and_join/{FORK_AND_JOIN.version}")

    assert shown["template"] == FORK_AND_JOIN.canonical()
    assert shown["template_hash"] == FORK_AND_JOIN.hash
