"""Pushes in processes that are killed, each forked from one that has imported everything and has no threads.

As a program, it reads a line of JSON for each process, its arguments and when it kills itself. It writes the id of the
process, and its exit code when it has ended.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, Literal
from unittest import mock

from kills import dying_at
from watched import Watched

__all__ = ["Death", "PushProcesses", "push_processes"]

Death = tuple[Literal["before record", "after record", "before change"], int]
"""When a process kills itself: before or after the nth record in the store, or before the nth change of the disk."""

# Seconds after which a process is thought to hang. No test waits for them.
_PATIENCE = 300

_RECORDS = ("plan", "sending_file", "settle_file", "creating", "not_created", "created", "extending", "done", "failed")
_PATTERNS = ("list_before", "sending", "stored", "not_stored", "resume")


class PushProcesses:
    """The program, while it runs."""

    def __init__(self, program: "subprocess.Popen[str]") -> None:
        self._program = program

    def run(self, *arguments: object, death: Death | None = None) -> int:
        """Run the command to its end, and return its exit code; that of a killed one is negative."""
        self._start(arguments, death)
        return self._read()

    def killed_by(self, fake: Watched, nth: int, *arguments: object) -> int:
        """Do the same, and kill it when its nth request has come, before that is answered."""
        running: Future[int] = Future()
        fake.before(lambda: os.kill(running.result(_PATIENCE), signal.SIGKILL), nth=nth)
        running.set_result(self._start(arguments, None))
        code = self._read()
        fake.forget_moments()
        return code

    def _start(self, arguments: Sequence[object], death: Death | None) -> int:
        assert self._program.stdin is not None
        self._program.stdin.write(json.dumps([[*map(str, arguments)], death]) + "\n")
        self._program.stdin.flush()
        return self._read()

    def _read(self) -> int:
        assert self._program.stdout is not None
        return int(self._program.stdout.readline())


@contextmanager
def push_processes() -> Iterator[PushProcesses]:
    """Run the program."""
    environment = {**os.environ, "OPENAI_API_KEY": "sk-test"}
    command = [sys.executable, __file__]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as program:
        yield PushProcesses(program)


@contextmanager
def _dying_at_record(number: int, *, is_after: bool) -> Iterator[None]:
    from threadkeep.migration.engramia.pattern_store import PatternStore
    from threadkeep.migration.store import PushStore

    left = number

    def counted(record: Callable[..., None]) -> Callable[..., None]:
        def die_in(*arguments: Any) -> None:
            nonlocal left
            left -= 1
            if left or is_after:
                record(*arguments)
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)

        return die_in

    with contextlib.ExitStack() as patched:
        for store, name in [*((PushStore, name) for name in _RECORDS), *((PatternStore, name) for name in _PATTERNS)]:
            patched.enter_context(mock.patch.object(store, name, counted(getattr(store, name))))
        yield


def _dying(death: Death | None) -> contextlib.AbstractContextManager[object]:
    match death:
        case None:
            return contextlib.nullcontext()
        case "before change", number:
            return dying_at(number)
        case when, number:
            return _dying_at_record(number, is_after=when == "after record")


def _push(arguments: list[str], death: Death | None) -> None:
    from threadkeep.cli.main import run

    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    with _dying(death):
        os._exit(run(arguments))


def _serve() -> None:
    import threadkeep.api.transport
    import threadkeep.cli.commands.push  # noqa: F401 - in those that are forked they are there

    for line in sys.stdin:
        child = os.fork()
        if not child:
            try:
                _push(*json.loads(line))
            finally:
                os._exit(99)
        print(child, flush=True)  # noqa: T201
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)  # noqa: T201


if __name__ == "__main__":
    _serve()
