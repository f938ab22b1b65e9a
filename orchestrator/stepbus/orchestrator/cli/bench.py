"""`stepbus bench`."""

import asyncio
import re
from collections.abc import Sequence
from pathlib import Path
from tempfile import gettempdir
from typing import Annotated, Any, Literal

import typer

from stepbus.orchestrator.bench import Plan, Unfinished, measure_apart
from stepbus.orchestrator.bench.plan import MEMORY, NATS, SQLITE, USUAL_PLACES
from stepbus.orchestrator.bench.workloads import chosen
from stepbus.orchestrator.bootstrap.settings import read_settings
from stepbus.orchestrator.cli.configured import Set, assigned
from stepbus.orchestrator.cli.failure import Failure
from stepbus.orchestrator.cli.verb import AsJson, Verb, answer

app = typer.Typer(add_completion=False)

Workload = Literal["W1", "W2", "W3", "W4", "W5", "all"]
_TEMPORARY = Path(gettempdir())
_WIDTH = 132
_WHOLE_MS = 20
_HEADS = (
    "steps/s (min … max)",
    "of limit",
    "bus / log alone",
    "ms a step\np50 p95 p99",
    "CPU µs a step\ncoord worker broker",
    "MiB\ncoord worker broker",
)
_BUSES = "memory, nats, kafka, rabbitmq, redis or the URL of a broker"
_WHERE = "memory: in one process; nats: a server of its own; kafka, rabbitmq, redis: this machine's; or a URL."
_URL = re.compile(r"[a-z][a-z0-9+.-]*:")


@app.command(cls=Verb)
def bench(  # noqa: PLR0913 - each is an option
    workload: Annotated[Workload, typer.Argument(help="Which workload.")] = "all",
    *,
    bus: Annotated[str, typer.Option(metavar="BUS", help=_WHERE)] = MEMORY,
    store: Annotated[str, typer.Option(metavar="STORE", help="sqlite, or the URL of a PostgreSQL database.")] = SQLITE,
    worker: Annotated[
        Literal["bare", "library"],
        typer.Option(help="The leanest worker that answers, or one written with stepbus.worker."),
    ] = "bare",
    workers: Annotated[int, typer.Option(min=1, metavar="N", help="How many workers, each a process.")] = 1,
    coordinators: Annotated[
        int, typer.Option(min=1, metavar="N", help="How many coordinators share the work, each a process.")
    ] = 1,
    runs: Annotated[int, typer.Option(min=1, metavar="N", help="How many runs.")] = 5,
    scale: Annotated[float, typer.Option(min=0.001, max=1, help="This share of the size: for trying out.")] = 1.0,
    budget: Annotated[float, typer.Option(min=1, metavar="SECONDS", help="What does not fit is cut.")] = 50.0,
    views: Annotated[bool, typer.Option("--views", help="Keep the read models too.")] = False,
    no_floor: Annotated[bool, typer.Option("--no-floor", help="Leave out bus and log alone.")] = False,
    data: Annotated[
        Path,
        typer.Option("--data", metavar="FOLDER", exists=True, file_okay=False, help="Where the files are meanwhile."),
    ] = _TEMPORARY,
    assignments: Set = None,
    as_json: AsJson = False,
) -> None:
    """Measure the workloads, and beside each the limits that this machine sets: bus and log alone.

    With --json, the figures of one workload are one document, those of all a list.
    """
    if coordinators > 1 and (bus == MEMORY or store == SQLITE or store.startswith("sqlite:")):
        expected = "expected a broker and a PostgreSQL database for several coordinators to share"
        raise typer.BadParameter(f"{expected}, found {bus} and {store}", param_hint="--coordinators")
    settings = assigned(assignments)
    read_settings(None, {}, settings)  # what is none is refused before anything is started
    plans = [
        Plan(
            workload=name,
            bus=USUAL_PLACES.get(bus) or _named(bus, (MEMORY, NATS), "--bus", _BUSES),
            store=_named(store, (SQLITE,), "--store", "sqlite or the URL of a database"),
            worker=worker,
            workers=workers,
            coordinators=coordinators,
            runs=runs,
            scale=scale,
            views=views,
            floor=not no_floor,
            folder=data.absolute(),
            settings=settings,
            budget_s=budget,
        )
        for name in chosen(workload)
    ]
    try:
        documents = asyncio.run(_measured(plans, is_told=not as_json))
    except Unfinished as error:
        raise Failure("bench.unfinished", str(error)) from error
    if as_json:
        answer(documents if workload == "all" else documents[0], "", as_json=True)
    else:
        _show(documents)


