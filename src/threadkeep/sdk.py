"""The one importer of the ``openai`` package: ask for a page as raw bytes, and say in our words what went wrong.

Requests go through the SDK, so that its keys, retries, timeouts and proxies hold. The answers are taken raw: the
SDK's objects cost ten times what reading the JSON does, they convert what they do not expect, and a body that is
cut short is an error that the SDK neither maps nor retries. ``client.get`` is the way to a raw response that also
spares the import of the Assistants classes and the deprecation warning of each of their methods.
"""

import importlib
import os
from collections.abc import Callable, Mapping
from typing import Any, Self
from urllib.parse import urlsplit, urlunsplit

import openai

from threadkeep.errors import (
    AccessRefused,
    ApiError,
    ApiGone,
    IdRefused,
    MalformedAddress,
    RequestFailed,
    ThreadMissing,
    WrongAddress,
)
from threadkeep.jsontext import loads

__all__ = ["TRANSLATIONS", "Api", "translate", "without_secrets"]

_HEADERS = {"OpenAI-Beta": "assistants=v2"}
_HTTP_LIBRARY = "httpx2" if int(openai.__version__.split(".")[0]) >= 3 else "httpx"

# Above the slowest page that was recorded, far below the SDK's ten minutes, in which a dead connection looks alive.
_TIMEOUT_SECONDS = 60.0


class Api:
    """An Assistants API at one address.

    Attributes:
        address: the base URL without user, password and query, fit to be shown and written down.
        answered: whether this address has answered as an Assistants API yet.
    """

    def __init__(self, client: openai.AsyncOpenAI) -> None:
        self._client = client
        self._raw_response: Any = importlib.import_module(_HTTP_LIBRARY).Response
        self.address = without_secrets(str(client.base_url))
        self.answered = False

    @classmethod
    def connect(cls, *, base_url: str | None = None, api_key: str | None = None, max_retries: int = 2) -> Self:
        """Make the client; nothing is sent yet.

        Args:
            base_url: the address that ends in ``/v1``; None for ``OPENAI_BASE_URL`` or OpenAI's own.
            api_key: the key or token; None for ``OPENAI_API_KEY``.
            max_retries: how often the SDK asks again after 408, 409, 429, 5xx and lost connections.

        Raises:
            AccessRefused: there is no key, or one that no HTTP header can carry.
            MalformedAddress: the base URL is no HTTP address.
        """
        _check_address(base_url if base_url is not None else os.environ.get("OPENAI_BASE_URL"))
        try:
            client = openai.AsyncOpenAI(
                base_url=base_url, api_key=api_key, max_retries=max_retries, timeout=_TIMEOUT_SECONDS
            )
        except openai.OpenAIError as error:
            raise AccessRefused(f"no key: {error}") from None
        _check_key(client.api_key)
        return cls(client)

    async def get(self, path: str, params: Mapping[str, Any]) -> bytes:
        """Fetch the body of a success.

        Args:
            path: below the base URL, with its leading slash.
            params: the query.

        Raises:
            ApiError: a leaf of it, with the answer's own words.
        """
        try:
            response = await self._client.get(
                path, cast_to=self._raw_response, options={"headers": _HEADERS, "params": dict(params)}
            )
        except openai.OpenAIError as error:
            problem = translate(error, address=self.address, answered=self.answered)
            self.answered |= isinstance(problem, ThreadMissing)
            raise problem from error
        self.answered = True
        body: bytes = response.content
        return body

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        """Let go of the connections."""
        await self._client.close()


