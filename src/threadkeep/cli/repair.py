"""What to do after validate, in words, and what to type: the command that fetches again what is damaged."""

from collections.abc import Iterator
from pathlib import Path

from threadkeep.cli.again import quoted
from threadkeep.journal import Header, Journal
from threadkeep.validation.findings import KINDS, Severity
from threadkeep.validation.report import Report

__all__ = ["export_again", "next_lines", "validate_again"]


def next_lines(report: Report, journal: Journal | None, ids_file: str | None) -> Iterator[str]:
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


def _other_remedies(report: Report) -> Iterator[str]:
    """No thread wants to be fetched again, and yet something is wrong: what each kind says, or a finding of its own."""
    found = _found(report)
    remedies = dict.fromkeys(_remedy(code, report) for code in KINDS if code in found)
    yield f"Next: {'; '.join(remedies)}."


def _remedy(code: str, report: Report) -> str:
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


def _heals_without_threads(report: Report) -> bool:
    """Whether an export of the list puts something right although it names no thread.

    Where a finding's thread wants to be fetched again and is not listed, no such thread is known: its lines are not
    the journal's, and go. A journal with holes is not gone on with.
    """
    found = _found(report)
    healed = {code for code in found if KINDS[code].refetch and code != "lost_partial"} | (found & {*_WITHOUT_THREADS})
    return "unreadable_journal" not in found and any(_remedy(code, report) == KINDS[code].remedy for code in healed)


def _found(report: Report) -> set[str]:
    return {one.code for one in report if one.severity is not Severity.NOTE}


_WITHOUT_THREADS = (
    *("misplaced_thread", "lost_file", "file_mismatch", "file_failed"),
    *("blank_line", "crlf", "byte_order_mark"),
)
"""What such an export puts right, besides."""


def _wants_refresh(report: Report) -> bool:
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
