"""What the server's configuration lets a crash lose, said once when a bus is opened."""

import logging
from collections.abc import Mapping

from redis.exceptions import RedisError

from stepbus.adapters.redis.commands import pack
from stepbus.adapters.redis.connection import Connection
from stepbus.orchestrator.ports import BusUnavailable

_log = logging.getLogger(__name__)

_ASKED = ("appendonly", "appendfsync", "maxmemory", "maxmemory-policy")


async def tell_weaknesses(connection: Connection, host_and_port: str) -> None:
    """Warn of each guarantee that this server gives less of than it could, or that we may not ask for."""
    try:
        answer = await connection.ask(pack("CONFIG", "GET", *_ASKED))
    except (RedisError, BusUnavailable):
        _log.warning("Redis at %s does not say what it keeps on disk; see that appendonly is yes", host_and_port)
        return
    texts = [part.decode() for part in answer]
    for weakness in weaknesses(dict(zip(texts[::2], texts[1::2], strict=True))):
        _log.warning("Redis at %s %s", host_and_port, weakness)


def weaknesses(config: Mapping[str, str]) -> list[str]:
    """Give what a server of this configuration can lose, in words that end a sentence."""
    found: list[str] = []
    if config.get("appendonly") != "yes":
        found.append("has appendonly no: a crash loses what it has confirmed since its last snapshot")
    elif config.get("appendfsync") != "always":
        found.append(
            f"has appendfsync {config.get('appendfsync')}: a power failure loses what it has confirmed "
            + (
                "in the last second"
                if config.get("appendfsync") == "everysec"
                else "and the system has not written yet"
            )
        )
    policy = config.get("maxmemory-policy", "noeviction")
    if config.get("maxmemory", "0") != "0" and policy != "noeviction":
        found.append(f"has maxmemory-policy {policy}: when its memory is full it drops messages; take noeviction")
    return found
