"""A damaged export is healed: what is whole in it stays, what is damaged is asked for again, and nothing is deleted.

Nobody is healed unasked. A run that is asked for all threads may not know that its export is damaged, and is told so;
one that is asked for the damaged ones, or for every one whatever stands there, knows.
"""

from collections.abc import Callable, Collection, Sequence

import attrs

import threadkeep.rewrite as rewrite
from threadkeep.clearing import keep_copy
from threadkeep.disk import Disk
from threadkeep.journal import Journal
from threadkeep.partialfile import PartialFile
from threadkeep.paths import Paths
from threadkeep.resume import Stretch, refusal
from threadkeep.wounds import Wounds, look

__all__ = ["Asked", "Healed", "heal"]


@attrs.frozen
class Asked:
    """Which threads a run is asked for.

    Attributes:
        ids: theirs.
        refresh: whether they are to be fetched also where they are complete.
    """

    ids: frozenset[str]
    refresh: bool = False


@attrs.frozen
class Healed:
    """What is to be done about a damaged export, when its files are kept under another name.

    Attributes:
        planned: what its files will be.
        notice: what a person should know.
    """

    planned: rewrite.Plan
    notice: str


def heal(
    paths: Paths,
    journal: Journal,
    wrong: Stretch,
    *,
    asked: Asked | None,
    left_over: Collection[str],
    disk: Disk,
    is_over: Callable[[], bool],
) -> Healed:
    """Keep the files of a damaged export under another name, and what can be read of damaged threads aside.

    Args:
        paths: where it is.
        journal: what it should hold; with its header.
        wrong: the first lines that are not there.
        asked: what the run is asked for; None to heal nothing.
        left_over: the threads that a run before came to no end with.
        disk: what it is on.
        is_over: asked again and again, until the first file is copied.

    Raises:
        OutputUnusable: what is damaged is not what is asked for. Nothing has changed then.
        Interrupted: it is over. The same.
        OSError: the disk refuses.
    """
    header = journal.header
    assert header is not None  # `threadkeep.resume.check` has seen it
    if asked is None:
        raise refusal(wrong, paths, header.assistant_id, "")
    wounds = look(paths, journal, disk, is_over)
    why = _objection(wounds, asked, {*journal.entries, *left_over})
    if why is None and not asked.refresh and not disk.exists(paths.out):
        why = "; it is not there"
    if why is not None:
        raise refusal(wrong, paths, header.assistant_id, why)
    kept = keep_copy(paths, disk)
    aside = PartialFile(paths, disk, flat=header.flat)
    aside.mend()
    aside.keep_others(wounds.found.keys())
    notice = (
        f"{paths.out} was damaged. Threads that are fetched again: {len(wounds.damaged):,}. The damaged files are kept"
        f" as {kept.out.name} and beside it."
    )
    return Healed(rewrite.plan(paths, header, journal, wounds.found), notice)


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
        return f"; {_some(beyond, 'damaged')} and not asked for"
    if asked.refresh:
        return None
    sound = sorted(asked.ids & wounds.sound)
    if sound:
        return f"; {_some(wounds.damaged, 'damaged')}, but {_some(sound, 'whole')} and asked for too"
    strange = sorted(asked.ids - wounds.seen - set(known))
    if strange:
        return f"; {_some(strange, 'asked for')} and unknown to this export"
    return None


def _some(ids: Sequence[str], what: str) -> str:
    if len(ids) == 1:
        return f"{ids[0]} is {what}"
    return f"{len(ids):,} threads are {what}" + (f", {ids[0]} among them," if ids else "")
