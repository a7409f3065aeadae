"""One export from end to end: connect, walk, write, and bring the files to their end however it ended."""

import asyncio
import contextlib
import gc
import signal
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from platform import python_version
from typing import Any

import attrs

from threadkeep.cli.exits import Exit, exit_for
from threadkeep.cli.screen import Screen
from threadkeep.cli.words import complain
from threadkeep.errors import Interrupted, OutputUnusable, RunEnded, ThreadkeepError
from threadkeep.exporter import Options, export_threads
from threadkeep.journal import Entry, Header, Outcome
from threadkeep.manifest import Ending, Manifest, build
from threadkeep.outfiles import OutFiles, Paths

__all__ = ["Job", "Result", "run_job"]


# Windows has no such handlers; there only Ctrl-C interrupts in order.
_POLITE_SIGNALS = () if sys.platform == "win32" else (signal.SIGTERM, signal.SIGHUP)


@attrs.frozen(kw_only=True)
class Job:
    """One export to be made. Without an address or a key, the SDK's environment variables count."""

    ids: tuple[str, ...]
    paths: Paths
    options: Options
    base_url: str | None = None
    api_key: str | None = None
    fresh: bool = False


@attrs.frozen(kw_only=True)
class Result:
    """What an export came to."""

    paths: Paths
    manifest: Manifest
    problems: tuple[Entry, ...]
    seconds: float
    ended_by: ThreadkeepError | None

    @property
    def code(self) -> Exit:
        """The exit code."""
        if self.ended_by is not None:
            return exit_for(self.ended_by)[0]
        return Exit.INCOMPLETE if self.problems else Exit.WHOLE

    def as_json(self) -> dict[str, Any]:
        """The summary for programs."""
        return {
            "out": str(self.paths.out),
            "exit": int(self.code),
            "ended_by": None if self.ended_by is None else str(self.ended_by),
            "totals": attrs.asdict(self.manifest.claims.totals),
            "outcomes": dict(self.manifest.claims.outcomes),
            "not_exported": [
                {"thread_id": entry.thread_id, "outcome": entry.outcome, "reason": entry.reason}
                for entry in self.problems
            ],
        }

    def report_ending(self) -> Exit:
        """Say what ended the run before its time, if anything did, and give the exit code."""
        if self.ended_by is not None:
            totals = self.manifest.claims.totals
            left = f"without outcome: {totals.unfinished} of {totals.threads} threads"
            again = "To export again, add --fresh: it keeps the files of this run under another name."
            complain(f"{self.ended_by} ({left})", f"{exit_for(self.ended_by)[1]} {again}".lstrip())
        return self.code


def run_job(job: Job, *, show_progress: bool) -> Result:
    """Make an export, and write its manifest however it ends.

    Raises:
        AccessRefused, MalformedAddress: before anything is written.
        OutputUnusable: the files cannot be begun, or not be brought to their end.
    """
    with _rare_collections():
        return _run(job, show_progress=show_progress)


def _run(job: Job, *, show_progress: bool) -> Result:
    # Only here, since importing the SDK takes most of a second that no other command needs.
    from threadkeep.sdk import Api

    gc.freeze()
    api = Api.connect(base_url=job.base_url, api_key=job.api_key)
    started = datetime.now(UTC)
    header = Header(
        source=api.address,
        assistant_id=job.options.assistant_id,
        flat=job.options.flat,
        started_at=started.isoformat(timespec="seconds"),
    )
    with OutFiles.create(job.paths, header, fresh=job.fresh) as out:
        with Screen(len(job.ids), shown=show_progress) as screen:
            ended_by = _ending(lambda: asyncio.run(_export(job, api, out, screen.take)))
        finished = datetime.now(UTC)
        ending = Ending(
            finished_at=finished.isoformat(timespec="seconds"),
            listed=len(job.ids),
            ended_by=None if ended_by is None else str(ended_by),
        )
        made = build(header, out.journal, ending, _versions())
        with contextlib.suppress(OutputUnusable) if isinstance(ended_by, OutputUnusable) else contextlib.nullcontext():
            out.finish(made)
    return Result(
        paths=job.paths,
        manifest=made,
        problems=tuple(entry for entry in out.journal.entries.values() if entry.outcome is not Outcome.COMPLETE),
        seconds=(finished - started).total_seconds(),
        ended_by=ended_by,
    )


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


def _ending(run: Callable[[], None]) -> ThreadkeepError | None:
    try:
        run()
    except (RunEnded, OutputUnusable) as error:
        return error
    except (KeyboardInterrupt, asyncio.CancelledError):
        return Interrupted("interrupted")
    return None


async def _export(job: Job, api: Any, out: OutFiles, take: Callable[[Entry], None]) -> None:
    with _cancelled_by_signals():
        async with api:
            await export_threads(job.ids, api, out, job.options, on_entry=take)


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


def _versions() -> dict[str, str]:
    return {name: version(name) for name in ("threadkeep", "openai")} | {"python": python_version()}
