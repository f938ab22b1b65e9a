"""What a port raises when the world does not answer.

```
StoreUnavailable(Exception)   nothing is known to be stored: reload and decide again
BusUnavailable(Exception)     nothing is known to be sent: send it again, under the same id
StaleCheckpoint(Exception)    somebody else has moved this checkpoint on: read it again
```
"""


class StoreUnavailable(Exception):
    """Nothing is known to be stored; reload the streams and decide again."""


class BusUnavailable(Exception):
    """Nothing is known to be sent; send it again under the same id."""


class StaleCheckpoint(Exception):
    """The checkpoint doesn't stand where the caller believed; read it again and go on from there."""
