"""What does not belong here: every answer to it is a problem document with a code, and never a traceback."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from stepbus.projections.queries.paging import Order, write_cursor
from tests.support.api import Stage, staged

TASK = "0192b7c4-0000-7000-8000-0000000000f0"
DEEP = '{"template": "x", "context": ' + '{"a":' * 80 + "1" + "}" * 80 + "}"


pytestmark = pytest.mark.asyncio(loop_scope="module")  # one server takes it all


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage() -> AsyncIterator[Stage]:
    async with staged() as found:
        yield found


def cursor(order: str, *places: Any) -> str:
    columns = tuple(f"c{number}" for number in range(len(places)))
    return write_cursor(Order(order, columns, (int,) * len(places)), dict(zip(columns, places, strict=True)))


def demand_problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = answer.json()
    assert document["code"] == code, document
    assert document["status"] == status
    assert document["type"] == f"https://stepbus.dev/problems/{code}"
    assert document["instance"] == answer.request.url.raw_path.decode().partition("?")[0]
    assert "Traceback" not in answer.text
    return document


BODIES = [
    ("{", 400, "json.malformed"),
    ("", 400, "json.malformed"),
    ("[]", 422, "request.invalid"),
    ("null", 422, "request.invalid"),
    ('{"template": "x", "template": "y"}', 400, "json.duplicate_key"),
    ('{"template": "x", "context": {"n": NaN}}', 400, "json.nan"),
    ('{"template": "x", "context": {"n": 1e999}}', 400, "json.number_range"),
    ('{"template": "x", "context": {"n": 12345678901234567890}}', 400, "json.integer_range"),
    ('{"template": "x", "context": {"s": "\\ud800"}}', 400, "json.surrogate"),
    ('{"template": "x", "context": {"s": "a\\u0000b"}}', 400, "json.nul"),
    (DEEP, 400, "json.depth"),
    ('{"template": "../../etc"}', 422, "request.invalid"),
    ('{"template": "x", "task_id": "7"}', 422, "request.invalid"),
    ('{"template": "x", "timeout_ms": 0}', 422, "request.invalid"),
    ('{"template": "x", "priority": 1}', 422, "request.unknown_key"),
    ("{}", 422, "request.missing"),
]


@pytest.mark.parametrize(("body", "status", "code"), BODIES, ids=[body[:40] for body, _, _ in BODIES])
async def test_a_body_that_readers_could_take_differently_is_refused(
    stage: Stage, body: str, status: int, code: str
) -> None:
    answer = await stage.client.post("/v1/tasks", content=body, headers={"Content-Type": "application/json"})

    assert answer.status_code == status, answer.text
    assert answer.json()["code"] == code, answer.text


async def test_a_body_that_is_no_utf_8_is_refused(stage: Stage) -> None:
    answer = await stage.client.post(
        "/v1/tasks", content=b'{"template": "\xff"}', headers={"Content-Type": "application/json"}
    )

    demand_problem(answer, 400, "json.encoding")


@pytest.mark.parametrize("path", ["/v1/tasks", "/v1/templates", f"/v1/tasks/{TASK}/cancel"])
async def test_a_body_that_is_too_large_is_refused_before_it_is_read_whole(stage: Stage, path: str) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 64 * 1024 * 1024:
            sent += 65_536
            yield b" " * 65_536

    try:
        answer = await stage.client.post(path, content=endless(), headers={"Content-Type": "application/json"})
    except (httpx.WriteError, httpx.ReadError, httpx.RemoteProtocolError):
        answer = None

    assert sent < 32 * 1024 * 1024
    if answer is not None:
        demand_problem(answer, 413, "request.too_large")


async def test_a_body_that_says_itself_that_it_is_too_large_is_refused(stage: Stage) -> None:
    body = json.dumps({"template": "x", "context": {"s": "x" * 300_000}})

    answer = await stage.client.post("/v1/tasks", content=body, headers={"Content-Type": "application/json"})

    demand_problem(answer, 413, "request.too_large")


@pytest.mark.parametrize(
    "media_type", ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=utf-16", "json", ""]
)
async def test_a_body_of_another_media_type_is_refused(stage: Stage, media_type: str) -> None:
    answer = await stage.client.post("/v1/tasks", content=b"{}", headers={"Content-Type": media_type})

    document = demand_problem(answer, 415, "request.media_type")
    assert "application/json" in document["detail"]
    assert answer.headers["Accept-Post"] == "application/json"


async def test_a_body_without_a_media_type_is_refused_where_one_is_needed(stage: Stage) -> None:
    demand_problem(await stage.client.post("/v1/tasks"), 415, "request.media_type")
    with_body = await stage.client.post(f"/v1/tasks/{TASK}/cancel", content=b'{"reason": "x"}')
    demand_problem(with_body, 415, "request.media_type")


QUERIES = [
    ("/v1/tasks?limit=0", "query.invalid"),
    ("/v1/tasks?limit=201", "query.invalid"),
    ("/v1/tasks?limit=ten", "query.invalid"),
    ("/v1/tasks?limit=1&limit=2", "query.repeated"),
    ("/v1/tasks?status=done", "query.invalid"),
    ("/v1/tasks?status=complete,done", "query.invalid"),
    ("/v1/tasks?status=", "query.invalid"),
    ("/v1/tasks?sort=size", "query.invalid"),
    ("/v1/tasks?name=%00", "query.invalid"),
    ("/v1/tasks?name=a'--", "query.invalid"),
    ("/v1/tasks?version=latest", "query.invalid"),
    ("/v1/tasks?created_after=yesterday", "query.invalid"),
    ("/v1/tasks?created_after=2026-01-01T00:00:00", "query.invalid"),
    ("/v1/tasks?created_before=99999999999999999999", "query.invalid"),
    ("/v1/tasks?min_position=-1", "query.invalid"),
    ("/v1/tasks?min_position=1e3", "query.invalid"),
    ("/v1/tasks?offset=3", "query.unknown_key"),
    ("/v1/tasks?" + "&".join(f"p{number}=1" for number in range(80)), "query.too_many"),
    ("/v1/tasks?cursor=", "query.invalid"),
    ("/v1/tasks?cursor=x", "query.cursor"),
    ("/v1/tasks?cursor=%C3%A9", "query.cursor"),
    ("/v1/tasks?cursor=" + "A" * 2000, "query.invalid"),
    ("/v1/tasks?cursor=" + cursor("accepted_at", 1), "query.cursor"),
    ("/v1/tasks?cursor=" + cursor("-accepted_at", 1, 2), "query.cursor"),
    ("/v1/tasks?cursor=" + cursor("-accepted_at", "1); DROP TABLE view_tasks; --"), "query.cursor"),
    ("/v1/tasks?cursor=" + cursor("-accepted_at", *[True]), "query.cursor"),
    ("/v1/tasks?cursor=" + cursor("-accepted_at", None), "query.cursor"),
    ("/v1/tasks?cursor=" + cursor("-accepted_at", [1]), "query.cursor"),
    ("/v1/quarantine?state=lost", "query.invalid"),
    ("/v1/quarantine?code=%27%20OR%201", "query.invalid"),
    ("/v1/ignored?task_id=7", "query.invalid"),
    ("/v1/templates?namespace=a/b", "query.invalid"),
    ("/v1/health/live?verbose=1", "query.unknown_key"),
    (f"/v1/tasks/{TASK}/graph?format=svg", "query.invalid"),
    (f"/v1/tasks/{TASK}/events?until=noon", "query.invalid"),
]


@pytest.mark.parametrize(("path", "code"), QUERIES, ids=[path[:60] for path, _ in QUERIES])
async def test_a_query_that_asks_what_cannot_be_asked_is_a_bad_request(stage: Stage, path: str, code: str) -> None:
    demand_problem(await stage.client.get(path), 400, code)


async def test_an_unknown_query_parameter_is_answered_with_the_known_ones(stage: Stage) -> None:
    document = demand_problem(await stage.client.get("/v1/tasks?stauts=error"), 400, "query.unknown_key")

    assert "status" in document["detail"]
    assert "min_position" in document["detail"]
    assert document["errors"][0]["pointer"] == "/stauts"


PATHS = [
    "/v1/tasks/7",
    f"/v1/tasks/{TASK}x",
    "/v1/tasks/%00",
    "/v1/tasks/%F0%9F%92%A5/steps",
    f"/v1/tasks/{TASK}/steps/-x",
    f"/v1/tasks/{TASK}/steps/{'x' * 129}",
    f"/v1/tasks/{TASK}/steps/a%0Ab",
    "/v1/templates/a%20b/c",
    "/v1/templates/default/fork_and_join/latest",
    "/v1/quarantine/7",
]


@pytest.mark.parametrize("path", PATHS)
async def test_a_path_that_can_name_nothing_is_a_bad_request(stage: Stage, path: str) -> None:
    demand_problem(await stage.client.get(path), 400, "path.invalid")


@pytest.mark.parametrize(
    "path", ["/", "/v1", "/v2/tasks", "/v1/tasks/", "/v1/taskz", f"/v1/tasks/{TASK}/steps/a/b/c", "/v1/../v1/tasks/x/y"]
)
async def test_a_path_that_is_not_served_is_not_found(stage: Stage, path: str) -> None:
    demand_problem(await stage.client.get(path), 404, "request.path")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/v1/tasks", "GET, HEAD, POST"),
        ("PUT", f"/v1/tasks/{TASK}", "GET, HEAD"),
        ("GET", f"/v1/tasks/{TASK}/cancel", "POST"),
        ("POST", "/v1/health/live", "GET, HEAD"),
        ("HEAD", f"/v1/tasks/{TASK}/events", "GET"),
        ("TRACE", "/v1/tasks", "GET, HEAD, POST"),
        ("BREW", "/v1/tasks", "GET, HEAD, POST"),
    ],
)
async def test_a_method_that_a_path_has_not_is_refused_with_those_that_it_has(
    stage: Stage, method: str, path: str, allowed: str
) -> None:
    answer = await stage.client.request(method, path)

    assert answer.status_code == 405
    assert answer.headers["Allow"] == allowed


@pytest.mark.parametrize("accept", ["text/html", "image/*", "application/xml;q=1", "application/json;q=0, text/html"])
async def test_an_answer_that_the_client_would_not_take_is_not_made(stage: Stage, accept: str) -> None:
    demand_problem(await stage.client.get("/v1/tasks", headers={"Accept": accept}), 406, "request.accept")


@pytest.mark.parametrize(
    "accept",
    ["*/*", "application/*", "text/html, application/json;q=0.9", "APPLICATION/JSON", "application/problem+json"],
)
async def test_an_answer_that_the_client_takes_is_made(stage: Stage, accept: str) -> None:
    assert (await stage.client.get("/v1/tasks", headers={"Accept": accept})).status_code == 200


async def test_a_head_is_a_get_without_its_body(stage: Stage) -> None:
    answer = await stage.client.head("/v1/tasks")

    assert (answer.status_code, answer.content) == (200, b"")
    assert int(answer.headers["content-length"]) > 0


async def test_a_key_that_cannot_be_one_is_refused(stage: Stage) -> None:
    for key in ("", '""', "x" * 257):
        answer = await stage.client.post(
            "/v1/tasks", json={"template": "fork_and_join"}, headers={"Idempotency-Key": key}
        )
        demand_problem(answer, 400, "request.idempotency_key")


async def test_a_client_that_never_ends_its_body_is_let_go(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stepbus.projections.api.reading.BODY_TIMEOUT_S", 0.05)
    url = httpx.URL(stage.url)
    reader, writer = await asyncio.open_connection(url.host, url.port)
    head = "POST /v1/tasks HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{"
    writer.write(head.encode())

    answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)

    assert answer.startswith(b"HTTP/1.1 408 ")
    writer.close()
    await writer.wait_closed()


async def test_a_client_that_hangs_up_in_its_body_harms_nobody(stage: Stage) -> None:
    url = httpx.URL(stage.url)
    _, writer = await asyncio.open_connection(url.host, url.port)
    head = "POST /v1/tasks HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{"
    writer.write(head.encode())
    await writer.drain()
    writer.close()
    await writer.wait_closed()

    assert (await stage.client.get("/v1/health/live")).status_code == 200


async def test_what_is_no_http_at_all_harms_nobody(stage: Stage) -> None:
    url = httpx.URL(stage.url)
    assert url.port is not None
    with socket.create_connection((url.host, url.port)) as connection:
        connection.sendall(b"\x16\x03\x01" + bytes(200))

    assert (await stage.client.get("/v1/health/live")).status_code == 200


async def test_a_defect_is_answered_without_its_details(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> None:
        raise RuntimeError("secret of the house")

    monkeypatch.setattr(stage.parts.desk, "health_of", broken)

    answer = await stage.client.get("/v1/health/ready")

    document = demand_problem(answer, 500, "api.failure")
    assert "secret" not in json.dumps(document)
    assert "GET /v1/health/ready failed" in caplog.text
