"""From `:name` to psycopg's parameters: strings, casts and per cent signs are left as they are meant."""

import pytest

from stepbus.adapters.postgres.sql import with_psycopg_parameters


@pytest.mark.parametrize(
    ("sql", "translated"),
    [
        ("SELECT 1", "SELECT 1"),
        ("SELECT :a", "SELECT %(a)s"),
        ("VALUES (:id,:other_2)", "VALUES (%(id)s,%(other_2)s)"),
        ("WHERE a = :a AND (:a IS NULL)", "WHERE a = %(a)s AND (%(a)s IS NULL)"),
        ("SELECT :a::text, b::bigint", "SELECT %(a)s::text, b::bigint"),
        ("SELECT ':a' , :a", "SELECT ':a' , %(a)s"),
        ("SELECT 'it''s :a', :b", "SELECT 'it''s :a', %(b)s"),
        ('SELECT ":a""" , :b', 'SELECT ":a""" , %(b)s'),
        ("SELECT a % 2, '50 %', :b", "SELECT a %% 2, '50 %%', %(b)s"),
        ("SELECT 1 -- of :a, it's all\n, :b", "SELECT 1 -- of :a, it's all\n, %(b)s"),
        ("SELECT '12:30', a[1:2], :b", "SELECT '12:30', a[1:2], %(b)s"),
    ],
)
def test_a_parameter_is_what_a_colon_and_a_name_make_outside_of_strings(sql: str, translated: str) -> None:
    assert with_psycopg_parameters(sql) == translated
    assert with_psycopg_parameters(sql) == translated  # as it is remembered
