"""The messages of one thread as records, through the caller's own client of the SDK."""

from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import quote

from threadkeep.api.pagination import LIMIT, Walk, read_page
from threadkeep.api.transport import AsyncClient, SyncClient, raw_response, translated
from threadkeep.arguments import A_STR, refuse_wrong_types, wrong_type
from threadkeep.errors import BadPage
from threadkeep.records.mapping import from_plain_json
from threadkeep.records.model import MessageRecord
from threadkeep.serialization.thread_ids import is_thread_id

__all__ = ["aiter_messages", "iter_messages"]


def iter_messages(client: SyncClient, thread_id: str, *, assistant_id: str | None) -> Iterator[MessageRecord]:
    """Yield the messages of a thread, oldest first, page by page. Nothing is lost that the API gives.

    Args:
        client: an ``OpenAI`` or ``AzureOpenAI``, 1.x to 3.x: its key, address, connections and retries are used.
        thread_id: of the thread.
        assistant_id: the assistant that the records are for.

    Raises:
        ApiError: a page cannot be had: `ThreadMissing`, `ApiGone`, `AccessRefused` and so on. The records before it are
            complete.
        ValueError: no thread can have that id.
        TypeError: the client is no client of the SDK, or one of the other kind; or the id is no str.
    """
    _refuse_other_client(client, SyncClient)
    thread, failures = _Thread(thread_id, assistant_id), 0
    while not thread.is_over:
        with translated(client, thread.path) as take_note:
            response: Any = client.get(thread.path, **raw_response(thread.query))
            take_note(response)
            try:
                records = thread.take(response.content)
            except BadPage:  # the SDK does not know
                failures += 1
                if failures > client.max_retries:
                    raise
                continue
        failures = 0
        yield from records


async def aiter_messages(
    client: AsyncClient, thread_id: str, *, assistant_id: str | None
) -> AsyncIterator[MessageRecord]:
    """Yield the messages of a thread as `iter_messages` does, with an async client.

    Args:
        client: an ``AsyncOpenAI`` or ``AsyncAzureOpenAI``, 1.x to 3.x.
        thread_id: of the thread.
        assistant_id: the assistant that the records are for.

    Raises:
        ApiError, ValueError, TypeError: as there.
    """
    _refuse_other_client(client, AsyncClient)
    thread, failures = _Thread(thread_id, assistant_id), 0
    while not thread.is_over:
        with translated(client, thread.path) as take_note:
            response: Any = await client.get(thread.path, **raw_response(thread.query))
            take_note(response)
            try:
                records = thread.take(response.content)
            except BadPage:
                failures += 1
                if failures > client.max_retries:
                    raise
                continue
        failures = 0
        for record in records:
            yield record


def _refuse_other_client(client: object, kind: type) -> None:
    if not isinstance(client, kind):
        raise wrong_type("client", f"an {kind.__name__}", client)


class _Thread:
    """A thread that is walked: what to ask for, and what an answer gives."""

    def __init__(self, thread_id: str, assistant_id: str | None) -> None:
        refuse_wrong_types({"thread_id": thread_id}, {"thread_id": A_STR})
        if not is_thread_id(thread_id):
            raise ValueError(f"{thread_id!r} cannot be the id of a thread")
        self._id, self._assistant_id, self._walk = thread_id, assistant_id, Walk.behind(())
        self.path = f"/threads/{quote(thread_id, safe='')}/messages"

    @property
    def is_over(self) -> bool:
        return self._walk.is_over

    @property
    def query(self) -> dict[str, Any]:
        after = {"after": self._walk.cursor} if self._walk.cursor else {}
        return {"limit": LIMIT, "order": "asc", **after}

    def take(self, body: bytes) -> list[MessageRecord]:
        page = self._walk.take(read_page(body, thread_id=self._id))
        return [from_plain_json(row, assistant_id=self._assistant_id) for row in page.rows]
