"""`stepbus worker`."""

from stepbus.orchestrator.cli.lazy import group_of

app = group_of(
    "stepbus.orchestrator.cli.worker",
    {"conform": "Say whether a worker keeps to the contract, rule by rule."},
    about="Try workers in any language.",
)


@app.callback()
def _worker() -> None:
    """Try workers in any language."""  # with a callback, a group of one verb stays a group
