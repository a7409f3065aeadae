"""Findings: what validate says about an export.

| code | severity | what |
|---|---|---|
| not_utf8, malformed_line, blank_line | error | the line is no JSON |
| not_an_object, missing_key, wrong_type, malformed_message | error | the line is no record |
| text_mismatch, key_mismatch | error | the keys contradict the message beside them |
| duplicate_message | error | a message stands there twice |
| split_thread | error | a thread's lines are not together |
| torn_line | error | the last line is cut short (a note, where a run was cut off behind all that its journal knows) |
| digest_mismatch | error | a thread's lines are not those that were written |
| misplaced_thread | error | a thread's lines do not end where the journal says |
| lost_thread | error | the journal says complete, and the lines are not there |
| lost_file | error | a downloaded file, or a file of threads or runs, is gone or changed |
| file_failed | error | a file was not downloaded, though it may be there |
| lost_partial | error | the journal says that pages were kept in the partial file, and they are not there |
| unjournalled_thread | error | lines of a thread that the journal does not know |
| torn_journal, unreadable_journal, lost_journal | error | the journal cannot vouch for every thread, or is gone |
| manifest_mismatch, unreadable_manifest | error | the manifest contradicts the journal, or cannot be read |
| thread_failed, thread_partial | error | the thread is not in the export, or not whole |
| thread_missing, thread_invalid | warning | the API knew no such thread, or the id is malformed |
| not_exported | error | a wanted thread of which nothing is known |
| unvouched | note | neither journal nor manifest: the lines were checked for what they are |
| unfinished_run | warning | a journal without manifest: the run did not end by itself |
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import Any

import attrs

__all__ = ["Finding", "Severity", "error", "is_whole"]


class Severity(StrEnum):
    """How much a finding matters. An export with errors or warnings is not whole."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@attrs.frozen(kw_only=True)
class Finding:
    """One thing to know about an export.

    Attributes:
        code: the kind, from the table above.
        path: where in the line, as a JSON path; None when it is not about a line's content.
        line: the line's number in the export, from 1.
        message: for a person.
    """

    code: str
    severity: Severity
    message: str
    path: str | None = None
    line: int | None = None
    thread_id: str | None = None
    message_id: str | None = None


def is_whole(findings: Iterable[Finding]) -> bool:
    """Say whether the findings leave the export whole."""
    return all(finding.severity is Severity.NOTE for finding in findings)


def error(code: str, message: str, **where: Any) -> Finding:
    """Make a finding that keeps an export from being whole."""
    return Finding(code=code, severity=Severity.ERROR, message=message, **where)
