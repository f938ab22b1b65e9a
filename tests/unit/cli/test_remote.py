"""What the command line makes of an answer, whoever gave it."""

import httpx
import pytest

from stepbus.orchestrator.cli.failure import Failure
from stepbus.orchestrator.cli.pages import all_of
from stepbus.orchestrator.cli.remote import Api, Notice, path_of, shown_by

URL = "http://stepbus.test"


def api_that(
    answers: httpx.Response | Exception, key: str | None = None, seen: list[httpx.Request] | None = None
) -> Api:
    def answer(request: httpx.Request) -> httpx.Response:
        if seen is not None:
            seen.append(request)
        if isinstance(answers, Exception):
            raise answers
        return answers

    return Api(URL, key, httpx.MockTransport(answer))


def failure_of(answer: httpx.Response | Exception) -> Failure:
    with api_that(answer) as api, pytest.raises(Failure) as caught:
        api.get("tasks")
    return caught.value


def test_nobody_there_says_where_and_what_to_do() -> None:
    failure = failure_of(httpx.ConnectError("Connection refused"))

    assert failure.code == "api.unreachable"
    assert URL in failure.message
    assert "`stepbus dev` starts one" in failure.message


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, text="<html>"),
        httpx.Response(200, json=[]),
        httpx.Response(404, text="no such page"),
        httpx.Response(502, json={"error": "bad gateway"}),
        httpx.Response(400, json={"code": 7}),
        httpx.Response(400, json={"code": "Bad Request"}),
        httpx.Response(400, json={"code": "bad", "errors": ["no"]}),
        httpx.Response(400, json={"code": "bad", "errors": 7}),
    ],
)
def test_somebody_else_there_is_not_taken_for_stepbus(answer: httpx.Response) -> None:
    assert failure_of(answer).code == "api.unexpected"


def test_a_problem_document_is_told_with_all_its_problems() -> None:
    problem = {"code": "request.invalid", "pointer": "/context", "message": "expected an object, found a list"}
    failure = failure_of(httpx.Response(422, json={"code": "request.invalid", "detail": "no", "errors": [problem]}))

    assert (failure.code, failure.message) == ("request.invalid", "no")
    assert [found.pointer for found in failure.problems] == ["/context"]


@pytest.mark.parametrize("url", ["no url", "ftp://host", "http://host:port"])
def test_what_is_no_url_of_an_api_is_said_to_be_none(url: str) -> None:
    with pytest.raises(Failure) as caught, Api(url) as api:
        api.get("tasks")

    assert caught.value.code in {"api.url", "api.unreachable"}


def test_the_key_goes_with_every_request() -> None:
    seen: list[httpx.Request] = []
    with api_that(httpx.Response(200, json={}), key="hush", seen=seen) as api:
        api.get("tasks")
        api.post("tasks")

    assert [request.headers["authorization"] for request in seen] == ["Bearer hush", "Bearer hush"]


def test_names_are_escaped_in_paths() -> None:
    seen: list[httpx.Request] = []
    with api_that(httpx.Response(200, json={}), seen=seen) as api:
        api.get(path_of("tasks", "../quarantine", "steps", "a@b:c+d"))

    assert seen[0].url.raw_path == b"/v1/tasks/..%2Fquarantine/steps/a%40b%3Ac%2Bd"


def test_a_write_that_the_views_do_not_show_yet_is_done_all_the_same() -> None:
    with api_that(httpx.Response(503, json={"code": "view.behind", "detail": "late"})) as api:
        assert shown_by(api, "tasks/x", 7) is None
    with api_that(httpx.Response(404, json={"code": "task.unknown", "detail": "none"})) as api, pytest.raises(Failure):
        shown_by(api, "tasks/x", 7)


def test_a_stream_is_told_apart_into_its_events() -> None:
    stream = ': hello\n\nid: 7.0\nevent: StepCompleted\ndata: {"step":\ndata: 1}\n\nid: 8.0\n\nevent: end\ndata: {}\n\n'
    with api_that(httpx.Response(200, text=stream)) as api:
        notices = list(api.notices("tasks/x/events"))

    assert notices == [Notice("7.0", "StepCompleted", {"step": 1}), Notice("8.0", "end", {})]


def test_a_stream_that_is_refused_says_why() -> None:
    refusal = httpx.Response(503, json={"code": "events.too_many", "detail": "too many"})
    with api_that(refusal) as api, pytest.raises(Failure, match="too many"):
        list(api.notices("tasks/x/events"))


def test_a_listing_is_read_page_by_page_up_to_the_limit() -> None:
    seen: list[httpx.Request] = []

    def page(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        start = int(request.url.params.get("cursor", "0"))
        end = start + int(request.url.params["limit"])
        return httpx.Response(200, json={"tasks": list(range(start, end)), "next_cursor": str(end)})

    with Api(URL, None, httpx.MockTransport(page)) as api:
        found = all_of(api, "tasks", "tasks", 450, name=None)

    assert found == {"tasks": list(range(450)), "next_cursor": "450"}
    assert [dict(request.url.params) for request in seen] == [
        {"limit": "200"},
        {"cursor": "200", "limit": "200"},
        {"cursor": "400", "limit": "50"},
    ]
