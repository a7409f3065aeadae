"""Processes that use one history together, for tests: ``python history_processes.py WORK URL NUMBER``.

They are forked before anything is connected, or on purpose afterwards, in an interpreter of their own.
"""

import gc
import os
import sys
from collections.abc import Callable
from functools import partial
from typing import NoReturn

from threadkeep.history import History, open_history
from threadkeep.history.kinds import redis_server, sqlalchemy_database

__all__ = ["WRITERS"]

WRITERS = 8
_PRELOADED = (redis_server, sqlalchemy_database)  # once, not in every child


def write(history: History, writer: int, count: int) -> None:
    """Add items one after another."""
    for number in range(count):
        history.sync.add_items([{"writer": writer, "number": number}])


def pop(history: History, _writer: int, _count: int) -> None:
    """Pop until there is nothing left, and print what was popped."""
    popped = []
    while item := history.sync.pop_item():
        popped.append(f"{item['number']}\n")
    sys.stdout.write("".join(popped))
    sys.stdout.flush()


def inherit(history: History, _writer: int, count: int) -> None:
    """Use a history before and after a fork, in the parent and in the child in turn."""
    write(history, 0, count)
    _ended(_fork(partial(write, history, 1, count), end=sys.exit))
    write(history, 2, count)
    _ended(_fork(gc.collect, end=sys.exit))
    write(history, 3, count)
    history.sync.close()


def _fork(work: Callable[[], object], *, end: Callable[[int], NoReturn] = os._exit) -> int:
    """A child; by sys.exit it ends as one does that does not know of its parent's connections, but slowly."""
    child = os.fork()
    if child == 0:
        work()
        end(0)
    return child


def _ended(child: int) -> None:
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def main(work: str, url: str, count: int) -> None:
    """Do the work in one process, or in many at the same time."""
    if work == "inherit":
        inherit(open_history(url), 0, count)
        return
    task = {"write": write, "pop": pop}[work]
    for child in [_fork(partial(task, open_history(url), one, count)) for one in range(WRITERS)]:
        _ended(child)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
