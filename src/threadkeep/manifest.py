"""The manifest beside an export: what the export claims of itself, written at the end and after an interruption.

It is made from the journal, so that it can say nothing that the journal does not. It holds no secrets.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable
from typing import Any

import attrs

from threadkeep.journal import Entry, Header, Journal, Outcome

__all__ = ["FORMAT", "Ending", "build", "claims", "digest_of_digests"]

FORMAT = "threadkeep-manifest/1"


@attrs.frozen(kw_only=True)
class Ending:
    """How a run ended.

    Attributes:
        finished_at: ISO 8601, UTC.
        listed: how many distinct ids the run was asked for.
        ended_by: what ended the run before its time, in one line; None when every thread had its turn.
    """

    finished_at: str
    listed: int
    ended_by: str | None


def build(header: Header, journal: Journal, ending: Ending, versions: dict[str, str]) -> dict[str, Any]:
    """Make the manifest of an export.

    Args:
        header: the header that the journal began with.
        journal: every entry of the run.
        ending: how it ended.
        versions: of the programs that made it, by name.
    """
    return {
        "format": FORMAT,
        "source": header.source,
        "assistant_id": header.assistant_id,
        "flat": header.flat,
        "started_at": header.started_at,
        "finished_at": ending.finished_at,
        "ended_by": ending.ended_by,
        "versions": versions,
        **claims(journal, listed=ending.listed),
    }


def claims(journal: Journal, *, listed: int) -> dict[str, Any]:
    """The part of a manifest that can be checked against the journal."""
    outcomes = Counter(entry.outcome for entry in journal.entries.values())
    return {
        "totals": {
            "threads": listed,
            "not_started": listed - len(journal.entries),
            "messages": sum(entry.messages for entry in journal.complete),
            "bytes": journal.end_offset,
        },
        "outcomes": {str(outcome): outcomes[outcome] for outcome in Outcome},
        "digest": digest_of_digests(journal.complete),
    }


def digest_of_digests(entries: Iterable[Entry]) -> str:
    """One sha256 over the sha256 of each thread's lines, in the order of the export."""
    return hashlib.sha256("\n".join(entry.sha256 or "" for entry in entries).encode()).hexdigest()
