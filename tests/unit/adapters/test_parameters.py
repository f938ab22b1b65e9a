"""Statements with numbers for the names of their parameters."""

import pytest

from stepbus.adapters.recorders.parameters import numbered, with_parameters

CASES = {
    "VALUES (:a, :b)": ("VALUES (?1, ?2)", ("a", "b")),
    "SET a = :a WHERE b = :b AND c = :a": ("SET a = ?1 WHERE b = ?2 AND c = ?1", ("a", "b")),
    "SELECT ':a', \":b\", c::text -- :d\n, :e_1": ("SELECT ':a', \":b\", c::text -- :d\n, ?1", ("e_1",)),
    "SELECT 'it''s :a' WHERE b = :b": ("SELECT 'it''s :a' WHERE b = ?1", ("b",)),
    "DELETE FROM tasks": ("DELETE FROM tasks", ()),
}


@pytest.mark.parametrize("sql", CASES)
def test_each_parameter_has_one_number_however_often_it_stands_there(sql: str) -> None:
    assert tuple(numbered(sql, "?")) == CASES[sql]


def test_the_mark_is_the_databases() -> None:
    assert numbered("VALUES (:a)", "$").sql == "VALUES ($1)"


def test_a_parameter_may_be_any_expression() -> None:
    assert with_parameters("SET a = :a, b = ':a'", "row.{}".format) == "SET a = row.a, b = ':a'"
