"""Statements in few groups, in an order that says the same as one at a time."""

from hypothesis import given
from hypothesis import strategies as st

from stepbus.projections.projection import Batch

OPERATIONS = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["INSERT", "UPDATE", "DELETE"])), max_size=40)


def ran(batch: Batch) -> list[tuple[str, object, object]]:
    return [(statement.sql, row["key"], row["n"]) for statement in batch.statements for row in statement.rows]


def test_rows_of_different_keys_share_a_statement() -> None:
    batch = Batch()
    for key in ("a", "b", "c"):
        batch.add(key, "INSERT", {"key": key, "n": 0})
        batch.add(key, "UPDATE", {"key": key, "n": 1})

    assert [(statement.sql, len(statement.rows)) for statement in batch.statements] == [("INSERT", 3), ("UPDATE", 3)]


@given(OPERATIONS)
def test_what_concerns_one_key_stays_in_its_order(operations: list[tuple[str, str]]) -> None:
    batch = Batch()
    for number, (key, sql) in enumerate(operations):
        batch.add(key, sql, {"key": key, "n": number})

    for key in "abc":
        wanted = [number for number, (found, _) in enumerate(operations) if found == key]
        assert [n for _, found, n in ran(batch) if found == key] == wanted
    assert len(ran(batch)) == len(operations)


@given(OPERATIONS, OPERATIONS)
def test_nothing_passes_a_barrier(before: list[tuple[str, str]], after: list[tuple[str, str]]) -> None:
    batch = Batch()
    for key, sql in before:
        batch.add(key, sql, {"key": key, "n": 0})
    batch.barrier()
    for key, sql in after:
        batch.add(key, sql, {"key": key, "n": 1})

    assert [n for _, _, n in ran(batch)] == [0] * len(before) + [1] * len(after)
