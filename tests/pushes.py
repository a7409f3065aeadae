"""Pushes of exports that tests make, to a fake in this process, and what tests read of them."""

import asyncio
import base64
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
from openai import AsyncOpenAI

from canned import HTTP
from exporting import Export, no_wait
from exports import beside
from fake_assistants import FakeAssistants
from threadkeep.api.client import PacingOptions
from threadkeep.api.endpoints import Api
from threadkeep.api.transport import Transport
from threadkeep.migration.entrypoints import choices_of
from threadkeep.migration.events import PushEvent
from threadkeep.migration.job import CHOICES, PushJob, PushResult
from threadkeep.migration.run import carry_out, plan_only
from threadkeep.serialization.lossless_json import loads

__all__ = ["ADDRESSES", "Target", "as_sent", "export_of", "json_rows", "rows_of_losses", "rows_of_map", "unicode"]

ADDRESSES = {"openai": "https://api.test/v1", "foundry": "https://api.test/api/projects/fake/openai/v1"}
"""The address of each kind of server."""

_HALF = re.compile("[\ud800-\udfff]")


@attrs.define
class Target:
    """A server of conversations in this process.

    Attributes:
        kind: "openai" or "foundry".
        fake: the server.
        events: of the last push.
    """

    kind: str = "openai"
    fake: FakeAssistants = attrs.field()
    events: list[PushEvent] = attrs.field(factory=list, init=False)

    @fake.default
    def _fake(self) -> FakeAssistants:
        return FakeAssistants(profile=self.kind)

    def client(self, key: str = "sk-test") -> AsyncOpenAI:
        """A caller's client that reaches it."""
        http_client = HTTP.AsyncClient(transport=self.fake.async_transport())
        return AsyncOpenAI(api_key=key, base_url=ADDRESSES[self.kind], http_client=http_client)

    def job(self, out: Path, **given: Any) -> PushJob:
        """A push to here. It waits for nothing, and repeats a request twice."""
        choices = choices_of(**{name: given.pop(name) for name in CHOICES if name in given})
        usual = {"pace": PacingOptions(max_retries=2, sleep=no_wait)}
        is_foundry = self.kind == "foundry"
        return PushJob(out=out, address=ADDRESSES[self.kind], is_foundry=is_foundry, choices=choices, **usual | given)

    def push(self, out: Path, *, keys: Sequence[str] = ("sk-test",), **given: Any) -> PushResult:
        """Push an export to here, with each of these keys."""
        self.events.clear()

        async def work() -> PushResult:
            transports = [Transport(self.client(key), api=Api.CONVERSATIONS) for key in keys]
            try:
                return await carry_out(self.job(out, **given), transports, on_event=self.events.append)
            finally:
                for transport in transports:
                    await transport._connections.close()

        return asyncio.run(work())

    def plan(self, out: Path, **given: Any) -> PushResult:
        """What a push to here would do."""
        return asyncio.run(plan_only(self.job(out, **given)))

    @property
    def written(self) -> list[str]:
        """The requests that write, in order, with the place of each id in the place of it."""
        found = [f"{entry.method} {entry.path}" for entry in self.fake.requests if entry.method != "GET"]
        ids = {one["id"]: f"{{{number}}}" for number, one in enumerate(self.fake.state["conversations"], 1)}
        for conversation_id, number in ids.items():
            found = [path.replace(conversation_id, number) for path in found]
        prefix = HTTP.URL(ADDRESSES[self.kind]).path
        return [path.replace(prefix, "") for path in found]

    @property
    def conversations(self) -> dict[str, Any]:
        """The conversations, by the id of the thread that their metadata names. None of them has the same."""
        rows = self.fake.state["conversations"]
        found = {row["metadata"]["thread_id"]: row for row in rows}
        assert len(found) == len(rows)
        return found

    @property
    def items(self) -> dict[str, list[dict[str, Any]]]:
        """Their items, as they were sent, likewise."""
        return {thread_id: self.items_of(row["id"]) for thread_id, row in self.conversations.items()}

    def items_of(self, conversation_id: str) -> list[dict[str, Any]]:
        """The items of a conversation, as they were sent."""
        rows = self.fake.state["conversation_items"]
        return [as_sent(row) for row in rows if row["conversation_id"] == conversation_id]

    def change_items(self, change: Any, *, of: str) -> None:
        """Change the rows of the items of a thread's conversation, in place, at the server itself."""
        state, conversation_id = self.fake.state, self.conversations[of]["id"]
        own = [row for row in state["conversation_items"] if row["conversation_id"] == conversation_id]
        others = [row for row in state["conversation_items"] if row["conversation_id"] != conversation_id]
        change(own)
        self.fake.state = {**state, "conversation_items": [*others, *own]}


def as_sent(row: Mapping[str, Any]) -> dict[str, Any]:
    """An item as it was sent, without what the server has added."""
    parts = [
        {name: value for name, value in part.items() if name != "logprobs" and value is not None}
        for part in row["content"]
    ]
    return {"type": row["type"], "role": row["role"], "content": parts}


def export_of(
    folder: Path,
    threads: Mapping[str, Sequence[Mapping[str, Any]]],
    *,
    metadata: Mapping[str, Mapping[str, Any]] | None = None,
    files: Mapping[str, bytes] | None = None,
    more: Iterable[str] = (),
    **options: Any,
) -> Path:
    """Export threads, or refresh the export that is there.

    Args:
        folder: where it goes.
        threads: the messages of each.
        metadata: of the threads.
        files: the contents of the files that messages refer to, by their ids; None to export no files.
        more: the ids of threads that the source does not have.
        options: of the export.
    """
    source = FakeAssistants()
    source.load(
        {
            "threads": [
                {"id": name, "object": "thread", "metadata": (metadata or {}).get(name, {})} for name in threads
            ],
            "messages": [dict(row) for rows in threads.values() for row in rows],
            "files": [
                {"id": name, "object": "file", "purpose": "vision", "filename": "a.png", "bytes": len(content)}
                for name, content in (files or {}).items()
            ],
            "file_contents": [
                {"id": name, "content": base64.b64encode(content).decode()} for name, content in (files or {}).items()
            ],
        }
    )
    usual: dict[str, Any] = {"include": ("threads",), "files": files is not None}
    return Export(folder).run_alone([*threads, *more], source, **usual | options).paths.out


def json_rows(path: Path) -> list[Any]:
    """The values of an NDJSON file."""
    return [loads(line) for line in path.read_bytes().split(b"\n")[:-1]]


def rows_of_map(out: Path) -> dict[str, dict[str, Any]]:
    """The rows of the map, by thread."""
    rows = json_rows(beside(out, ".conversations.ndjson"))
    assert len({row["thread_id"] for row in rows}) == len(rows)
    return {row["thread_id"]: row for row in rows}


def rows_of_losses(out: Path) -> list[tuple[str, str | None, str, str]]:
    """The rows of the report of losses, each in the order of its keys."""
    return [tuple(json.loads(line).values()) for line in _lines(beside(out, ".conversations.ndjson.losses.ndjson"))]


def _lines(path: Path) -> list[bytes]:
    return path.read_bytes().split(b"\n")[:-1]


def unicode(value: Any) -> Any:
    """A value of JSON with U+FFFD in the place of each half of a surrogate pair."""
    if isinstance(value, str):
        return _HALF.sub("\ufffd", value)
    if isinstance(value, dict):
        return {key: unicode(one) for key, one in value.items()}
    return [unicode(one) for one in value] if isinstance(value, list) else value
