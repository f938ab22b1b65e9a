"""The demo on a broker of any kind: `python -m tools.demo kafka`, with the demo's own options behind it.

The broker is started for the demo, and its data goes with it; `make demo BUS=kafka` installs what it needs first. With
BUS_URL in the environment that broker is used, whatever kind it is.
"""

import os
import subprocess
import sys
from pathlib import Path

from tools.servers import KINDS, own_server

_DEMO = Path(__file__).parents[1] / "examples" / "order_fulfilment" / "demo.py"
_BROKERS = {kind.name.lower(): kind for kind in KINDS if kind.name.lower() != "postgresql"}


def main(arguments: list[str]) -> int:
    """Play the demo, and give its exit code."""
    url = os.environ.get("BUS_URL")
    if url:
        return _played(url, arguments[1:])
    kind = _BROKERS.get(arguments[0].lower() if arguments else "")
    if kind is None:
        print(f"expected a broker among {', '.join(sorted(_BROKERS))}, found {arguments[:1]}", file=sys.stderr)
        return 2
    with own_server(kind) as server:
        return _played(server.url, arguments[1:])


def _played(url: str, options: list[str]) -> int:
    """Play it in the foreground: Ctrl-C reaches it too, and it ends its processes itself."""
    demo = subprocess.Popen([sys.executable, str(_DEMO), "--bus", url, *options])
    while True:
        try:
            return demo.wait()
        except KeyboardInterrupt:
            continue


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
