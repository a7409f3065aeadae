"""The manifest beside an export: what the export claims of itself, written at the end and after an interruption.

It is made from the journal, so that it can say nothing that the journal does not. It holds no secrets.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs
from attrs.validators import deep_iterable, deep_mapping, ge, in_, instance_of, optional

from threadkeep.journal import FileEntry, FileOutcome, Header, Journal, Outcome
from threadkeep.serialization.lossless_json import loads

__all__ = [
    "FORMAT",
    "Claims",
    "Ending",
    "ExportTotals",
    "Manifest",
    "NotWhole",
    "SidecarTotals",
    "build",
    "claims",
    "digest_of_digests",
    "files",
    "not_whole",
    "read",
    "to_json",
    "unfinished_files",
]

FORMAT = "threadkeep-manifest/1"

_COUNT = [instance_of(int), ge(0)]
_TEXT = instance_of(str)


@attrs.frozen(kw_only=True)
class Ending:
    """How a run ended.

    Attributes:
        finished_at: ISO 8601, UTC.
        listed: the distinct ids that the run was asked for.
        ended_by: what ended the run before its time, in one line; None when every thread had its turn.
    """

    finished_at: str
    listed: Sequence[str]
    ended_by: str | None


@attrs.frozen(kw_only=True)
class ExportTotals:
    """What an export amounts to.

    Attributes:
        threads: how many distinct ids this run and those before it were asked for.
        unfinished: how many of them have no outcome.
        messages: how many lines the export has.
        bytes: how long it is.
    """

    threads: int = attrs.field(validator=_COUNT)
    unfinished: int = attrs.field(validator=_COUNT)
    messages: int = attrs.field(validator=_COUNT)
    bytes: int = attrs.field(validator=_COUNT)


@attrs.frozen(kw_only=True)
class SidecarTotals:
    """What a file beside the export amounts to."""

    lines: int = attrs.field(validator=_COUNT)
    bytes: int = attrs.field(validator=_COUNT)
    digest: str = attrs.field(validator=_TEXT)


def _all_beside(given: Mapping[str, Any]) -> dict[str, SidecarTotals]:
    return {kind: row if isinstance(row, SidecarTotals) else SidecarTotals(**row) for kind, row in dict(given).items()}


@attrs.frozen(kw_only=True)
class Claims:
    """The part of a manifest that can be checked against the journal.

    Attributes:
        totals: what the export amounts to.
        outcomes: how many threads have each outcome.
        digest: one sha256 over the threads' own.
        beside: how many lines and bytes each file beside the export has, and its digest.
    """

    totals: ExportTotals
    outcomes: Mapping[str, int] = attrs.field(
        validator=[
            deep_mapping(in_(list(Outcome)), instance_of(int), instance_of(dict)),
            lambda _, __, given: _all_outcomes(given),
        ]
    )
    digest: str = attrs.field(validator=_TEXT)
    beside: Mapping[str, SidecarTotals] = attrs.field(factory=dict, converter=_all_beside)


@attrs.frozen(kw_only=True)
class NotWhole:
    """A thread that is not whole in the export, as its journal entry says."""

    thread_id: str = attrs.field(validator=_TEXT)
    outcome: Outcome = attrs.field(converter=Outcome)
    messages: int = attrs.field(validator=_COUNT)
    cursor: str | None = attrs.field(validator=optional(_TEXT))


def _all_not_whole(given: Sequence[Any]) -> tuple[NotWhole, ...]:
    return tuple(row if isinstance(row, NotWhole) else NotWhole(**row) for row in given)


def _all_files(given: Sequence[Any]) -> tuple[FileEntry, ...]:
    return tuple(row if isinstance(row, FileEntry) else FileEntry(**row) for row in given)


def _texts(given: Sequence[str]) -> tuple[str, ...]:
    return tuple(given)


@attrs.frozen(kw_only=True)
class Manifest:
    """All that a manifest holds.

    Attributes:
        not_whole: the threads that have an outcome, and are not whole.
        unfinished: the wanted threads that have none: never begun, or nothing had come of them.
        files: what became of each file that was to be downloaded.
        unfinished_files: the files that whole threads refer to, and nothing has become of yet.
    """

    source: str = attrs.field(validator=_TEXT)
    assistant_id: str = attrs.field(validator=_TEXT)
    flat: bool = attrs.field(validator=instance_of(bool))
    started_at: str = attrs.field(validator=_TEXT)
    finished_at: str = attrs.field(validator=_TEXT)
    ended_by: str | None = attrs.field(validator=optional(_TEXT))
    versions: Mapping[str, str] = attrs.field(validator=deep_mapping(_TEXT, _TEXT, instance_of(dict)))
    claims: Claims
    not_whole: tuple[NotWhole, ...] = attrs.field(default=(), converter=_all_not_whole)
    unfinished: tuple[str, ...] = attrs.field(default=(), converter=_texts, validator=deep_iterable(_TEXT))
    files: tuple[FileEntry, ...] = attrs.field(default=(), converter=_all_files)
    unfinished_files: tuple[str, ...] = attrs.field(default=(), converter=_texts, validator=deep_iterable(_TEXT))
    format: str = attrs.field(default=FORMAT, validator=in_([FORMAT]))

    @property
    def is_whole(self) -> bool:
        """Whether every wanted thread and file is there, or can never come. A file may be missing, a thread not."""
        threads = self.claims.outcomes[Outcome.COMPLETE] == self.claims.totals.threads and not self.unfinished
        failed = any(file.outcome is FileOutcome.FAILED for file in self.files)
        return threads and not failed and not self.unfinished_files


def build(header: Header, journal: Journal, ending: Ending, versions: Mapping[str, str]) -> Manifest:
    """Make the manifest of an export. But for times it is the same for the same threads, however they were walked.

    Args:
        header: the header that the journal began with.
        journal: every entry of the run.
        ending: how it ended.
        versions: of the programs that made it, by name.
    """
    return Manifest(
        source=header.source,
        assistant_id=header.assistant_id,
        flat=header.flat,
        started_at=header.started_at,
        finished_at=ending.finished_at,
        ended_by=ending.ended_by,
        versions=versions,
        claims=claims(journal, listed=len({*ending.listed, *journal.entries})),
        not_whole=not_whole(journal),
        unfinished=tuple(thread_id for thread_id in ending.listed if thread_id not in journal.entries),
        files=files(journal),
        unfinished_files=unfinished_files(journal),
    )


def not_whole(journal: Journal) -> tuple[NotWhole, ...]:
    """The threads that a journal knows and does not call complete, by id."""
    return tuple(
        NotWhole(thread_id=entry.thread_id, outcome=entry.outcome, messages=entry.messages, cursor=entry.cursor)
        for entry in sorted(journal.not_complete, key=lambda entry: entry.thread_id)
    )


def files(journal: Journal) -> tuple[FileEntry, ...]:
    """What became of the files, by id."""
    return tuple(sorted(journal.files.values(), key=lambda entry: entry.file_id))


def unfinished_files(journal: Journal) -> tuple[str, ...]:
    """The files that complete threads refer to and that have no outcome, by id."""
    return tuple(sorted(file_id for file_id in journal.wanted_files if file_id not in journal.files))


def claims(journal: Journal, *, listed: int) -> Claims:
    """Count what a journal says; ``listed`` is how many distinct ids were asked for, those that it names included."""
    outcomes = Counter(entry.outcome for entry in journal.entries.values())
    return Claims(
        totals=ExportTotals(
            threads=listed,
            unfinished=max(0, listed - len(journal.entries)),
            messages=sum(entry.messages for entry in journal.complete),
            bytes=journal.end_offset,
        ),
        outcomes={str(outcome): outcomes[outcome] for outcome in Outcome},
        digest=digest_of_digests((entry.thread_id, entry.sha256) for entry in journal.complete),
        beside={kind: _beside(kind, journal) for kind in (journal.header.include if journal.header else ())},
    )


def _beside(kind: str, journal: Journal) -> SidecarTotals:
    spans = {entry.thread_id: entry.beside[kind] for entry in journal.complete if kind in entry.beside}
    return SidecarTotals(
        lines=sum(span.lines for span in spans.values()),
        bytes=journal.end_beside(kind),
        digest=digest_of_digests((thread_id, span.sha256) for thread_id, span in spans.items()),
    )


def digest_of_digests(digests: Iterable[tuple[str, str | None]]) -> str:
    """One sha256 over each thread's id and the sha256 of its lines, ordered by id.

    So it is the same for the same threads, in whichever order they were finished.
    """
    lines = sorted(f"{thread_id} {sha256}" for thread_id, sha256 in digests)
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogatepass")).hexdigest()


def to_json(manifest: Manifest) -> dict[str, Any]:
    """Give a manifest as the JSON object of its file, the claims beside the rest."""
    fields = attrs.asdict(manifest)
    said = fields.pop("claims")
    return {"format": fields.pop("format"), **fields, **said}


def read(content: bytes) -> Manifest:
    """Read a manifest's bytes.

    Raises:
        ValueError: they are no manifest.
    """
    fields = loads(content)
    try:
        said = {name: fields.pop(name) for name in ("totals", "outcomes", "digest")}
        said["beside"] = fields.pop("beside", {})
        return Manifest(claims=Claims(**{**said, "totals": ExportTotals(**said["totals"])}), **fields)
    except KeyError as error:
        raise ValueError(f"{error} is missing") from None
    except (AttributeError, TypeError) as error:
        raise ValueError(str(error).splitlines()[0]) from None


def _all_outcomes(given: Mapping[str, int]) -> None:
    if set(given) != set(Outcome):
        raise ValueError("an outcome is missing")
