"""The orders, what is expected of each, and what became of it: read from the API, never made up."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from stage.failure import DemoFailed

NAMESPACE, TEMPLATE = "orders", "fulfilment"
TERMINAL = frozenset({"complete", "error", "cancelled", "resolved_manually"})
_MOST = 200


@dataclass
class Order:
    """One order: what the file says of it, and its task as it was last seen."""

    context: dict[str, Any]
    expected: dict[str, Any]
    kill_worker_in: str | None
    killed: str | None = None
    task_id: str = ""
    task: dict[str, Any] = field(default_factory=dict)
    attempts: list[dict[str, Any]] = field(default_factory=list)

    @property
    def order_id(self) -> str:
        return str(self.context["order_id"])

    @property
    def total_cents(self) -> int:
        return sum(item["quantity"] * item["unit_price_cents"] for item in self.context["items"])

    @property
    def is_at_rest(self) -> bool:
        return self.task.get("status") in TERMINAL

    @property
    def troubles(self) -> list[dict[str, Any]]:
        """The attempts that did not succeed."""
        return [attempt for attempt in self.attempts if attempt["outcome"] not in (None, "completed")]

    def in_hand(self, step: str) -> str | None:
        """Give the worker that has said that it works on the step now."""
        for attempt in self.attempts:
            if attempt["step"] == step and attempt["started_at_ms"] and not attempt["ended_at_ms"]:
                worker: str | None = attempt["worker"]
                return worker
        return None

    def differences(self) -> Iterator[str]:
        """Give in what the end differs from what the file expects."""
        status = self.task.get("status", "unknown")
        if status != self.expected["status"]:
            yield f"{self.order_id}: expected the task to be {self.expected['status']}, but it is {status}"
        why = self.expected.get("why")
        if why is None:
            return
        found = [(each["step"], each["attempt"], each["error_code"]) for each in self.troubles]
        if not any((why["step"], why["attempt"], code) in found for code in why["codes"]) and not self._is_taken_over():
            wanted = f"attempt {why['attempt']} of {why['step']} to end with {' or '.join(why['codes'])}"
            yield f"{self.order_id}: expected {wanted}, but found {found or 'no trouble at all'}"

    def _is_taken_over(self) -> bool:
        """Say whether another worker ended the attempt well that the killed one had begun.

        Some brokers give a job to the next worker as soon as the connection of the first is gone: nothing times out.
        """
        return self.killed is not None and any(
            attempt["step"] == self.kill_worker_in
            and attempt["outcome"] == "completed"
            and attempt["worker"] != self.killed
            for attempt in self.attempts
        )


def read_orders(file: Path) -> list[Order]:
    """Give the orders of a file, one a line."""
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    return [Order(line["context"], line["expect"], line.get("kill_worker_in")) for line in lines]


class Shop:
    """The API as the shop uses it."""

    def __init__(self, url: str) -> None:
        self._http = httpx.Client(base_url=f"{url}/v1/", timeout=10)

    def close(self) -> None:
        self._http.close()

    def submit(self, order: Order) -> bool:
        """Ask for the order's task, and say whether it was there before: one order is one task, however often asked."""
        request = {"namespace": NAMESPACE, "template": TEMPLATE, "context": order.context}
        receipt = self._call("POST", "tasks", json=request, headers={"Idempotency-Key": order.order_id})
        order.task_id = receipt["task_id"]
        return bool(receipt["repeated"])

    def look(self, orders: Sequence[Order]) -> None:
        """See how the tasks stand that were not at rest at the last look."""
        found = {task["task_id"]: task for task in self.get("tasks", namespace=NAMESPACE, limit=_MOST)["tasks"]}
        for order in orders:
            if order.task_id in found and not order.is_at_rest:
                order.task = found[order.task_id]
                order.attempts = self.get(f"tasks/{order.task_id}/timeline", limit=_MOST)["attempts"]

    def get(self, path: str, **parameters: Any) -> dict[str, Any]:
        return self._call("GET", path, params=parameters)

    def _call(self, method: str, path: str, **content: Any) -> dict[str, Any]:
        try:
            response = self._http.request(method, path, **content)
        except httpx.HTTPError as error:
            raise DemoFailed(f"expected the API to answer {method} {path}, but {error!r}") from error
        if response.is_error:
            raise DemoFailed(f"expected the API to do {method} {path}, but it says {response.text}")
        document: dict[str, Any] = response.json()
        return document
