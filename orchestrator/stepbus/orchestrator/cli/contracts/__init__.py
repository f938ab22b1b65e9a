"""`stepbus contracts`."""

from stepbus.orchestrator.cli.lazy import group_of

app = group_of(
    "stepbus.orchestrator.cli.contracts",
    {
        "diff": "Name what changed between two versions of a contract, and what of it is breaking.",
        "export": "Write the JSON Schemas of every message, and of each handler's input, result and error.",
        "asyncapi": "Write one AsyncAPI 3 document: the channels of a bus, and the messages of all handlers on them.",
    },
    about="Compare, export and describe what clients and workers agree on with stepbus.",
)
