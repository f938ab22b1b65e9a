"""What is asked of the rounds, and how its askers hear of it: one wake-up for all that was asked together."""

import asyncio

from stepbus.orchestrator.ports import StoreUnavailable
from stepbus.orchestrator.runtime.intents import Intent, Outcome


class Undecidable(Exception):
    """The core could not decide this intent; nothing was stored for it."""


Answer = Outcome | StoreUnavailable | Undecidable
Answers = list[Answer]


class Asked:
    """Intents that are awaited together. `done` has their answers, in order, when the last of them is there."""

    __slots__ = ("_answers", "_missing", "done")

    def __init__(self, count: int) -> None:
        self._answers: list[Answer | None] = [None] * count
        self._missing = count
        self.done: asyncio.Future[Answers] = asyncio.get_running_loop().create_future()
        if not count:
            self.done.set_result([])

    def answer(self, place: int, answer: Answer) -> None:
        """Take the answer for the intent at this place, the first that is given; who asked may have gone."""
        if self._answers[place] is not None:
            return
        self._answers[place] = answer
        self._missing -= 1
        if not self._missing and not self.done.done():
            self.done.set_result([answer for answer in self._answers if answer is not None])


class Work:
    """One intent on its way through the rounds. `doubted` says that it must be decided on what the log holds now."""

    __slots__ = ("_asked", "_place", "doubted", "intent", "tries")

    def __init__(self, intent: Intent, asked: Asked, place: int) -> None:
        self.intent = intent
        self.tries = 0
        self.doubted = False
        self._asked = asked
        self._place = place

    def answer(self, answer: Answer) -> None:
        """Say what has become of it."""
        self._asked.answer(self._place, answer)