def without_secrets(url: str) -> str:
    """Take user, password, query and fragment out of an address."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path.rstrip("/"), "", ""))


def _check_address(base_url: str | None) -> None:
    if base_url is None:
        return
    try:
        parts = urlsplit(base_url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise MalformedAddress(f"{base_url!r} is no address: it must begin with http:// or https:// and name a host")


def _check_key(key: str) -> None:
    if not key.isascii() or not key.isprintable() or " " in key:
        raise AccessRefused("the key holds a blank, a line end or another character that no HTTP header can carry")


def translate(error: openai.OpenAIError, *, address: str, answered: bool) -> ApiError:
    """Say in our words what the SDK raised. Total: every class of the installed SDK has its row in the table.

    Args:
        error: what the SDK raised.
        address: the base URL, for the message.
        answered: whether this address has answered as an Assistants API before.
    """
    known = next(kind.__name__ for kind in type(error).__mro__ if kind.__name__ in TRANSLATIONS)
    return TRANSLATIONS[known](error, address, answered)


def _by_status(error: Any, address: str, answered: bool) -> ApiError:
    status, message = error.status_code, _envelope(error.response.content).get("message")
    said = f"{status} from {address}: {message or _beginning(error.response.content)}"
    if status == 404:
        return _not_found(error.response.content, address, answered)
    if status == 410:
        return ApiGone(f"the Assistants API at {address} is gone: {message or '410 Gone'}")
    if status in (401, 403):
        return AccessRefused(said)
    if status == 400 and str(message).startswith("Invalid 'thread_id'"):
        return IdRefused(str(message))
    return RequestFailed(said)


# A 404 in the API's own envelope means a missing thread, except with these words: OpenAI's for a route that it
# does not have (recorded), and Azure's.
_NO_SUCH_ROUTE = ("Invalid URL", "Resource not found")


def _not_found(body: bytes, address: str, answered: bool) -> ApiError:
    message = _envelope(body).get("message")
    if isinstance(message, str) and not message.startswith(_NO_SUCH_ROUTE):
        return ThreadMissing(message)
    foreign = body.lstrip()[:1] in (b"<", b"{")  # a web page, or the JSON of some other server
    if answered and not foreign:
        return ApiGone(f"the Assistants API at {address} is gone: 404 without an error of its own")
    said = message or (_beginning(body) if body.strip() else "404 with an empty body")
    return WrongAddress(f"this address does not serve the Assistants API (any more): {address} ({said})")


def _envelope(body: bytes) -> Mapping[str, Any]:
    try:
        answer = loads(body)
    except ValueError:
        return {}
    inner = answer.get("error") if isinstance(answer, dict) else None
    return inner if isinstance(inner, dict) else {}


def _beginning(body: bytes) -> str:
    text = " ".join(body[:120].decode("utf-8", "replace").split())
    return text + "…" if len(body) > 120 else text or "an empty body"


def _unreachable(error: Exception, address: str, _answered: bool) -> ApiError:
    cause = f" ({error.__cause__})" if str(error.__cause__ or "") else ""
    return RequestFailed(f"no answer from {address}: {error}{cause}", unreachable=True)


def _no_access(error: Exception, address: str, _answered: bool) -> ApiError:
    return AccessRefused(f"no access to {address}: {error}")


def _failed(error: Exception, address: str, _answered: bool) -> ApiError:
    return RequestFailed(f"{type(error).__name__} at {address}: {error}")


TRANSLATIONS: dict[str, Callable[[Any, str, bool], ApiError]] = {
    "OpenAIError": _failed,
    "APIError": _failed,
    "APIConnectionError": _unreachable,
    "APITimeoutError": _unreachable,
    "APIResponseValidationError": _failed,
    "APIStatusError": _by_status,
    "BadRequestError": _by_status,
    "AuthenticationError": _by_status,
    "PermissionDeniedError": _by_status,
    "NotFoundError": _by_status,
    "ConflictError": _by_status,
    "UnprocessableEntityError": _by_status,
    "RateLimitError": _by_status,
    "InternalServerError": _by_status,
    # How a key is come by: no key, two kinds of key, a token that its provider refused.
    "OAuthError": _no_access,
    "SubjectTokenProviderError": _no_access,
    "MutuallyExclusiveAuthError": _no_access,
    # Not raised by a plain GET; a row each, so that a class that is new to the SDK is noticed.
    "APIRemovedInV1": _failed,
    "AgentFilePreparationError": _failed,
    "AgentFileStagingError": _failed,
    "AgentOutputParseError": _failed,
    "AgentTurnResultError": _failed,
    "ContentFilterFinishReasonError": _failed,
    "InvalidWebhookSignatureError": _failed,
    "LengthFinishReasonError": _failed,
    "MissingDependencyError": _failed,
    "StreamAlreadyConsumed": _failed,
    "WebSocketConnectionClosedError": _failed,
    "WebSocketQueueFullError": _failed,
    "_AmbiguousModuleClientUsageError": _failed,
}
"""What becomes of each exception of the SDK, by name, since no major version has them all."""
