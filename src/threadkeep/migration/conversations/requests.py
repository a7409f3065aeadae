"""The requests of a push to a Conversations API: OpenAI's, or that of the new Microsoft Foundry.

A conversation takes 20 items in one request, gives 100 in one page, and lists items in the order in which they came
(documented, recorded). Foundry lists the conversations of a project too; OpenAI lists none.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from threadkeep.api.client import ApiClient
from threadkeep.api.pagination import read_object, read_page
from threadkeep.errors import BadPage
from threadkeep.migration.conversations.comparison import fingerprint, missing_pairs

__all__ = [
    "ITEMS_PER_REQUEST",
    "add_items",
    "create",
    "fetch_fingerprints",
    "fetch_metadata",
    "list_conversations",
    "set_metadata",
]

ITEMS_PER_REQUEST = 20


async def create(client: ApiClient, metadata: Mapping[str, str]) -> str:
    """Create a conversation without items, once, and return its id.

    Raises:
        ApiError: if it is ``unconfirmed``, the conversation may be there.
    """

    def read(body: bytes) -> str:
        conversation = read_object(body)
        conversation_id: str = conversation["id"]
        if missing_pairs(metadata, conversation.get("metadata", metadata)):
            raise BadPage(f"the answer is another conversation than the one that was to be created: {conversation_id}")
        client.refuse_unusable_id(conversation_id)
        return conversation_id

    return await client.post("/conversations", {"metadata": metadata}, read)


async def set_metadata(client: ApiClient, conversation_id: str, metadata: Mapping[str, str]) -> None:
    """Replace the metadata of a conversation. To do it twice does no harm, so it is repeated until it is done."""

    async def attempt() -> None:
        await client.post(_path(conversation_id), {"metadata": metadata}, read_object)

    await client.retried(attempt)


async def add_items(client: ApiClient, conversation_id: str, items: Sequence[Mapping[str, Any]]) -> None:
    """Add items to the end of a conversation, once.

    Args:
        items: at most `ITEMS_PER_REQUEST`.

    Raises:
        ApiError: if it is ``unconfirmed``, the items may be there.
    """

    def read(body: bytes) -> None:
        if len(read_page(body).rows) != len(items):
            raise BadPage("the answer does not have as many items as were sent")

    await client.post(f"{_path(conversation_id)}/items", {"items": items}, read)


async def fetch_fingerprints(client: ApiClient, conversation_id: str) -> list[bytes]:
    """Return the fingerprints of the items that a conversation has, in order."""
    found = list[bytes]()
    async for page in client.walk(f"{_path(conversation_id)}/items"):
        found += map(fingerprint, page.rows)
    return found


async def fetch_metadata(client: ApiClient, conversation_id: str) -> Mapping[str, Any]:
    """Return the metadata of a conversation."""
    conversation = await client.fetch(_path(conversation_id), object_id=conversation_id)
    pairs = conversation.get("metadata")
    return pairs if isinstance(pairs, Mapping) else {}


async def list_conversations(client: ApiClient) -> AsyncIterator[Mapping[str, Any]]:
    """Yield all conversations of a project, where the server lists them."""
    async for page in client.walk("/conversations"):
        for row in page.rows:
            yield row


def _path(conversation_id: str) -> str:
    return f"/conversations/{quote(conversation_id, safe='')}"
