"""The workloads of `stepbus bench`, and the limits that this machine sets them.

```
stepbus bench ─▶ a process a workload (apart, run) ─▶ stage: broker, `stepbus serve`, workers, each a process of its own
                                            ─▶ load: submits tasks, hears of their ends
                                            ─▶ floor: the same bus without a log, the same log without a bus
                                            ─▶ report
```

What is measured is the product: the coordinator is `stepbus serve`, messages go through the bus, records through the
store. The worker is not: it is as lean as a worker can be (`bare`), unless the library is asked for.
"""

from stepbus.orchestrator.bench.apart import measure_apart
from stepbus.orchestrator.bench.plan import Plan
from stepbus.orchestrator.bench.unfinished import Unfinished

__all__ = ["Plan", "Unfinished", "measure_apart"]
