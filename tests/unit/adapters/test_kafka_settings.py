"""What a `kafka:` URL says."""

import pytest

from stepbus.adapters.kafka import connect
from stepbus.adapters.kafka.settings import KafkaSettings, parse
from stepbus.contracts.problems import Refused
from stepbus.orchestrator.ports import BusSettings


def test_a_plain_url_is_a_broker_with_all_else_as_usual() -> None:
    assert parse("kafka://localhost") == KafkaSettings(addresses=("localhost:9092",))


def test_several_brokers_are_asked_in_turn() -> None:
    settings = parse("kafka://a:1,b,[::1]:3")

    assert settings.addresses == ("a:1", "b:9092", "[::1]:3")
    assert settings.hosts == "a:1, b:9092, [::1]:3"


def test_options_are_read() -> None:
    settings = parse("kafka://a?ack_wait=2.5&connect_timeout=1&partitions=3&replication_factor=2&session_timeout=6")

    assert settings == KafkaSettings(
        addresses=("a:9092",),
        ack_wait_s=2.5,
        connect_timeout_s=1.0,
        partitions=3,
        replication_factor=2,
        session_timeout_s=6.0,
    )


@pytest.mark.parametrize(
    ("options", "wanted_s", "session_s"),
    [("", 0.0, 10.0), ("", 2.5, 6.0), ("", 30.0, 30.0), ("?session_timeout=8", 2.5, 8.0)],
)
def test_the_url_says_how_long_a_process_may_be_silent_or_else_the_bus_or_else_10_seconds(
    options: str, wanted_s: float, session_s: float
) -> None:
    settings = parse(f"kafka://a{options}").settled(BusSettings(session_timeout_s=wanted_s))

    assert settings.session_timeout_s == session_s


def test_credentials_may_hold_any_letters_and_are_never_shown() -> None:
    settings = parse("kafka://ann:p%40ss%3Aword@a?sasl=SCRAM-SHA-512")

    told = settings.to_connect()
    assert (told["security_protocol"], told["sasl_mechanism"]) == ("SASL_PLAINTEXT", "SCRAM-SHA-512")
    assert (told["sasl_plain_username"], told["sasl_plain_password"]) == ("ann", "p@ss:word")
    assert "p@ss" not in repr(settings) + settings.hosts


def test_tls_is_checked_against_the_machines_certificates() -> None:
    told = parse("kafka://a?tls=true").to_connect()

    assert told["security_protocol"] == "SSL"
    assert told["ssl_context"].check_hostname
    assert parse("kafka://ann:x@a?tls=true").to_connect()["security_protocol"] == "SASL_SSL"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("kafka://", "expected a host"),
        ("kafka://a:x", "expected host:port"),
        ("kafka://a/path", "found a path"),
        ("kafka://a?partition=3", "expected one of ack_wait"),
        ("kafka://a?partitions=3&partitions=4", "expected 'partitions' once"),
        ("kafka://a?partitions=0", "expected 'partitions' to be 1 to 10,000, found '0'"),
        ("kafka://a?partitions=x", "found 'x'"),
        ("kafka://a?ack_wait=0", "above 0, found '0'"),
        ("kafka://a?ack_wait=nan", "found 'nan'"),
        ("kafka://a?session_timeout=5", "of at least 6, found '5'"),
        ("kafka://a?max_message=1", "found '1'"),
        ("kafka://a?tls=yes", "expected 'tls' to be one of false, true, found 'yes'"),
        ("kafka://a?tls_ca=x.pem", "only beside tls=true"),
        ("kafka://a?sasl=PLAIN", "only beside a user"),
        ("kafka://u:p@a?sasl=GSSAPI", "expected 'sasl' to be one of PLAIN"),
        ("nats://a", "begins with kafka://"),
    ],
)
def test_what_is_not_known_is_refused(url: str, said: str) -> None:
    with pytest.raises(Refused, match=said):
        connect(url)
