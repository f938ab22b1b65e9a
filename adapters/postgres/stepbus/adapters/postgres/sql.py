"""From the `:name` parameters of the port to those of psycopg."""

from functools import lru_cache

from stepbus.adapters.recorders.parameters import with_parameters


@lru_cache(maxsize=1_000)
def with_psycopg_parameters(sql: str) -> str:
    """Give the statement with `%(name)s` for `:name`, and every other per cent sign, psycopg's own mark, doubled."""
    return with_parameters(sql.replace("%", "%%"), "%({})s".format)
