"""PostgreSQL."""

import os
import pwd
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

from tools.servers.kinds.kind import HOST, Kind, find_binary


class Postgres(Kind):
    """PostgreSQL from the machine's packages: durable (fsync on), trusting anybody on the loopback interface."""

    name = "PostgreSQL"
    environment_variable = "STEPBUS_TEST_POSTGRES_URL"
    image = "postgres:17"
    stop_signal = signal.SIGINT  # SIGTERM would wait for its clients to leave
    container_port = 5432
    container_command = ("postgres", "-c", "max_connections=200")

    def url(self, port: int) -> str:
        return f"postgresql://postgres@{HOST}:{port}/postgres"

    def container_environment(self, _port: int) -> Mapping[str, str]:
        return {"POSTGRES_HOST_AUTH_METHOD": "trust"}

    def user(self) -> str | None:
        """Give a user with no rights where this one is root, whom PostgreSQL refuses."""
        if os.geteuid() != 0:
            return None
        known = {entry.pw_name for entry in pwd.getpwall()}
        return "postgres" if "postgres" in known else "nobody"

    def preparation(self) -> Sequence[str]:
        initdb = (self._binary("initdb"), "--pgdata", "data", "--username", "postgres", "--auth", "trust")
        return (*initdb, "--encoding", "UTF8", "--locale", "C", "--no-sync")

    def command(self, port: int) -> Sequence[str]:
        settings = {"listen_addresses": HOST, "unix_socket_directories": "", "fsync": "on", "max_connections": "200"}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return (self._binary("postgres"), "-D", "data", "-p", str(port), *options)

    def is_ready(self, port: int) -> bool:
        import psycopg  # noqa: PLC0415 - an extra, needed for this kind only

        try:
            psycopg.connect(self.url(port), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def version(self, url: str) -> str:
        import psycopg  # noqa: PLC0415 - as above

        with psycopg.connect(url) as connection:
            number = connection.info.server_version
        return f"{number // 10_000}.{number % 10_000}"

    @staticmethod
    def _binary(name: str) -> str:
        by_version = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3]))
        folders = [str(path.parent) for path in reversed(by_version)]
        return find_binary(name, *folders, hint="on Debian and Ubuntu: apt-get install postgresql")
