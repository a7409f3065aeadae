"""Which threads a server has, where it says so. Foundry Agents (classic) does; OpenAI never did, so ids were needed."""

from collections.abc import AsyncIterator

from threadkeep.api.client import Walker
from threadkeep.errors import ApiError, ListingRefused

__all__ = ["thread_ids"]

# How servers refuse a route that they have for others, or have not: OpenAI said 401, later 403 (quoted).
_REFUSALS = frozenset({401, 403, 404, 405})


async def thread_ids(walker: Walker) -> AsyncIterator[list[str]]:
    """Yield the ids of all threads, page by page, in the server's order.

    Raises:
        ListingRefused: the server refuses this route, and answers another of the API.
        ApiError: any other leaf of it. The pages before were whole, the list is not.
    """
    begun = False
    try:
        async for page in walker.walk("/threads"):
            begun = True
            yield [row["id"] for row in page.rows]
    except ApiError as problem:
        if begun or problem.status not in _REFUSALS or not await _answers(walker):
            raise
        raise ListingRefused(f"this server does not say which threads it has: {problem}") from problem


async def _answers(walker: Walker) -> bool:
    """Say whether the same key gets an answer elsewhere: then it is neither refused, nor is the address wrong."""
    try:
        async for _ in walker.walk("/assistants"):
            pass
    except ApiError:
        return False
    return True
