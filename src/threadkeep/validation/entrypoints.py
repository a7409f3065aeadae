"""Validate an export from Python: what ``threadkeep validate`` does, as a typed report."""

import contextlib
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime
from itertools import chain
from pathlib import Path
from typing import Any

import attrs

from threadkeep.arguments import A_PATH, A_STR, A_WHOLE_NUMBER, IDS_OR_PATH, refuse_wrong_types
from threadkeep.clock import now as clock
from threadkeep.errors import OutputUnusable
from threadkeep.serialization.given_ids import GivenIds, given_ids
from threadkeep.storage.damage import index_rows
from threadkeep.storage.file_set import open_file_set
from threadkeep.storage.index import IndexHeader
from threadkeep.storage.lock import LockHolder, held_by
from threadkeep.storage.manifest import Manifest
from threadkeep.storage.not_exports import refuse_no_export
from threadkeep.storage.paths import Paths
from threadkeep.validation.export_check import ExportCheck
from threadkeep.validation.findings import Finding, finding
from threadkeep.validation.report import LineTotals, ValidationReport, collect
from threadkeep.validation.scan import Place

__all__ = [
    "CHECK_TYPES",
    "MOST",
    "Validated",
    "refuse_wrong_check",
    "validate",
    "validated",
    "validated_with",
]

MOST = 100
"""How many findings of each code are listed by default; all are counted."""


def validate(
    out: str | os.PathLike[str],
    *,
    ids: GivenIds | None = None,
    column: str | None = None,
    most: int = MOST,
    now: datetime | None = None,
) -> ValidationReport:
    """Check an export: its lines, its files against each other, and the ids that were wanted.

    Nothing is changed, and nothing is asked over the network. Memory does not grow with the findings, and with the
    export by some bytes a message and some hundreds a thread. While an export is running, its last written files are
    checked.

    Args:
        out: the export.
        ids: the thread ids that were wanted; or the path, as a str too, of a list of ids in any form that the command
            takes. None where that is not known.
        column: the name of the column or key of the list that has the ids; None to find it out.
        most: how many findings of each code are listed, at least one; all are counted.
        now: what counts as the future; None for the time of the call.

    Returns:
        The report. Iterating gives its findings; ``is_complete`` is the verdict.

    Raises:
        OutputUnusable: a file of the export cannot be read, or there is none, or the file is plainly no export.
        UnreadableIds: the list cannot be read, or is no list of thread ids.
        ValueError: ``most`` is less than one.
        TypeError: an argument is of another type, or ``ids`` holds something else than str.
    """
    refuse_wrong_check(locals())
    return validated_with(out, ids, column, most=most, now=now).report


CHECK_TYPES: Mapping[str, tuple[Any, str]] = {
    "out": A_PATH,
    "ids": IDS_OR_PATH,
    "column": A_STR,
    "most": A_WHOLE_NUMBER,
    "now": (datetime, "a datetime"),
}
"""What the arguments of `validate` must be, in words."""


def refuse_wrong_check(arguments: Mapping[str, Any]) -> None:
    """Raise TypeError or ValueError for arguments that `validate` cannot take."""
    refuse_wrong_types(arguments, CHECK_TYPES, frozenset({"ids", "column", "now"}))
    if arguments["most"] < 1:
        raise ValueError(f"most is {arguments['most']}: it must be at least 1")


@attrs.frozen
class Validated:
    """A report, and what else was learned; see `threadkeep.validation.export_check` and `threadkeep.validation.scan`.

    ``header`` and ``manifest`` are None where there is none that can be read.
    """

    report: ValidationReport
    header: IndexHeader | None
    manifest: Manifest | None
    places: Mapping[str, Place]
    split: frozenset[str]
    is_flat: bool


def validated_with(
    out: str | os.PathLike[str], ids: GivenIds | None, column: str | None, *, most: int, now: datetime | None
) -> Validated:
    """Do what `validated` does, with ids as `validate` takes them."""
    with contextlib.ExitStack() as opened:
        wanted = None if ids is None else (one.thread_id for one in given_ids(ids, opened, column))
        return validated(Path(out), ids=wanted, most=most, now=now)


def validated(
    out: Path, *, ids: Iterable[str] | None = None, most: int = MOST, now: datetime | None = None
) -> Validated:
    """Do what `validate` does, and return what was learned."""
    paths = Paths(out)
    wanted = None if ids is None else dict.fromkeys(filter(None, map(str.strip, ids))).keys()
    refuse_no_export(out)
    # Before the files, so that an export which ends meanwhile is not taken for one that was cut off.
    holder, has_store = held_by(paths.lock), paths.store.exists()
    with open_file_set(paths) as files:
        has_files = files.has_index or "out" in files.files
        if not has_files and holder is None and not has_store:
            raise OutputUnusable(f"{out} does not exist, and there is no index next to it. Check OUT.")
        at_work = _at_work(paths, holder, has_store=has_store, has_files=has_files)
        check = ExportCheck(files, wanted, int((now or clock()).timestamp()))
        collected = collect(chain(at_work, check.findings() if has_files else ()), most)
        refetch = collected.refetch
        if not files.has_index:
            has_manifest = files.manifest is not None or files.manifest_fault is not None
            refetch = tuple(dict.fromkeys([*check.out.places, *(wanted or ()), *refetch])) if has_manifest else refetch
        elif check.is_proven and refetch:
            # An id that only lines name is that of no thread.
            named, index = frozenset(refetch), index_rows(files.files["index"], paths.index.name)
            known = {*(row.thread_id for row in index if row.thread_id in named), *(wanted or ())}
            refetch = tuple(thread_id for thread_id in refetch if thread_id in known)
        refetch = tuple(dict.fromkeys([*refetch, *check.without_files]))
    places, messages = check.out.places, check.messages
    sizes = Counter(place.messages for place in places.values())
    sizes[0] = check.empty
    months = Counter[str]()
    for day, count in sorted(messages.days.items()):
        # A day that no calendar has is left out. Its messages have findings.
        with contextlib.suppress(ValueError, OverflowError):
            months[date.fromordinal(date(1970, 1, 1).toordinal() + day).isoformat()[:7]] += count
    report = ValidationReport(
        out=out,
        findings=collected.listed,
        counts=collected.counts,
        severities=collected.severities,
        totals=LineTotals(threads=len(places), messages=messages.messages, bytes=check.out.size),
        outcomes=dict(check.outcomes) if files.has_index else None,
        months=months,
        sizes=dict(sorted((+sizes).items())),
        refetch=refetch,
        is_written=has_files,
    )
    return Validated(report, check.header, files.manifest, places, frozenset(check.out.split), bool(messages.is_flat))


def _at_work(paths: Paths, holder: LockHolder | None, *, has_store: bool, has_files: bool) -> Iterator[Finding]:
    """Report a run that is under way, or was cut off."""
    if holder is not None:
        then = "these are the files that were written before it" if has_files else "nothing has been written yet"
        what = f"an export is running ({holder}): {then}"
        yield finding("export_at_work", what, file=paths.lock.name)
    elif has_store:
        then = "" if has_files else " Nothing has been written yet."
        what = f"a run was cut off, and what it had fetched is in {paths.store.name}.{then}"
        yield finding("unfinished_run", what, file=paths.store.name)
