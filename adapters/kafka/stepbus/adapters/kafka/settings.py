"""What a `kafka:` URL says."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, unquote
from uuid import uuid4

from stepbus.contracts.problems import refuse
from stepbus.contracts.urls import address_of, options_of, seconds, shown, split_of, whole
from stepbus.orchestrator.ports import BusSettings

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
_SESSION_S, _SHORTEST_SESSION_S = 10.0, 6
"""What a broker allows at least unless told otherwise, in its `group.min.session.timeout.ms`."""


@dataclass(frozen=True, slots=True)
class KafkaSettings:
    """Where the brokers are, and what is asked of them.

    Shape: `addresses` are `host:port` of those to ask first. `partitions` (of `tasks` and of each job queue) and
    `replication_factor` are of topics that are created. `tls_ca` is a file of certificates to trust instead of the
    system's. `session_timeout_s` is 0 where the URL does not say it. `name` ends the names of all consumers of one bus.
    Units: `max_message` is in bytes.
    """

    addresses: tuple[str, ...]
    user: str = ""
    password: str = field(default="", repr=False)
    sasl: str = "PLAIN"
    is_tls: bool = False
    tls_ca: Path | None = None
    connect_timeout_s: float = 5.0
    ack_wait_s: float = 30.0
    session_timeout_s: float = 0.0
    max_message: int = _MIB
    partitions: int = 8
    replication_factor: int = 1
    name: str = ""

    @property
    def hosts(self) -> str:
        """Give the addresses for people to read."""
        return ", ".join(self.addresses)

    def settled(self, bus: BusSettings) -> "KafkaSettings":
        """Give them for one bus, with nothing left open."""
        wanted_s = max(bus.session_timeout_s, _SHORTEST_SESSION_S) if bus.session_timeout_s else _SESSION_S
        return replace(self, session_timeout_s=self.session_timeout_s or wanted_s, name=uuid4().hex[:12])

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
    options = options_of(split.query, OPTIONS)
    credentials, _, hosts = split.netloc.rpartition("@")
    user, _, password = credentials.partition(":")
    is_tls = _one_of(options, "tls", ("false", "true")) == "true"
    if "tls_ca" in options and not is_tls:
        raise refuse("settings.option", "expected tls_ca only beside tls=true, found it without")
    if "sasl" in options and not user:
        raise refuse("settings.option", "expected sasl only beside a user and password, found it without")
    return KafkaSettings(
        addresses=tuple(shown(address_of(host, DEFAULT_PORT, "kafka://host:9092")) for host in hosts.split(",")),
        user=unquote(user),
        password=unquote(password),
        sasl=_one_of(options, "sasl", MECHANISMS),
        is_tls=is_tls,
        tls_ca=Path(options["tls_ca"]) if "tls_ca" in options else None,
        connect_timeout_s=seconds(options, "connect_timeout", 5.0),
        ack_wait_s=seconds(options, "ack_wait", 30.0),
        session_timeout_s=seconds(options, "session_timeout", 0.0, at_least=_SHORTEST_SESSION_S),
        max_message=whole(options, "max_message", _MIB, 1024, 1024 * _MIB),
        partitions=whole(options, "partitions", 8, 1, 10_000),
        replication_factor=whole(options, "replication_factor", 1, 1, 99),
    )


def _split(url: str) -> SplitResult:
    split = split_of(url)
    if split.scheme != "kafka":
        raise refuse("settings.url", f"expected a URL that begins with kafka://, found {split.scheme!r}")
    if split.path.strip("/") or split.fragment:
        raise refuse("settings.url", "expected a URL of hosts and options only, found a path or a fragment")
    return split


def _one_of(options: Mapping[str, str], name: str, known: tuple[str, ...]) -> str:
    value = options.get(name, known[0])
    if value not in known:
        raise refuse("settings.option", f"expected {name!r} to be one of {', '.join(known)}, found {value!r}")
    return value
