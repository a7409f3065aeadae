"""The mount: every httpx and httpx2 client of the process reaches the fake.

respx does the patching, below the client, so `OpenAI()` of every major, sync and async, goes through it.
Its own routers, which keep every call for ever, are not used: the mocker below asks the fake directly.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import ClassVar, TypeVar

try:
    import httpx
    from respx.mocks import HTTPCoreMocker
except ImportError as error:
    raise ImportError("mount() needs respx: pip install 'fake-assistants[respx]'") from error

from fake_assistants.skins.speaker import Speaker
from fake_assistants.skins.transport import from_httpx, headers_of

_HTTPCORE = tuple(HTTPCoreMocker.targets)
_HTTPCORE2 = tuple(target.replace("httpcore.", "httpcore2.", 1) for target in _HTTPCORE)

AnySpeaker = TypeVar("AnySpeaker", bound=Speaker)


def _installed(targets: tuple[str, ...]) -> list[str]:
    library = targets[0].partition(".")[0]
    return list(targets) if find_spec(library) else []


class FakeAssistantsMocker(HTTPCoreMocker):
    """Patches httpcore, and httpcore2 where it is installed. The name must be nobody else's."""

    name = "fake-assistants"
    targets: ClassVar[list[str]] = _installed(_HTTPCORE) + _installed(_HTTPCORE2)
    speakers: ClassVar[list[Speaker]] = []

    @classmethod
    def handler(cls, httpx_request: httpx.Request) -> httpx.Response:
        """Answer from the fake that was mounted last."""
        reply = cls.speakers[-1].handle(from_httpx(httpx_request, httpx_request.content))
        return httpx.Response(reply.status, headers=headers_of(reply), content=reply.body)

    @classmethod
    async def async_handler(cls, httpx_request: httpx.Request) -> httpx.Response:
        """The same, for async clients."""
        return cls.handler(httpx_request)


@contextmanager
def mounted(speaker: AnySpeaker) -> Iterator[AnySpeaker]:
    """Answer every request of the process from `speaker`; of two that are mounted, the newer answers."""
    FakeAssistantsMocker.speakers.append(speaker)
    FakeAssistantsMocker.start()
    try:
        yield speaker
    finally:
        FakeAssistantsMocker.speakers.remove(speaker)
        if not FakeAssistantsMocker.speakers:
            FakeAssistantsMocker.stop()
