"""The machine that a figure was found on: without it a figure says little."""

import os
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

WITHOUT_DISK = frozenset({"tmpfs", "ramfs"})


def machine_facts(folder: Path) -> dict[str, object]:
    """Give what is known of this machine, and of the file system below a folder."""
    return {
        "cpus": os.cpu_count(),
        "cpu": cpu_model(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "stepbus": version("stepbus"),
        "file_system": file_system(folder),
        "load_average": round(os.getloadavg()[0], 2),
    }


def cpu_model() -> str:
    """Give the name of the processor."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name"))
    return next(names, platform.machine())


def file_system(folder: Path, mounts: str | None = None) -> str | None:
    """Give the kind of the file system that holds a folder; None where that is not known."""
    try:
        table = Path("/proc/self/mounts").read_text() if mounts is None else mounts
    except OSError:
        return None
    kinds: Mapping[str, str] = {words[1]: words[2] for words in map(str.split, table.splitlines())}
    path = folder.resolve()
    return next((kinds[str(place)] for place in (path, *path.parents) if str(place) in kinds), None)
