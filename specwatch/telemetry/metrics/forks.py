"""Objects that have to be made fit for use in a forked process."""

import os
import threading
import weakref
from collections.abc import Callable
from typing import Protocol


class Forked(Protocol):
    """What has something to do in a forked process."""

    def forked(self) -> None:
        """Be fit for use in this process, which is a copy of the one that made the object."""


def follow_forks(target: Forked, lock: Callable[[], threading.RLock] | None = None) -> None:
    """Have `target.forked()` called after each fork, as long as it lives.

    Args:
        target: the object; it is not kept alive.
        lock: gives a lock that nobody may hold while the process forks, so that the copy has nothing half made.
    """
    reference = weakref.ref(target)
    held: list[threading.RLock] = []

    def before() -> None:
        if lock is not None and reference() is not None:
            held.append(lock())
            held[-1].acquire()

    def in_parent() -> None:
        if held:
            held.pop().release()

    def in_child() -> None:
        held.clear()
        alive = reference()
        if alive is not None:
            alive.forked()

    os.register_at_fork(before=before, after_in_parent=in_parent, after_in_child=in_child)
