"""What is saved of a thread beside its messages: the thread object itself, and its runs with their steps."""

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any
from urllib.parse import quote

from threadkeep.api.client import Walker
from threadkeep.errors import BadPage

__all__ = ["GATHER", "Rows"]

Rows = AsyncIterator[tuple[str, dict[str, Any]]]
"""The id of an object, and the JSON object of its line."""

# Without it a step of the file search leaves out what it found (recorded).
_WITH_CONTENTS = {"include[]": "step_details.tool_calls[*].file_search.results[*].content"}


async def _thread(walker: Walker, thread_id: str) -> Rows:
    thread = await walker.fetch(_path(thread_id), object_id=thread_id)
    yield thread["id"], {"thread_id": thread_id, "thread": thread}


async def _runs(walker: Walker, thread_id: str) -> Rows:
    async for page in walker.walk(f"{_path(thread_id)}/runs", thread_id=thread_id):
        for run in page.rows:
            steps = await _steps(walker, thread_id, run)
            yield run["id"], {"thread_id": thread_id, "run_id": run["id"], "run": run, "steps": steps}


async def _steps(walker: Walker, thread_id: str, run: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    run_id = run["id"]
    if run_id in (".", "..") or not run_id.isprintable():
        raise BadPage(f"the run {run_id!r} has an id that no URL can carry")
    path = f"{_path(thread_id)}/runs/{quote(run_id, safe='')}/steps"
    pages = walker.walk(path, thread_id=thread_id, run_id=run_id, params=_WITH_CONTENTS)
    return [step async for page in pages for step in page.rows]


def _path(thread_id: str) -> str:
    return f"/threads/{quote(thread_id, safe='')}"


GATHER: dict[str, Callable[[Walker, str], Rows]] = {"threads": _thread, "runs": _runs}
"""How each kind of `threadkeep.storage.paths.BESIDE` is asked for."""
