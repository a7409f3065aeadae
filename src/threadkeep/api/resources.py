"""The resources of a thread next to its messages, and the list of all threads."""

from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import quote

from threadkeep.api.client import ApiClient
from threadkeep.errors import ApiError, BadPage, ListingRefused

__all__ = ["SIDECAR_FETCHERS", "Rows", "list_thread_ids"]

Rows = AsyncIterator[tuple[str, dict[str, Any]]]
"""Yields the id of an object, and the JSON object of its line."""

# Without it a step of the file search leaves out its results (recorded).
_WITH_CONTENTS = {"include[]": "step_details.tool_calls[*].file_search.results[*].content"}

# How servers refuse a route: OpenAI answered 401 to a list of threads, later 403 (quoted).
_REFUSALS = frozenset({401, 403, 404, 405})


async def _thread(client: ApiClient, thread_id: str) -> Rows:
    thread = await client.fetch(f"/threads/{quote(thread_id, safe='')}", object_id=thread_id)
    yield thread["id"], {"thread_id": thread_id, "thread": thread}


async def _runs(client: ApiClient, thread_id: str) -> Rows:
    path = f"/threads/{quote(thread_id, safe='')}/runs"
    async for page in client.walk(path, thread_id=thread_id):
        for run in page.rows:
            run_id = run["id"]
            if run_id in (".", "..") or not run_id.isprintable():
                raise BadPage(f"the run {run_id!r} has an id that no URL can carry")
            steps_path = f"{path}/{quote(run_id, safe='')}/steps"
            pages = client.walk(steps_path, thread_id=thread_id, run_id=run_id, params=_WITH_CONTENTS)
            steps = [step async for page in pages for step in page.rows]
            yield run_id, {"thread_id": thread_id, "run_id": run_id, "run": run, "steps": steps}


SIDECAR_FETCHERS: dict[str, Callable[[ApiClient, str], Rows]] = {"threads": _thread, "runs": _runs}
"""Fetches each kind of `threadkeep.storage.paths.SIDECAR_KINDS`."""


async def list_thread_ids(client: ApiClient) -> AsyncIterator[list[str]]:
    """Yield the ids of all threads, page by page, in the server's order. Foundry lists them; OpenAI never did.

    Raises:
        ListingRefused: the server refuses this route, but answers others of the API.
        ApiError: any other failure. The pages before are complete, the list is not.
    """
    begun = False
    try:
        async for page in client.walk("/threads"):
            begun = True
            yield [row["id"] for row in page.rows]
    except ApiError as problem:
        if begun or problem.status not in _REFUSALS or not await _lists_assistants(client):
            raise
        raise ListingRefused(f"this server does not list its threads: {problem}") from problem


async def _lists_assistants(client: ApiClient) -> bool:
    """Return whether the same key gets another list: then neither the key nor the address is wrong."""
    try:
        async for _ in client.walk("/assistants"):
            pass
    except ApiError:
        return False
    return True
