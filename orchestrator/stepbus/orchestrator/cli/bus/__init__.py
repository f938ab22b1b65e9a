"""`stepbus bus`."""

from stepbus.orchestrator.cli.lazy import group_of

app = group_of(
    "stepbus.orchestrator.cli.bus",
    {
        "provision": "Create what the channels and job queues need, and show what there is.",
        "resync": "Send the jobs of all open attempts again, to a broker that came back empty.",
        "doctor": "Try the promises that stepbus builds on against a broker of yours.",
    },
    about="Provision the bus, fill one that came back empty, and try what a broker holds to.",
)
