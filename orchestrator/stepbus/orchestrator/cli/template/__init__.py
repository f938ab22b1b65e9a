"""`stepbus template`."""

from stepbus.orchestrator.cli.lazy import group_of

app = group_of(
    "stepbus.orchestrator.cli.template",
    {
        "check": "Say whether a template can be registered, and all that is wrong with it.",
        "register": "Register a template, so that tasks of it can be submitted.",
        "show": "Show a registered template.",
        "graph": "Draw the steps of a template and what depends on what.",
        "list": "List the registered templates.",
    },
    about="Check, register, show, draw and list task templates.",
)
