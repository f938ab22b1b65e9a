"""What a `nats:` URL says."""

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, unquote

from stepbus.contracts.problems import refuse
from stepbus.contracts.urls import address_of, options_of, seconds, shown, split_of

OPTIONS = ("ack_wait", "connect_timeout", "replicas", "tls_ca")
DEFAULT_PORT = 4222


@dataclass(frozen=True, slots=True)
class NatsSettings:
    """Where the servers are, and what is asked of them.

    Shape: `servers` are URLs, with a token if that is the credential, never to be shown; `hosts` are the same without.
    `replicas` is of the streams that are created. `tls_ca` is a file of certificates to trust instead of the system's.
    """

    servers: tuple[str, ...] = field(repr=False)
    hosts: str
    user: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    is_tls: bool = False
    tls_ca: Path | None = None
    connect_timeout_s: float = 5.0
    ack_wait_s: float = 30.0
    replicas: int = 1

    def tls_context(self) -> ssl.SSLContext | None:
        """Give what a TLS connection is checked with; None for one without TLS."""
        return ssl.create_default_context(cafile=self.tls_ca) if self.is_tls else None


def parse(url: str) -> NatsSettings:
    """Give the settings that `nats://user:password@host:port,host:port?connect_timeout=5` stands for.

    Raises:
        Refused: the URL names no host, or holds something that is not known.
    """
    split = _split(url)
    options = options_of(split.query, OPTIONS)
    credentials, _, hosts = split.netloc.rpartition("@")
    addresses = [shown(address_of(host, DEFAULT_PORT, "nats://host:4222")) for host in hosts.split(",")]
    user, has_password, password = credentials.partition(":")
    token = f"{credentials}@" if credentials and not has_password else ""
    is_tls = split.scheme == "tls"
    if "tls_ca" in options and not is_tls:
        raise refuse("settings.option", "expected tls_ca only beside tls://, found it beside nats://")
    return NatsSettings(
        servers=tuple(f"{split.scheme}://{token}{address}" for address in addresses),
        hosts=", ".join(addresses),
        user=unquote(user) if has_password else None,
        password=unquote(password) if has_password else None,
        is_tls=is_tls,
        tls_ca=Path(options["tls_ca"]) if "tls_ca" in options else None,
        connect_timeout_s=seconds(options, "connect_timeout", 5.0),
        ack_wait_s=seconds(options, "ack_wait", 30.0),
        replicas=_replicas(options.get("replicas", "1")),
    )


def _split(url: str) -> SplitResult:
    split = split_of(url)
    if split.scheme not in {"nats", "tls"}:
        raise refuse("settings.url", f"expected a URL that begins with nats:// or tls://, found {split.scheme!r}")
    if split.path.strip("/") or split.fragment:
        raise refuse("settings.url", "expected a URL of hosts and options only, found a path or a fragment")
    return split


def _replicas(text: str) -> int:
    if text not in {"1", "3", "5"}:
        raise refuse("settings.option", f"expected 'replicas' to be 1, 3 or 5, found {text!r}")
    return int(text)