def _named(given: str, known: Sequence[str], option: str, expected: str) -> str:
    if given in known or _URL.match(given):
        return given
    raise typer.BadParameter(f"expected {expected}, found {given!r}", param_hint=option)


async def _measured(plans: Sequence[Plan], *, is_told: bool) -> list[dict[str, Any]]:
    def say(line: str) -> None:
        if is_told:
            typer.echo(line, err=True)

    return [await measure_apart(plan, say) for plan in plans]


def _show(documents: Sequence[dict[str, Any]]) -> None:
    from rich.box import SIMPLE_HEAD  # noqa: PLC0415 - not for --json
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    console = Console()
    if not console.is_terminal:
        console.width = _WIDTH  # in a file no line needs to be broken
    table = Table(title=_title(documents[0]), title_justify="left", title_style="", box=SIMPLE_HEAD, padding=(0, 1))
    table.add_column("")
    for head in _HEADS:
        table.add_column(head, justify="right")
    for document in documents:
        for row in _rows(document):
            table.add_row(*row)
    console.print(table)
    if documents[0]["bus"] == MEMORY:
        console.print("embedded: one process is coordinator, worker and client")
    for document in documents:
        for note in document["also"]["notes"]:
            console.print(f"{document['workload']}: {note}")


def _title(document: dict[str, Any]) -> str:
    machine, also = document["machine"], document["also"]
    several = "" if also["coordinators"] == 1 else f"{also['coordinators']} coordinators, "
    return (
        f"{document['bus']} + {document['store']}, {several}{also['workers']} {also['worker']} worker(s), "
        f"{machine['cpus']} x {machine['cpu']}, {machine['system']}, {machine['python']}, {machine['file_system']}"
    )


def _rows(document: dict[str, Any]) -> list[list[str]]:
    """Give the row of the workload, and below it those of its other loads."""
    also, limits = document["also"], document["floor_steps_per_s"]
    rows = [_row(document["workload"], document, also["of_floor"], limits)]
    for at_once, level in list(also.get("by_active", {}).items())[:-1]:
        rows.insert(-1, _row(f"{document['workload']} {int(at_once):,}", level))
    if "by_active" in also:
        rows[-1][0] = f"{document['workload']} {also['at_once']:,}"
    if "with_library" in also:
        rows.append(_row(f"{document['workload']} library", also["with_library"]))
    return rows


def _row(
    name: str, figures: dict[str, Any], share: float | None = None, limits: dict[str, Any] | None = None
) -> list[str]:
    rates, steps_ms, limits = figures["steps_per_s"] or {}, figures["step_ms"] or {}, limits or {}
    least, most = _number(rates.get("min")), _number(rates.get("max"))
    return [
        name,
        f"{_number(rates.get('median'))} ({least} … {most})",
        "" if share is None else f"{share:.0%}",
        f"{_number(limits['bus'])} / {_number(limits['store'])}" if limits else "",
        "  ".join(f"{value:,.0f}" if value >= _WHOLE_MS else f"{value:.2f}" for value in steps_ms.values()),
        _by_role(figures.get("cpu_us_per_step")),
        _by_role(figures.get("rss_mib")),
    ]


def _by_role(figures: dict[str, float | None] | None) -> str:
    return "  ".join(map(_number, figures.values())) if figures else ""


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"
