"""What every test can ask for: real servers, fresh databases, names that no other test uses.

A server is started once a run, at the first test that needs it; a test that kills servers asks for one of its own. A
server that cannot be had fails the test: nothing is skipped.
"""

import os
import signal
import uuid
from collections.abc import Generator, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from psycopg.sql import SQL, Identifier

from tools.servers import (
    Kafka,
    Nats,
    Postgres,
    RabbitMQ,
    Redis,
    Server,
    nats_server,
    own_server,
    postgres_server,
    server,
)

TESTS = Path(__file__).parent
SERVER_FIXTURES = {f"{kind}_url" for kind in ("kafka", "nats", "postgres", "rabbitmq", "redis")}
SERVER_FIXTURES |= {f"own_{kind}" for kind in ("kafka", "nats", "postgres", "rabbitmq", "redis")} | {
    "postgres_database"
}

TIME_LIMIT = pytest.StashKey[Any]()
ALARM_INTERVAL_S = 10.0

# A deadline would be a timed test, and so would the check that examples are made fast enough. On CI the same commit
# gets the same examples.
settings.register_profile(
    "stepbus",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
    derandomize=bool(os.environ.get("CI")),
)
settings.load_profile("stepbus")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark each test with its folder, and with `server` if it uses one."""
    folders = {marker.split(":")[0] for marker in config.getini("markers")}
    for item in items:
        if TESTS in item.path.parents and (folder := item.path.relative_to(TESTS).parts[0]) in folders:
            item.add_marker(folder)
        if SERVER_FIXTURES.intersection(getattr(item, "fixturenames", ())):
            item.add_marker("server")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Make what a test has printed fit for UTF-8: reports go from process to process."""
    report = yield
    report.sections = [(name, text.encode(errors="replace").decode()) for name, text in report.sections]
    return report


@pytest.hookimpl(wrapper=True)
def pytest_timeout_set_timer(item: pytest.Item, settings: Any) -> Generator[None, object, object]:
    """Make the alarm of a test that is out of time heard: it rings again, and no event loop keeps it to a task."""
    is_set = yield
    item.stash[TIME_LIMIT] = settings
    if settings.method == "signal":
        fail = signal.getsignal(signal.SIGALRM)
        assert callable(fail)

        def ring(number: int, frame: FrameType | None) -> None:
            try:
                fail(number, frame)
            except pytest.fail.Exception as failure:
                raise SystemExit(str(failure)) from None  # which asyncio lets through, as no other exception

        signal.signal(signal.SIGALRM, ring)
        signal.setitimer(signal.ITIMER_REAL, settings.timeout, ALARM_INTERVAL_S)
    return is_set


def pytest_exception_interact(node: pytest.Item | pytest.Collector) -> None:
    """Limit the time of a failed test's end, and of its next try: pytest-timeout's alarm is off after a failure."""
    limit = node.stash.get(TIME_LIMIT, None)
    if limit is not None:
        node.ihook.pytest_timeout_set_timer(item=node, settings=limit)


@pytest.fixture(scope="session")
def nats_url() -> Iterator[str]:
    """A NATS server with JetStream that all tests share: use `unique_name` for what you make on it."""
    with nats_server() as server:
        yield server.url


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A PostgreSQL server that all tests share: use `postgres_database` for a database of your own."""
    with postgres_server() as server:
        yield server.url


@pytest.fixture(scope="session")
def kafka_url() -> Iterator[str]:
    """An Apache Kafka broker that all tests share: use `unique_name` for what you make on it."""
    with server(Kafka()) as running:
        yield running.url


@pytest.fixture(scope="session")
def rabbitmq_url() -> Iterator[str]:
    """A RabbitMQ broker that all tests share: use `unique_name` for what you make on it."""
    with server(RabbitMQ()) as running:
        yield running.url


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """A Redis server that all tests share: use `unique_name` for what you make on it."""
    with server(Redis()) as running:
        yield running.url


@pytest.fixture
def postgres_database(postgres_url: str, unique_name: str) -> Iterator[str]:
    """The URL of an empty database, dropped after the test."""
    parts = psycopg.conninfo.conninfo_to_dict(postgres_url)
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(SQL("CREATE DATABASE {}").format(Identifier(unique_name)))
        user = f"{parts['user']}:{parts['password']}" if "password" in parts else parts["user"]
        yield f"postgresql://{user}@{parts['host']}:{parts.get('port', 5432)}/{unique_name}"
        connection.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(unique_name)))


@pytest.fixture
def own_nats() -> Iterator[Server]:
    """A NATS server that this test alone uses and may kill, stop and start again."""
    with own_server(Nats()) as server:
        yield server


@pytest.fixture
def own_kafka() -> Iterator[Server]:
    """A Kafka broker that this test alone uses and may kill, stop and start again."""
    with own_server(Kafka()) as server:
        yield server


@pytest.fixture
def own_rabbitmq() -> Iterator[Server]:
    """A RabbitMQ broker that this test alone uses and may kill, stop and start again."""
    with own_server(RabbitMQ()) as server:
        yield server


@pytest.fixture
def own_redis() -> Iterator[Server]:
    """A Redis server that this test alone uses and may kill, stop and start again."""
    with own_server(Redis()) as server:
        yield server


@pytest.fixture
def own_postgres() -> Iterator[Server]:
    """A PostgreSQL server that this test alone uses and may kill, stop and start again."""
    with own_server(Postgres()) as server:
        yield server


@pytest.fixture
def unique_name() -> str:
    """A name for a prefix, stream or database that no other test has, of lower-case letters and digits."""
    return f"t{uuid.uuid4().hex[:16]}"
