"""What is said of the machine."""

from pathlib import Path

import pytest

from stepbus.orchestrator.bench.machine import file_system, machine_facts
from stepbus.orchestrator.bench.processes import cpu_s, rss_mib

MOUNTS = """\
/dev/sda1 / ext4 rw 0 0
tmpfs /scratch tmpfs rw 0 0
/dev/sdb1 /scratch/disk xfs rw 0 0
"""


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/", "ext4"),
        ("/srv/data", "ext4"),
        ("/scratch/x", "tmpfs"),
        ("/scratch/disk/x", "xfs"),
        ("/scratch/diskette", "tmpfs"),
    ],
)
def test_a_folder_lies_on_the_file_system_mounted_nearest_above_it(folder: str, kind: str) -> None:
    assert file_system(Path(folder), MOUNTS) == kind


def test_a_figure_says_which_machine_it_is_from(tmp_path: Path) -> None:
    facts = machine_facts(tmp_path)

    assert facts.keys() == {
        "cpus", "cpu", "memory_gib", "system", "python", "stepbus", "file_system", "load_average",
    }  # fmt: skip
    assert None not in facts.values()


def test_of_a_process_that_is_gone_nothing_is_known(unused_pid: int) -> None:
    assert cpu_s([unused_pid]) is None
    assert rss_mib([unused_pid]) is None
    assert cpu_s([]) is None


def test_this_process_has_computed_and_has_memory() -> None:
    from os import getpid, times  # noqa: PLC0415 - beside what they are compared with

    user, system, *_ = times()
    found = cpu_s([getpid()])

    assert found is not None
    assert found >= user + system - 0.02
    assert (rss_mib([getpid()]) or 0) > 5


@pytest.fixture
def unused_pid() -> int:
    return int(Path("/proc/sys/kernel/pid_max").read_text()) + 1
