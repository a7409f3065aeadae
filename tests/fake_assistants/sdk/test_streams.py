"""The official SDK reads a run's stream: mounted, by transport and over HTTP, sync and async."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import httpx
import httpx2
import openai
import pytest
from openai import AsyncOpenAI, OpenAI

from fake_assistants import Reply
from fake_assistants.adapters.httpx_transport import AsyncTransport, Transport
from fake_assistants.http.message import Chunk, Cut, Pause
from fake_assistants.http.sse import CONTENT_TYPE, DONE, event
from streaming import HandMade, Watched, reached, streaming, until

HEADERS = (("content-type", CONTENT_TYPE),)

pytestmark = [
    pytest.mark.filterwarnings("ignore:The Assistants API is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:deprecated$:DeprecationWarning"),
]

# The SDK takes an http_client of its own library only.
LIBRARY: Any = httpx2 if int(openai.__version__.partition(".")[0]) >= 3 else httpx

RUN = {"id": "run_1", "object": "thread.run", "thread_id": "thread_1", "assistant_id": "asst_1", "status": "queued"}
CREATED, QUEUED = (event(name, RUN) for name in ("thread.run.created", "thread.run.queued"))

# A cut in a stream is the HTTP library's own error on 1.x and 2.x, and the SDK's on 3.x.
BROKEN = (openai.APIConnectionError, LIBRARY.RemoteProtocolError)

every_way = pytest.mark.parametrize("way", ["mount", "transport", "server"])


@contextmanager
def sync_client(speaker: HandMade, way: str, **options: Any) -> Iterator[OpenAI]:
    transport = Transport(speaker) if way == "transport" else None
    with (
        reached(speaker, way) as url,
        LIBRARY.Client(transport=transport, verify=False) as http,
        OpenAI(api_key="sk-test", base_url=f"{url}/v1", http_client=http, **options) as client,
    ):
        yield client


@asynccontextmanager
async def async_client(speaker: HandMade, way: str, **options: Any) -> AsyncIterator[AsyncOpenAI]:
    transport = AsyncTransport(speaker) if way == "transport" else None
    with reached(speaker, way) as url:
        async with (
            LIBRARY.AsyncClient(transport=transport, verify=False) as http,
            AsyncOpenAI(api_key="sk-test", base_url=f"{url}/v1", http_client=http, **options) as client,
        ):
            yield client


def run(client: Any, **more: Any) -> Any:
    """Asks for a run's stream; to be awaited where the client is async."""
    return client.beta.threads.runs.create("thread_1", assistant_id="asst_1", stream=True, **more)


