"""What a person sees while an export runs, on standard error."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from threadkeep.cli.words import problem_line, shown
from threadkeep.events import Event, Notice
from threadkeep.journal import FileEntry, FileOutcome, Outcome

__all__ = ["Screen"]


class Screen:
    """The progress bar, and a line for each thread that was not exported, both on standard error."""

    def __init__(self, total: int, *, shown: bool) -> None:
        console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("threads"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[messages]:,} messages"),
            TimeElapsedColumn(),
            console=console,
            disable=not (shown and console.is_terminal),
        )
        self._task = self._progress.add_task("export", total=total, messages=0)
        self._messages = 0

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def take(self, event: Event) -> None:
        """Show what there is to tell."""
        if isinstance(event, Notice):
            self._print(shown(event.text, 300))
            return
        if isinstance(event, FileEntry):
            if event.outcome is FileOutcome.FAILED:
                self._print(f"{shown(event.file_id, 80)}: {event.outcome}: {shown(event.reason or '', 300)}")
            return
        if event.outcome is Outcome.COMPLETE:
            self._messages += event.messages
        else:
            self._print(problem_line(event))
        self._progress.update(self._task, advance=1, messages=self._messages)

    def _print(self, line: str) -> None:
        self._progress.console.print(line, markup=False, highlight=False, soft_wrap=True)
