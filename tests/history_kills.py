"""Add items to a history in processes that are killed at any moment, as a program: ``history_kills.py URL KILLS SEED``.

Each child adds pairs of items and says so on a pipe; it is killed after some of them, somewhere in the next. Then the
history must have every pair that a child spoke of, at most one more, and no half of a pair.
"""

import json
import os
import random
import signal
import sys
import warnings

from threadkeep import delete_session, open_history


def add_pairs(url: str, begin: int, pipe: int) -> None:
    """Add one pair after another, and say each; until killed."""
    history = open_history(url).sync
    number = begin
    while True:
        history.add_items([{"pair": number, "half": 0, "text": "x" * 3000}, {"pair": number, "half": 1}])
        os.write(pipe, b".")
        number += 1


def killed_child(url: str, begin: int, moments: random.Random) -> int:
    """Let a child add pairs, kill it, and return how many it spoke of."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            add_pairs(url, begin, writer)
        finally:
            os._exit(3)
    os.close(writer)
    spoken = 0
    for _ in range(moments.randrange(4)):
        spoken += len(os.read(reader, 1))
    for _ in range(moments.randrange(10 ** moments.randrange(2, 7))):  # somewhere in the next calls
        pass
    os.kill(child, signal.SIGKILL)
    while dots := os.read(reader, 100):
        spoken += len(dots)
    os.close(reader)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    return spoken


def main(url: str, kills: int, seed: int) -> None:
    """Kill so many children, and check the history after each."""
    warnings.simplefilter("error" if url.endswith(".json") else "ignore")  # a torn line is said
    moments = random.Random(seed)
    between = count = 0
    for kill in range(kills):
        if kill % 30 == 0:
            delete_session(url)
            count = 0
        spoken = killed_child(url, count, moments)
        items = open_history(url).sync.get_items()
        assert [(item["pair"], item["half"]) for item in items] == [
            (pair, half) for pair in range(len(items) // 2) for half in (0, 1)
        ], (kill, len(items))
        added = len(items) // 2 - count
        assert spoken <= added <= spoken + 1, (kill, spoken, added)
        between += added - spoken
        count += added
        if url.endswith(".json") and os.path.exists(url):
            with open(url, encoding="utf-8") as file:
                assert len(json.load(file)) == len(items)
    print(f"{kills} kills, {between} between the disk and the word")  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
