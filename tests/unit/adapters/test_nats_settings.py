"""What a `nats:` URL says, and what it may not say."""

from pathlib import Path

import pytest

from stepbus.adapters.nats.settings import parse
from stepbus.contracts.problems import Refused


def test_a_url_of_one_host_has_the_usual_port_and_defaults() -> None:
    settings = parse("nats://broker")

    assert settings.servers == ("nats://broker:4222",)
    assert (settings.connect_timeout_s, settings.ack_wait_s, settings.replicas) == (5.0, 30.0, 1)
    assert settings.tls_context() is None


def test_several_hosts_share_the_credentials() -> None:
    settings = parse("nats://ann:s3cret@one:4222,two,[::1]:5000")

    assert settings.servers == ("nats://one:4222", "nats://two:4222", "nats://[::1]:5000")
    assert (settings.user, settings.password) == ("ann", "s3cret")
    assert settings.hosts == "one:4222, two:4222, [::1]:5000"


def test_credentials_are_percent_decoded() -> None:
    settings = parse("nats://ann%40shop:p%3Aw%2F%25@one")

    assert (settings.user, settings.password) == ("ann@shop", "p:w/%")


def test_a_user_without_a_password_is_a_token() -> None:
    settings = parse("nats://t0ken@one")

    assert settings.servers == ("nats://t0ken@one:4222",)
    assert settings.user is None
    assert "t0ken" not in repr(settings)


def test_credentials_are_never_shown() -> None:
    assert "s3cret" not in repr(parse("nats://ann:s3cret@one"))


def test_options_are_read() -> None:
    settings = parse("nats://one?connect_timeout=0.5&ack_wait=2&replicas=3")

    assert (settings.connect_timeout_s, settings.ack_wait_s, settings.replicas) == (0.5, 2.0, 3)


def test_tls_trusts_the_system_or_the_file_that_is_named() -> None:
    assert parse("tls://one").tls_context() is not None
    assert parse("tls://one?tls_ca=/etc/ca.pem").tls_ca == Path("/etc/ca.pem")


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("http://one", "nats:// or tls://"),
        ("nats://", "a host"),
        ("nats://one,", "a host"),
        ("nats://one:port", "host:port"),
        ("nats://one:99999", "host:port"),
        ("nats://one/tasks", "hosts and options only"),
        ("nats://one#x", "hosts and options only"),
        ("nats://one?acks=1", "one of ack_wait, connect_timeout, replicas, tls_ca"),
        ("nats://one?replicas=2", "1, 3 or 5"),
        ("nats://one?replicas=1&replicas=3", "once"),
        ("nats://one?ack_wait=0", "above 0"),
        ("nats://one?ack_wait=soon", "above 0"),
        ("nats://one?connect_timeout=inf", "above 0"),
        ("nats://one?connect_timeout=", "above 0"),
        ("nats://one?tls_ca=/etc/ca.pem", "only beside tls://"),
    ],
)
def test_what_is_not_known_is_refused_and_told(url: str, told: str) -> None:
    with pytest.raises(Refused, match=told):
        parse(url)
