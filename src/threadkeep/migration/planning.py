"""What a push has to do: of each thread, and in all."""

from collections.abc import Mapping
from hashlib import blake2b
from itertools import chain

import attrs

from threadkeep.conversion.job import Options
from threadkeep.conversion.losses import Loss
from threadkeep.conversion.source import Source, Thread
from threadkeep.migration.comparison import fingerprint
from threadkeep.migration.conversations import ITEMS_PER_REQUEST
from threadkeep.migration.items import items_of_thread
from threadkeep.migration.metadata import encode_times, metadata_of
from threadkeep.migration.store import PushStore, State, ThreadPlan

__all__ = ["PushPlan", "plan_of", "planned"]


@attrs.frozen(kw_only=True)
class PushPlan:
    """What a push has to do when it begins.

    Attributes:
        threads: how many complete threads the export has, or those that were chosen.
        empty: how many of them have nothing to send.
        to_send: how many are to be sent. The others were sent before.
        changed: how many were sent before, and have other items in the export since: their conversations stay.
        conversations: how many conversations are to be created.
        items: how many items are to be sent.
        requests: how many writing requests that takes if each is answered.
        losses: how many losses there are, by what is lost, as far as the target is not asked.
        files: how many files messages refer to that the target may not know.
        files_here: how many of these were downloaded.
        not_complete: how many threads of the export are not complete, and so not pushed.
        is_flat: whether the export is flat: it had texts only, and what else the messages held is not known.
        has_thread_objects: whether it has thread objects, whose metadata goes along.
    """

    threads: int
    empty: int
    to_send: int
    changed: int
    conversations: int
    items: int
    requests: int
    losses: Mapping[str, int]
    files: int
    files_here: int
    not_complete: int
    is_flat: bool
    has_thread_objects: bool

    def minutes(self, rpm: int) -> float:
        """Return how long the writing requests take at so many requests a minute."""
        return self.requests / rpm


def plan_of(thread: Thread, options: Options, pushed: int) -> ThreadPlan:
    """Return what is to be sent of a thread.

    Args:
        thread: as it is read from an export.
        options: of the items.
        pushed: how many of its messages were sent when it was complete last.
    """
    digest, pushed_digest, count = blake2b(digest_size=16), None, 0
    losses, times, files, images = list[Loss](), list[int | None](), list[str](), set[str]()
    if not pushed:
        pushed_digest = digest.digest()
    for one in items_of_thread(thread, options):
        losses += one.losses
        files += one.files
        if one.item is None:
            continue
        images |= {
            part["file_id"] for part in one.item["content"] if part["type"] == "input_image" and part.get("file_id")
        }
        digest.update(fingerprint(one.item))
        times.append(one.time)
        count += 1
        if count == pushed:
            pushed_digest = digest.digest()
    metadata = metadata_of(thread.thread_id, (thread.thread or {}).get("metadata"), encode_times(times))
    return ThreadPlan(
        thread_id=thread.thread_id,
        messages=count,
        digest=digest.digest(),
        pushed_digest=pushed_digest,
        losses=[*metadata.losses, *losses],
        files={file_id: file_id in images for file_id in files},
        paths={file_id: str(path) for file_id, path in thread.files.items()},
        has_thread_object=thread.thread is not None,
        metadata=metadata.pairs,
    )


def planned(store: PushStore, source: Source) -> PushPlan:
    """Return what a push has to do whose plan is in the store."""
    states, work = store.count(), store.to_send()
    files, files_here = store.count_files()
    return PushPlan(
        threads=sum(states.values()),
        empty=states[State.EMPTY],
        to_send=len(work),
        changed=states[State.CHANGED],
        conversations=sum(not is_there for is_there, _ in work),
        items=sum(items for _, items in work),
        requests=sum(chain.from_iterable((not is_there, -(-items // ITEMS_PER_REQUEST)) for is_there, items in work))
        + store.count_new_metadata(),
        losses=store.losses(),
        files=files,
        files_here=files_here,
        not_complete=source.not_complete,
        is_flat=source.is_flat,
        has_thread_objects=store.has_thread_objects,
    )
