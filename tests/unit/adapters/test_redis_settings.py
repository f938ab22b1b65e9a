"""What a `redis:` URL says, and what it may not say."""

from pathlib import Path

import pytest

from stepbus.adapters.redis.settings import parse
from stepbus.contracts.problems import Refused


def test_a_url_of_one_host_has_the_usual_port_and_defaults() -> None:
    settings = parse("redis://broker")

    assert (settings.host, settings.port, settings.database, settings.is_tls) == ("broker", 6379, 0, False)
    assert (settings.user, settings.password) == (None, None)
    assert (settings.connect_timeout_s, settings.ack_wait_s, settings.max_message_bytes) == (5.0, 30.0, 1_048_576)


def test_credentials_and_database_are_read() -> None:
    settings = parse("redis://ann:s3%3Acret%40@one:7000/5")

    assert (settings.user, settings.password) == ("ann", "s3:cret@")
    assert (settings.host_and_port, settings.database) == ("one:7000", 5)


def test_a_password_may_stand_alone() -> None:
    settings = parse("redis://:s3cret@one/")

    assert (settings.user, settings.password) == (None, "s3cret")


def test_credentials_are_never_shown() -> None:
    shown = repr(parse("redis://ann:s3cret@one"))

    assert "s3cret" not in shown
    assert "ann" not in shown


def test_an_address_of_six_is_shown_in_brackets() -> None:
    assert parse("redis://[::1]:7000").host_and_port == "[::1]:7000"


def test_options_are_read() -> None:
    settings = parse("redis://one?connect_timeout=0.5&ack_wait=2&max_message=1000")

    assert (settings.connect_timeout_s, settings.ack_wait_s, settings.max_message_bytes) == (0.5, 2.0, 1000)


def test_tls_trusts_the_system_or_the_file_that_is_named() -> None:
    assert parse("rediss://one").is_tls
    assert parse("rediss://one?tls_ca=/etc/ca.pem").tls_ca == Path("/etc/ca.pem")


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("http://one", "redis:// or rediss://"),
        ("redis://", "a host"),
        ("redis:///0", "a host"),
        ("redis://one,two", "one host"),
        ("redis://one:port", "host:port"),
        ("redis://one:99999", "host:port"),
        ("redis://one/tasks", "the number of a database"),
        ("redis://one/1/2", "the number of a database"),
        ("redis://one/-1", "the number of a database"),
        ("redis://one#x", "options only"),
        ("redis://one?acks=1", "one of ack_wait, connect_timeout, max_message, tls_ca"),
        ("redis://one?ack_wait=1&ack_wait=3", "once"),
        ("redis://one?ack_wait=0", "above 0"),
        ("redis://one?ack_wait=soon", "above 0"),
        ("redis://one?connect_timeout=inf", "above 0"),
        ("redis://one?max_message=0", "1 to 536870912 bytes"),
        ("redis://one?max_message=1MiB", "1 to 536870912 bytes"),
        ("redis://one?max_message=536870913", "1 to 536870912 bytes"),
        ("redis://one?tls_ca=/etc/ca.pem", "only beside rediss://"),
    ],
)
def test_what_is_not_known_is_refused(url: str, told: str) -> None:
    with pytest.raises(Refused, match=told):
        parse(url)


def test_a_refusal_shows_no_credentials() -> None:
    with pytest.raises(Refused) as refused:
        parse("redis://ann:s3cret@one:port")

    assert "s3cret" not in str(refused.value)
