"""URLs are read alike by every adapter: each mistake is told with what was expected and found."""

from collections.abc import Callable
from typing import Any

import pytest

from stepbus.contracts.problems import Refused
from stepbus.contracts.urls import address_of, options_of, positive, seconds, shown, split_of, whole


def test_several_hosts_with_credentials_path_and_options_are_taken_apart() -> None:
    split = split_of("amqp://user:p%2Fw@one:1,[::1]:2/path?a=1&b=2#end")

    assert (split.scheme, split.netloc, split.path) == ("amqp", "user:p%2Fw@one:1,[::1]:2", "/path")
    assert (split.query, split.fragment) == ("a=1&b=2", "end")


@pytest.mark.parametrize(
    ("host", "address", "written"),
    [("one", ("one", 7), "one:7"), ("one:9", ("one", 9), "one:9"), ("[::1]:9", ("::1", 9), "[::1]:9")],
)
def test_an_address_has_a_name_and_a_port(host: str, address: tuple[str, int], written: str) -> None:
    assert address_of(host, 7, "x://host:7") == address
    assert shown(address) == written


def test_an_option_that_is_not_there_is_its_default() -> None:
    assert (positive({}, "a", 1.5), seconds({}, "a", 2.5), whole({}, "a", 3, 1, 9)) == (1.5, 2.5, 3)


def test_an_option_is_the_number_that_it_says() -> None:
    assert (
        positive({"a": "0.5"}, "a", 1),
        seconds({"a": "6"}, "a", 1, at_least=6),
        whole({"a": "9"}, "a", 3, 1, 9),
    ) == (
        0.5,
        6,
        9,
    )


@pytest.mark.parametrize(
    ("read", "code", "message"),
    [
        (lambda: address_of(":7", 7, "x://host:7"), "settings.url", "expected a host, as in x://host:7, found none"),
        (lambda: address_of("one:x", 7, "x://host:7"), "settings.url", "expected host:port, found 'one:x'"),
        (lambda: options_of("c=1", ("b", "a")), "settings.unknown_option", "expected one of a, b, found 'c'"),
        (lambda: options_of("c=1", ()), "settings.unknown_option", "expected no options, found 'c'"),
        (lambda: options_of("a=1&a=2", ("a",)), "settings.repeated_option", "expected 'a' once, found it again"),
        (lambda: positive({"a": "x"}, "a", 1), "settings.option", "expected 'a' to be a number above 0, found 'x'"),
        (lambda: positive({"a": "inf"}, "a", 1), "settings.option", "a number above 0, found 'inf'"),
        (lambda: seconds({"a": "0"}, "a", 1), "settings.option", "a number of seconds above 0, found '0'"),
        (lambda: seconds({"a": "5"}, "a", 9, at_least=6), "settings.option", "of seconds of at least 6, found '5'"),
        (lambda: whole({"a": "1e3"}, "a", 1, 1, 1000), "settings.option", "expected 'a' to be 1 to 1,000, found '1e3'"),
        (lambda: whole({"a": "0"}, "a", 1, 1, 9, "bytes"), "settings.option", "to be 1 to 9 bytes, found '0'"),
        (lambda: whole({"a": "9" * 5000}, "a", 1, 1, 9), "settings.option", "expected 'a' to be 1 to 9, found"),
    ],
)
def test_what_is_wrong_is_told_with_what_was_expected(read: Callable[[], Any], code: str, message: str) -> None:
    with pytest.raises(Refused) as refusal:
        read()

    (problem,) = refusal.value.problems
    assert problem.code == code
    assert message in problem.message
