"""The core against a model of the specification: any commands, in any order, for any graph."""

from hypothesis import settings

from tests.property.core.machine import TaskMachine

TestTask = TaskMachine.TestCase
TestTask.settings = settings(max_examples=60, stateful_step_count=50)
