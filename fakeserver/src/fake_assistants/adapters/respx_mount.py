"""The mount: every httpx and httpx2 client of the process reaches the fake, and `openai.DefaultAioHttpClient`.

It patches httpcore and httpcore2 below the client, so `OpenAI()` of every major, sync and async, goes through
it; respx converts their requests and answers. Its routers, which keep every call for ever, are not used. What
breaks or takes too long is raised as httpcore's own errors, which the client turns into those of its library.

Each mount is a layer of patches of its own, laid over whatever is there, and taken off again at its end. So
the innermost wins: of two mounts the newer, under an outer `respx.mock` the fake, and inside the fake an inner
`respx.mock`, whose passed-through requests come to the fake.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from inspect import iscoroutinefunction
from typing import Any, ClassVar, TypeVar
from unittest.mock import patch

try:
    import httpx
    from respx.mocks import HTTPCoreMocker
except ImportError as error:
    raise ImportError("mount() needs respx: pip install 'fake-assistants[respx]'") from error

from fake_assistants.adapters.httpx_transport import AsyncTransport, answered, from_httpx, headers_of
from fake_assistants.adapters.playback import AsyncChunks, Caller, SyncChunks, begin, begin_async
from fake_assistants.adapters.streams import Handler
from fake_assistants.http.message import Reply

_HTTPCORE = tuple(HTTPCoreMocker.targets)
_HTTPCORE2 = tuple(target.replace("httpcore.", "httpcore2.", 1) for target in _HTTPCORE)

# The adapters of aiohttp for httpx2 and for httpx clients, which `openai.DefaultAioHttpClient` stands on.
_AIOHTTP = ("openai._vendor.httpx_aiohttp", "httpx_aiohttp")

# Where a converted request keeps who asked.
_CALLER = "fake_assistants.caller"

AnySpeaker = TypeVar("AnySpeaker", bound=Handler)


def _installed(targets: tuple[str, ...]) -> list[str]:
    library = targets[0].partition(".")[0]
    return list(targets) if find_spec(library) else []


class _Layer:
    """One mount: who answers, and the patches that bring requests to it."""

    def __init__(self, speaker: Handler) -> None:
        self.speaker = speaker
        self.is_over = False
        self.patches = ExitStack()
        for target in FakeAssistantsMocker.targets:
            method = "handle_async_request" if "._async." in target else "handle_request"
            patching = patch(f"{target}.{method}", spec=True, new_callable=FakeAssistantsMocker.mock)
            self.patches.enter_context(patching)
        for package in _AIOHTTP:
            if _is_installed(package):
                target = f"{package}.transport.AiohttpTransport.handle_async_request"
                self.patches.enter_context(patch(target, _answer_aiohttp))


def _is_installed(adapter: str) -> bool:
    try:
        return find_spec("aiohttp") is not None and find_spec(adapter) is not None
    except ModuleNotFoundError:  # no SDK, or one without that package
        return False


async def _answer_aiohttp(_transport: object, request: Any) -> Any:
    return await AsyncTransport(FakeAssistantsMocker.layers[-1].speaker).handle_async_request(request)


class FakeAssistantsMocker(HTTPCoreMocker):
    """Stands in for the methods of httpcore, and of httpcore2 where it is installed.

    respx registers it by its name, which must be nobody else's. Its own way of patching is not used: it
    leaves a method alone that is patched already.
    """

    name = "fake-assistants"
    targets: ClassVar[list[str]] = _installed(_HTTPCORE) + _installed(_HTTPCORE2)
    layers: ClassVar[list[_Layer]] = []

    @classmethod
    def to_httpx_request(cls, **given: Any) -> httpx.Request:
        """respx's conversion, which keeps the timeouts but not whose request it was."""
        convert: Any = super().to_httpx_request
        converted: httpx.Request = convert(**given)
        caller = Caller.of(given["request"], ("httpcore", "httpcore2"))
        converted.extensions = {**converted.extensions, _CALLER: caller}
        return converted

    @classmethod
    def handler(cls, httpx_request: httpx.Request) -> httpx.Response:
        """Answer from the fake that was mounted last."""
        reply, caller = cls._ask(httpx_request)
        begin(reply, caller)
        return _response(reply, caller, SyncChunks)

    @classmethod
    async def async_handler(cls, httpx_request: httpx.Request) -> httpx.Response:
        """The same, for async clients."""
        reply, caller = cls._ask(httpx_request)
        await begin_async(reply, caller)
        return _response(reply, caller, AsyncChunks)

    @classmethod
    def _ask(cls, httpx_request: httpx.Request) -> tuple[Reply, Caller]:
        reply = answered(cls.layers[-1].speaker, from_httpx(httpx_request, httpx_request.content))
        return reply, httpx_request.extensions[_CALLER]

    @classmethod
    def mock(cls, spec: Any) -> Any:
        """What stands in for `spec` while anything is mounted. It has the names that respx looks for."""
        converting: Any = super().mock

        async def handle_async_request(self: object, request: object) -> Any:
            return await (answer if cls.layers else spec)(self, request)

        def handle_request(self: object, request: object) -> Any:
            return (answer if cls.layers else spec)(self, request)

        standing_in = handle_async_request if iscoroutinefunction(spec) else handle_request
        answer = converting(standing_in)
        return standing_in


def _response(reply: Reply, caller: Caller, playing: Any) -> httpx.Response:
    """respx hands its stream on as it is, to httpx and httpx2 alike."""
    if reply.chunks is None:
        return httpx.Response(reply.status, headers=headers_of(reply), content=reply.body)
    return httpx.Response(reply.status, headers=headers_of(reply), stream=playing(reply.chunks, caller))


@contextmanager
def mounted(speaker: AnySpeaker) -> Iterator[AnySpeaker]:
    """Answer every request of the process from `speaker`; of two that are mounted, the newer answers."""
    layers = FakeAssistantsMocker.layers
    layer = _Layer(speaker)
    layers.append(layer)
    try:
        yield speaker
    finally:
        layer.is_over = True
        while layers and layers[-1].is_over:  # a layer can only be taken off from the top
            layers.pop().patches.close()
