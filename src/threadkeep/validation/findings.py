"""Findings: what can be said of an export, as a table.

Severity follows consequence. What means that something was lost or changed is an error; what wants a person's eye is
a warning; what the API itself gave, and what only limits a proof, is a note. `docs/findings.md` says more of each.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import attrs

__all__ = [
    "KINDS",
    "LEFT_BEHIND",
    "LEFT_BY_A_KILL",
    "TORN_BY_A_KILL",
    "UNBEGUN",
    "Finding",
    "Kind",
    "Severity",
    "finding",
]


class Severity(StrEnum):
    """How much a finding matters. An export with errors or warnings is not whole."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@attrs.frozen
class Kind:
    """One kind of finding.

    Attributes:
        severity: of it.
        what: it means, in a few words.
        remedy: what to do, as the end of a sentence.
        refetch: whether its thread wants to be fetched again.
    """

    severity: Severity
    what: str
    remedy: str
    refetch: bool = False


_AGAIN = "fetch its thread again"
_GO_ON = "run the same export command again: it goes on"
_LIST = "export the list of --ids-to-refetch, even an empty one"
_FROM_A_COPY = f"{_LIST}; what the API does not have any more must be restored from a copy"
_LOOK = "see whether the file is the right one"


def _lost(what: str) -> Kind:
    return Kind(Severity.ERROR, what, _AGAIN, refetch=True)


def _error(what: str, remedy: str) -> Kind:
    return Kind(Severity.ERROR, what, remedy)


def _warning(what: str, remedy: str, *, refetch: bool = False) -> Kind:
    return Kind(Severity.WARNING, what, remedy, refetch)


def _note(what: str, remedy: str = "nothing to do") -> Kind:
    return Kind(Severity.NOTE, what, remedy)


