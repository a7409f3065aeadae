"""The proof of an export from Python: what ``threadkeep validate`` does, as a typed report."""

import os
from collections.abc import Iterable, Iterator, Mapping, Set
from datetime import date, datetime
from functools import partial
from itertools import chain
from pathlib import Path

import attrs

from threadkeep.clearing import refuse_what_is_no_file
from threadkeep.clock import now as clock
from threadkeep.disk import on_disk
from threadkeep.errors import OutputUnusable
from threadkeep.journal import Journal
from threadkeep.readback import read_journal, read_manifest, read_wanted, what_counts
from threadkeep.storage.manifest import Manifest, claims
from threadkeep.storage.paths import Paths
from threadkeep.validation.export_check import Audit, Evidence
from threadkeep.validation.findings import Finding
from threadkeep.validation.report import ValidationReport, collect
from threadkeep.validation.scan import Reading
from threadkeep.validation.sidecar_check import damage

__all__ = ["MOST", "Validated", "validate", "validated"]

MOST = 100
"""So many findings of each code are listed where nothing else is said; all are counted."""

_CHUNK = 256 * 1024


def validate(
    out: str | os.PathLike[str],
    *,
    ids: Iterable[str] | None = None,
    most: int = MOST,
    now: datetime | None = None,
) -> ValidationReport:
    """Check an export against itself, its journal, its manifest, the files beside it and the ids that were wanted.

    Nothing is changed, and nothing is asked over the network. Memory does not grow with the findings, and with the
    export by some bytes a message and some hundreds a thread.

    Args:
        out: the export.
        ids: the thread ids that were wanted; None where that is not known.
        most: how many findings of each code are listed, at least one; all are counted.
        now: what counts as the future; None for the time of the call.

    Returns:
        The report. Iterating gives its findings; ``is_whole`` is the verdict.

    Raises:
        OutputUnusable: the export, or a file beside it, cannot be read, or there is neither it nor its journal.
        ValueError: ``most`` is less than one.
        TypeError: ``ids`` is a str, which would be taken for its letters, or holds something else than str.
    """
    if isinstance(ids, str):
        raise TypeError("ids is a str: give the ids themselves, such as a list of them")
    return validated(Path(out), ids=ids, most=most, now=now).report


@attrs.frozen
class Validated:
    """A report, and what else was learned on the way.

    Attributes:
        journal: None where there is none.
        reading: where each thread stands.
    """

    report: ValidationReport
    journal: Journal | None
    reading: Reading


def validated(
    out: Path, *, ids: Iterable[str] | None = None, most: int = MOST, now: datetime | None = None
) -> Validated:
    """Do what `validate` does, and keep what was learned.

    Raises:
        OutputUnusable, ValueError: see there.
    """
    if most < 1:
        raise ValueError(f"most is {most}: it must be at least 1")
    paths = Paths(out)
    with on_disk(out):
        refuse_what_is_no_file(paths)
        evidence = _evidence(paths, None if ids is None else _distinct(ids))
        audit = Audit(paths, evidence, now=int((now or clock()).timestamp()))
        journal = evidence.journal
        folded = collect(chain(audit.findings(partial(_lines_of, paths, journal)), _beside(paths, evidence)), most)
    reading = audit.reading
    report = ValidationReport(
        out=out,
        findings=folded.kept,
        counts=folded.counts,
        severities=folded.severities,
        totals=reading.totals,
        outcomes=None if journal is None else claims(journal, listed=len(journal.entries)).outcomes,
        months=_months(reading.days),
        sizes=_sizes(reading, journal),
        refetch=_refetch(folded.refetch, evidence, reading),
    )
    return Validated(report, journal, reading)


def _distinct(ids: Iterable[str]) -> Set[str]:
    """In their order, so that the findings have one; with the blanks of their file, as the export takes them."""
    return dict.fromkeys(filter(None, map(str.strip, ids))).keys()


def _lines_of(paths: Paths, journal: Journal | None) -> Iterator[bytes]:
    """An export that is lost has none; where no journal says that there was one, it cannot be read."""
    path = what_counts(paths, paths.out)
    if journal is not None and not path.exists():
        return iter(())
    return _lines(path)


def _lines(path: Path) -> Iterator[bytes]:
    """The lines of a file, many at a time, since each call costs."""
    with path.open("rb") as file:
        yield from chain.from_iterable(iter(partial(file.readlines, _CHUNK), []))


def _evidence(paths: Paths, ids: Set[str] | None) -> Evidence:
    is_rewriting = any(path.exists() for path in paths.rewrites)
    evidence = Evidence(journal=read_journal(paths), ids=ids, is_rewriting=is_rewriting)
    if paths.partial.exists():
        evidence = attrs.evolve(evidence, partial=_lines(paths.partial))
    try:
        evidence = attrs.evolve(evidence, wanted=read_wanted(paths))
    except OutputUnusable as error:
        evidence = attrs.evolve(evidence, wanted_fault=str(error))
    try:
        return attrs.evolve(evidence, manifest=read_manifest(paths))
    except OutputUnusable as error:
        return attrs.evolve(evidence, manifest_fault=str(error))


def _beside(paths: Paths, evidence: Evidence) -> Iterator[Finding]:
    if evidence.journal is not None:
        yield from damage(paths, evidence.journal, frozenset(evidence.wanted))


def _months(days: Mapping[int, int]) -> Mapping[str, int]:
    """Days that no calendar has are left out; each has its finding."""
    months: dict[str, int] = {}
    for day in sorted(days):
        ordinal = day + _EPOCH
        if date.min.toordinal() <= ordinal <= date.max.toordinal():
            month = date.fromordinal(ordinal).isoformat()[:7]
            months[month] = months.get(month, 0) + days[day]
    return months


_EPOCH = date(1970, 1, 1).toordinal()


def _sizes(reading: Reading, journal: Journal | None) -> Mapping[int, int]:
    """Threads without messages have no lines: the journal knows them."""
    sizes: dict[int, int] = {}
    empty = () if journal is None else (0 for one in journal.complete if not one.messages)
    for messages in sorted(chain((place.messages for place in reading.threads.values()), empty)):
        sizes[messages] = sizes.get(messages, 0) + 1
    return sizes


def _refetch(found: Iterable[str], evidence: Evidence, reading: Reading) -> tuple[str, ...]:
    """Where the journal is gone, or says nothing, no thread is vouched for.

    Where all that vouches for the export can be read, an id that only its lines name is no thread's: no API knows it.
    """
    journal, manifest, ids = evidence.journal, evidence.manifest, evidence.ids or ()
    if journal.header is None if journal is not None else evidence.has_manifest:
        return tuple(dict.fromkeys([*reading.threads, *ids, *found]))
    if (
        journal is None
        or manifest is None
        or journal.torn
        or journal.unreadable
        or _has_lost_entries(journal, manifest)
    ):
        return tuple(found)
    known = {*journal.entries, *manifest.unfinished, *evidence.wanted, *ids}
    return tuple(thread_id for thread_id in found if thread_id in known)


def _has_lost_entries(journal: Journal, manifest: Manifest) -> bool:
    """Whether the journal once knew more: then lines of a thread that it does not know may be what an entry was of."""
    listed = len({*journal.entries, *manifest.unfinished})
    said, counted = manifest.claims, claims(journal, listed=listed)
    return said.totals.threads > listed or said.digest != counted.digest
