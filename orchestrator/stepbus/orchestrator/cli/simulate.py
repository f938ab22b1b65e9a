"""`stepbus simulate`."""

from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from stepbus.contracts.template import check
from stepbus.orchestrator.cli.documents import STDIN, Environment, TemplateFile, json_option, read_template
from stepbus.orchestrator.cli.verb import AsJson, Verb, answer, paired
from stepbus.orchestrator.testing.simulate import START_MS, Script, Simulation
from stepbus.orchestrator.testing.simulate import simulate as run

app = typer.Typer(add_completion=False)


@app.command(cls=Verb)
def simulate(
    file: TemplateFile,
    *,
    script: Annotated[str, typer.Option(metavar="JSON", help="How the workers behave; @FILE reads a file.")] = "{}",
    events: Annotated[
        Path | None,
        typer.Option(
            metavar="OUT", help="Write the events there, a JSON array [event, step, attempt] a line; - is stdout."
        ),
    ] = None,
    environment: Environment = None,
    as_json: AsJson = False,
) -> None:
    """Run a template through the real core on a virtual clock, with scripted workers. One seed gives one history.

    A script: {"steps": {"NAME": {"fail": 2}, "OTHER": {"permanent": true}, "THIRD": {"timeout": 1}}, "seed": 7,
    "duplicates": 0.2, "shuffle": true}. A step that is not named succeeds. The exit code is 0 if the simulation ran to
    its end, however the task ended.
    """
    if as_json and events == STDIN:
        raise typer.BadParameter("expected a file, since --json answers on stdout", param_hint="--events")
    source = read_template(file)
    behaviour = Script.read(json_option(script, "--script"))
    simulation = run(check(source.text, source.format, environment), behaviour)
    lines = b"".join(orjson.dumps(event, option=orjson.OPT_APPEND_NEWLINE) for event in simulation.events)
    if events == STDIN:
        typer.echo(lines, nl=False)
        return
    if events is not None:
        events.write_bytes(lines)
    summary = _summary(simulation, behaviour.seed)
    answer(summary, lambda: _text(summary, events), as_json=as_json)


def _summary(simulation: Simulation, seed: int) -> dict[str, Any]:
    last_ms = simulation.history[-1][0] if simulation.history else START_MS
    return {
        "status": simulation.state.status,
        "seed": seed,
        "virtual_ms": last_ms - START_MS,
        "events": dict(Counter(event for event, _, _ in simulation.events)),
    }


def _text(summary: dict[str, Any], events: Path | None) -> str:
    return paired(
        [
            ("task", summary["status"]),
            ("virtual time", f"{summary['virtual_ms'] / 1000:,.3f} s"),
            ("seed", summary["seed"]),
            *summary["events"].items(),
            ("events", events),
        ]
    )
