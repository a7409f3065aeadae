"""A fake with an assistant and a thread, and short ways to run, poll, stream and submit."""

import json
from collections.abc import Iterator
from typing import Any

from fake_assistants import FakeAssistants, Reply, Request
from fake_assistants.http.message import Chunk

HEADERS = {"Authorization": "Bearer sk-test", "OpenAI-Beta": "assistants=v2"}
AT_REST = {"requires_action", "completed", "incomplete", "failed", "cancelled", "expired"}


class Stage:
    """`fake` with one assistant and one thread in which a user has said something."""

    def __init__(self, fake: FakeAssistants | None = None, said: str = "What is 3x + 11?", **assistant: Any) -> None:
        self.fake = fake or FakeAssistants()
        made = self.ask("POST", "/assistants", {"model": "gpt-4o-mini", **assistant})
        self.assistant: str = made["id"]
        self.thread: str = self.ask("POST", "/threads", {"messages": [{"role": "user", "content": said}]})["id"]
        self.runs = f"/threads/{self.thread}/runs"

    def send(self, method: str, target: str, body: Any = None) -> Reply:
        content = b"" if body is None else json.dumps(body).encode()
        return self.fake.handle(Request.of(method, f"/v1{target}", HEADERS, content))

    def ask(self, method: str, target: str, body: Any = None) -> Any:
        reply = self.send(method, target, body)
        assert reply.status == 200, reply.body
        return reply.json()

    def refused(self, method: str, target: str, body: Any = None) -> tuple[int, str]:
        reply = self.send(method, target, body)
        return reply.status, reply.json()["error"]["message"]

    # --- runs

    def run(self, **fields: Any) -> Any:
        return self.ask("POST", self.runs, {"assistant_id": self.assistant, **fields})

    def read(self, run: Any) -> Any:
        return self.ask("GET", f"{self.runs}/{run['id']}")

    def poll(self, run: Any) -> Any:
        """Read until the run stands still; a run that never does fails."""
        for _ in range(100):
            run = self.read(run)
            if run["status"] in AT_REST:
                return run
        raise AssertionError(f"still {run['status']} after 100 reads")

    def outputs(self, run: Any) -> dict[str, Any]:
        calls = run["required_action"]["submit_tool_outputs"]["tool_calls"]
        return {"tool_outputs": [{"tool_call_id": call["id"], "output": f"out of {call['id']}"} for call in calls]}

    def submit(self, run: Any) -> Any:
        return self.ask("POST", f"{self.runs}/{run['id']}/submit_tool_outputs", self.outputs(run))

    def steps(self, run: Any, query: str = "") -> Any:
        return self.ask("GET", f"{self.runs}/{run['id']}/steps?order=asc{query}")["data"]

    def messages(self) -> Any:
        return self.ask("GET", f"/threads/{self.thread}/messages?order=asc&limit=100")["data"]

    # --- streams

    def chunks(self, target: str, body: dict[str, Any]) -> Iterator[Chunk]:
        reply = self.send("POST", target, {**body, "stream": True})
        assert reply.status == 200, reply.body
        assert reply.header("content-type") == "text/event-stream; charset=utf-8"
        assert reply.chunks is not None
        return reply.chunks

    def stream(self, **fields: Any) -> list[tuple[str, Any]]:
        return events(self.chunks(self.runs, {"assistant_id": self.assistant, **fields}))

    def submit_stream(self, run: Any) -> list[tuple[str, Any]]:
        return events(self.chunks(f"{self.runs}/{run['id']}/submit_tool_outputs", self.outputs(run)))


def event(chunk: Chunk) -> tuple[str, Any]:
    """Name and data of one event, which must be framed exactly."""
    assert isinstance(chunk, bytes)
    name, data, *rest = chunk.decode().split("\n")
    assert rest == ["", ""]
    assert name.startswith("event: ")
    assert data.startswith("data: ")
    text = data.removeprefix("data: ")
    return name.removeprefix("event: "), None if text == "[DONE]" else json.loads(text)


def events(chunks: Iterator[Chunk]) -> list[tuple[str, Any]]:
    """A whole stream, without its pauses."""
    return [event(chunk) for chunk in chunks if isinstance(chunk, bytes)]


def heads(told: list[tuple[str, Any]]) -> list[str]:
    """The names of events, short, deltas in a row only once."""
    names = [name.removeprefix("thread.") for name, _ in told]
    return [name for index, name in enumerate(names) if not name.endswith("delta") or names[index - 1] != name]
