"""What the URLs of stores say, and what they may not say."""

from pathlib import Path

import pytest

from stepbus.adapters.memory import connect as connect_memory
from stepbus.adapters.memory.settings import parse as parse_memory
from stepbus.adapters.postgres import connect as connect_postgres
from stepbus.adapters.postgres.settings import parse as parse_postgres
from stepbus.adapters.sqlite import connect as connect_sqlite
from stepbus.adapters.sqlite.settings import SqliteSettings
from stepbus.adapters.sqlite.settings import parse as parse_sqlite
from stepbus.contracts.problems import Refused

# --- sqlite ----------------------------------------------------------------------------------------------------------


def test_a_sqlite_url_names_the_log_and_the_views_are_beside_it() -> None:
    assert parse_sqlite("sqlite:///var/lib/stepbus/log.db") == SqliteSettings(
        log=Path("/var/lib/stepbus/log.db"), views=Path("/var/lib/stepbus/log-views.db"), busy_timeout_s=5.0
    )


def test_a_path_may_be_percent_encoded() -> None:
    assert parse_sqlite("sqlite:///a%20folder/caf%C3%A9.db").log == Path("/a folder/café.db")


def test_the_busy_timeout_can_be_said() -> None:
    assert parse_sqlite("sqlite:///log.db?busy_timeout_s=0.5").busy_timeout_s == 0.5


@pytest.mark.parametrize(
    "url", ["sqlite:", "sqlite:log.db", "sqlite://host/log.db", "sqlite:///", "sqlite:///folder/", "sqlite::memory:"]
)
def test_a_sqlite_url_without_an_absolute_path_to_a_file_is_refused(url: str) -> None:
    with pytest.raises(Refused, match=r"expected sqlite:///folder/file\.db"):
        parse_sqlite(url)


@pytest.mark.parametrize("value", ["0", "-1", "soon", "nan", "inf", ""])
def test_a_busy_timeout_that_is_no_duration_is_refused(value: str) -> None:
    with pytest.raises(Refused, match="busy_timeout_s"):
        parse_sqlite(f"sqlite:///log.db?busy_timeout_s={value}")


# --- postgres --------------------------------------------------------------------------------------------------------


def test_a_postgres_url_is_passed_on_to_libpq() -> None:
    settings = parse_postgres("postgres://me:s%40cret@db.example:5433/tasks?sslmode=verify-full")

    assert settings.conninfo == "postgresql://me:s%40cret@db.example:5433/tasks?sslmode=verify-full"
    assert settings.schema == "public"


def test_a_schema_is_ours_and_not_passed_on() -> None:
    settings = parse_postgres("postgresql://db/tasks?schema=Flow&application_name=mine")

    assert (settings.schema, settings.conninfo) == ("Flow", "postgresql://db/tasks?application_name=mine")


def test_a_password_is_not_shown() -> None:
    assert "secret" not in repr(parse_postgres("postgres://me:secret@db/tasks"))


def test_a_postgres_url_without_a_database_is_refused() -> None:
    with pytest.raises(Refused, match="expected a database"):
        parse_postgres("postgres://host:5432")


@pytest.mark.parametrize("schema", ["", "s" * 64, "é" * 32, "a%00b"])
def test_a_schema_that_postgres_cannot_name_is_refused(schema: str) -> None:
    with pytest.raises(Refused, match="expected a schema of 1 to 63 bytes"):
        parse_postgres(f"postgres://db/tasks?schema={schema}")


def test_the_librarys_database_functions_cannot_be_switched_on() -> None:
    with pytest.raises(Refused, match="enable_db_functions"):
        parse_postgres("postgres://db/tasks?enable_db_functions=y")


# --- memory ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("url", "name"), [("memory:", ""), ("memory://", ""), ("memory:dev", "dev")])
def test_a_memory_url_may_have_a_name(url: str, name: str) -> None:
    assert parse_memory(url) == name


@pytest.mark.parametrize("url", ["memory://host", "memory:/a/path", "memory:a/b"])
def test_a_memory_url_has_nothing_but_a_name(url: str) -> None:
    with pytest.raises(Refused, match="expected memory: or memory:name"):
        parse_memory(url)


# --- all -------------------------------------------------------------------------------------------------------------

URLS = {"memory:": connect_memory, "sqlite:///log.db": connect_sqlite, "postgres://db/tasks": connect_postgres}


@pytest.mark.parametrize("url", list(URLS))
def test_an_unknown_option_is_refused_when_connecting_and_the_known_ones_are_told(url: str) -> None:
    with pytest.raises(Refused, match=r"expected (no options|.*busy_timeout_s.*|.*schema.*), found 'shcema'"):
        URLS[url](f"{url}?shcema=x")


@pytest.mark.parametrize("url", list(URLS))
def test_a_fragment_is_refused(url: str) -> None:
    with pytest.raises(Refused, match="expected no fragment"):
        URLS[url](f"{url}#x")


def test_an_option_given_twice_is_refused() -> None:
    with pytest.raises(Refused, match="expected 'schema' once"):
        parse_postgres("postgres://db/tasks?schema=a&schema=b")


@pytest.mark.parametrize("url", list(URLS))
def test_connecting_opens_nothing(url: str) -> None:
    adapter = URLS[url](url)

    assert adapter.store is not None
    assert adapter.views is not None


def test_what_is_no_url_is_refused() -> None:
    with pytest.raises(Refused, match="expected a URL"):
        parse_postgres("postgresql://[::1/database")
