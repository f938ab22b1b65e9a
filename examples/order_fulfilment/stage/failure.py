"""How the demo fails."""


class DemoFailed(Exception):
    """The demo can't go on; the text says what was expected and found, and what a process said last."""
