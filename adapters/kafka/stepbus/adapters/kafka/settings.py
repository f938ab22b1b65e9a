"""What a `kafka:` URL says."""

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from stepbus.contracts.problems import refuse

OPTIONS = (
    "ack_wait",
    "connect_timeout",
    "max_message",
    "partitions",
    "replication_factor",
    "sasl",
    "session_timeout",
    "tls",
    "tls_ca",
)
DEFAULT_PORT = 9092
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")

_MIB = 1024 * 1024
_SHORTEST_SESSION_S = 6
"""What a broker allows at least unless told otherwise, in its `group.min.session.timeout.ms`."""


@dataclass(frozen=True, slots=True)
class KafkaSettings:
    """Where the brokers are, and what is asked of them.

    Shape: `addresses` are `host:port` of those to ask first. `partitions` (of `tasks` and of each job queue) and
    `replication_factor` are of topics that are created. `tls_ca` is a file of certificates to trust instead of the
    system's. Units: `max_message` is in bytes.
    """

    addresses: tuple[str, ...]
    user: str = ""
    password: str = field(default="", repr=False)
    sasl: str = "PLAIN"
    is_tls: bool = False
    tls_ca: Path | None = None
    connect_timeout_s: float = 5.0
    ack_wait_s: float = 30.0
    session_timeout_s: float = 10.0
    max_message: int = _MIB
    partitions: int = 8
    replication_factor: int = 1

    @property
    def hosts(self) -> str:
        """Give the addresses for people to read."""
        return ", ".join(self.addresses)

    def to_connect(self) -> Mapping[str, Any]:
        """Give what each client of the brokers is made with."""
        protocol = f"{'SASL_' if self.user else ''}{'SSL' if self.is_tls else 'PLAINTEXT'}"
        told: dict[str, Any] = {"bootstrap_servers": list(self.addresses), "security_protocol": protocol}
        if self.is_tls:
            told["ssl_context"] = ssl.create_default_context(cafile=self.tls_ca)
        if self.user:
            told |= {
                "sasl_mechanism": self.sasl,
                "sasl_plain_username": self.user,
                "sasl_plain_password": self.password,
            }
        return told


def parse(url: str) -> KafkaSettings:
    """Give the settings that `kafka://user:password@host:port,host:port?ack_wait=30` stands for.

    Raises:
        Refused: the URL names no host, or holds something that is not known.
    """
    split = _split(url)
    options = _options(split.query)
    credentials, _, hosts = split.netloc.rpartition("@")
    user, _, password = credentials.partition(":")
    is_tls = _one_of(options, "tls", ("false", "true")) == "true"
    if "tls_ca" in options and not is_tls:
        raise refuse("settings.option", "expected tls_ca only beside tls=true, found it without")
    if "sasl" in options and not user:
        raise refuse("settings.option", "expected sasl only beside a user and password, found it without")
    return KafkaSettings(
        addresses=tuple(_address(host) for host in hosts.split(",")),
        user=unquote(user),
        password=unquote(password),
        sasl=_one_of(options, "sasl", MECHANISMS),
        is_tls=is_tls,
        tls_ca=Path(options["tls_ca"]) if "tls_ca" in options else None,
        connect_timeout_s=_seconds(options, "connect_timeout", 5.0),
        ack_wait_s=_seconds(options, "ack_wait", 30.0),
        session_timeout_s=_seconds(options, "session_timeout", 10.0, at_least=_SHORTEST_SESSION_S),
        max_message=_whole(options, "max_message", _MIB, 1024, 1024 * _MIB),
        partitions=_whole(options, "partitions", 8, 1, 10_000),
        replication_factor=_whole(options, "replication_factor", 1, 1, 99),
    )


def _split(url: str) -> SplitResult:
    scheme, _, rest = url.partition("://")
    hosts = re.split(r"[/?#]", rest, maxsplit=1)[0]  # several hosts are not what urlsplit calls a netloc
    split = urlsplit(f"{scheme}://{rest[len(hosts) :]}")._replace(netloc=hosts)
    if split.scheme != "kafka":
        raise refuse("settings.url", f"expected a URL that begins with kafka://, found {split.scheme!r}")
    if split.path.strip("/") or split.fragment:
        raise refuse("settings.url", "expected a URL of hosts and options only, found a path or a fragment")
    return split


def _address(host: str) -> str:
    try:
        parts = urlsplit(f"//{host}")
        name, port = parts.hostname, parts.port or DEFAULT_PORT
    except ValueError as error:
        raise refuse("settings.url", f"expected host:port, found {host!r}: {error}") from error
    if not name:
        raise refuse("settings.url", "expected a host, as in kafka://host:9092, found none")
    return f"[{name}]:{port}" if ":" in name else f"{name}:{port}"


def _options(query: str) -> Mapping[str, str]:
    options: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in OPTIONS:
            raise refuse("settings.unknown_option", f"expected one of {', '.join(OPTIONS)}, found {name!r}")
        if name in options:
            raise refuse("settings.repeated_option", f"expected {name!r} once, found it again")
        options[name] = value
    return options


def _one_of(options: Mapping[str, str], name: str, known: tuple[str, ...]) -> str:
    value = options.get(name, known[0])
    if value not in known:
        raise refuse("settings.option", f"expected {name!r} to be one of {', '.join(known)}, found {value!r}")
    return value


def _seconds(options: Mapping[str, str], name: str, default: float, at_least: float = 0) -> float:
    text = options.get(name)
    if text is None:
        return default
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not isfinite(value) or value <= 0 or value < at_least:
        expected = f"of at least {at_least}" if at_least else "above 0"
        raise refuse("settings.option", f"expected {name!r} to be a number of seconds {expected}, found {text!r}")
    return value


def _whole(options: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    text = options.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdecimal() and least <= int(text) <= most):
        raise refuse("settings.option", f"expected {name!r} to be {least} to {most:,}, found {text!r}")
    return int(text)
