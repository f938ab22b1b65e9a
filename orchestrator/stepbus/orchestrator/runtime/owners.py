"""The names of processes that hold leases, and what a name says of whether its process still lives.

Shape: `<host>:<process>:<where>:<which>`. `where` tells apart machines, their boots, and spaces of process numbers (of
containers), so that a number is looked for only where it means something.
"""

import os
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from socket import gethostname
from uuid import uuid4

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_SPACE = Path("/proc/self/ns/pid")
_PARTS = 4


def new_owner() -> str:
    """Give a name that no other process has, and that a person can find the process by."""
    return f"{gethostname().replace(':', '-')}:{os.getpid()}:{_where()}:{uuid4().hex[:8]}"


def has_died(owner: str) -> bool:
    """Say whether the process of this name is known to be gone. False where that can't be seen from here."""
    parts = owner.split(":")
    where = _where()
    if len(parts) != _PARTS or not where or parts[2] != where or not parts[1].isdecimal():
        return False
    with suppress(PermissionError, OverflowError):
        try:
            os.kill(int(parts[1]), 0)
        except ProcessLookupError:
            return True
    return False


def _where() -> str:
    """Give what is the same only for processes that share their numbers; "" where that is not known."""
    try:
        told = f"{_BOOT.read_text()}{_SPACE.readlink()}"
    except OSError:
        return ""
    return blake2b(told.encode(), digest_size=6).hexdigest()
