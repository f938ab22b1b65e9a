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


OVERLOADED = httpx.Response(503, json={"code": "task.overloaded", "detail": "full"}, headers={"Retry-After": "2"})


def api_with(answers: list[httpx.Response], slept: list[float]) -> Api:
    """An API that gives these answers, one after the other."""
    return Api(URL, None, httpx.MockTransport(lambda _: answers.pop(0)), slept.append)


def test_a_task_turned_away_for_now_is_asked_for_again_after_the_time_that_is_said(
    capsys: pytest.CaptureFixture[str],
) -> None:
    slept: list[float] = []
    silent = httpx.Response(503, json={"code": "task.overloaded", "detail": "full"}, headers={"Retry-After": "soon"})
    with api_with([OVERLOADED, silent, httpx.Response(202, json={"task_id": "x"})], slept) as api:
        assert api.post("tasks") == {"task_id": "x"}
    assert len(slept) == 2
    assert 2 <= slept[0] <= 3
    assert 1 <= slept[1] <= 1.5
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.count("task.overloaded: full; trying again in") == 2


def test_who_is_turned_away_again_and_again_gives_up() -> None:
    slept: list[float] = []
    with api_with([OVERLOADED] * 20, slept) as api, pytest.raises(Failure, match="full"):
        api.post("tasks")
    assert len(slept) == 9


def test_no_server_can_have_a_client_wait_for_long() -> None:
    slept: list[float] = []
    for_ever = httpx.Response(503, json={"code": "task.overloaded", "detail": "full"}, headers={"Retry-After": "9" * 9})
    with api_with([for_ever, httpx.Response(202, json={})], slept) as api:
        api.post("tasks")
    assert slept[0] <= 45


def test_what_else_cannot_be_answered_now_is_not_asked_for_again() -> None:
    slept: list[float] = []
    away = httpx.Response(503, json={"code": "store.unavailable", "detail": "away"}, headers={"Retry-After": "1"})
    with api_with([away, away], slept) as api, pytest.raises(Failure, match="away"):
        api.post("tasks")
    assert slept == []


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
