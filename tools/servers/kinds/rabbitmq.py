"""RabbitMQ."""

import socket
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

from tools.servers.kinds.kind import HOST, Kind, find_binary, free_port, port_of

# Debian's own script, and not what it puts on PATH, which becomes another user in a session of its own.
_SCRIPT = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
_FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/opt/homebrew/sbin")

# A node and a port mapper of its own, in its own folder, whatever runs beside it and whatever the machine has set up.
_START = """
printf '%s' "$1" >rabbitmq.conf
printf '[].\\n' >plugins
epmd &
exec "$0"
"""


class RabbitMQ(Kind):
    """RabbitMQ from the machine's packages."""

    name = "RabbitMQ"
    environment_variable = "STEPBUS_TEST_RABBITMQ_URL"
    image = "rabbitmq:4"
    container_port = 5672

    def url(self, port: int) -> str:
        return f"amqp://guest:guest@{HOST}:{port}/"

    def command(self, port: int) -> Sequence[str]:
        hint = "on Debian and Ubuntu: apt-get install rabbitmq-server"
        binary = str(_SCRIPT) if _SCRIPT.exists() else find_binary("rabbitmq-server", *_FOLDERS, hint=hint)
        settings = {
            "HOME": ".",
            "ERL_EPMD_ADDRESS": HOST,
            "ERL_EPMD_PORT": free_port(),
            "RABBITMQ_CONFIG_FILE": "./rabbitmq.conf",
            "RABBITMQ_CONF_ENV_FILE": "./none",
            "RABBITMQ_DIST_PORT": free_port(),
            "RABBITMQ_ENABLED_PLUGINS_FILE": "./plugins",
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_LOG_BASE": "./log",
            "RABBITMQ_MNESIA_BASE": "./data",
            "RABBITMQ_NODENAME": "stepbus@localhost",
            "RABBITMQ_PID_FILE": "./pid",
        }
        said = "".join(f"{name} = {value}\n" for name, value in self.configuration(port).items())
        return ("env", *(f"{name}={value}" for name, value in settings.items()), "bash", "-ec", _START, binary, said)

    def configuration(self, port: int) -> Mapping[str, str]:
        """Give what `rabbitmq.conf` says."""
        return {
            "listeners.tcp.default": f"{HOST}:{port}",
            "vm_memory_high_watermark.absolute": "512MB",
            "disk_free_limit.absolute": "50MB",
        }

    def is_ready(self, port: int) -> bool:
        with self.reach(port) as connection:
            connection.sendall(b"AMQP\x00\x00\x09\x01")
            return connection.recv(1) == b"\x01"

    def version(self, url: str) -> str:
        with socket.create_connection((HOST, port_of(url)), timeout=5) as connection:
            connection.sendall(b"AMQP\x00\x00\x09\x01")
            said = connection.recv(4096)
        name = b"\x07versionS"  # a field of the server's properties: its name, a long string, that string's length
        at = said.index(name) + len(name)
        (length,) = struct.unpack_from(">I", said, at)
        return said[at + 4 : at + 4 + length].decode()
