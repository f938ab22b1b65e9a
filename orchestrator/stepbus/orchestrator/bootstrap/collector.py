"""The garbage collector of a process that serves.

What flows through a coordinator is freed by reference counts: a step makes some fifty objects and no cycle. CPython's
collector does not know that, and with its defaults looks through the young ones seven times in a thousand steps and
through all open tasks again and again: a quarter of a loaded coordinator's time.
"""

import gc

_YOUNG = 50_000
_MIDDLE = 20
_OLD = 50


def calm_collector() -> None:
    """Pass over what is there by now for good, and look seldom at what comes: to be called once all is set up.

    Cycles are still found, so memory that they hold is bounded: by what fifty thousand objects take, and what grows old
    is looked through when it has grown by a quarter.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, _MIDDLE, _OLD)
