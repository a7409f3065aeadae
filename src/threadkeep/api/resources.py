"""What is saved of a thread beside its messages: the thread object itself, and its runs with their steps.

Which threads a server has, where it says so. Foundry Agents (classic) does; OpenAI never did, so ids were needed.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any
from urllib.parse import quote

from threadkeep.api.client import ApiClient
from threadkeep.errors import ApiError, BadPage, ListingRefused

__all__ = ["SIDECAR_FETCHERS", "Rows", "thread_ids"]

Rows = AsyncIterator[tuple[str, dict[str, Any]]]
"""The id of an object, and the JSON object of its line."""

# Without it a step of the file search leaves out what it found (recorded).
_WITH_CONTENTS = {"include[]": "step_details.tool_calls[*].file_search.results[*].content"}


async def _thread(client: ApiClient, thread_id: str) -> Rows:
    thread = await client.fetch(_path(thread_id), object_id=thread_id)
    yield thread["id"], {"thread_id": thread_id, "thread": thread}


async def _runs(client: ApiClient, thread_id: str) -> Rows:
    async for page in client.walk(f"{_path(thread_id)}/runs", thread_id=thread_id):
        for run in page.rows:
            steps = await _steps(client, thread_id, run)
            yield run["id"], {"thread_id": thread_id, "run_id": run["id"], "run": run, "steps": steps}


async def _steps(client: ApiClient, thread_id: str, run: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    run_id = run["id"]
    if run_id in (".", "..") or not run_id.isprintable():
        raise BadPage(f"the run {run_id!r} has an id that no URL can carry")
    path = f"{_path(thread_id)}/runs/{quote(run_id, safe='')}/steps"
    pages = client.walk(path, thread_id=thread_id, run_id=run_id, params=_WITH_CONTENTS)
    return [step async for page in pages for step in page.rows]


def _path(thread_id: str) -> str:
    return f"/threads/{quote(thread_id, safe='')}"


SIDECAR_FETCHERS: dict[str, Callable[[ApiClient, str], Rows]] = {"threads": _thread, "runs": _runs}
"""How each kind of `threadkeep.storage.paths.SIDECAR_KINDS` is asked for."""


# How servers refuse a route that they have for others, or have not: OpenAI said 401, later 403 (quoted).
_REFUSALS = frozenset({401, 403, 404, 405})


async def thread_ids(client: ApiClient) -> AsyncIterator[list[str]]:
    """Yield the ids of all threads, page by page, in the server's order.

    Raises:
        ListingRefused: the server refuses this route, and answers another of the API.
        ApiError: any other leaf of it. The pages before were whole, the list is not.
    """
    begun = False
    try:
        async for page in client.walk("/threads"):
            begun = True
            yield [row["id"] for row in page.rows]
    except ApiError as problem:
        if begun or problem.status not in _REFUSALS or not await _answers(client):
            raise
        raise ListingRefused(f"this server does not say which threads it has: {problem}") from problem


async def _answers(client: ApiClient) -> bool:
    """Say whether the same key gets an answer elsewhere: then it is neither refused, nor is the address wrong."""
    try:
        async for _ in client.walk("/assistants"):
            pass
    except ApiError:
        return False
    return True
