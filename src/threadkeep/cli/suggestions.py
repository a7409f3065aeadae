"""What to do after a run, in words, and what to type.

The command that was typed, to be typed again: without what would begin anew, and without what may be secret.

What to do after validate, in words, and what to type: the command that fetches again what is damaged.
"""

import itertools
import shlex
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import attrs

from threadkeep.cli.exit_codes import exit_for
from threadkeep.errors import ApiGone
from threadkeep.exporter.job import Result
from threadkeep.journal import FileOutcome, Header, Journal, Outcome
from threadkeep.validation.findings import KINDS, Severity
from threadkeep.validation.report import ValidationReport

__all__ = [
    "Next",
    "RepeatCommand",
    "Typed",
    "export_again",
    "next_lines",
    "next_step",
    "quoted",
    "repeat_command",
    "validate_again",
]

_PROGRAM = "threadkeep"


@attrs.frozen
class RepeatCommand:
    """What goes on with an export.

    Attributes:
        command: as it can be typed.
        notes: what must be done besides, in words.
    """

    command: str
    notes: tuple[str, ...]


def repeat_command(arguments: Sequence[str], valued: Collection[str]) -> RepeatCommand:
    """Find out what to type after a run.

    Args:
        arguments: as typed, the name of the command first.
        valued: the options of that command that take a value.
    """
    groups = list(_groups(arguments, valued))
    kept = [word for group in groups if not _begins_anew(group) and not _is_secret(group) for word in group]
    hidden = dict.fromkeys(_name(group) for group in groups if _is_secret(group))
    notes = [f"Add {name} as before: it is not repeated here, since it may hold a secret." for name in hidden]
    if "-" in arguments[1:]:
        notes.append("Give the same ids on standard input.")
    return RepeatCommand(quoted(kept), tuple(notes))


def quoted(words: Sequence[str]) -> str:
    """Write a command of ours as a shell takes it."""
    return shlex.join((_PROGRAM, *words))


def _groups(arguments: Sequence[str], valued: Collection[str]) -> Iterator[tuple[str, ...]]:
    """Each option with its value, and each other word for itself; what stands behind "--" is no option."""
    rest = iter(arguments)
    for word in rest:
        if word == "--":
            yield (word, *rest)
        elif word in valued:
            yield (word, *itertools.islice(rest, 1))
        else:
            yield (word,)


def _name(group: tuple[str, ...]) -> str:
    return group[0].partition("=")[0]


def _begins_anew(group: tuple[str, ...]) -> bool:
    return group[0] == "--fresh"


def _is_secret(group: tuple[str, ...]) -> bool:
    """An address with a user, a password or a query, or a command that may spell a token out."""
    value = group[0].partition("=")[2] or "".join(group[1:])
    return _name(group) == "--token-command" or (_name(group) == "--base-url" and bool(set("@?#") & set(value)))


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
        repeat: how it is typed again.
        out: where its export is.
        ids: the file of all ids that the export should hold; None where there is no such file.
    """

    repeat: RepeatCommand
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
    notes = () if typed is None else typed.repeat.notes
    return Next((f"{first} {last}".lstrip(), *notes), typed.repeat.command if typed else None)


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


def next_lines(report: ValidationReport, journal: Journal | None, ids_file: str | None) -> Iterator[str]:
    """Say what to do, a line each; nothing where there is nothing to do.

    Args:
        report: of validate.
        journal: the export's, if there is one.
        ids_file: where the ids to fetch again were written; None where they were not.
    """
    header = journal.header if journal is not None else None
    if "unreadable_journal" in report.counts:
        yield "Next: no run goes on with this journal. Restore it, or export to another place, or with --fresh."
        return
    if journal is not None and header is None:
        yield f"Next: {KINDS['torn_journal'].remedy}."
        return
    if "unreadable_wanted" in report.counts:
        yield f"Next: {KINDS['unreadable_wanted'].remedy}."
        return
    if not report.refetch and (header is None or not _heals_without_threads(report)):
        if not report.is_whole:
            yield from _other_remedies(report)
    elif ids_file is None:
        yield "Next: this writes the ids of the threads to fetch again, and says how to fetch them:"
        yield f"  {validate_again(report.out, '--ids-to-refetch', 'refetch.txt')}"
    elif header is None:
        yield f"Next: export the threads in {ids_file} to another place: no journal says what this export is of."
    else:
        what = f"fetch the threads in {ids_file} again" if report.refetch else f"export {ids_file}, though it is empty"
        yield f"Next: {what}, and validate once more:"
        yield f"  {export_again(header, report.out, ids_file, refresh=_wants_refresh(report))}"


def _other_remedies(report: ValidationReport) -> Iterator[str]:
    """No thread wants to be fetched again, and yet something is wrong: what each kind says, or a finding of its own."""
    found = _found(report)
    remedies = dict.fromkeys(_remedy(code, report) for code in KINDS if code in found)
    yield f"Next: {'; '.join(remedies)}."


def _remedy(code: str, report: ValidationReport) -> str:
    remedy = KINDS[code].remedy
    own = [one.message for one in report if one.code == code and one.severity is not Severity.NOTE]
    return remedy if all(message.endswith(remedy) for message in own) else f"do what is said above of {code}"


def export_again(header: Header, out: Path, ids_file: str, *, refresh: bool = False) -> str:
    """The command that goes on with an export.

    Args:
        header: of its journal.
        out: where it is.
        ids_file: the file of ids.
        refresh: whether what is complete is asked for again.
    """
    options = [
        *(["--flat"] if header.flat else []),
        *(["--include", ",".join(header.include)] if header.include else []),
        *(["--files"] if header.files else []),
        *(["--refresh"] if refresh else []),
        "--base-url",
        header.source,
    ]
    dashed = any(word.startswith("-") for word in (ids_file, header.assistant_id, str(out)))
    return quoted(["export", *options, *(["--"] if dashed else []), ids_file, header.assistant_id, str(out)])


def _heals_without_threads(report: ValidationReport) -> bool:
    """Whether an export of the list puts something right although it names no thread.

    Where a finding's thread wants to be fetched again and is not listed, no such thread is known: its lines are not
    the journal's, and go. A journal with holes is not gone on with.
    """
    found = _found(report)
    healed = {code for code in found if KINDS[code].refetch and code != "lost_partial"} | (found & {*_WITHOUT_THREADS})
    return "unreadable_journal" not in found and any(_remedy(code, report) == KINDS[code].remedy for code in healed)


def _found(report: ValidationReport) -> set[str]:
    return {one.code for one in report if one.severity is not Severity.NOTE}


_WITHOUT_THREADS = (
    *("misplaced_thread", "lost_file", "file_mismatch", "file_failed"),
    *("blank_line", "crlf", "byte_order_mark"),
)
"""What such an export puts right, besides."""


def _wants_refresh(report: ValidationReport) -> bool:
    """Threads that are whole in the export, and that the API gives otherwise by now, are asked for on demand only.

    So are, beside damaged ones, threads that the export has never known: the list could be that of all threads.
    """
    strange = "not_exported" in report.counts and any(code in report.counts for code in _DAMAGE)
    return strange or any(code in report.counts for code in _LIVE)


_DAMAGE = ("digest_mismatch", "lost_thread", "misplaced_thread", "unjournalled_thread")
_LIVE = ("lost_message", "changed_message", "order_mismatch", "new_message", "changed_metadata")


def validate_again(out: Path, *options: str) -> str:
    """The command that proves an export."""
    return quoted(["validate", *options, *(["--"] if str(out).startswith("-") else []), str(out)])
