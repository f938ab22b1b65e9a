"""What is seen while the orders run: a board in a terminal, a line for whatever matters elsewhere."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from time import monotonic

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from stage.orders import Order
from stepbus.orchestrator.cli.drawing.looks import TASK

_SHOWN = 12
_BAR = 40
_PLAIN_WIDTH = 150


class Screen:
    """Says what happens. Facts come from the orders as the API has told them."""

    def __init__(self) -> None:
        self.console = Console(highlight=False)
        if not self.console.is_terminal:
            self.console = Console(highlight=False, width=_PLAIN_WIDTH)
        self._began = monotonic()
        self._news: list[Text] = []
        self._told: set[tuple[str, str, int]] = set()
        self._ended: set[str] = set()
        self._live: Live | None = None

    def chapter(self, title: str) -> None:
        self.console.rule(f"[bold]{title}", align="left")

    def say(self, text: str, style: str = "") -> None:
        """Say something that is not about one order."""
        self._tell(Text(text, style))

    @contextmanager
    def watching(self, orders: Sequence[Order]) -> Iterator[None]:
        """Show how the orders stand, for the length of the block."""
        if not self.console.is_terminal:
            yield
            return
        with Live(get_renderable=lambda: self._board(orders), console=self.console, refresh_per_second=8) as live:
            self._live = live
            yield
        self._live = None

    def follow(self, orders: Sequence[Order]) -> None:
        """Tell what is new: attempts that failed, tasks that ended."""
        for order in orders:
            for attempt in order.troubles:
                name = (order.order_id, attempt["step"], attempt["attempt"])
                if name not in self._told:
                    self._told.add(name)
                    self._tell(_trouble(order, attempt))
            if order.is_at_rest and order.order_id not in self._ended:
                self._ended.add(order.order_id)
                status = order.task["status"]
                if self._live is not None and status == "complete" and not order.troubles:
                    continue  # the board counts it
                self._tell(Text.assemble((f"{order.order_id}  ", "bold"), (status, TASK.get(status, ""))))

    def _tell(self, line: Text) -> None:
        stamped = Text.assemble((f"{monotonic() - self._began:6.1f} s  ", "dim"), line)
        if self._live is None:
            self.console.print(stamped)
        else:
            self._news.append(stamped)

    def _board(self, orders: Sequence[Order]) -> Group:
        counts = Counter(order.task.get("status", "pending") for order in orders)
        done = sum(order.task.get("completed_steps", 0) for order in orders)
        total = sum(order.task.get("total_steps", 0) for order in orders) or 1
        table = Table.grid(padding=(0, 2))
        for status, style in TASK.items():
            if counts[status]:
                table.add_row(Text(status, style), Text("█" * counts[status], style), str(counts[status]))
        filled = round(_BAR * done / total)
        steps = Text.assemble(("█" * filled, "green"), ("░" * (_BAR - filled), "dim"), f"  {done}/{total} steps")
        return Group(Text(), table, steps, Text(), *self._news[-_SHOWN:])


def _trouble(order: Order, attempt: dict[str, object]) -> Text:
    then = "it is tried again" if attempt["retry_at_ms"] else "it has failed for good"
    return Text.assemble(
        (f"{order.order_id}  ", "bold"),
        f"{attempt['step']} #{attempt['attempt']} ",
        (f"{attempt['outcome']}".replace("_", " "), "magenta" if attempt["retry_at_ms"] else "bold red"),
        f" ({attempt['error_code']}): {then}",
    )
