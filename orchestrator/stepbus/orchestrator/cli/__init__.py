"""`stepbus`, the one entry for people and scripts. A verb or noun is a file of its own, loaded when it is used."""

from stepbus.orchestrator.cli.app import app, main

__all__ = ["app", "main"]
