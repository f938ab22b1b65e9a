"""The end: every order with its outcome, one task in full, and whether the log agrees with what was seen."""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from stage.children import stepbus
from stage.failure import DemoFailed
from stage.orders import Order, Shop
from stage.screen import Screen
from stepbus.orchestrator.cli.drawing.board import Scene as Told
from stepbus.orchestrator.cli.drawing.board import coloured, heading
from stepbus.orchestrator.cli.drawing.graph import Graph
from stepbus.orchestrator.cli.drawing.looks import TASK
from stepbus.orchestrator.cli.drawing.sketch import sketch
from stepbus.orchestrator.cli.moments import lasting


def show_orders(screen: Screen, orders: Sequence[Order]) -> None:
    """Show what became of every order, and why."""
    table = Table(box=None, pad_edge=False)
    for name in ("order", "task", "outcome", "steps", "attempts", "took", "why"):
        table.add_column(name, no_wrap=name != "why", justify="right" if name == "took" else "left")
    for order in orders:
        task = order.task
        table.add_row(
            order.order_id,
            order.task_id,
            Text(task["status"], TASK.get(task["status"], "")),
            f"{task['completed_steps']}/{task['total_steps']}",
            str(len(order.attempts)),
            lasting(task["ended_at_ms"] - task["accepted_at_ms"]),
            _why(order),
        )
    screen.console.print(table)


def show_task(screen: Screen, shop: Shop, order: Order) -> None:
    """Show one task's graph with the states of its steps, as `stepbus task watch` does, and its timeline."""
    shown = shop.get(f"tasks/{order.task_id}/graph")
    needed: dict[str, list[str]] = {node["step"]: [] for node in shown["nodes"]}
    for edge in shown["edges"]:
        needed[edge["target"]].append(edge["source"])
    graph = Graph.of(needed.items())
    states = {node["step"]: node["state"] for node in shown["nodes"]}
    took = lasting(order.task["ended_at_ms"] - order.task["accepted_at_ms"])
    head = heading(Told(f"{order.order_id}  {order.task_id}", order.task["status"], took, graph, states))
    screen.console.print(coloured([*head, (), *sketch(graph, states, screen.console.width)]))
    screen.console.print()
    screen.console.print(_timeline(order))


def check_log(screen: Screen, data: Path, url: str, orders: Sequence[Order]) -> list[str]:
    """Have stepbus check the log's invariants, and replay it against the live state; give what does not hold."""
    verified = _json(["verify", "--data", str(data)])
    violations = [f"verify: {each['invariant']}: {each['message']}" for each in verified["violations"]]
    screen.say(f"verify  {verified['tasks']} tasks, {verified['events']} events, {len(violations)} violations")
    replayed = _json(["replay", "--all", "--data", str(data), "--url", url])["tasks"]
    alike = {task["task_id"] for task in replayed if task["live"] == "match"}
    screen.say(f"replay  {len(replayed)} tasks folded anew from their first event, {len(alike)} equal the live state")
    for order in orders[:1]:
        digest = next(task["digest"] for task in replayed if task["task_id"] == order.task_id)
        screen.say(f"        {order.order_id}: SHA-256 {digest}")
    missing = [order.order_id for order in orders if order.task_id not in alike]
    return violations + [
        f"replay: expected {order_id} to equal the live state, but it does not" for order_id in missing
    ]


def _json(arguments: list[str]) -> Any:
    answered = subprocess.run([*stepbus(), *arguments, "--json"], capture_output=True, check=False)
    try:
        return json.loads(answered.stdout)
    except json.JSONDecodeError as error:
        said = (answered.stdout + answered.stderr).decode(errors="replace")
        raise DemoFailed(f"expected `stepbus {' '.join(arguments)}` to answer, but it said {said}") from error


def _why(order: Order) -> str:
    told = [
        f"{each['step']} #{each['attempt']} {each['outcome'].replace('_', ' ')}: {each['error_code']}"
        for each in order.troubles
    ]
    if order.task["code"]:
        told.append(f"{order.task['code']}: {', '.join(order.task['failed_steps'])}")
    return "; ".join(told)


def _timeline(order: Order) -> Table:
    began = order.task["accepted_at_ms"]
    table = Table(box=None, pad_edge=False)
    for name in ("step", "attempt", "dispatched", "took", "outcome", "worker", "code"):
        table.add_column(name, no_wrap=True, justify="right" if name in {"dispatched", "took"} else "left")
    for each in order.attempts:
        table.add_row(
            each["step"],
            f"#{each['attempt']}",
            f"+{(each['dispatched_at_ms'] - began) / 1000:.2f} s",
            lasting(each["duration_ms"]),
            (each["outcome"] or "").replace("_", " "),
            each["worker"] or "",
            each["error_code"] or "",
        )
    return table
