"""What an `amqp:` URL says, and what it may not say."""

from pathlib import Path

import pytest

from stepbus.adapters.rabbitmq.settings import parse
from stepbus.contracts.problems import Refused


def test_a_url_of_one_host_has_the_usual_port_and_defaults() -> None:
    settings = parse("amqp://broker")

    assert settings.addresses == (("broker", 5672),)
    assert (settings.user, settings.password, settings.vhost) == ("guest", "guest", "/")
    assert (settings.connect_timeout_s, settings.ack_wait_s, settings.max_message) == (5.0, 30.0, 1_048_576)
    assert settings.tls_context() is None


def test_several_hosts_share_credentials_and_virtual_host() -> None:
    settings = parse("amqp://ann:s3%40cret@one:5673,two,[::1]:5000/a%2Fb")

    assert settings.addresses == (("one", 5673), ("two", 5672), ("::1", 5000))
    assert settings.hosts == "one:5673, two:5672, [::1]:5000"
    assert (settings.user, settings.password, settings.vhost) == ("ann", "s3@cret", "a/b")


def test_credentials_are_never_shown() -> None:
    assert "s3cret" not in repr(parse("amqp://ann:s3cret@one"))


def test_options_are_read() -> None:
    settings = parse("amqp://one?connect_timeout=0.5&ack_wait=2&max_message=5&session_timeout=6")

    assert (settings.connect_timeout_s, settings.ack_wait_s, settings.max_message) == (0.5, 2.0, 5)
    assert settings.session_timeout_s == 6.0


@pytest.mark.parametrize(
    ("options", "wanted_s", "heartbeat_s"),
    [("", 0.0, 5), ("", 2.5, 1), ("", 30.0, 10), ("?session_timeout=6", 2.5, 2), ("?session_timeout=3", 0.0, 1)],
)
def test_the_url_says_how_long_a_process_may_be_silent_or_else_the_bus_or_else_15_seconds(
    options: str, wanted_s: float, heartbeat_s: int
) -> None:
    assert parse(f"amqp://one{options}").heartbeat_s(wanted_s) == heartbeat_s


def test_tls_has_its_own_port_and_trusts_the_system_or_the_file_that_is_named() -> None:
    assert parse("amqps://one").addresses == (("one", 5671),)
    assert parse("amqps://one").tls_context() is not None
    assert parse("amqps://one?tls_ca=ca.pem").tls_ca == Path("ca.pem")


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("nats://one", "settings.url"),
        ("amqp://", "settings.url"),
        ("amqp://one,", "settings.url"),
        ("amqp://one:port", "settings.url"),
        ("amqp://one:70000", "settings.url"),
        ("amqp://one/a/b", "settings.url"),
        ("amqp://one#a", "settings.url"),
        ("amqp://one?replicas=3", "settings.unknown_option"),
        ("amqp://one?ack_wait=1&ack_wait=2", "settings.repeated_option"),
        ("amqp://one?ack_wait=0", "settings.option"),
        ("amqp://one?ack_wait=inf", "settings.option"),
        ("amqp://one?connect_timeout=soon", "settings.option"),
        ("amqp://one?session_timeout=2", "settings.option"),
        ("amqp://one?max_message=0", "settings.option"),
        ("amqp://one?max_message=1e6", "settings.option"),
        ("amqp://one?max_message=134217729", "settings.option"),
        ("amqp://one?tls_ca=ca.pem", "settings.option"),
    ],
)
def test_what_a_url_may_not_say_is_refused(url: str, code: str) -> None:
    with pytest.raises(Refused, match="expected") as refused:
        parse(url)

    assert refused.value.problems[0].code == code
