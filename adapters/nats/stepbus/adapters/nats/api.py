"""Requests to JetStream: what is asked and answered is the server's own JSON."""

from collections.abc import Mapping
from typing import Any

import orjson
from nats import errors

from stepbus.adapters.nats.connection import Connection
from stepbus.orchestrator.ports import BusUnavailable

_TIMEOUT_S = 5.0


class ApiError(Exception):
    """JetStream answered with an error. `code` is one of its numbered ones; see `errors.json` of nats-server."""

    STREAM_NOT_FOUND = 10059
    STREAM_DIFFERS = 10058
    STREAM_OVERLAPS = 10065
    CONSUMER_NOT_FOUND = 10014
    CONSUMER_DIFFERS = 10148
    CONSUMER_NOT_ALONE = 10099
    CONSUMER_OVERLAPS = 10100

    def __init__(self, code: int, description: str) -> None:
        super().__init__(description)
        self.code = code


class JetStreamApi:
    """The API of JetStream, over the connection there is."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def ask(self, subject: str, request: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Give the answer to a request below `$JS.API.`.

        Raises:
            ApiError: JetStream refuses.
            BusUnavailable: no connection, no answer in time, or a server without JetStream.
        """
        wire = self._connection.demand()
        body = b"" if request is None else orjson.dumps(request)
        try:
            message = await wire.request(f"$JS.API.{subject}", body, timeout=_TIMEOUT_S)
        except errors.NoRespondersError:
            raise BusUnavailable("expected a NATS server with JetStream, but nothing answers to its API") from None
        except (OSError, errors.Error) as error:
            raise BusUnavailable(f"expected JetStream to answer {subject}, but {error!r}") from error
        answer: dict[str, Any] = orjson.loads(message.data)
        if (refusal := answer.get("error")) is not None:
            raise ApiError(refusal.get("err_code", 0), f"{refusal.get('description')} ({subject})")
        return answer
