"""Servers that demand TLS and a password of whoever comes, and the URLs by which one does or does not get in."""

import json
import socket
import ssl
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import ClassVar
from urllib.parse import quote

from tools.servers import Kafka, Kind, Nats, RabbitMQ, Redis
from tools.servers.kinds import HOST, free_port

USER = "ann@shop"
PASSWORD = "p:w/o@r?d#1%41+é"  # noqa: S105 - with all that means something in a URL
VHOST = "shop/100%"

_EXTENSIONS = """
[req]
distinguished_name = name
[name]
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
subjectAltName = IP:127.0.0.1
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
"""


@dataclass(frozen=True, slots=True)
class Certificates:
    """Files in PEM: an authority, what it has certified for this machine with its key, and another authority."""

    authority: Path
    certificate: Path
    key: Path
    stranger: Path


def certified(folder: Path) -> Certificates:
    """Make certificates that are good for two days."""
    extensions = folder / "extensions"
    extensions.write_text(_EXTENSIONS)

    def make(name: str, kind: str, *signing: str) -> Path:
        made = folder / f"{name}.pem"
        command = ("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
        about = ("-days", "2", "-subj", f"/CN={name}", "-config", str(extensions), "-extensions", kind)
        files = ("-out", str(made), "-keyout", str(made.with_suffix(".key")))
        subprocess.run((*command, *about, *files, *signing), check=True, capture_output=True)
        return made

    authority, stranger = make("authority", "authority"), make("stranger", "authority")
    signing = ("-CA", str(authority), "-CAkey", str(authority.with_suffix(".key")))
    certificate = make("server", "server", *signing)
    return Certificates(authority, certificate, certificate.with_suffix(".key"), stranger)


class Secured(Kind):
    """What a kind of server is like that demands TLS and a password.

    Shape: `schemes` are the one with TLS and the one without; `place` is what follows the port in a URL, and `demand`
    the options that ask for TLS.
    """

    schemes: ClassVar[tuple[str, str]]
    place: ClassVar[str] = ""
    demand: ClassVar[Mapping[str, str]] = {}

    def __init__(self, files: Certificates) -> None:
        self.files = files

    def url(self, port: int) -> str:
        return self.url_with(port)

    def url_with(self, port: int, password: str = PASSWORD, tls_ca: Path | None = None, **options: str) -> str:
        """Give the URL with TLS; the right password and authority unless others are given."""
        asked = {**self.demand, "tls_ca": str(tls_ca or self.files.authority), **options}
        return self._url(self.schemes[0], port, password, asked)

    def url_without_tls(self, port: int, **options: str) -> str:
        """Give the URL that speaks plain text, with all else as it should be."""
        return self._url(self.schemes[1], port, PASSWORD, options)

    def _url(self, scheme: str, port: int, password: str, options: Mapping[str, str]) -> str:
        user = f"{quote(USER, safe='')}:{quote(password, safe='')}"
        asked = "&".join(f"{name}={quote(value, safe='')}" for name, value in options.items())
        return f"{scheme}://{user}@{HOST}:{port}{self.place}?{asked}"


class WithTls(Secured):
    """One that speaks TLS from the first byte."""

    def reach(self, port: int) -> socket.socket:
        context = ssl.create_default_context(cafile=self.files.authority)
        return context.wrap_socket(super().reach(port), server_hostname=HOST)


class SecuredNats(Secured, Nats):
    schemes = ("tls", "nats")

    def command(self, port: int) -> Sequence[str]:
        configuration = self.files.key.with_name("nats.conf")
        tls = {"cert_file": str(self.files.certificate), "key_file": str(self.files.key)}
        told = {"tls": tls, "authorization": {"user": USER, "password": PASSWORD}}
        configuration.write_text(json.dumps(told, ensure_ascii=False))
        return (*super().command(port), "--config", str(configuration))


class SecuredRabbitMQ(WithTls, RabbitMQ):
    schemes = ("amqps", "amqp")
    place = f"/{quote(VHOST, safe='')}"

    def configuration(self, port: int) -> Mapping[str, str]:
        definitions = self.files.key.with_name("definitions.json")
        rights = {"user": USER, "vhost": VHOST, "configure": ".*", "read": ".*", "write": ".*"}
        told = {
            "users": [{"name": USER, "password": PASSWORD, "tags": ""}],
            "vhosts": [{"name": VHOST}],
            "permissions": [rights],
        }
        definitions.write_text(json.dumps(told, ensure_ascii=False))
        return {
            **super().configuration(port),
            "listeners.tcp": "none",
            "listeners.ssl.default": f"{HOST}:{port}",
            "ssl_options.certfile": str(self.files.certificate),
            "ssl_options.keyfile": str(self.files.key),
            "load_definitions": str(definitions),
        }


class SecuredRedis(WithTls, Redis):
    schemes = ("rediss", "redis")

    def command(self, port: int) -> Sequence[str]:
        hashed = sha256(PASSWORD.encode()).hexdigest()
        tls = ("--port", "0", "--tls-port", str(port), "--tls-auth-clients", "no")
        files = ("--tls-cert-file", str(self.files.certificate), "--tls-key-file", str(self.files.key))
        rights = ("--user", USER, "on", f"#{hashed}", "~t*", "+@all")  # keys of unique names, no channels
        return (*super().command(port), *tls, *files, "--user", "default", "off", *rights)

    def is_ready(self, port: int) -> bool:
        with self.reach(port) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith(b"-NOAUTH")


class SecuredKafka(WithTls, Kafka):
    """One that takes passwords plainly and by SCRAM; brokers would speak to each other by another port."""

    schemes = ("kafka", "kafka")
    demand: ClassVar = {"tls": "true"}
    formatting = f"--add-scram=SCRAM-SHA-256=[name={USER},password={json.dumps(PASSWORD, ensure_ascii=False)}]"

    def command(self, port: int) -> Sequence[str]:
        return ("env", "LC_ALL=C.UTF-8", *super().command(port))  # what Java takes a word of a command for

    def settings(self, port: int, controller: int) -> Mapping[str, str]:
        keystore = self.files.key.with_name("keystore.pem")
        keystore.write_text(self.files.key.read_text() + self.files.certificate.read_text())
        login = "org.apache.kafka.common.security.{} required"
        plain = f"{login.format('plain.PlainLoginModule')} {json.dumps(f'user_{USER}')}={json.dumps(PASSWORD)};"
        addresses = f"CLIENTS://{HOST}:{port},BETWEEN://{HOST}:{free_port()}"
        return {
            **super().settings(port, controller),
            "listeners": f"{addresses},CONTROLLER://{HOST}:{controller}",
            "advertised.listeners": addresses,
            "listener.security.protocol.map": "CLIENTS:SASL_SSL,BETWEEN:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "inter.broker.listener.name": "BETWEEN",
            "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256",
            "listener.name.clients.plain.sasl.jaas.config": plain,
            "listener.name.clients.scram-sha-256.sasl.jaas.config": f"{login.format('scram.ScramLoginModule')};",
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(keystore),
        }
