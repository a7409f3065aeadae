"""What a push has to do for one thread that becomes a conversation."""

from threadkeep.conversion.job import Options
from threadkeep.conversion.losses import Loss
from threadkeep.conversion.source import Thread
from threadkeep.migration.conversations.comparison import fingerprint
from threadkeep.migration.conversations.items import items_of_thread
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
    losses, times, files, images = list[Loss](), list[int | None](), list[str](), set[str]()
    for one in items_of_thread(thread, options):
        losses += one.losses
        files += one.files
        if one.item is None:
            continue
        images |= {
            part["file_id"] for part in one.item["content"] if part["type"] == "input_image" and part.get("file_id")
        }
        digests.add(fingerprint(one.item))
        times.append(one.time)
    metadata = metadata_of(thread.thread_id, (thread.thread or {}).get("metadata"), encode_times(times))
    return ThreadPlan(
        thread_id=thread.thread_id,
        messages=digests.count,
        digest=digests.digest,
        pushed_digest=digests.pushed_digest,
        losses=[*metadata.losses, *losses],
        files={file_id: file_id in images for file_id in files},
        paths={file_id: str(path) for file_id, path in thread.files.items()},
        has_thread_object=thread.thread is not None,
        metadata=metadata.pairs,
    )
