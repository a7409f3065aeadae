"""One export at the command line: connect, show, and treat signals as a polite request to end."""

import asyncio
import contextlib
import gc
import signal
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import attrs

from threadkeep.cli.exits import Exit, exit_for
from threadkeep.cli.screen import Screen
from threadkeep.cli.words import complain
from threadkeep.clock import now
from threadkeep.job import Job, Result, carry_out
from threadkeep.sources import Source

__all__ = ["as_json", "exit_code", "report_ending", "run_job"]


# Windows has no such handlers; there only Ctrl-C interrupts in order.
_POLITE_SIGNALS = () if sys.platform == "win32" else (signal.SIGTERM, signal.SIGHUP)


def run_job(job: Job, source: Source, *, show_progress: bool) -> Result:
    """Make an export, and write its manifest however it ends.

    Raises:
        AccessRefused, MalformedAddress: before anything is written.
        OutputUnusable: the files cannot be begun, or not be brought to their end.
    """
    with _rare_collections():
        # Only here, since importing the SDK takes most of a second that no other command needs.
        from threadkeep.sdk import connect_all

        gc.freeze()
        apis = connect_all(source)
        with Screen(len(job.ids), shown=show_progress) as screen:
            return asyncio.run(_export(job, apis, screen))


async def _export(job: Job, apis: Sequence[Any], screen: Screen) -> Result:
    with _cancelled_by_signals():
        async with contextlib.AsyncExitStack() as opened:
            for api in apis:
                await opened.enter_async_context(api)
            return await carry_out(job, apis, apis[0].address, now=now, on_event=screen.take)


def exit_code(result: Result) -> Exit:
    """The exit code of an export."""
    if result.ended_by is not None:
        return exit_for(result.ended_by)[0]
    return Exit.WHOLE if result.is_whole else Exit.INCOMPLETE


def as_json(result: Result) -> dict[str, Any]:
    """The summary for programs."""
    return {
        "out": str(result.paths.out),
        "exit": int(exit_code(result)),
        "ended_by": None if result.ended_by is None else str(result.ended_by),
        "resumed": result.resumed,
        "totals": attrs.asdict(result.manifest.claims.totals),
        "outcomes": dict(result.manifest.claims.outcomes),
        "not_exported": [
            {"thread_id": entry.thread_id, "outcome": entry.outcome, "reason": entry.reason}
            for entry in result.problems
        ],
        "unfinished": list(result.manifest.unfinished),
    }


def report_ending(result: Result) -> Exit:
    """Say what ended the run before its time, if anything did, and what to type next; gives the exit code."""
    if result.ended_by is not None:
        totals = result.manifest.claims.totals
        left = f"without outcome: {totals.unfinished} of {totals.threads} threads"
        complain(f"{result.ended_by} ({left})", f"{exit_for(result.ended_by)[1]} {_AGAIN}".lstrip())
    elif not result.is_whole:
        complain("not every thread is whole in the export", _AGAIN)
    return exit_code(result)


_AGAIN = "The same command goes on from here: what is whole is not asked for again."


@contextlib.contextmanager
def _rare_collections() -> Iterator[None]:
    """Collect garbage seldom: pages of JSON are trees that free themselves, and looking for cycles in them, and in
    the SDK's classes, was a third of a run's time."""
    usual = gc.get_threshold()
    gc.set_threshold(50_000, 20, 100)
    try:
        yield
    finally:
        gc.set_threshold(*usual)
        gc.unfreeze()


@contextlib.contextmanager
def _cancelled_by_signals() -> Iterator[None]:
    """A polite request to end, and a lost terminal, are treated like Ctrl-C, so that the manifest is written."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    for number in _POLITE_SIGNALS:
        loop.add_signal_handler(number, task.cancel)
    try:
        yield
    finally:
        for number in _POLITE_SIGNALS:
            loop.remove_signal_handler(number)
