"""The conformance kit for workers: plays the coordinator to a worker in any language, and says which rules it keeps to.

```python
report = await conform(bus, probe_contract(), Pace(), Command(["node", "worker.js"], os.environ))
assert report.conforms, report.failed
```

`stepbus worker conform` is the same on the command line; docs/worker-conformance.md has the rules.
"""

from stepbus.orchestrator.testing.worker_kit.bench import Control, Pace
from stepbus.orchestrator.testing.worker_kit.command import Command
from stepbus.orchestrator.testing.worker_kit.contract import SCENARIOS, Contract, probe_contract, read_contract
from stepbus.orchestrator.testing.worker_kit.report import Finding, Report
from stepbus.orchestrator.testing.worker_kit.rules import RULES, Rule, chosen
from stepbus.orchestrator.testing.worker_kit.run import conform

__all__ = [
    "RULES",
    "SCENARIOS",
    "Command",
    "Contract",
    "Control",
    "Finding",
    "Pace",
    "Report",
    "Rule",
    "chosen",
    "conform",
    "probe_contract",
    "read_contract",
]
