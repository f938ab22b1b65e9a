"""Run one server of each kind until Ctrl-C."""

import signal
import sys
import threading
from contextlib import ExitStack

from tools.servers import KINDS, ServerError, server


def main() -> None:
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    with ExitStack() as stack:
        for kind in KINDS:
            running = stack.enter_context(server(kind))
            print(f"{kind.name:12}{running.url}", flush=True)
        print("Ctrl-C stops them and deletes their data.", flush=True)
        ended.wait()


if __name__ == "__main__":
    try:
        main()
    except ServerError as error:
        sys.exit(f"servers: {error}")
