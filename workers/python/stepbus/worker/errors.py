"""How a handler says that it failed.

```
HandlerError(Exception)
├── RetryableError     another attempt may succeed
└── PermanentError     no attempt will ever succeed
```

Any other exception is a retryable failure, its class name the code. What is retried, how often and when, is the task
template's decision; a worker only says whether it makes sense.
"""

from datetime import timedelta
from typing import Any


class HandlerError(Exception):
    """An attempt failed, and the handler says why.

    Shape: `code` is the handler's own word, dotted by custom (`card.declined`); `details` is any JSON value.
    """

    def __init__(self, code: str, message: str = "", *, details: Any = None) -> None:
        super().__init__(f"{code}: {message}" if message else code)
        self.code = code
        self.message = message
        self.details = details


class RetryableError(HandlerError):
    """Another attempt may succeed, after `retry_after` (a timedelta, or seconds), else as the template says."""

    def __init__(
        self, code: str, message: str = "", *, retry_after: timedelta | float | None = None, details: Any = None
    ) -> None:
        super().__init__(code, message, details=details)
        self.retry_after_s = retry_after.total_seconds() if isinstance(retry_after, timedelta) else retry_after


class PermanentError(HandlerError):
    """No attempt will ever succeed."""
