"""What a `postgres:` URL says."""

from dataclasses import dataclass, field
from urllib.parse import urlencode, urlsplit, urlunsplit

from stepbus.adapters.recorders.urls import UrlParts, parts_of
from stepbus.contracts.problems import refuse

OURS = ("schema",)
OF_LIBPQ = ("application_name", "host", "sslcert", "sslcrl", "sslkey", "sslmode", "sslrootcert", "target_session_attrs")
MAX_IDENTIFIER_BYTES = 63


@dataclass(frozen=True, slots=True)
class PostgresSettings:
    """Which database, told as libpq wants it, and in which of its schemas the tables are."""

    conninfo: str = field(repr=False)
    schema: str = "public"


def parse(url: str) -> PostgresSettings:
    """Give the settings that `postgres://user:password@host:port/database?schema=name` stands for.

    Raises:
        Refused: the URL names no database, or holds something that is not known.
    """
    parts = parts_of(url, (*OURS, *OF_LIBPQ))
    if not parts.path.strip("/"):
        raise refuse("settings.url", "expected a database, as in postgres://host/database, found none")
    split = urlsplit(url)
    passed_on = urlencode({name: value for name, value in parts.options.items() if name in OF_LIBPQ})
    return PostgresSettings(urlunsplit(("postgresql", split.netloc, split.path, passed_on, "")), _schema(parts))


def _schema(parts: UrlParts) -> str:
    schema = parts.options.get("schema", "public")
    if not 0 < len(schema.encode()) <= MAX_IDENTIFIER_BYTES or "\0" in schema:
        raise refuse("settings.option", f"expected a schema of 1 to {MAX_IDENTIFIER_BYTES} bytes, found {schema!r}")
    return schema
