"""Write handlers, let stepbus run them.

```python
from pydantic import BaseModel
from stepbus.worker import Context, PermanentError, Worker

worker = Worker("nats://127.0.0.1:4222")


class Cart(BaseModel):
    items: list[str]


@worker.handler("orders.validate_cart")
async def validate_cart(cart: Cart, context: Context) -> dict[str, int]:
    if not cart.items:
        raise PermanentError("cart.empty", "expected at least one item")
    return {"count": len(cart.items)}


worker.run()
```

`python -m stepbus.worker module:worker` runs it too. workers/README.md is the guide; `stepbus.worker.testing` calls
handlers in a unit test.
"""

from stepbus.contracts.messages import Inputs
from stepbus.worker.context import Context
from stepbus.worker.errors import HandlerError, PermanentError, RetryableError
from stepbus.worker.handler import Handler, ResultOf
from stepbus.worker.stats import Stats
from stepbus.worker.worker import Worker

__all__ = [
    "Context",
    "Handler",
    "HandlerError",
    "Inputs",
    "PermanentError",
    "ResultOf",
    "RetryableError",
    "Stats",
    "Worker",
]
