"""The interpreter of a process that serves: how often it looks for garbage, and how soon its threads take turns.

What flows through a coordinator is freed by reference counts: a step makes some thirty objects and no cycle. CPython's
collector does not know that, and with its defaults looks through the young ones several times in a thousand steps and
through all open tasks again and again: a quarter of a loaded coordinator's time.

The thread that commits gives the interpreter's lock away a few times a group, while SQLite or the network works. With
the default it waits 5 ms each time to have it back from a loop that has enough to do, and the commit takes twice as
long as the disk does.
"""

import gc
import sys

_YOUNG = 50_000
_MIDDLE = 20
_OLD = 50
_SWITCH_S = 0.0002


def settle_interpreter() -> None:
    """Pass over what is there by now for good, look seldom at what comes, and let threads take turns sooner.

    To be called once all is set up. Cycles are still found, so memory that they hold is bounded: by what fifty thousand
    objects take, and what grows old is looked through when it has grown by a quarter.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, _MIDDLE, _OLD)
    sys.setswitchinterval(_SWITCH_S)
