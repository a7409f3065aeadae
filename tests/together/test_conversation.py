"""Conversations over the official SDK, against the fake: both APIs, sync and async, streamed and not."""

import asyncio
import contextlib
import itertools
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import openai
import pytest

from command import Run
from exporting import PATIENCE
from exports import ASSISTANT, write_ids
from fake_assistants import FakeAssistants, Reply, Request
from scripted_client import WAYS, turn
from sdkage import HAS_RESPONSES
from sdkage import MODEL_APIS as APIS
from small_world import world
from threadkeep import Conversation, History, RequestFailed, open_history
from watched import Watched

ALL = [(api, is_async, stream) for api in APIS for is_async, stream in WAYS]
NUMBERS = itertools.count()


def empty() -> History:
    """A history of its own."""
    return open_history(f"memory://together-{next(NUMBERS)}")


def client_of(*, is_async: bool, **options: Any) -> Any:
    """A client of the SDK that does not repeat what fails."""
    kind: Any = openai.AsyncOpenAI if is_async else openai.OpenAI
    return kind(**{"api_key": "sk-test", "max_retries": 0, **options})


def bodies(fake: Watched) -> list[Any]:
    """What the models were asked."""
    return [json.loads(request.body) for request in fake.asked]


@pytest.mark.parametrize(("api", "is_async", "stream"), ALL)
def test_turns_with_calls_go_on_and_on(fake: Watched, api: Any, is_async: bool, stream: bool) -> None:
    """Every request is accepted, with all that came before, and the history has what the API gave."""
    lookup = {"call": [{"name": "look", "arguments": {"at": n}} for n in (1, 2)]}
    fake.script.set({"responses": [[{"reply": "Wait."}, lookup], [{"reply": "Two things."}]]})
    tool: dict[str, Any] = {"name": "look", "parameters": {"type": "object", "properties": {}}}
    tools = [{"type": "function", "function": tool}] if api == "chat" else [{"type": "function", **tool}]
    history = empty()
    with fake.mount():
        conversation = Conversation(
            client_of(is_async=is_async),
            history,
            model="gpt-4o-mini",
            api=api,
            instructions="Be brief.",
            tools=tools,
            on_call=lambda name, arguments: {name: arguments},
        )
        pieces, reply = turn(conversation, "What is there?", is_async=is_async, stream=stream)
        assert reply.text == "Wait.\nTwo things."
        assert not stream or (len(pieces) > 2 and "".join(pieces) == reply.text)
        outputs = [item.get("output", item.get("content")) for item in reply.items]
        assert [text for text in outputs if isinstance(text, str) and text.startswith("{")] == [
            '{"look":{"at":1}}',
            '{"look":{"at":2}}',
        ]
        _, echo = turn(conversation, "And now?", is_async=is_async, stream=stream)
    assert echo.text == "And now?"
    assert history.sync.get_items() == [*reply.items, *echo.items]
    sent = [body["messages"][1:] if api == "chat" else body["input"] for body in bodies(fake)]
    assert [len(one) for one in sent] == ([1, 4, 6] if api == "chat" else [1, 6, 8])
    assert sent[2][: len(sent[1])] == sent[1]
    assert {body.get("store") for body in bodies(fake)} == {None if api == "chat" else False}


@pytest.mark.parametrize(("api", "is_async", "stream"), ALL)
def test_a_history_of_one_api_goes_on_with_the_other(fake: Watched, api: Any, is_async: bool, stream: bool) -> None:
    """Its calls and outputs are accepted."""
    history = empty()
    fake.script.set({"responses": [[{"call": [{"name": "f"}]}], [{"reply": "one"}]]})
    with fake.mount():
        for one in (api, next((other for other in APIS if other != api), api), api):
            conversation = Conversation(
                client_of(is_async=is_async), history, model="m", api=one, on_call=lambda *_: "out"
            )
            _, reply = turn(conversation, "x", is_async=is_async, stream=stream)
            assert reply.text in ("one", "x")
    assert len(history.sync.get_items()) == 8


