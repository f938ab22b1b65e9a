"""Twenty-five orders, fulfilled by workers in two languages while things go wrong: `make demo`.

The demo starts `stepbus dev` and three workers as processes of their own, asks for a task for each order in
orders.jsonl, kills one of the workers in the middle of a step, and shows what became of every order. All that is shown
is read from the API. The exit code is 0 if every order ended as orders.jsonl expects, the log keeps every invariant,
and a replay gives the live state.
"""

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from secrets import token_hex
from subprocess import run
from time import monotonic, sleep

from stage.children import HERE, Broker, Children, ending_with, python_worker, stepbus, typescript_worker
from stage.ending import check_log, show_orders, show_task
from stage.failure import DemoFailed
from stage.orders import Order, Shop, read_orders
from stage.screen import Screen

ORDERS, TEMPLATE_FILE = HERE / "orders.jsonl", HERE / "template.yaml"
PATIENCE_S = 90.0
LOOK_S = 0.1


def main() -> int:
    """Play the demo in a fresh folder, and give the exit code."""
    given = _arguments()
    folder = Path(tempfile.mkdtemp(prefix="stepbus-demo-"))
    screen, processes = Screen(), Children(folder)
    try:
        with ending_with(processes):
            broker = None if given.bus is None else Broker(given.bus, f"demo-{token_hex(4)}")
            orders, wrong = play(screen, processes, folder / "data", broker, with_typescript=not given.python_only)
        for line in wrong:
            screen.say(line, "bold red")
        say_what_is_next(screen, folder / "data", orders, kept=given.keep)
    except DemoFailed as failure:
        screen.say(str(failure), "bold red")
        screen.say(f"what stepbus said last:\n{processes.tail('dev')}")
        return 1
    except KeyboardInterrupt:
        screen.say("stopped; every process of the demo has ended")
        return 130
    finally:
        if not given.keep:
            shutil.rmtree(folder, ignore_errors=True)
    return 1 if wrong else 0


def play(
    screen: Screen, processes: Children, data: Path, given: Broker | None, *, with_typescript: bool
) -> tuple[Sequence[Order], Sequence[str]]:
    """Play the whole story, and give the orders and what is not as it should be.

    The broker is the one that is given, or else the one that `stepbus dev` starts.
    """
    began = monotonic()
    orders = read_orders(ORDERS)
    screen.chapter("stepbus, a template, workers")
    options = () if given is None else ("--bus", given.url, "--set", f"prefix={given.prefix}")
    ready = processes.serve("dev", "dev", "--data", str(data), "--port", "0", "--nats-port", "0", *options)
    broker = given or Broker(ready["bus"])
    if broker.scheme == "memory":
        raise DemoFailed(f"expected NATS for workers in other processes, found {ready['bus']}: make install has it")
    screen.say(f"stepbus dev  API {ready['api']}, bus {broker}, log {ready['data']}")
    shop = Shop(ready["api"])
    try:
        register(screen, ready["api"])
        if given is not None:
            provision(screen, given, data)
        start_workers(screen, processes, broker, with_typescript=with_typescript)
        screen.chapter(f"{len(orders)} orders")
        submit(screen, shop, orders)
        with screen.watching(orders):
            watch(screen, processes, shop, orders)
        screen.chapter("what became of them")
        show_orders(screen, orders)
        for order in orders:
            if order.kill_worker_in:
                screen.chapter("the order whose worker was killed")
                show_task(screen, shop, order)
        screen.chapter("is the log right?")
        wrong = [difference for order in orders for difference in order.differences()]
        wrong += check_log(screen, data, ready["api"], orders)
    finally:
        shop.close()
    screen.say(f"{len(orders)} orders, {len(wrong)} surprises, in {monotonic() - began:.1f} s")
    return orders, wrong


def register(screen: Screen, url: str) -> None:
    """Register the template as a person would."""
    screen.say(f"template     {asked('template', 'register', str(TEMPLATE_FILE), '--url', url)}")


def provision(screen: Screen, broker: Broker, data: Path) -> None:
    """Create the queues of the template on a broker that was given, as an operator would."""
    place = ("--bus", broker.url, "--prefix", broker.prefix, "--data", str(data))
    channels = json.loads(asked("bus", "provision", *place, "--json"))["channels"]
    screen.say(f"provisioned  {len(channels)} channels, as {channels['jobs.orders.pack_order']}")


