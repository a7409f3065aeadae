"""What must be right before anything is sent, and the plan of a push."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import attrs

from threadkeep.conversion.job import Options
from threadkeep.conversion.source import Source, Thread
from threadkeep.errors import OutputUnusable
from threadkeep.migration.conversations.conversation_map import (
    refuse_losses,
    refuse_map,
    refuse_map_of_other,
)
from threadkeep.migration.job import CHOICES, PushJob
from threadkeep.migration.planning import PushPlan, planned
from threadkeep.migration.store import PushStore
from threadkeep.storage.lock import locked
from threadkeep.storage.reader import Export

__all__ = ["ItemChoices", "make_plan", "refuse_files", "refuse_files_of_other", "refuse_unusable", "source_of"]

# So many threads of the export are planned together.
_THREADS = 200


@attrs.frozen
class ItemChoices:
    """How items are made."""

    options: Options
    upload_files: bool

    @classmethod
    def of(cls, chosen: Mapping[str, Any]) -> "ItemChoices":
        """Return them, from the names and values of `threadkeep.migration.job.CHOICES`."""
        options = Options(
            citations=chosen["citations"],
            unsupported=chosen["unsupported"],
            inline_images=chosen["inline_images"] == "yes",
        )
        return cls(options, chosen["upload_files"] == "yes")

    @property
    def need_files(self) -> bool:
        """Whether they send downloaded files."""
        return self.upload_files or self.options.inline_images


def refuse_unusable(job: PushJob) -> ItemChoices:
    """Refuse a push whose store or map cannot be used, before the export is made that it is of. Nothing changes.

    Returns:
        What this push says about items, or the first one did.

    Raises:
        OutputUnusable: they belong to another target or are something else, another push is at work, or the first push
            said something else about items.
    """
    refuse_files(job)
    with locked(job.lock_path), contextlib.ExitStack() as opened:
        is_there = job.store_path.exists()
        store = (PushStore.open if is_there else PushStore.in_memory)(job.store_path, job.target)
        opened.callback(store.close)
        refuse_files_of_other(job, store)
        return ItemChoices.of(store.choices(job.choices, CHOICES))


def refuse_files(job: PushJob) -> None:
    """Refuse a push whose map, or list of losses, would take the place of another file.

    Raises:
        OutputUnusable: it would, or cannot be written.
    """
    if job.map_path is None:
        refuse_losses(job.losses_path)
    else:
        refuse_map(job.map_path, job.out)


def refuse_files_of_other(job: PushJob, store: PushStore) -> None:
    """Refuse a push whose map is that of another one.

    Raises:
        OutputUnusable: the map names a conversation that the store does not know.
    """
    if job.map_path is not None:
        refuse_map_of_other(job.map_path, job.out, store)


def source_of(export: Export, job: PushJob) -> Source:
    """Return the threads to be pushed.

    Raises:
        OutputUnusable: OUT or its index is damaged.
    """
    for name in {"out", "index"} & export.faults.keys():
        raise OutputUnusable(
            f"the export is damaged, and messages would be left out: {export.faults[name]}. `threadkeep validate` says"
            " what is missing, and the export command repairs it."
        )
    return Source(export, job.only, lambda _event: None)


def make_plan(
    store: PushStore, export: Export, job: PushJob, items: ItemChoices, check: Callable[[], None]
) -> PushPlan:
    """Read the export, and store what is to be sent of each thread."""
    source = source_of(export, job)
    store.begin_plan()

    def plans() -> Iterator[Any]:
        for thread in source:
            check()
            _refuse_unsendable(thread, source)
            plan = job.kind.plan_of(thread, items.options, store.pushed_of(thread.thread_id))
            yield thread.place, attrs.evolve(plan, awaited=None) if job.without_files else plan

    rows = plans()
    while batch := [row for _, row in zip(range(_THREADS), rows, strict=False)]:
        store.plan(batch, job.anew)
    return planned(store, source, job.kind.requests_for)


def _refuse_unsendable(thread: Thread, source: Source) -> None:
    if any("\ud800" <= letter <= "\udfff" for letter in thread.thread_id):
        raise OutputUnusable(
            f"{source.export.path}: half of a surrogate pair is in the id of the thread {thread.thread_id!r}, so"
            " nothing can refer to it. Choose the others with --only."
        )
    if not thread.is_as_written():
        raise OutputUnusable(
            f"{source.export.path}: the lines of {thread.thread_id} are not those that were exported. The export"
            " command fetches them again, and `threadkeep validate` says more. Nothing was sent."
        )
