"""Mount the fake for all httpx and httpx2 clients of the process, and for `openai.DefaultAioHttpClient`.

httpcore and httpcore2 are patched below the client, so `OpenAI()` of every major version, sync and async, is covered.
respx converts requests and responses. Its routers are not used, since they store every call. A break or a timeout is
raised as httpcore's own error, which the client converts to its library's.

Each mount adds a layer of patches over the existing ones, and removes it at its end, so the innermost takes
precedence: the newer of two mounts, the fake under an outer `respx.mock`, and an inner `respx.mock` under the fake,
whose passed-through requests reach the fake.
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

# The adapters of aiohttp for httpx2 and for httpx clients, which `openai.DefaultAioHttpClient` uses.
_AIOHTTP = ("openai._vendor.httpx_aiohttp", "httpx_aiohttp")

# The extension of a converted request that has its caller.
_CALLER = "fake_assistants.caller"

AnyHandler = TypeVar("AnyHandler", bound=Handler)


def _installed(targets: tuple[str, ...]) -> list[str]:
    library = targets[0].partition(".")[0]
    return list(targets) if find_spec(library) else []


class _Layer:
    """One mount: its handler, and the patches that direct requests to it."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
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
    return await AsyncTransport(FakeAssistantsMocker.layers[-1].handler).handle_async_request(request)


class FakeAssistantsMocker(HTTPCoreMocker):
    """Replaces the methods of httpcore, and of httpcore2 if it is installed.

    respx registers the class by its name, which must be unique. respx's own patching is not used: it skips a method
    that is patched already.
    """

    name = "fake-assistants"
    targets: ClassVar[list[str]] = _installed(_HTTPCORE) + _installed(_HTTPCORE2)
    layers: ClassVar[list[_Layer]] = []

    @classmethod
    def to_httpx_request(cls, **given: Any) -> httpx.Request:
        """Convert a request as respx does, and add its caller: respx preserves the timeouts only."""
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
        """Answer as `handler` does, for async clients."""
        reply, caller = cls._ask(httpx_request)
        await begin_async(reply, caller)
        return _response(reply, caller, AsyncChunks)

    @classmethod
    def _ask(cls, httpx_request: httpx.Request) -> tuple[Reply, Caller]:
        reply = answered(cls.layers[-1].handler, from_httpx(httpx_request, httpx_request.content))
        return reply, httpx_request.extensions[_CALLER]

    @classmethod
    def mock(cls, spec: Any) -> Any:
        """Return the function that replaces `spec` while anything is mounted. It has the names that respx expects."""
        converting: Any = super().mock

        async def handle_async_request(self: object, request: object) -> Any:
            return await (answer if cls.layers else spec)(self, request)

        def handle_request(self: object, request: object) -> Any:
            return (answer if cls.layers else spec)(self, request)

        replacement = handle_async_request if iscoroutinefunction(spec) else handle_request
        answer = converting(replacement)
        return replacement


def _response(reply: Reply, caller: Caller, playing: Any) -> httpx.Response:
    """Return the response. respx passes its stream on unchanged, to httpx and httpx2 alike."""
    if reply.chunks is None:
        return httpx.Response(reply.status, headers=headers_of(reply), content=reply.body)
    return httpx.Response(reply.status, headers=headers_of(reply), stream=playing(reply.chunks, caller))


@contextmanager
def mounted(handler: AnyHandler) -> Iterator[AnyHandler]:
    """Answer every request of the process from `handler`; of two mounted handlers the newer answers."""
    layers = FakeAssistantsMocker.layers
    layer = _Layer(handler)
    layers.append(layer)
    try:
        yield handler
    finally:
        layer.is_over = True
        while layers and layers[-1].is_over:  # a layer can only be taken off from the top
            layers.pop().patches.close()