def asked(*words: str) -> str:
    """Give what stepbus answers, in one line."""
    said = run([*stepbus(), *words], capture_output=True, text=True, check=False)
    if said.returncode:
        raise DemoFailed(f"expected stepbus {' '.join(words[:2])} to do it\n{said.stdout}{said.stderr}")
    return " ".join(said.stdout.split())


def start_workers(screen: Screen, processes: Children, broker: Broker, *, with_typescript: bool) -> None:
    """Start two Python workers that share their queues, and one in TypeScript; where it can't be, Python stands in."""
    for name in ("python-1", "python-2"):
        processes.start(name, python_worker("worker", name, broker))
        screen.say(f"worker       {name}: python -m stepbus.worker worker:worker")
    command, missing = typescript_worker(broker) if with_typescript else ([], "it was not asked for")
    if command:
        variables = {"STEPBUS_BUS": broker.url, "STEPBUS_PREFIX": broker.prefix, "STEPBUS_WORKER": "typescript-1"}
        processes.start("typescript-1", command, **variables)
        screen.say("worker       typescript-1: node workers/typescript/dist/src/main.js")
    else:
        processes.start("shipping-1", python_worker("shipping", "shipping-1", broker))
        screen.say(f"worker       shipping-1 in Python stands in for the one in TypeScript: {missing}")


def submit(screen: Screen, shop: Shop, orders: Sequence[Order]) -> None:
    """Ask for a task for each order, and for the first one twice."""
    for order in orders:
        shop.submit(order)
    if not shop.submit(orders[0]):
        raise DemoFailed(f"expected {orders[0].order_id} to be one task, but a second request made another")
    screen.say(f"submitted    {len(orders)} orders, {orders[0].order_id} twice: its key makes it the same task")


def watch(screen: Screen, processes: Children, shop: Shop, orders: Sequence[Order]) -> None:
    """Look at the tasks until all are at rest; kill the worker that holds an order which is there for that."""
    deadline = monotonic() + PATIENCE_S
    victims = [order for order in orders if order.kill_worker_in]
    while not all(order.is_at_rest for order in orders) and monotonic() < deadline:
        shop.look(orders)
        for order in list(victims):
            worker = order.in_hand(order.kill_worker_in or "")
            if worker is not None:
                victims.remove(order)
                order.killed, pid = worker, processes.kill(worker)
                screen.say(
                    f"kill -9 {pid}: {worker}, in the middle of {order.order_id}'s {order.kill_worker_in}", "red"
                )
        screen.follow(orders)
        processes.demand_life()
        sleep(LOOK_S)
    if victims:
        raise DemoFailed(f"expected to kill the worker of {victims[0].order_id}, but none said that it has it")


def say_what_is_next(screen: Screen, data: Path, orders: Sequence[Order], *, kept: bool) -> None:
    """Give commands to copy. They need the folder, which is there only if it was kept."""
    screen.chapter("what to try next")
    say = screen.console.print
    if not kept:
        say(
            f"{Path(sys.executable).name} {Path(__file__).name} --keep leaves the log, with commands that look into it:"
        )
        say(f"    {sys.executable} {Path(__file__).resolve()} --keep", soft_wrap=True)
        return
    say(f"export PATH={Path(sys.executable).parent}:$PATH; cd {HERE}", soft_wrap=True)
    say(f"stepbus dev --data {data} &", soft_wrap=True)
    say("python -m stepbus.worker worker:worker & python -m stepbus.worker shipping:worker &")
    say("stepbus task list")
    for order in orders:
        if order.task["status"] == "error":
            task_id, step = order.task_id, order.task["failed_steps"][0]
            held = json.dumps({"authorisation": "auth-0123456789ab", "amount_cents": order.total_cents})
            say(f"stepbus task why {task_id}")
            say(f"stepbus task resolve {task_id} {step} --reason 'paid by transfer' --result '{held}'", soft_wrap=True)
            say(f"stepbus task watch {task_id}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Play the demo of stepbus.")
    parser.add_argument("--bus", metavar="URL", help="a broker that runs, instead of the one that stepbus dev starts")
    parser.add_argument("--keep", action="store_true", help="leave the data folder, to look at it afterwards")
    parser.add_argument("--python-only", action="store_true", help="do without the TypeScript worker")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
