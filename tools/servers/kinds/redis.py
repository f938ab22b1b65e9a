"""Redis."""

import socket
from collections.abc import Sequence

from tools.servers.kinds.kind import HOST, Kind, find_binary, port_of


class Redis(Kind):
    """Redis from the machine's packages, which has on disk what it has confirmed."""

    name = "Redis"
    environment_variable = "STEPBUS_TEST_REDIS_URL"
    image = "redis:7"
    container_port = 6379
    container_command = ("redis-server", "--appendonly", "yes", "--appendfsync", "always", "--save", "")

    def url(self, port: int) -> str:
        return f"redis://{HOST}:{port}"

    def command(self, port: int) -> Sequence[str]:
        binary = find_binary("redis-server", hint="on Debian and Ubuntu: apt-get install redis-server")
        return (binary, "--bind", HOST, "--port", str(port), *self.container_command[1:])

    def is_ready(self, port: int) -> bool:
        with self.reach(port) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(64) == b"+PONG\r\n"

    def version(self, url: str) -> str:
        with socket.create_connection((HOST, port_of(url)), timeout=5) as connection:
            connection.sendall(b"INFO server\r\n")
            said = connection.recv(8192).decode()
        return said.partition("redis_version:")[2].partition("\r\n")[0]
