"""`stepbus contracts`."""

from stepbus.orchestrator.cli.lazy import group_of

app = group_of(
    "stepbus.orchestrator.cli.contracts",
    {
        "diff": "Name what changed between two versions of a contract, and what of it is breaking.",
    },
    about="Compare, export and describe what clients and workers agree on with stepbus.",
)


@app.callback()
def _contracts() -> None:
    """Compare, export and describe what clients and workers agree on with stepbus."""  # so that it stays a group
