"""The messages of an exported thread, as a `Conversation` begins with them."""

from pathlib import Path

from threadkeep.conversion.content import thread_losses
from threadkeep.conversion.formats.chat import to_chat_messages
from threadkeep.conversion.formats.items import to_response_items
from threadkeep.conversion.losses import Loss
from threadkeep.history.items import Item
from threadkeep.storage.index import Outcome
from threadkeep.storage.reader import read

__all__ = ["read_thread"]

_TURN = {"chat": to_chat_messages, "responses": to_response_items}


def read_thread(
    out: Path, thread_id: str, api: str, *, inline_images: bool = False
) -> tuple[list[Item], tuple[Loss, ...]]:
    """Return the messages of a thread for ``chat`` or ``responses``, and what they cannot carry.

    Raises:
        ValueError: the export does not have the thread, or no message of it.
        OutputUnusable, MalformedLine: the export cannot be read.
    """
    with read(out) as export:
        try:
            thread = export[thread_id]
        except KeyError:
            raise ValueError(f"{thread_id} is not a thread of {out}. `threadkeep show {out}` lists them.") from None
        items, lost = _TURN[api](thread.messages, inline_images=inline_images, files=thread.files)
        losses = [*thread_losses(thread_id, thread.thread), *lost]
        if thread.outcome not in (None, Outcome.COMPLETE):
            why = f"the thread is {thread.outcome} in the export: {thread.reason or 'not all of it came'}"
            if not items:
                raise ValueError(f"there is no message of {thread_id} in {out}: {why}")
            losses.insert(0, Loss(thread_id, None, "messages", why))
    return items, tuple(losses)
