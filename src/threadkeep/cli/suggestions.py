"""What to do after a run, in words, and what to type."""

import attrs

from threadkeep.cli.again import Again, quoted
from threadkeep.cli.exit_codes import exit_for
from threadkeep.errors import ApiGone
from threadkeep.exporter.job import Result
from threadkeep.journal import FileOutcome, Outcome

__all__ = ["Next", "Typed", "next_step"]

_AGAIN = "The same command goes on from here: what is whole is not asked for again."
_WHEN_BACK = "If the API comes back, the same command goes on from here: what is whole is not asked for again."
_REFRESH_AGAIN = (
    "What could not be refreshed stays as it was exported before. The same command asks for every listed thread again."
)
_MENDED = (
    "What is missing or invalid stays so unless its id is mended, or another key is used: then the same command goes on"
    " from here. This shows what is whole:"
)
_LEFT_OVER = (
    "An earlier run was asked for threads that this one was not, and did not come to them: {:,}. Export them too, or"
    " name those that are saved elsewhere in a file for --done. This shows what is whole:"
)


@attrs.frozen(kw_only=True)
class Typed:
    """The command that made an export.

    Attributes:
        again: how it is typed again.
        out: where its export is.
        ids: the file of all ids that the export should hold; None where there is no such file.
    """

    again: Again
    out: str
    ids: str | None

    @property
    def validate(self) -> str:
        """How the export is held against the ids."""
        if any(name.startswith("-") for name in (self.out, self.ids or "")):
            return quoted(["validate", *(() if self.ids is None else (f"--ids={self.ids}",)), "--", self.out])
        return quoted(["validate", self.out, *(() if self.ids is None else ("--ids", self.ids))])


@attrs.frozen
class Next:
    """What to do.

    Attributes:
        words: a line each.
        command: what to type; None where the command is not known.
    """

    words: tuple[str, ...]
    command: str | None

    @property
    def lines(self) -> tuple[str, ...]:
        """All of it, the command last."""
        return (*self.words, *((self.command,) if self.command is not None else ()))


def next_step(result: Result, typed: Typed | None) -> Next:
    """Say what to do after a run: go on where that helps, else validate.

    Args:
        result: what the run came to.
        typed: how it was typed, where it was.
    """
    if result.is_whole:
        return Next((), typed.validate if typed else None)
    if result.ended_by is None and not _going_on_helps(result):
        words = (_LEFT_OVER.format(len(result.left_over)),) if result.left_over else (_MENDED,)
        return Next(words, typed.validate if typed else None)
    first = "" if result.ended_by is None else exit_for(result.ended_by)[1]
    last = _last_words(result)
    notes = () if typed is None else typed.again.notes
    return Next((f"{first} {last}".lstrip(), *notes), typed.again.command if typed else None)


def _last_words(result: Result) -> str:
    if result.not_refreshed:
        return _REFRESH_AGAIN
    return _WHEN_BACK if isinstance(result.ended_by, ApiGone) else _AGAIN


def _going_on_helps(result: Result) -> bool:
    hopeless = (Outcome.MISSING, Outcome.INVALID)
    failed = any(file.outcome is FileOutcome.FAILED for file in result.manifest.files)
    waiting = len(result.manifest.unfinished) > len(result.left_over) or bool(result.manifest.unfinished_files)
    return (
        failed or waiting or bool(result.not_refreshed) or any(row.outcome not in hopeless for row in result.problems)
    )