class Step:
    """A run that is streamed: each event after the first only when the one before has been seen."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def reply(self) -> Reply:
        return Reply(200, HEADERS, chunks=self._chunks())

    def _chunks(self) -> Iterator[Chunk]:
        yield CREATED
        yield from until(lambda: len(self.seen) == 1)
        yield QUEUED[:20]
        yield Pause(0.001)
        yield QUEUED[20:] + DONE


@every_way
def test_events_come_one_by_one(way: str) -> None:
    """With their names and data, and a proper end."""
    step = Step()
    speaker = HandMade(step.reply)
    with sync_client(speaker, way) as client, run(client) as stream:
        for one in stream:
            step.seen.append(one.event)
            assert one.data.id == "run_1"
    assert step.seen == ["thread.run.created", "thread.run.queued"]
    assert json.loads(speaker.asked[0].body)["stream"] is True


@every_way
@pytest.mark.anyio
async def test_events_come_one_by_one_to_async_clients(way: str) -> None:
    """The same, awaited."""
    step = Step()
    async with async_client(HandMade(step.reply), way) as client:
        async for one in await run(client):
            step.seen.append(one.event)
    assert step.seen == ["thread.run.created", "thread.run.queued"]


def cut() -> Reply:
    return streaming(CREATED, QUEUED[:20], Cut(), headers=HEADERS)


@every_way
def test_a_cut_stream_is_an_error_behind_its_last_event(way: str) -> None:
    """What was whole before it has been given out."""
    seen: list[str] = []
    with sync_client(HandMade(cut), way) as client, run(client) as stream, pytest.raises(BROKEN):
        seen.extend(one.event for one in stream)
    assert seen == ["thread.run.created"]


@every_way
@pytest.mark.anyio
async def test_a_cut_stream_is_an_error_for_async_clients(way: str) -> None:
    """The same, awaited."""
    async with async_client(HandMade(cut), way) as client:
        stream = await run(client)
        first = await anext(stream)
        with pytest.raises(BROKEN):
            await anext(stream)
        assert first.event == "thread.run.created"


@every_way
def test_a_hang_up_is_retried(way: str) -> None:
    """As often as the client is told to; then it is a connection error."""
    replies = iter([Reply(200, hang_up=True), streaming(CREATED, DONE, headers=HEADERS)])
    speaker = HandMade(lambda: next(replies))
    with sync_client(speaker, way, max_retries=1) as client, run(client) as stream:
        assert [one.event for one in stream] == ["thread.run.created"]
    assert len(speaker.asked) == 2
    speaker.reply = lambda: Reply(200, hang_up=True)
    with sync_client(speaker, way, max_retries=1) as client, pytest.raises(openai.APIConnectionError) as error:
        run(client)
    assert type(error.value) is openai.APIConnectionError
    assert len(speaker.asked) == 4


@every_way
@pytest.mark.anyio
async def test_a_hang_up_is_a_connection_error_for_async_clients(way: str) -> None:
    """After one request, without retries."""
    speaker = HandMade(lambda: Reply(200, hang_up=True))
    async with async_client(speaker, way, max_retries=0) as client:
        with pytest.raises(openai.APIConnectionError):
            await run(client)
    assert len(speaker.asked) == 1


@every_way
def test_half_a_body_is_retried(way: str) -> None:
    """A reply that is no stream may break off too, with its length stated."""
    body = json.dumps(RUN).encode()
    lengthy = [("content-type", "application/json"), ("content-length", str(len(body)))]
    halves: Iterator[tuple[Chunk, ...]] = iter([(body[:30], Cut()), (body,)])
    speaker = HandMade(lambda: Reply(200, lengthy, chunks=iter(next(halves))))
    with sync_client(speaker, way, max_retries=1) as client:
        assert client.beta.threads.runs.retrieve("run_1", thread_id="thread_1").id == "run_1"
    assert len(speaker.asked) == 2


def late() -> Reply:
    return Reply(200, HEADERS, chunks=iter([DONE]), delay=30)


@every_way
def test_a_late_answer_is_a_timeout(way: str) -> None:
    """By the timeout of the client, or of the call."""
    options: Any = {"max_retries": 0, "timeout": 0.2}
    with sync_client(HandMade(late), way, **options) as client, pytest.raises(openai.APITimeoutError):
        run(client)
    with sync_client(HandMade(late), way, max_retries=0) as client, pytest.raises(openai.APITimeoutError):
        run(client, timeout=0.2)


@every_way
@pytest.mark.anyio
async def test_a_late_answer_is_a_timeout_for_async_clients(way: str) -> None:
    """The same, awaited."""
    async with async_client(HandMade(late), way, max_retries=0, timeout=0.2) as client:
        with pytest.raises(openai.APITimeoutError):
            await run(client)


@every_way
def test_whoever_leaves_early_ends_the_stream(way: str) -> None:
    """It is closed, whatever it would still have given."""
    watched = Watched(CREATED, Pause(30), QUEUED, DONE)
    with sync_client(HandMade(lambda: Reply(200, HEADERS, chunks=watched)), way) as client:
        with run(client) as stream:
            assert next(iter(stream)).event == "thread.run.created"
        assert watched.closed.wait(60)


@every_way
@pytest.mark.anyio
async def test_whoever_leaves_early_ends_the_stream_of_async_clients(way: str) -> None:
    """The same, awaited."""
    watched = Watched(CREATED, Pause(30), QUEUED, DONE)
    async with async_client(HandMade(lambda: Reply(200, HEADERS, chunks=watched)), way) as client:
        async with await run(client) as stream:
            first = await anext(stream)
        ended = watched.closed.wait(60)
    assert (first.event, ended) == ("thread.run.created", True)
