"""Apache Kafka."""

import struct
import sysconfig
from collections.abc import Mapping, Sequence
from pathlib import Path

from tools.servers.kinds.kind import HOST, Kind, ServerError, find_binary, free_port

JARS = Path(sysconfig.get_path("data"), "share", "kafka")
_CLUSTER = "MkU3OEVBNTcwNTJENDM2Qg"

# A broker that is its own controller. One copy is all that a lone broker can keep of anything.
_SETTINGS = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "log.dirs": "data",
    "broker.heartbeat.interval.ms": "500",
    "broker.session.timeout.ms": "2000",  # so long one that was killed is not let in again
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "group.initial.rebalance.delay.ms": "0",
    "auto.create.topics.enable": "false",
    "num.partitions": "4",
}
_START = """
settings=$1
formatting=$2
java=$3
shift 3
printf '%s' "$settings" >server.properties
"$java" "$@" kafka.tools.StorageTool format --ignore-formatted --cluster-id "$0" --config server.properties \\
    ${formatting:+"$formatting"}
exec "$java" "$@" kafka.Kafka server.properties
"""


class Kafka(Kind):
    """Apache Kafka without ZooKeeper, from its published artifacts, on the machine's Java."""

    name = "Kafka"
    environment_variable = "STEPBUS_TEST_KAFKA_URL"
    image = "apache/kafka:4.1.1"
    container_port = 9092
    formatting = ""
    """One more word to format the data folder with, at the first start."""

    def url(self, port: int) -> str:
        return f"kafka://{HOST}:{port}"

    def command(self, port: int) -> Sequence[str]:
        if not any(JARS.glob("kafka_*.jar")):
            raise ServerError(f"expected Kafka's jars in {JARS}, but found none; get them by tools/provide.sh kafka")
        java = find_binary("java", hint="on Debian and Ubuntu: apt-get install openjdk-17-jre-headless")
        said = "".join(f"{name}={value}\n" for name, value in self.settings(port, free_port()).items())
        options = ("-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", f"{JARS}/*")
        return ("bash", "-ec", _START, _CLUSTER, said, self.formatting, java, *options)

    def settings(self, port: int, controller: int) -> Mapping[str, str]:
        """Give what `server.properties` says; `controller` is the port of its controller."""
        return {
            **_SETTINGS,
            "controller.quorum.voters": f"1@{HOST}:{controller}",
            "listeners": f"PLAINTEXT://{HOST}:{port},CONTROLLER://{HOST}:{controller}",
            "advertised.listeners": f"PLAINTEXT://{HOST}:{port}",
        }

    def container_environment(self, port: int) -> Mapping[str, str]:
        names = {name: value for name, value in _SETTINGS.items() if name != "log.dirs"}
        addresses = {
            "controller.quorum.voters": f"1@{HOST}:9093",
            "listeners": f"PLAINTEXT://:{self.container_port},CONTROLLER://:9093",
            "advertised.listeners": f"PLAINTEXT://{HOST}:{port}",
        }
        return {f"KAFKA_{name.upper().replace('.', '_')}": value for name, value in (names | addresses).items()}

    def is_ready(self, port: int) -> bool:
        ask_versions = struct.pack(">hhih", 18, 0, 1, -1)
        with self.reach(port) as connection:
            connection.sendall(struct.pack(">i", len(ask_versions)) + ask_versions)
            return len(connection.recv(4)) == struct.calcsize(">i")

    def version(self, _url: str) -> str:
        """Give the version of the artifacts: the protocol tells none."""
        (jar,) = JARS.glob("kafka_*.jar")
        return jar.stem.rpartition("-")[2]
