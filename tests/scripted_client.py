"""A client of Chat Completions that answers what a test gives it, and a turn in each of the four ways."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from types import SimpleNamespace
from typing import Any

import attrs

from threadkeep.history.conversation import Conversation, Reply

__all__ = ["WAYS", "ScriptedClient", "calls", "chunk", "chunks", "says", "turn"]

WAYS = [(is_async, stream) for is_async in (False, True) for stream in (False, True)]
"""Whether the client is async, and whether the reply is streamed."""

_USAGE = {"prompt_tokens": 2, "completion_tokens": 1, "details": {"cached": 1}}


def says(text: str, **more: Any) -> dict[str, Any]:
    """A message of the assistant; with ``finish`` it ends for another reason than "stop"."""
    return {"role": "assistant", "content": text, **more}


def calls(*names: str, arguments: str = "{}", text: str | None = None, **more: Any) -> dict[str, Any]:
    """A message that calls functions."""
    rows = [
        {"id": f"call_{name}", "type": "function", "function": {"name": name, "arguments": arguments}} for name in names
    ]
    return {"role": "assistant", "content": text, "tool_calls": rows, **more}


@attrs.define
class ScriptedClient:
    """Answers one message after another, or raises what it is given in the place of one.

    Attributes:
        next_answer: returns the next message or exception.
        requests: the arguments of all requests.
        closed: how many streams were closed.
    """

    next_answer: Callable[[], Any]
    requests: list[dict[str, Any]] = attrs.field(factory=list)
    closed: int = 0

    @classmethod
    def of(cls, *answers: Any) -> "ScriptedClient":
        """One with these answers."""
        return cls(iter(answers).__next__)

    def client(self, *, is_async: bool = False) -> Any:
        """What a conversation is given."""
        create = self._acreate if is_async else self._create
        found = SimpleNamespace(chat=SimpleNamespace(completions=SimpleNamespace(create=create)))
        if is_async:
            found.__aenter__ = None
        return found

    def _create(self, *, stream: bool = False, **request: Any) -> Any:
        self.requests.append(json.loads(json.dumps(request)))
        answer = self.next_answer()
        if stream:
            return _Events(self, answer)
        if isinstance(answer, Exception):
            raise answer
        own = {name: value for name, value in answer.items() if name != "finish"}
        choice = {"index": 0, "message": own, "finish_reason": answer.get("finish", "stop")}
        return {"object": "chat.completion", "choices": [choice], "usage": _USAGE}

    async def _acreate(self, **request: Any) -> Any:
        return self._create(**request)


@attrs.define
class _Events:
    """A stream of the SDK, sync and async."""

    owner: ScriptedClient
    answer: Any

    def __enter__(self) -> "_Events":
        return self

    def __exit__(self, *_error: object) -> None:
        self.owner.closed += 1

    async def __aenter__(self) -> "_Events":
        return self

    async def __aexit__(self, *_error: object) -> None:
        self.owner.closed += 1

    def __iter__(self) -> Iterator[Any]:
        if isinstance(self.answer, Exception):
            yield chunk({"role": "assistant", "content": "begun"})
            raise self.answer
        yield from chunks(self.answer)

    async def __aiter__(self) -> AsyncIterator[Any]:
        for one in self:
            yield one


def chunk(delta: Mapping[str, Any], finish: str | None = None) -> dict[str, Any]:
    """A chunk of a stream."""
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}], "usage": None}


def chunks(message: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """A message letter by letter, as a server streams it."""
    yield chunk({"role": "assistant", "content": None})
    for letter in message.get("content") or "":
        yield chunk({"content": letter})
    for index, call in enumerate(message.get("tool_calls") or ()):
        yield chunk({"tool_calls": [{"index": index, **call, "function": {**call["function"], "arguments": ""}}]})
        for letter in call["function"]["arguments"]:
            yield chunk({"tool_calls": [{"index": index, "function": {"arguments": letter}}]})
    yield chunk({}, message.get("finish", "stop"))
    yield {"choices": [], "usage": _USAGE}


def turn(
    conversation: Conversation, content: Any, *, is_async: bool, stream: bool, closing: Any = None
) -> tuple[list[str], Reply]:
    """A turn to its end: the pieces of a stream, and the reply. An async client of the SDK is closed in its loop."""

    async def awaited() -> tuple[list[str], Reply]:
        async with closing or contextlib.nullcontext():
            return await spoken()

    async def spoken() -> tuple[list[str], Reply]:
        if not stream:
            return [], await conversation.asay(content)
        found = await conversation.asay(content, stream=True)
        return [piece async for piece in found], found.reply

    if is_async:
        return asyncio.run(awaited())
    if not stream:
        return [], conversation.say(content)
    found = conversation.say(content, stream=True)
    return list(found), found.reply
