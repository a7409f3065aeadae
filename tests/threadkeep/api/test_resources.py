"""The resources of a thread next to its messages: only its own are accepted."""

import asyncio
import json
from typing import Any

import pytest

from canned import HTTP, async_client
from canned_threads import page
from threadkeep.api.client import ApiClient, PacingOptions
from threadkeep.api.resources import SIDECAR_FETCHERS
from threadkeep.api.transport import Transport
from threadkeep.errors import BadPage

pytestmark = pytest.mark.anyio
THREAD = {"id": "thread_a", "object": "thread", "metadata": {}}
RUN = {"id": "run_1", "object": "thread.run", "thread_id": "thread_a"}
STEP = {"id": "step_1", "object": "thread.run.step", "thread_id": "thread_a", "run_id": "run_1"}


async def no_wait(_seconds: float) -> None:
    """Do not wait, but let other tasks run."""
    await asyncio.sleep(0)


class Server:
    """A server with a thread, its runs and their steps; the first answer to each may be another one."""

    def __init__(self, **first: Any) -> None:
        self.first = first
        self.asked: list[str] = []

    def __call__(self, request: Any) -> Any:
        path = str(request.url.path)
        kind = "steps" if path.endswith("/steps") else "runs" if path.endswith("/runs") else "thread"
        self.asked.append(kind)
        honest: dict[str, Any] = {"thread": THREAD, "runs": RUN, "steps": STEP}
        row = self.first.pop(kind, None) or honest[kind]
        return HTTP.Response(200, content=json.dumps(row) if kind == "thread" else page([row], has_more=False))


async def gathered(kind: str, server: Server, *, retries: int = 1) -> list[Any]:
    """Return the rows of one kind."""
    async with Transport(async_client(server)) as api:
        client = ApiClient(api, PacingOptions(max_retries=retries, sleep=no_wait))
        return [row async for _, row in SIDECAR_FETCHERS[kind](client, "thread_a")]


GATHERED = {
    "threads": [{"thread_id": "thread_a", "thread": THREAD}],
    "runs": [{"thread_id": "thread_a", "run_id": "run_1", "run": RUN, "steps": [STEP]}],
}
OTHERS: list[tuple[str, str, Any, str]] = [
    ("threads", "thread", {**THREAD, "id": "thread_b"}, "the answer is 'thread_b', and not thread_a"),
    ("threads", "thread", [THREAD], "not an object with an id"),
    ("runs", "runs", {**RUN, "thread_id": "thread_b"}, "run_1, belongs to 'thread_b', not to thread_a"),
    ("runs", "steps", {**STEP, "thread_id": "thread_b"}, "step_1, belongs to 'thread_b', not to thread_a"),
    ("runs", "steps", {**STEP, "run_id": "run_2"}, "step_1, belongs to 'run_2', not to run_1"),
]


@pytest.mark.parametrize(("kind", "asked", "other", "words"), OTHERS)
async def test_what_belongs_elsewhere_is_requested_again(kind: str, asked: str, other: Any, words: str) -> None:
    """It is never accepted as the thread's own; if it comes again, the error names it."""
    server = Server(**{asked: other})
    assert await gathered(kind, server) == GATHERED[kind]
    assert server.asked.count(asked) == 2
    with pytest.raises(BadPage, match=words):
        await gathered(kind, Server(**{asked: other}), retries=0)


@pytest.mark.parametrize("run_id", ["run_\ud800", "..", "run_\n"])
async def test_a_run_id_that_no_url_can_carry_is_an_error(run_id: str) -> None:
    """The id cannot be part of a path, or leads to another one."""
    server = Server(runs={**RUN, "id": run_id})
    with pytest.raises(BadPage, match="has an id that no URL can carry"):
        await gathered("runs", server)
    assert "steps" not in server.asked