KINDS: Mapping[str, Kind] = {
    # The bytes of a line
    "not_utf8": _lost("bytes that are not UTF-8"),
    "byte_order_mark": _error("a byte order mark", "restore the file from before an editor saved it, or export again"),
    "crlf": _error("a line that ends with CR and LF", "restore the file from before its line ends were converted"),
    "blank_line": _error("a blank line", "restore the file from before it was edited"),
    "torn_line": _lost("a last line that is cut short"),
    "malformed_line": _lost("a line that is not JSON"),
    "duplicate_key": _lost("a key that stands twice in one object, so that readers differ on what it says"),
    "not_finite": _lost("a number that JSON does not have: NaN, an infinity, or beyond every double"),
    # A line as a record
    "not_an_object": _lost("a line that holds no object"),
    "missing_key": _lost("a line without one of its keys"),
    "unknown_key": _error("a line with a key that the format does not have", _LOOK),
    "wrong_type": _lost("a key whose value has another type than the format says"),
    "malformed_message": _lost("a message without an id or a thread"),
    "text_mismatch": _lost("a text that is not that of the message's parts"),
    "key_mismatch": _lost("a key that contradicts the message beside it"),
    "foreign_message": _lost("a message of another thread"),
    # Lines against each other
    "duplicate_message": _lost("a message id that stands in the export twice"),
    "split_thread": _lost("a thread whose lines do not stand together"),
    "mixed_assistants": _error("a line of another assistant's export", _LOOK),
    "mixed_formats": _error("full and flat lines in one export", _LOOK),
    # Lines against the journal
    "digest_mismatch": _lost("lines that are not those that were written"),
    "misplaced_thread": _error("a thread that does not stand where it was written", _LIST),
    "lost_thread": _lost("a complete thread whose lines are not there"),
    "unjournalled_thread": _lost("lines of a thread that the journal does not call complete"),
    # The journal, the manifest and the partial file
    "torn_journal": _error("a journal whose last line is cut short", _GO_ON),
    "unreadable_journal": _error("a journal that cannot be read", "restore it, or export to another place"),
    "journal_mismatch": _lost("a journal entry that contradicts its thread's lines"),
    "lost_journal": _error("a manifest without its journal", "restore the journal, or export to another place"),
    "unreadable_manifest": _error("a manifest that cannot be read", _GO_ON),
    "unreadable_wanted": _error(
        "wanted ids, of a run that did not end by itself, that cannot be read", "delete it and export all ids again"
    ),
    "manifest_mismatch": _error("a manifest that contradicts the journal, or the lines where there is none", _GO_ON),
    "unfinished_run": _warning("a journal without manifest: the run did not end by itself", _GO_ON),
    "unfinished_rewrite": _warning("a rewrite that was cut off while it changed the files", _GO_ON),
    "lost_partial": _lost("pages of a partial thread that are not in the partial file"),
    "only_in_partial": _note("messages of a complete thread that only the partial file has", "keep it too"),
    "unvouched": _note("no journal and no manifest: nothing vouches that the lines are all", "keep the journal too"),
    # The threads that were wanted
    "thread_failed": _lost("a thread that could not be fetched"),
    "thread_partial": _lost("a thread that was cut off in the middle"),
    "thread_missing": _warning("a thread that the API does not know", "see whether its id is right"),
    "thread_invalid": _warning("an id that is none", "mend it in the list of ids"),
    "not_exported": _lost("a wanted thread, or file, of which nothing is known"),
    "not_wanted": _warning("a thread that the list of ids does not name", "see whether the list is the right one"),
    # What stands beside the export
    "lost_file": _error("a downloaded file, or a file of threads or runs, that is not there", _FROM_A_COPY),
    "file_mismatch": _error("a downloaded file of another size or digest", _FROM_A_COPY),
    "file_failed": _error("a file that could not be downloaded, though it may be there", _GO_ON),
    # What the API itself gave
    "image_not_downloaded": _note("an image whose file was not downloaded", "export with --files to have it"),
    "annotation_outside_text": _note("an annotation whose offsets, in code points, point outside its text"),
    "marker_without_annotation": _note("a citation marker in a text that no annotation resolves"),
    "empty_message": _note("a message that says nothing"),
    "odd_timestamp": _note("a time before the API existed or in the future, or none at all"),
    "time_goes_back": _note("a message that is older than the one before it"),
    # The export against the live API
    "lost_message": _lost("a message that the API has, between others of the export, and the export has not"),
    "changed_message": _lost("a message that the API gives in another form"),
    "order_mismatch": _lost("messages that the API gives in another order"),
    "new_message": _warning("a message that came after the export", "export --refresh fetches it", refetch=True),
    "changed_metadata": _warning("metadata that were changed", "export --refresh fetches them", refetch=True),
    "not_compared": _warning("a thread that could not be compared", "check again later"),
    "deleted_message": _note("a message that the API does not have any more", "keep the export: it has it"),
    "deleted_thread": _note("a thread that the API does not have any more", "keep the export: it has it"),
}
"""Every code, in the order of `docs/findings.md`. The codes are stable: scripts are written against them."""


LEFT_BY_A_KILL = (
    "the last line is cut short: it does not end with a newline, behind all that the journal vouches for; a run that"
    " was killed leaves it"
)
"""What is said of a torn line that is a note."""

LEFT_BEHIND = (
    "the lines stand behind all that the journal vouches for: a run that is under way, or was killed, had not vouched"
    " for them yet; when it goes on, it takes them off and fetches the thread again"
)
"""What is said of whole lines that are a note."""

TORN_BY_A_KILL = (
    "the journal's last line is cut short: a run that was killed leaves it; its thread is not vouched for, and is"
    " fetched again when the run goes on"
)
"""What is said of a torn journal that is a note."""

UNBEGUN = (
    "the journal has no whole line yet: a run that was killed at its beginning leaves it; the next one begins anew"
)
"""What is said of a journal of which nothing was written, beside an export without lines."""


@attrs.frozen(kw_only=True)
class Finding:
    """One thing to know about an export.

    Attributes:
        code: the kind, see `KINDS`.
        severity: that of its kind; less where what was found is what a run that was cut off leaves, or what the API
            gave by all that vouches for it.
        message: what is wrong and what to do, for a person.
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


def finding(code: str, what: str, remedy: str | None = None, /, **where: Any) -> Finding:
    """Make a finding.

    Args:
        code: of `KINDS`.
        what: is wrong, without what to do.
        remedy: what to do, where its kind says something else.
        where: see `Finding`.
    """
    kind = KINDS[code]
    return Finding(code=code, severity=kind.severity, message=f"{what}; {remedy or kind.remedy}", **where)
