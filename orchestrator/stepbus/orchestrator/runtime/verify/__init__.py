"""Whether a log keeps what stepbus promises, judged from the log alone.

The rules stand here a second time, in other words. Nothing of the core is used, so that a mistake there does not hide
itself. The log is read once, in the order of its positions; what is kept of it are the open tasks, and of every other
stream a few numbers.
"""

from stepbus.orchestrator.runtime.verify.auditor import Report, verify
from stepbus.orchestrator.runtime.verify.invariants import Invariant, Violation

__all__ = ["Invariant", "Report", "Violation", "verify"]
