"""The official SDK at the fake: six ways in, and one way to write for sync and async clients."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from inspect import isawaitable
from typing import Any

import httpx
import httpx2
import openai
from openai import AssistantEventHandler, AsyncAssistantEventHandler, AsyncOpenAI, OpenAI

from fake_assistants import FakeAssistants

MAJOR = int(openai.__version__.partition(".")[0])

# The SDK takes an http_client of its own library only.
LIBRARY: Any = httpx2 if MAJOR >= 3 else httpx

# Responses and conversations came with the second major.
HAS_RESPONSES = MAJOR >= 2

# A cut in a stream is the HTTP library's own error on 1.x and 2.x, and the SDK's on 3.x.
BROKEN = (openai.APIConnectionError, LIBRARY.RemoteProtocolError)

WAYS = [(way, is_async) for way in ("mount", "transport", "server") for is_async in (False, True)]
NAMES = [f"{way}-{'async' if is_async else 'sync'}" for way, is_async in WAYS]


class Seat:
    """A client of the SDK, an assistant and a thread in which a user has said something.

    `client` is sync or async; what it gives is taken with `got`, `each` and `opened`, which know both.
    """

    def __init__(self, fake: FakeAssistants, client: Any, *, is_async: bool) -> None:
        self.fake, self.client, self.is_async = fake, client, is_async
        self.assistant, self.thread = "", ""

    @property
    def threads(self) -> Any:
        """What most is asked of."""
        return self.client.beta.threads

    @property
    def runs(self) -> Any:
        return self.client.beta.threads.runs

    async def furnish(self, said: str = "What is 3x + 11?") -> "Seat":
        """Make the assistant and the thread."""
        tools: Any = [{"type": "code_interpreter"}, {"type": "file_search"}]
        self.assistant = (await got(self.client.beta.assistants.create(model="gpt-4o-mini", tools=tools))).id
        self.thread = (await got(self.threads.create(messages=[{"role": "user", "content": said}]))).id
        return self

    async def run(self, **fields: Any) -> Any:
        """A new run, polled until it rests."""
        created = self.runs.create_and_poll
        return await got(created(thread_id=self.thread, assistant_id=self.assistant, poll_interval_ms=1, **fields))

    def stream(self, handler: Any = None, **fields: Any) -> Any:
        """A new run's stream, to be opened."""
        given = fields if handler is None else {"event_handler": handler, **fields}
        return self.runs.stream(thread_id=self.thread, assistant_id=self.assistant, **given)

    async def messages(self) -> list[Any]:
        """What is in the thread, oldest first."""
        return await each(self.threads.messages.list(thread_id=self.thread, order="asc"))

    async def steps(self, run: Any, **query: Any) -> list[Any]:
        """Of a run, oldest first."""
        return await each(self.runs.steps.list(run_id=run.id, thread_id=self.thread, order="asc", **query))


@asynccontextmanager
async def seated(fake: FakeAssistants, way: str, *, is_async: bool) -> AsyncIterator[Seat]:
    """A seat at the fake: mounted, by transport or over HTTP; its client is closed at the end.

    Nothing is verified: there is no TLS here, and reading the system's certificates is slow.
    """
    async with AsyncExitStack() as stack:
        given: dict[str, Any] = {"verify": False}
        url = "https://anywhere.example/v1"
        if way == "mount":
            stack.enter_context(fake.mount())
        elif way == "server":
            url = stack.enter_context(fake.serve()).base_url
        else:
            given["transport"] = fake.async_transport() if is_async else fake.transport()
        library, sdk = (LIBRARY.AsyncClient, AsyncOpenAI) if is_async else (LIBRARY.Client, OpenAI)
        client: Any = sdk(api_key="sk-test", base_url=url, http_client=library(**given))
        async with opened(client):
            yield Seat(fake, client, is_async=is_async)


# --- sync and async alike -----------------------------------------------------------------------------


async def got(value: Any) -> Any:
    """What a method gives."""
    return await value if isawaitable(value) else value


async def each(value: Any) -> list[Any]:
    """All that a pager or a stream gives."""
    value = await value if isawaitable(value) and not hasattr(value, "__aiter__") else value
    return [one async for one in value] if hasattr(value, "__aiter__") else list(value)


async def following(value: Any) -> Any:
    """The next of a stream."""
    return await anext(value) if hasattr(value, "__anext__") else next(value)


@asynccontextmanager
async def opened(manager: Any) -> AsyncIterator[Any]:
    """What a stream manager gives."""
    if hasattr(manager, "__aenter__"):
        async with manager as stream:
            yield stream
    else:
        with manager as stream:
            yield stream


# --- the SDK's event handlers -------------------------------------------------------------------------

HOOKS = sorted(name for name in vars(AssistantEventHandler) if name.startswith("on_"))


def noting(*, is_async: bool, **own: Any) -> Any:
    """An event handler of the SDK that notes every call of a hook in `told`: its name, and copies of what it is given.

    `own` are hooks that are called after the note, with the handler and what the hook is given.
    """
    base: Any = AsyncAssistantEventHandler if is_async else AssistantEventHandler
    hooks = {name: (_async_hook if is_async else _hook)(name, own.get(name)) for name in HOOKS}
    handler = type("Noting", (base,), hooks)()
    handler.told = []
    return handler


def _note(self: Any, name: str, given: tuple[Any, ...]) -> None:
    copies = [one.model_copy(deep=True) if hasattr(one, "model_copy") else one for one in given]
    self.told.append((name.removeprefix("on_"), *copies))


def _hook(name: str, own: Any) -> Any:
    def hook(self: Any, *given: Any) -> None:
        _note(self, name, given)
        if own is not None:
            own(self, *given)

    return hook


def _async_hook(name: str, own: Any) -> Any:
    async def hook(self: Any, *given: Any) -> None:
        _note(self, name, given)
        if own is not None:
            await got(own(self, *given))

    return hook


def calls(handler: Any) -> list[str]:
    """The hooks that were called, in order, without `event`; each delta once until a hook that is no delta's."""
    kept: list[str] = []
    since: set[str] = set()
    for name, *_ in handler.told:
        if name != "event" and name not in since:
            kept.append(name)
        since = since | {name} if name.endswith("delta") or name == "event" else set()
    return kept


def last(handler: Any, name: str) -> Any:
    """What the last call of a hook was given last: the snapshot, of a delta's."""
    return [given[-1] for called, *given in handler.told if called == name][-1]


DEPRECATIONS = [
    "ignore:The Assistants API is deprecated:DeprecationWarning",
    "ignore:deprecated$:DeprecationWarning",  # how the assistants' methods say it
    "ignore:use `stream` instead:DeprecationWarning",
    "ignore:The `.content\\(\\)` method should be used instead:DeprecationWarning",
]

# --- what the SDK can do ------------------------------------------------------------------------------

_NOT_METHODS = ("with_raw_response", "with_streaming_response")


def methods(client: Any, *roots: str) -> set[str]:
    """Every public method of a client's resources, by its path; below roots that it has not there are none."""
    return {name for root in roots for name in _walked(at(client, root), root)}


def at(client: Any, path: str) -> Any:
    """What stands at a path such as `beta.threads`; None where there is nothing."""
    for name in path.split("."):
        client = getattr(client, name, None)
    return client


def _walked(resource: Any, path: str) -> Iterator[str]:
    for name in () if resource is None else dir(type(resource)):
        if name.startswith("_") or name in _NOT_METHODS:
            continue
        found = getattr(resource, name)
        yield from [f"{path}.{name}"] if callable(found) else _walked(found, f"{path}.{name}")
