"""Every kind of finding, as a table.

Severity follows consequence. An error: something was lost or changed. A warning: a person should look. A note: the API
itself gave it so, or it only limits a proof. `docs/findings.md` has more about each.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from functools import partial
from typing import Any

import attrs

__all__ = ["KINDS", "REPAIRED_BY_EXPORT", "Finding", "Kind", "Severity", "finding", "gravest"]


class Severity(StrEnum):
    """How much a finding matters. An export with errors or warnings is not complete."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


_AGAIN = "Export the list again: damaged threads are fetched again."
_LINES_GO = "Export the list again: damaged threads are fetched again, and lines of no thread are left out."
_SAME = "Run the same export command again."
_DOWNLOAD = "Export the list again, with --files if it is a download, or restore the file from a copy."
_REFRESH = "Export the list again, with --refresh."
_REPAIR = "Export the list again: what is damaged or contradictory is repaired."
_NEW_MANIFEST = "Export the list again: a new manifest is written."
_LOOK = "See whether the file is the right one."
_AUTO = 'To write the assistant of each thread, export with "auto" as ASSISTANT_ID.'
_KEEP = "Keep the export: it has what the API does not have any more."
REPAIRED_BY_EXPORT = frozenset({_AGAIN, _LINES_GO, _REPAIR, _NEW_MANIFEST})
"""The next steps that are one and the same command: it repairs all of it in one run."""

_EDITED = "Restore the file from before it was {}, or export the list again."


@attrs.frozen
class Kind:
    """One kind of finding.

    Attributes:
        what: its meaning in a few words.
        remedy: the next step in sentences.
        refetch: whether its thread is to be fetched again.
        counted: what is counted of notes, in the singular: a word, and words behind it. None where the note is one
            sentence about the export.
    """

    severity: Severity
    what: str
    remedy: str = _AGAIN
    refetch: bool = False
    counted: tuple[str, str] | None = None


_lost = partial(Kind, Severity.ERROR, refetch=True)
_error = partial(Kind, Severity.ERROR)
_warning = partial(Kind, Severity.WARNING)


def _note(what: str, remedy: str) -> Kind:
    return Kind(Severity.NOTE, what, remedy)


def _notes(one: str, of_it: str, remedy: str = "There is nothing to do.") -> Kind:
    what = f"{'an' if one[0] in 'aeiou' else 'a'} {one} {of_it}"
    return Kind(Severity.NOTE, what, remedy, counted=(one, of_it))


