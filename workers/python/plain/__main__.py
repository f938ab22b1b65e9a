"""`python -m plain`, in the folder above, serves the handlers as the environment says."""

import asyncio
import logging
import os
import signal
import socket

from plain.handlers import HANDLERS
from plain.worker import Worker


async def main() -> None:
    worker = Worker(
        url=os.environ.get("STEPBUS_BUS", "nats://127.0.0.1:4222"),
        prefix=os.environ.get("STEPBUS_PREFIX", "stepbus"),
        name=os.environ.get("STEPBUS_WORKER", f"python-{socket.gethostname()}-{os.getpid()}"),
        handlers=HANDLERS,
        concurrency=int(os.environ.get("STEPBUS_CONCURRENCY", "4")),
        drain_s=float(os.environ.get("STEPBUS_DRAIN", "30")),
        is_announced=os.environ.get("STEPBUS_ANNOUNCE", "1") == "1",
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, worker.stopping.set)
    await worker.run()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    asyncio.run(main())
