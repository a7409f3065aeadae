"""Validate an export in shards: what is wrong with its objects, and with the threads in them.

The sound shards are merged, and the result is validated as the export that it is. Each damaged shard is validated as an
export of its own, and its findings have the names of objects in the places of those of files.
"""

import re
import sys
from collections.abc import Collection, Iterable, Mapping
from itertools import chain
from pathlib import Path

import attrs

from threadkeep.errors import OutputUnusable
from threadkeep.scale.collect import with_names
from threadkeep.scale.fetched import FetchedShards, ShardFaults
from threadkeep.scale.generations import Generation, ObjectFault, generations_of, listed_shards, marker_name, objects_of
from threadkeep.scale.object_store import ObjectDamaged, ObjectMissing, ObjectStore
from threadkeep.scale.plan import FIRST, planned_header, read_plan_without_repeats, unplanned
from threadkeep.scale.plan_objects import RESTORE, PlanHeader, PlannedShard
from threadkeep.storage.index import Outcome
from threadkeep.storage.join import join_exports
from threadkeep.storage.paths import Paths
from threadkeep.storage.writer import RunFacts, put_in_place, write_new_set
from threadkeep.validation.entrypoints import Validated, validated
from threadkeep.validation.findings import KINDS, Finding, Severity, finding
from threadkeep.validation.report import LineTotals, ValidationReport

__all__ = ["ValidatedPrefix", "validated_prefix"]

_AGAIN = "Run the same export command again: it exports the shard again."
_REMOVE = "Remove the object, and run the same export command again: it exports the shard again."
_SHARD_AGAIN = "Export its shard again."


@attrs.frozen
class ValidatedPrefix:
    """What was found out about a prefix.

    Attributes:
        merged: the validation of the export that was merged of the sound shards.
        report: the same with what was found of the others.
        header: of the plan; None if no object of it can be read.
        has_files: whether files were to be downloaded.
    """

    merged: Validated
    report: ValidationReport
    header: PlanHeader | None
    has_files: bool = attrs.field(kw_only=True)


def validated_prefix(store: ObjectStore, out: Path, *, ids: Iterable[str] | None = None, most: int) -> ValidatedPrefix:
    """Validate a prefix. Whatever is wrong with its objects is a finding, with the name of the object as its file.

    Args:
        store: where the objects are.
        out: where the sound shards are merged, in a folder of its own. The damaged ones are put next to it.
        ids: the thread ids that were wanted; None where that is not known.
        most: how many findings of each code are listed.

    Raises:
        OutputUnusable: nothing of an export in shards is there; the store or the disk refuses; or sound shards cannot
            be merged.
    """
    prefix = _Prefix.read(store)
    if prefix.header is None:
        nothing = _nothing(out)
        return ValidatedPrefix(nothing, nothing.report.with_findings(prefix.findings, most), None, has_files=False)
    fetched = FetchedShards(store, out.with_name(f"{out.name}.parts"), prefix.header, prefix.generations)
    with with_names({f"{fetched.folder}/": f"{store.url}/"}):
        faults = _merged(fetched, out)
    wanted = None if ids is None else dict.fromkeys(filter(None, map(str.strip, ids))).keys()
    others = _planned_in(store, {*faults, *prefix.unfinished})
    in_others = frozenset(chain.from_iterable(others.values()))
    left = None if wanted is None else [one for one in wanted if one not in in_others]
    merged = validated(out, ids=left, most=most)
    parts, findings = list[ValidationReport](), [*prefix.findings]
    for name, planned in others.items():
        own = [one for one in planned if wanted is None or one in wanted]
        if name in faults:
            part, of_shard = _validated_shard(fetched, name, faults[name], own)
        else:
            part, of_shard = _unfinished(out, name, own)
        parts.append(part)
        findings += of_shard
    report = merged.report.with_parts(parts).with_findings(findings, most)
    return ValidatedPrefix(merged, report, prefix.header, has_files=prefix.has_files)


