"""What a push has to do for one thread that becomes a conversation."""

from threadkeep.conversion.job import Options
from threadkeep.conversion.losses import Loss
from threadkeep.conversion.source import Thread
from threadkeep.migration.conversations.comparison import fingerprint
from threadkeep.migration.conversations.downloads import awaited
from threadkeep.migration.conversations.items import by_kind, items_of_thread
from threadkeep.migration.conversations.metadata import encode_times, metadata_of
from threadkeep.migration.planning import Digests
from threadkeep.migration.store import ThreadPlan

__all__ = ["plan_of"]


def plan_of(thread: Thread, options: Options, pushed: int) -> ThreadPlan:
    """Return what is to be sent of a thread.

    Args:
        thread: as it is read from an export.
        options: of the items.
        pushed: how many of its messages were sent when it was complete last.
    """
    digests = Digests(pushed)
    losses, times, needed, left_out = list[Loss](), list[int | None](), list[tuple[str, bool]](), 0
    for one in items_of_thread(thread, options):
        losses += one.losses
        needed += one.files
        if one.item is None:
            left_out += 1
            continue
        digests.add(fingerprint(one.item))
        times.append(one.time)
    files = by_kind(needed)
    images = (file_id for file_id, is_image in files.items() if is_image and options.inline_images)
    metadata = metadata_of(thread.thread_id, (thread.thread or {}).get("metadata"), encode_times(times))
    return ThreadPlan(
        thread_id=thread.thread_id,
        messages=digests.count,
        digest=digests.digest,
        pushed_digest=digests.pushed_digest,
        losses=[*metadata.losses, *losses],
        left_out=left_out,
        files=files,
        paths={file_id: str(path) for file_id, path in thread.files.items()},
        has_thread_object=thread.thread is not None,
        metadata=metadata.pairs,
        awaited=awaited(thread, images),
    )
