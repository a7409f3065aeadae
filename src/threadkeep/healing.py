"""A damaged export is healed: what is whole in it stays, what is damaged is asked for again, and nothing is deleted.

Nobody is healed unasked. A run that is asked for all threads may not know that its export is damaged, and is told so;
one that is asked for the damaged ones, or for every one whatever stands there, knows.
"""

import contextlib
from collections.abc import Callable, Collection, Sequence, Set
from pathlib import Path

import attrs

import threadkeep.rewrite as rewrite
from threadkeep.clearing import is_half_set_aside, keep_copy, take_back
from threadkeep.disk import Disk
from threadkeep.journal import Journal
from threadkeep.partialfile import PartialFile
from threadkeep.resume import Stretch, refusal
from threadkeep.storage.paths import Paths, draft, rewrite_of
from threadkeep.wounds import Wounds, look

__all__ = ["Asked", "Diagnosis", "diagnose", "heal"]


@attrs.frozen
class Asked:
    """Which threads a run is asked for.

    Attributes:
        ids: theirs.
        refresh: whether they are to be fetched also where they are complete.
        left_out: ids that are saved elsewhere: no run is asked for them any more.
    """

    ids: frozenset[str]
    refresh: bool = False
    left_out: Set[str] = frozenset()


@attrs.frozen
class Diagnosis:
    """What is wrong with an export that may be healed.

    Attributes:
        wounds: which of its threads are still in it, and where.
        planned: what its files will be.
    """

    wounds: Wounds
    planned: rewrite.Plan


def diagnose(
    paths: Paths,
    journal: Journal,
    wrong: Stretch,
    *,
    asked: Asked | None,
    left_over: Collection[str],
    disk: Disk,
    is_over: Callable[[], bool],
) -> Diagnosis:
    """Look through a damaged export, and make sure that it may be healed. Nothing is changed.

    Args:
        paths: where it is.
        journal: what it should hold; with its header.
        wrong: the first lines that are not there.
        asked: what the run is asked for; None to heal nothing.
        left_over: the threads that a run before came to no end with.
        disk: what it is on.
        is_over: asked again and again.

    Raises:
        OutputUnusable: what is damaged is not what is asked for.
        Interrupted: it is over.
        OSError: the disk refuses.
    """
    header = journal.header
    assert header is not None  # `threadkeep.resume.check` has seen it
    if asked is None:
        raise refusal(wrong, paths, header.assistant_id, "")
    wounds = look(paths, journal, disk, is_over)
    why = _objection(wounds, asked, {*journal.entries, *left_over})
    if why is None and not disk.exists(paths.out) and is_half_set_aside(paths, disk):
        why = "; a --fresh that was cut off has moved it, and another one moves the rest"
    if why is not None:
        raise refusal(wrong, paths, header.assistant_id, why)
    return Diagnosis(wounds, rewrite.plan(paths, header, journal, wounds.found))


def heal(paths: Paths, found: Diagnosis, disk: Disk, keep_wanted: Callable[[], None]) -> str:
    """Keep the files of a damaged export under another name, what can be read of damaged threads aside, and write anew.

    When this returns, the new files count: `rewrite.roll_forward` is all that is left to do. The damaged threads have
    no entry then.

    Args:
        paths: where it is.
        found: what is to be done.
        disk: what it is on.
        keep_wanted: makes the ids of the damaged threads safe; called before anything but copies is written.

    Returns:
        What a person should know.

    Raises:
        OutputUnusable: lines have changed since they were looked for. Then what was written for this is taken back, but
            for the ids.
        OSError: the disk refuses. The same.
    """
    flat = found.planned.header.flat
    kept = keep_copy(paths, disk)
    try:
        keep_wanted()
        readable = _write(paths, disk, found.planned, found.wounds, flat=flat)
    except Exception:
        take_back(kept, disk)
        raise
    return _notice(paths, kept, found.wounds, readable, kept.out if flat else paths.partial)


def _write(paths: Paths, disk: Disk, planned: rewrite.Plan, wounds: Wounds, *, flat: bool) -> int:
    """The partial file grows before the new files count, and is as it was when they never will.

    Returns:
        How many lines can be read of what is damaged.
    """
    aside = PartialFile(paths, disk, flat=flat)
    aside.mend()
    end = aside.end()
    try:
        kept = aside.keep_others(wounds.found.keys())
        rewrite.write(paths, disk, planned)
    except Exception:
        with contextlib.suppress(OSError):
            disk.remove(draft(rewrite_of(paths.journal)))
            aside.cut(end)
        raise
    return wounds.readable if flat else kept


def _notice(paths: Paths, kept: Paths, wounds: Wounds, readable: int, where: Path) -> str:
    said = (
        f"{paths.out} was damaged. Threads that are fetched again: {len(wounds.damaged):,}. The damaged files are kept"
        f" as {kept.out.name} and beside it."
    )
    if not readable:
        return said
    return f"{said} Lines of such threads that can still be read: {readable:,}, kept in {where.name} in any case."


def _objection(wounds: Wounds, asked: Asked, known: Collection[str]) -> str | None:
    """Say why an export must not be healed by a run, to be put behind a sentence; None when it may be.

    A list of what is damaged is told from the list of all threads by this: it names nothing that is sound.

    Args:
        wounds: what is damaged.
        asked: for what.
        known: the threads that the export knows of otherwise: from its journal, or its last manifest.
    """
    beyond = [thread_id for thread_id in wounds.damaged if thread_id not in asked.ids]
    if beyond:
        return f"; {_some(beyond, 'damaged')}, and not asked for"
    if asked.refresh:
        return None
    sound = sorted(asked.ids & wounds.sound)
    if sound:
        return f"; {_some(wounds.damaged, 'damaged')}, but {_some(sound, 'whole')}, and asked for too"
    strange = sorted(asked.ids - wounds.seen - set(known))
    if strange:
        return f"; {_some(strange, 'asked for')}, and unknown to this export"
    return None


def _some(ids: Sequence[str], what: str) -> str:
    if len(ids) < 2:
        return f"{ids[0] if ids else 'no thread'} is {what}"
    return f"{len(ids):,} threads are {what}, {ids[0]} among them"