KINDS: Mapping[str, Kind] = {
    # The bytes of a line
    "not_utf8": _lost("bytes that are not UTF-8"),
    "byte_order_mark": _error("a byte order mark", _EDITED.format("saved by an editor")),
    "crlf": _error("a line that ends with CR and LF", _EDITED.format("converted")),
    "blank_line": _error("a blank line", _EDITED.format("edited")),
    "torn_line": _lost("a last line that is cut short"),
    "malformed_line": _lost("a line that is not JSON", _LINES_GO),
    "duplicate_key": _lost("a key that is twice in one object, so that readers differ on its value"),
    "not_finite": _lost("a number that JSON does not have: NaN, an infinity, or beyond every double"),
    # A line as a record
    "not_an_object": _lost("a line that holds no object"),
    "missing_key": _lost("a line without one of its keys"),
    "unknown_key": _error("a line with a key that the format does not have", _LOOK),
    "wrong_type": _lost("a key whose value has another type than the format says"),
    "malformed_message": _lost("a message without an id or a thread"),
    "text_mismatch": _lost("a text that is not that of the message's parts"),
    "key_mismatch": _lost("a key that contradicts the message in its line"),
    "foreign_message": _lost("a message of another thread"),
    # Lines against each other
    "duplicate_message": _lost(
        "a message id that is in the export twice", counted=("message", "in two threads, at the API too")
    ),
    "split_thread": _lost("a thread whose lines are not together"),
    "mixed_assistants": _error("a line of another assistant's export", _LOOK),
    "mixed_formats": _error("full and flat lines in one export", _LOOK),
    # Lines against the index
    "digest_mismatch": _lost("lines that are not those that were written"),
    "misplaced_thread": _error("a thread that is not at the place where it was written", _REPAIR),
    "lost_thread": _lost("a thread whose lines are not there"),
    "unindexed_lines": _lost("lines that belong to no row of the index", _LINES_GO),
    # The index, the manifest and the partial file
    "unreadable_index": _error("a line of the index, or of the list of downloads, that cannot be read", _AGAIN),
    "index_mismatch": _lost("a row of the index that contradicts its lines", _REFRESH),
    "lost_index": _error("an export without its index", "Restore the index from a copy, or begin anew with --fresh."),
    "unreadable_manifest": _error("a manifest that cannot be read", _NEW_MANIFEST),
    "lost_manifest": _error("an export without its manifest", _NEW_MANIFEST),
    "manifest_mismatch": _error("a manifest that contradicts the other files", _REPAIR),
    "lost_partial": _lost("messages of an incomplete thread that are not in the partial file as they were written"),
    "only_in_partial": _notes(
        "complete thread", "with messages that only the partial file has", "Keep the partial file."
    ),
    "unvouched": _note("no index and no manifest: nothing proves that the lines are all", "Keep the index too."),
    "export_at_work": _note("an export is running", "Validate again when it has ended."),
    "unfinished_run": _note("a run was cut off", f"{_SAME} Without the API, use `threadkeep write`."),
    # The threads of the list
    "thread_failed": _lost("a thread that could not be fetched", _SAME),
    "thread_partial": _lost("a thread that was cut off in the middle", _SAME),
    "thread_unfinished": _lost("a thread that was not asked for yet", _SAME),
    "thread_missing": _warning("a thread that the API does not know", "See whether the id and the key are right."),
    "not_exported": _lost("a thread of the list, or a file of a message, that the export does not have", _AGAIN),
    "malformed_id": _error(
        "an entry of the list of ids that is no thread id", "Correct the list, or remove the entry."
    ),
    "not_wanted": _warning("a thread that the list of ids does not name", "See whether the list is the right one."),
    # The files next to the export
    "lost_file": _error("a file of the export that is not there", _DOWNLOAD),
    "file_mismatch": _error("a downloaded file, or an object, of another size or digest", _DOWNLOAD),
    "file_failed": _error("a file that could not be downloaded, though it may be there", _SAME),
    "unplanned_shard": _error(
        "a shard that no object of the plan has",
        "Restore the objects of plan/ from a backup. If the shard is of another export, move it away.",
    ),
    # What the API itself gave
    "other_assistants": _note("messages of other assistants than the one of their lines", _AUTO),
    "image_not_downloaded": _notes("image", "without a file", "Export with --files to have the file."),
    "annotation_outside_text": _notes("annotation", "with a place outside the text"),
    "marker_without_annotation": _notes("citation marker", "without an annotation"),
    "empty_message": _notes("message", "without text, at the API too"),
    "text_of_another_shape": _notes("text", "in another shape than OpenAI's"),
    "odd_timestamp": _notes("message", "with a time in the future, before the API existed, or none"),
    "time_goes_back": _notes("message", "older than the one before"),
    # The export against the live API
    "lost_message": _lost("a message that the API has, between others of the export, and the export has not", _REFRESH),
    "changed_message": _lost("a message that the API gives in another form", _REFRESH),
    "order_mismatch": _lost("messages that the API gives in another order", _REFRESH),
    "new_message": _warning("a message that came after the export", _REFRESH, refetch=True),
    "changed_metadata": _warning("metadata that were changed", _REFRESH, refetch=True),
    "not_compared": _warning(
        "a thread that was not compared", "Check again later.", counted=("thread", "not compared")
    ),
    "deleted_message": _notes("message", "no longer at the API", _KEEP),
    "deleted_thread": _notes("thread", "no longer at the API", _KEEP),
}
"""Every code, in the order of `docs/findings.md`. The codes are stable: scripts are written against them."""


@attrs.frozen(kw_only=True)
class Finding:
    """One fact to know about an export.

    Attributes:
        code: the kind, see `KINDS`.
        severity: that of its kind, in most cases; `docs/findings.md` names the others.
        message: the fact and the next step, for a person.
        path: where in the line or file, as a JSON path; None when it is not about its content.
        file: the name of the file that it is about; None when it is about none.
        line: the line's number in that file, from 1.
    """

    code: str
    severity: Severity
    message: str
    path: str | None = None
    file: str | None = None
    line: int | None = None
    thread_id: str | None = None
    message_id: str | None = None


def finding(
    code: str, what: str, remedy: str | None = None, /, *, severity: Severity | None = None, **where: Any
) -> Finding:
    """Make a finding of one of the `KINDS`, from the fact without the next step.

    ``remedy`` and ``severity`` are given where they are not those of the kind; ``where`` is as in `Finding`.
    """
    kind = KINDS[code]
    message = f"{what.removesuffix('.')}. {remedy or kind.remedy}"
    return Finding(code=code, severity=severity or kind.severity, message=message, **where)


def gravest(findings: Iterable[Finding]) -> Severity:
    """Return the gravest severity of findings, of which there must be one."""
    return min((one.severity for one in findings), key=list(Severity).index)