FAULTS: list[tuple[Any, Any]] = [
    ({"script": [{"reply": "so far and no further", "cut": 2}]}, Exception),
    ({"script": [{"reply": "so far"}, {"error": {"message": "Boom"}}]}, Exception),
    ({"script": [{"reply": "so far"}, {"fail": {"code": "c", "message": "Boom"}}]}, Exception),
    ({"fault": {"status": 500}}, openai.InternalServerError),
    ({"fault": {"status": 429}}, openai.RateLimitError),
    ({"fault": {"drop": "mid-body"}}, Exception),
    ({"fault": {"truncate": 40}}, Exception),
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: str(fault[0]))
@pytest.mark.parametrize(("api", "is_async", "stream"), ALL)
def test_a_turn_that_fails_stores_nothing(fault: Any, api: Any, is_async: bool, stream: bool) -> None:
    """Whatever the server does. The SDK's exceptions are raised as they are; the same turn succeeds afterwards."""
    given, kind = fault
    is_of_streams = any("cut" in step for step in given.get("script", ()))
    fake, history = FakeAssistants(), empty()
    if "script" in given:
        fake.script = {"responses": [given["script"]]}
    else:
        fake.faults = [{"match": {"times": 1}, "do": given["fault"]}]
    with fake.serve() as server:

        def one(content: str) -> Any:
            client = client_of(is_async=is_async, base_url=server.base_url)
            conversation = Conversation(client, history, model="m", api=api)
            with contextlib.nullcontext() if is_async else client:
                closing = client if is_async else None
                return turn(conversation, content, is_async=is_async, stream=stream, closing=closing)

        fails = stream or not is_of_streams
        with pytest.raises(kind) if fails else contextlib.nullcontext():
            one("first")
        assert history.sync.get_items() == [] or not fails
        _, reply = one("again")
        assert history.sync.get_items()[-len(reply.items) :] == list(reply.items)


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize(
    ("steps", "refusal", "incomplete"),
    [
        ([{"refuse": "I cannot."}], "I cannot.", {None}),
        ([{"reply": "so"}, {"incomplete": "content_filter"}], None, {"content_filter"}),
        ([{"reply": "so"}, {"incomplete": "max_tokens"}], None, {"length", "max_output_tokens"}),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_odd_replies_are_stored_and_accepted_again(
    fake: Watched, api: Any, steps: Any, refusal: str | None, incomplete: set[str | None], stream: bool
) -> None:
    """A refusal, a filter, a limit: visible on the reply, and no obstacle for the next turn."""
    fake.script.set({"responses": [steps]})
    history = empty()
    with fake.mount():
        conversation = Conversation(client_of(is_async=False), history, model="m", api=api)
        _, reply = turn(conversation, "x", is_async=False, stream=stream)
        assert reply.refusal == refusal
        assert reply.incomplete in incomplete
        for other in APIS:
            assert Conversation(client_of(is_async=False), history, model="m", api=other).say("y").text == "y"


class Released(FakeAssistants):
    """Knows when its last stream was released.

    Attributes:
        released: is set then.
    """

    def __init__(self) -> None:
        super().__init__()
        self.released = threading.Event()

    def handle(self, request: Request) -> Reply:
        """Answer a request."""
        reply = super().handle(request)
        if reply.chunks is None:
            return reply
        return attrs.evolve(reply, chunks=self._followed(reply.chunks))

    def _followed(self, chunks: Any) -> Iterator[Any]:
        try:
            yield from chunks
        finally:
            self.released.set()


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("is_async", [False, True])
def test_a_stream_that_is_left_is_closed_at_the_server_too(api: Any, is_async: bool) -> None:
    """The model stops; nothing is stored."""
    fake, history = Released(), empty()
    fake.script = {"default": [{"reply": "one two three", "pause": PATIENCE}]}

    async def leave(conversation: Conversation) -> None:
        async with client:
            async for _ in await conversation.asay("x", stream=True):
                break
            await asyncio.to_thread(fake.released.wait, PATIENCE)

    with fake.serve() as server:
        client = client_of(is_async=is_async, base_url=server.base_url)
        conversation = Conversation(client, history, model="m", api=api)
        if is_async:
            asyncio.run(leave(conversation))
        else:
            with client:
                for _ in conversation.say("x", stream=True):
                    break
                fake.released.wait(PATIENCE)
        assert fake.released.is_set()
    assert history.sync.get_items() == []


def test_an_sdk_without_responses_is_refused() -> None:
    """By a sentence that says what to do, when the conversation is made."""
    with contextlib.nullcontext() if HAS_RESPONSES else pytest.raises(TypeError, match="Install openai"):
        Conversation(client_of(is_async=False), empty(), model="m", api="responses")


class Session:
    """A session of the Agents SDK's shape, which has nothing but its async methods."""

    def __init__(self) -> None:
        self.session_id, self.session_settings = "s", None
        self.items: list[Any] = []

    async def get_items(self, limit: int | None = None) -> list[Any]:
        """Return the items."""
        return self.items if limit is None else self.items[-limit:]

    async def add_items(self, items: list[Any]) -> None:
        """Add some."""
        self.items += items

    async def pop_item(self) -> Any | None:
        """Remove one."""
        return self.items.pop() if self.items else None

    async def clear_session(self) -> None:
        """Remove all."""
        self.items.clear()


@pytest.mark.parametrize(("is_async", "stream"), WAYS)
def test_any_session_of_that_shape_will_do(fake: Watched, is_async: bool, stream: bool) -> None:
    """Also for a sync client."""
    session = Session()
    with fake.mount():
        turn(Conversation(client_of(is_async=is_async), session, model="m"), "x", is_async=is_async, stream=stream)
    assert session.items == [{"role": "user", "content": "x"}, {"role": "assistant", "content": "x"}]


@pytest.mark.parametrize("api", APIS)
def test_an_exported_thread_is_gone_on_with(
    threadkeep: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, api: Any
) -> None:
    """The model gets all of its messages, and the new one."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    fake, out = world(), tmp_path / "out.ndjson"
    with fake.serve() as server:
        source = ("--base-url", server.base_url, "--quiet", "--include", "threads,runs", "--files")
        ids = write_ids(tmp_path, "thread_a", "thread_none")
        done = threadkeep("export", ids, ASSISTANT, out, *source)
        assert done.code == 1, done.err
        client, history = client_of(is_async=False, base_url=server.base_url), tmp_path / "h.json"
        with client:
            conversation = Conversation.from_export(out, "thread_a", client, history, model="m", api=api)
            assert len(conversation.say("Go on.").items) == 2
        assert len(open_history(history).sync.get_items()) == 5
        with pytest.raises(ValueError, match=r"no message of thread_none .*: the thread is missing"):
            Conversation.from_export(out, "thread_none", client, empty(), model="m", api=api)


def test_a_thread_that_is_not_complete_begins_with_what_there_is_of_it(
    threadkeep: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The losses name it first."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    fake, out = world(), tmp_path / "out.ndjson"
    fake.faults = [
        {"match": {"thread": "thread_b", "nth": [2], "times": 100}, "do": {"status": 400, "body": {"error": {}}}}
    ]
    with fake.serve() as server:
        ids = write_ids(tmp_path, "thread_b")
        threadkeep("export", ids, ASSISTANT, out, "--base-url", server.base_url, "--quiet")
        history = empty()
        conversation = Conversation.from_export(out, "thread_b", client_of(is_async=False), history, model="m")
    assert len(history.sync.get_items()) == 100
    assert conversation.losses[0].lost == "messages"
    assert "the thread is partial in the export" in conversation.losses[0].why


def test_azure_is_asked_by_its_deployment(fake: Watched) -> None:
    """The client decides where requests go."""
    client = openai.AzureOpenAI(api_key="k", api_version="2024-06-01", azure_endpoint="https://r.openai.azure.com")
    with fake.mount():
        assert Conversation(client, empty(), model="my-deployment").say("x").text == "x"
    assert fake.asked[-1].path == "/openai/deployments/my-deployment/chat/completions"


def test_failures_in_a_stream_are_of_the_library(fake: Watched) -> None:
    """A response that has failed is no exception of the SDK."""
    if HAS_RESPONSES:
        fake.script.set({"default": [{"fail": {"code": "server_error", "message": "Boom"}}]})
        with fake.mount(), pytest.raises(RequestFailed, match="status 'failed': server_error: Boom"):
            list(Conversation(client_of(is_async=False), empty(), model="m", api="responses").say("x", stream=True))
