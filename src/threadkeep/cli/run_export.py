"""One export at the command line: connect, show, and treat signals as a polite request to end."""

import asyncio
import contextlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from threadkeep.api.endpoints import ApiSource
from threadkeep.cli.console import counted, print_error
from threadkeep.cli.exit_codes import Exit, exit_for
from threadkeep.cli.export_summary import ExportSummary
from threadkeep.cli.progress_display import Screen
from threadkeep.cli.runtime import ask, cancelled_by_signals, looked_at
from threadkeep.cli.suggestions import Typed, next_step
from threadkeep.clock import now
from threadkeep.exporter.job import Job, Result, carry_out

__all__ = ["as_json", "exit_code", "report_ending", "run_job", "summary_of"]


def run_job(job: Job, source: ApiSource, *, show_progress: bool, sunset: datetime | None = None) -> Result:
    """Make an export, and write its manifest however it ends.

    Args:
        job: what to export.
        source: where from.
        show_progress: whether progress is shown; problems are told in any case.
        sunset: when the API will go away, where that is known.

    Raises:
        AccessRefused, MalformedAddress: before anything is written.
        OutputUnusable: the files cannot be begun, or not be brought to their end.
    """
    return ask(source, lambda transports: _export(job, transports, show_progress=show_progress, sunset=sunset))


async def _export(job: Job, transports: Sequence[Any], *, show_progress: bool, sunset: datetime | None) -> Result:
    clock = asyncio.get_running_loop().time
    with cancelled_by_signals() as settled:
        async with contextlib.AsyncExitStack() as opened:
            for transport in transports:
                await opened.enter_async_context(transport)
            screen = opened.enter_context(Screen(shown=show_progress, clock=clock, now=now, sunset=sunset))
            await opened.enter_async_context(looked_at(screen))
            try:
                return await carry_out(job, transports, transports[0].address, now=now, on_event=screen.take)
            finally:
                settled()


def exit_code(result: Result) -> Exit:
    """The exit code of an export."""
    if result.ended_by is not None:
        return exit_for(result.ended_by)[0]
    return Exit.WHOLE if result.is_whole else Exit.INCOMPLETE


def summary_of(result: Result) -> ExportSummary:
    """What the last lines tell."""
    manifest = result.manifest
    return ExportSummary(
        paths=result.paths,
        claims=manifest.claims,
        problems=result.problems,
        never_begun=manifest.unfinished,
        files=manifest.files,
        files_left=manifest.unfinished_files,
        resumed=result.resumed,
        not_refreshed=result.not_refreshed,
    )


def as_json(result: Result, typed: Typed | None = None) -> dict[str, Any]:
    """The summary for programs."""
    step = next_step(result, typed)
    return {
        "out": str(result.paths.out),
        "exit": int(exit_code(result)),
        "ended_by": None if result.ended_by is None else str(result.ended_by),
        "resumed": result.resumed,
        "seconds": result.seconds,
        **summary_of(result).as_json(),
        "next": {"words": " ".join(step.words), "command": step.command},
    }


def report_ending(result: Result, typed: Typed | None = None) -> Exit:
    """Say what ended the run before its time, if anything did, and what to type next; gives the exit code."""
    step = next_step(result, typed)
    if result.ended_by is not None:
        print_error(f"{result.ended_by} (without outcome: {_left(result)})", *step.lines)
    elif not result.is_whole:
        print_error(_not_whole(result), *step.lines)
    return exit_code(result)


def _left(result: Result) -> str:
    """Files are downloaded when the threads are through, so seldom is something of both left."""
    totals, files = result.manifest.claims.totals, len(result.manifest.unfinished_files)
    threads = f"{totals.unfinished:,} of {counted(totals.threads, 'thread')}"
    if not files:
        return threads
    return f"{threads}, {counted(files, 'file')}" if totals.unfinished else counted(files, "file")


def _not_whole(result: Result) -> str:
    if result.problems or result.manifest.unfinished:
        return "not every thread is whole in the export"
    if result.not_refreshed:
        return "every thread is whole in the export, and not every one could be refreshed"
    return "every thread is whole in the export, and not every file is saved"
