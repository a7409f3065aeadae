"""``threadkeep validate --live`` at the command line: choose, connect, show, and say what ended it."""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any

from threadkeep.api.client import Pace
from threadkeep.api.endpoints import Source
from threadkeep.cli.console import complain, counted
from threadkeep.cli.exit_codes import Exit, exit_for
from threadkeep.cli.progress_display import Screen
from threadkeep.cli.runtime import ask, looked_at
from threadkeep.cli.signals import cancelled_by_signals
from threadkeep.clock import now
from threadkeep.errors import ApiGone, Interrupted
from threadkeep.validation.live import CheckedExport, LiveOutcome, Wanted, check_live, sample

__all__ = ["report_live_ending", "run_live"]


def run_live(
    wanted: Sequence[Wanted],
    export: CheckedExport,
    source: Source,
    *,
    most: int | None = None,
    seed: int = 0,
    shown: bool = True,
    concurrency: int = 64,
    pace: Pace | None = None,
) -> LiveOutcome:
    """Hold an export against the live API. A polite request to end is heard, and what was compared counts.

    Args:
        wanted: the threads that the export has.
        export: where it is, and what its lines look like.
        source: where to ask.
        most: compare so many of them only; None for all.
        seed: chooses those.
        shown: whether progress is shown.
        concurrency: how many threads are walked at a time.
        pace: how hard to ask.

    Raises:
        AccessRefused, MalformedAddress, ServerUnreachable: before anything is asked.
        OutputUnusable: the export cannot be read.
    """
    chosen = wanted if most is None else _chosen(wanted, most, seed)
    options: dict[str, Any] = {"seed": None if most is None else seed, "concurrency": concurrency, "pace": pace}
    return ask(source, lambda apis: _checked(chosen, export, apis, shown=shown, **options))


def _chosen(wanted: Sequence[Wanted], most: int, seed: int) -> list[Wanted]:
    ids = set(sample([one.thread_id for one in wanted], most, seed))
    return [one for one in wanted if one.thread_id in ids]


async def _checked(
    wanted: Sequence[Wanted], export: CheckedExport, apis: Sequence[Any], *, shown: bool, **options: Any
) -> LiveOutcome:
    clock = asyncio.get_running_loop().time
    with cancelled_by_signals() as settled:
        async with contextlib.AsyncExitStack() as opened:
            for api in apis:
                await opened.enter_async_context(api)
            screen = opened.enter_context(Screen(shown=shown, clock=clock, now=now))
            await opened.enter_async_context(looked_at(screen))
            try:
                return await check_live(wanted, apis, export, source=apis[0].address, on_event=screen.take, **options)
            finally:
                settled()


def report_live_ending(outcome: LiveOutcome) -> Exit | None:
    """Say what ended a check before its time, and what to do next; gives the exit code, None when nothing did."""
    if outcome.ended_by is None:
        return None
    code, step = exit_for(outcome.ended_by)
    if isinstance(outcome.ended_by, ApiGone | Interrupted):
        step = "The findings are of what was compared until then."
    live = outcome.live
    complain(f"{outcome.ended_by} (compared: {live.compared:,} of {counted(live.wanted, 'thread')})", step)
    return code