def _ignore(_name: str, _error: ObjectDamaged) -> None:
    """Pass over an object of the plan, of which there is a finding."""


def _planned_in(store: ObjectStore, names: Collection[str]) -> dict[str, tuple[str, ...]]:
    """Return the ids of some shards, by the names of the shards."""
    plan = read_plan_without_repeats(store, _ignore) if names else ()
    return {shard.name: shard.ids for planned in plan for shard in planned.shards if shard.name in names}


# --- the plan and the markers


@attrs.define
class _Prefix:
    """What the plan and the markers of a prefix say, and what is wrong with them.

    Attributes:
        header: of the plan; None if no object of it can be read.
        generations: of the shards of which a marker can be read, by their names, in the order of the plan.
        unfinished: the names of the others.
    """

    store: ObjectStore
    header: PlanHeader | None = None
    generations: dict[str, Generation] = attrs.field(factory=dict)
    unfinished: set[str] = attrs.field(factory=set)
    findings: list[Finding] = attrs.field(factory=list)

    @classmethod
    def read(cls, store: ObjectStore) -> "_Prefix":
        """Read them.

        Raises:
            OutputUnusable: nothing of an export in shards is there, or the store refuses.
        """
        prefix, listed = cls(store), listed_shards(store)
        for planned in read_plan_without_repeats(store, prefix._take_damaged):
            prefix.header = prefix.header or planned.header
            for shard, found in generations_of(store, planned, listed):
                prefix._take(shard, found, has_objects=shard.name in listed)
            for shard in planned.shards:
                listed.pop(shard.name, None)
        if prefix.header is None and not prefix.findings:
            if not listed:
                planned_header(store)  # says that there is nothing
            what = "there are shards, and the plan that they are of is not there"
            prefix.findings.append(finding("lost_file", what, RESTORE, file=FIRST))
        for name in unplanned(store, listed, _ignore):
            what = "no object of the plan has the shard, so its threads were not read"
            prefix.findings.append(finding("unplanned_shard", what, file=f"shards/{name}"))
        return prefix

    @property
    def has_files(self) -> bool:
        """Whether files were downloaded."""
        return any(one.manifest is not None and one.manifest.downloads is not None for one in self.generations.values())

    def _take_damaged(self, name: str, error: ObjectDamaged) -> None:
        code = "lost_file" if isinstance(error, ObjectMissing) else "file_mismatch"
        what = str(error).removeprefix(f"{self.store.url}/").removesuffix(f" {RESTORE}")
        self.findings.append(finding(code, what, RESTORE, file=name))

    def _take(self, shard: PlannedShard, found: Generation | None, *, has_objects: bool) -> None:
        if found is not None and found.manifest is not None:
            self.generations[shard.name] = found
            return
        self.unfinished.add(shard.name)
        if found is not None:
            self.findings += [
                finding(
                    "unreadable_manifest", f"the marker of the shard cannot be used: {one.why}", _AGAIN, file=one.name
                )
                for one in found.faults
            ]
        elif has_objects:
            what = "there are objects of the shard and no marker: it was lost, or a run has not put it yet"
            self.findings.append(finding("lost_manifest", what, _AGAIN, file=marker_name(shard.name, 1)))


# --- the sound shards


def _merged(fetched: FetchedShards, out: Path) -> ShardFaults:
    """Fetch the shards and merge those that are sound; return what is wrong with the others."""
    faults = dict(fetched.fetch())
    for name, more in fetched.damaged([*faults]).items():
        of_objects = [one for one in faults[name] if one.why is None]  # the digests say why the threads are others
        faults[name] = list(dict.fromkeys((*of_objects, *more)))
    try:
        _merge(fetched, out, faults)
    except OutputUnusable:
        found = fetched.damaged(name for name in fetched.shards if name not in faults)
        if not found:
            raise
        faults |= found
        _merge(fetched, out, faults)
    return faults


