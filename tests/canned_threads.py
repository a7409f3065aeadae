"""A small honest server of message lists, as a function from request to answer, and ways to spoil it."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from canned import HTTP

__all__ = ["MISSING", "NO_MESSAGE", "ThreadServer", "message", "page", "thread_of"]

MISSING = json.dumps(
    {"error": {"message": "No thread found with id 'x'.", "type": "invalid_request_error", "param": None, "code": None}}
).encode()

NO_MESSAGE = json.dumps({"error": {"message": "No message found with id 'msg_9'."}}).encode()


def message(thread_id: str, number: int, **fields: Any) -> dict[str, Any]:
    """An ordinary message."""
    return {
        "id": f"msg_{thread_id}_{number:05}",
        "object": "thread.message",
        "created_at": 1_774_963_800 + number // 3,
        "assistant_id": None,
        "thread_id": thread_id,
        "run_id": None,
        "role": "user",
        "content": [{"type": "text", "text": {"value": f"number {number}", "annotations": []}}],
        "attachments": [],
        "metadata": {},
        **fields,
    }


def page(rows: Sequence[Mapping[str, Any]], *, has_more: bool) -> bytes:
    """A page as the API prints it."""
    first, last = (rows[0]["id"], rows[-1]["id"]) if rows else (None, None)
    body = {"object": "list", "data": list(rows), "first_id": first, "last_id": last, "has_more": has_more}
    return json.dumps(body, indent=2, ensure_ascii=True).encode()


def thread_of(url: Any) -> str:
    """The thread that a request is about."""
    return str(url.path).split("/")[3]


class ThreadServer:
    """Serves threads; ``spoil`` may answer in its place, given the request and how often its URL was asked."""

    def __init__(self, threads: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
        self.threads = threads
        self.asked: list[str] = []

    def __call__(self, request: Any) -> Any:
        """Answer one request."""
        self.asked.append(str(request.url))
        spoiled = self.spoil(request, self.asked.count(str(request.url)))
        return spoiled if spoiled is not None else self.honest(request)

    def spoil(self, request: Any, times: int) -> Any:
        """Override to answer differently."""
        del request, times

    def honest(self, request: Any) -> Any:
        """The page, the message or the thread that was asked for; there are no runs."""
        thread = self.threads.get(thread_of(request.url))
        if thread is None:
            return HTTP.Response(404, content=MISSING)
        path = str(request.url.path).split("/")
        if path[4:] == []:
            return HTTP.Response(200, json={"id": path[3], "object": "thread", "metadata": {}})
        if path[4] == "runs":
            return HTTP.Response(200, content=page([], has_more=False))
        if len(path) > 5:
            found = next((row for row in thread if row["id"] == path[5]), None)
            return HTTP.Response(404, content=NO_MESSAGE) if found is None else HTTP.Response(200, json=found)
        after, limit = request.url.params.get("after"), int(request.url.params["limit"])
        start = [row["id"] for row in thread].index(after) + 1 if after else 0
        rows = thread[start : start + limit]
        return HTTP.Response(200, content=page(rows, has_more=start + limit < len(thread)))
