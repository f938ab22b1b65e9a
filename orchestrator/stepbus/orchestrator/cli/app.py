"""The verbs by name, and what the list of them says."""

import gc
import io
import sys

from stepbus.orchestrator.cli.lazy import group_of

app = group_of(
    "stepbus.orchestrator.cli",
    {
        "dev": "Run everything in one process: SQLite, an embedded broker, coordinator, projections, API.",
        "serve": "Run one or more roles against the configured store and bus.",
        "template": "Check, register, show, draw and list task templates.",
        "submit": "Start a task.",
        "task": "List, show, watch, explain, cancel, retry and resolve tasks.",
        "simulate": "Run a template through the real core on a virtual clock, with scripted workers.",
        "replay": "Fold the history of a task, or of all, and compare with the coordinator's state.",
        "rebuild": "Make the views anew from the log.",
        "verify": "Check the invariants of every task, from the log alone.",
        "quarantine": "List, show and resubmit messages that could not be applied.",
        "bus": "Provision the bus, fill one that came back empty, and try what a broker holds to.",
        "worker": "Try workers in any language.",
        "contracts": "Compare, export and describe what clients and workers agree on with stepbus.",
        "bench": "Measure the workloads, and beside each the limits that this machine sets.",
        "config": "Show every setting: its value, and where it comes from.",
        "version": "Show the version of stepbus.",
    },
    about="stepbus: tasks made of steps, decided from a log, run by workers on a message bus.",
    has_completion=True,
)


def main() -> None:
    """Run the command line of this process."""
    gc.disable()  # imports make no garbage, and looking for it takes a tenth of their time; the verb begins with it on
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that lacks a symbol still gets the words
    app(prog_name="stepbus")