def _merge(fetched: FetchedShards, out: Path, without: Collection[str]) -> None:
    if parts := [fetched.paths(name) for name in fetched.shards if name not in without]:
        join_exports(parts, Paths(out))
    else:
        facts = RunFacts(started_at="", finished_at="", versions={}, ended_by=None)
        put_in_place(Paths(out), write_new_set(Paths(out), fetched.header.of, (), facts, downloads=None))


# --- the other shards


def _nothing(out: Path) -> Validated:
    """Return the validation of nothing."""
    report = ValidationReport(
        out=out,
        findings=(),
        counts={},
        severities=dict.fromkeys(Severity, 0),
        totals=LineTotals(threads=0, messages=0, bytes=0),
        outcomes=None,
        months={},
        sizes={},
        refetch=(),
    )
    return Validated(report, None, None, {}, frozenset(), is_flat=False)


def _unfinished(out: Path, name: str, ids: Collection[str]) -> tuple[ValidationReport, list[Finding]]:
    """Report a shard that was not put yet, or of which no marker can be read."""
    part = attrs.evolve(_nothing(out).report, outcomes={str(Outcome.UNFINISHED): len(ids)})
    where = f"shards/{name}"
    return part, [finding("thread_unfinished", "its shard is not there", file=where, thread_id=one) for one in ids]


def _validated_shard(
    fetched: FetchedShards, name: str, objects: Collection[ObjectFault], ids: Collection[str]
) -> tuple[ValidationReport, list[Finding]]:
    """Validate a damaged shard; return the report and the findings.

    Args:
        fetched: where its files are.
        name: of the shard.
        objects: what is wrong with them. That says all of findings about whole files, which are left out.
        ids: of the threads that it must have.
    """
    remedy = _AGAIN if fetched.shards[name].faults else _REMOVE
    found, paths = [_of_object(one, remedy) for one in objects], fetched.paths(name)
    if not (paths.out.exists() or paths.index.exists()):
        what, where = "neither its lines nor its row of the index are there", f"shards/{name}"
        lost = [finding("not_exported", what, _SHARD_AGAIN, file=where, thread_id=one) for one in ids]
        return _nothing(paths.out).report, found + lost
    part, names = validated(paths.out, ids=ids, most=sys.maxsize).report, _names_of_objects(fetched, name)
    return part, found + [_renamed(one, names) for one in part if one.thread_id is not None]


def _of_object(fault: ObjectFault, remedy: str) -> Finding:
    if fault.is_missing:
        return finding("lost_file", "the object is not there", remedy, file=fault.name)
    what = "the object is not as it was put" if fault.why is None else f"the object cannot be used: {fault.why}"
    return finding("file_mismatch", what, remedy, file=fault.name)


def _names_of_objects(fetched: FetchedShards, name: str) -> Mapping[str, str]:
    """Return the names of the objects of a shard, by those of its files."""
    generation, paths = fetched.shards[name], fetched.paths(name)
    names = {paths.manifest.name: marker_name(name, generation.number)}
    for one in objects_of(generation.manifest, paths) if generation.manifest is not None else ():
        names[str(one.path.relative_to(paths.out.parent))] = f"shards/{name}/{one.name}"
    return names


def _renamed(one: Finding, names: Mapping[str, str]) -> Finding:
    """Return a finding with the names of objects, and with what helps in a prefix."""
    kind, file = KINDS[one.code], None if one.file is None else names.get(one.file, one.file)
    what = one.message.removesuffix(f" {kind.remedy}")
    pattern = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
    words = re.sub(pattern, lambda found: "this object" if names[found[0]] == file else names[found[0]], what)
    message = f"{words} {_SHARD_AGAIN if kind.refetch else kind.remedy}" if what != one.message else words
    return attrs.evolve(one, message=message, file=file)
