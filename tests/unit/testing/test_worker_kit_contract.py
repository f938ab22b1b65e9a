"""The contract of a handler: what it says, and how a wrong one is refused."""

import pytest

from stepbus.contracts.problems import Problem, Refused
from stepbus.orchestrator.testing.worker_kit import SCENARIOS, probe_contract, read_contract

SMALL = b"""
handler: orders.charge
scenarios:
  echo: {context: {card: "${value}"}, results: {stock: {at: ["${value}", "${seconds}"]}}, result: {paid: "${value}"}}
"""


def problems(text: bytes) -> list[Problem]:
    with pytest.raises(Refused) as refused:
        read_contract(text, "yaml")
    return list(refused.value.problems)


def test_the_contract_of_the_probe_offers_every_scenario() -> None:
    contract = probe_contract()

    assert contract.jobs == "jobs.conform.probe"
    assert [contract.scenario(name) is not None for name in SCENARIOS] == [True] * len(SCENARIOS)


def test_a_value_is_filled_in_wherever_its_place_stands_alone() -> None:
    echo = read_contract(SMALL, "yaml").scenarios.echo

    assert echo.carries_values
    assert echo.filled(echo.context, {"a": None}) == {"card": {"a": None}}
    assert echo.filled(echo.results, 0) == {"stock": {"at": [0, None]}}
    assert echo.filled(echo.result, []) == {"paid": []}


def test_a_null_result_is_expected_and_a_missing_one_is_any() -> None:
    exact = read_contract(b"{handler: a, scenarios: {echo: {result: null}}}", "yaml").scenarios.echo
    free = read_contract(b"{handler: a, scenarios: {echo: {}}}", "yaml").scenarios.echo

    assert (exact.is_exact, free.is_exact) == (True, False)
    assert not free.carries_values


def test_the_same_contract_can_be_of_another_handler() -> None:
    contract = probe_contract().with_handler("shop.probe")

    assert (contract.handler, contract.jobs) == ("shop.probe", "jobs.shop.probe")
    assert contract.scenarios == probe_contract().scenarios


def test_json_is_read_as_strictly_as_yaml() -> None:
    contract = read_contract(b'{"handler": "a", "queue": "b", "scenarios": {"echo": {}}}', "json")

    assert contract.jobs == "jobs.b"


@pytest.mark.parametrize(
    ("text", "code", "pointer", "line"),
    [
        (b"", "contract.invalid", "", 1),
        (b"- a", "contract.invalid", "", 1),
        (b"scenarios: {echo: {}}", "contract.missing", "/handler", 1),
        (b"handler: a", "contract.missing", "/scenarios", 1),
        (b"handler: a\nscenarios: {}", "contract.missing", "/scenarios/echo", 2),
        (b"handler: a b\nscenarios: {echo: {}}", "contract.invalid", "/handler", 1),
        (b"handler: a\nscenarios: {echo: {}, ecko: {}}", "contract.unknown_key", "/scenarios/ecko", 2),
        (b"handler: a\nscenarios:\n  echo: {}\n  sleep: {}", "contract.missing", "/scenarios/sleep/takes_s", 4),
        (b"handler: a\nscenarios:\n  echo:\n    timeout_s: 0", "contract.invalid", "/scenarios/echo/timeout_s", 4),
        (b"handler: a\nscenarios: {echo: {error: {}}}", "contract.invalid", "/scenarios/echo/error", 2),
        (b"handler: a\nscenarios: {echo: {}, permanent: {}}", "contract.missing", "/scenarios/permanent/error", 2),
        (b"handler: a\nresult_schema: {type: nope}\nscenarios: {echo: {}}", "schema.invalid", "/result_schema/type", 2),
        (b"handler: a\nhandler: b\nscenarios: {echo: {}}", "yaml.duplicate_key", "/handler", 2),
        (b"handler: \xff", "yaml.encoding", "", 1),
        (b"#" * (1024 * 1024 + 1), "contract.too_large", "", None),
    ],
)
def test_a_wrong_contract_is_refused_with_its_place(text: bytes, code: str, pointer: str, line: int | None) -> None:
    first = problems(text)[0]

    assert (first.code, first.pointer, first.line) == (code, pointer, line)


def test_every_problem_of_a_contract_is_told() -> None:
    found = problems(b"handler: a b\nscenarios: {ecko: {}}\nmore: 1")

    assert {problem.pointer for problem in found} == {"/handler", "/scenarios/echo", "/scenarios/ecko", "/more"}
