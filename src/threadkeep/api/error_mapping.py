"""What the SDK raises, said in our words: by the name of its class, by the status, and by the server's own text.

Pure, and without the SDK: no major version has all the classes, and those of its HTTP library differ in name only.

When to ask again, as an answer says it: in its headers, else in its own words. Pure.

The order is the SDK's: ``retry-after-ms``, then ``retry-after`` as seconds or as a date. The API's rate limit told it
in words only (recorded): "Please try again in 20s", and in milliseconds, minutes or hours likewise.
"""

import math
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

import attrs

from threadkeep.errors import (
    AccessRefused,
    ApiError,
    ApiGone,
    IdRefused,
    QuotaSpent,
    RateLimited,
    RequestFailed,
    ThreadMissing,
    WrongAddress,
)
from threadkeep.serialization.lossless_json import loads

__all__ = ["LONGEST", "TRANSLATIONS", "RequestContext", "failed", "retry_after", "translate"]

LONGEST = 900.0
"""Seconds. A server that asks for more is asked again then all the same; nobody sits before a screen for longer."""

_WORDS = re.compile(r"try again in ((?:\d+(?:\.\d+)?(?:ms|h|m|s))+)")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|h|m|s)")
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


def retry_after(headers: Mapping[str, str], words: str) -> float | None:
    """Give the seconds after which to ask again, at most `LONGEST`, or None where nothing usable is said.

    Args:
        headers: of the answer, by names in lower case or whatever their case.
        words: the message of the error.
    """
    said = (
        _number(headers.get("retry-after-ms"), 0.001),
        _number(headers.get("retry-after"), 1.0),
        _until(headers.get("retry-after"), headers.get("date")),
        _spoken(words),
    )
    return next((min(seconds, LONGEST) for seconds in said if seconds is not None and seconds > 0), None)


def _number(text: str | None, unit: float) -> float | None:
    try:
        seconds = float(text or "") * unit
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) else None


def _until(text: str | None, now: str | None) -> float | None:
    """A date counts from the server's own, since the clocks of two machines differ by more than such a wait."""
    then, here = _date(text), _date(now)
    return (then - here).total_seconds() if then and here else None


def _date(text: str | None) -> datetime | None:
    try:
        return parsedate_to_datetime(text or "").astimezone()
    except (ValueError, OverflowError):
        return None


def _spoken(words: str) -> float | None:
    found = _WORDS.search(words)
    if found is None:
        return None
    return sum(float(amount) * _SECONDS[unit] for amount, unit in _DURATION.findall(found[1]))


@attrs.frozen(kw_only=True)
class RequestContext:
    """Who was asked, for the words of an error.

    Attributes:
        address: the base URL, without secrets.
        answered: whether this address has answered as an Assistants API before.
        key: what must not stand in any message. The API echoes a short key whole (recorded).
        hidden: what else must not: a password, or a value of the base URL's query.
    """

    address: str
    answered: bool
    key: str = attrs.field(repr=False)
    hidden: tuple[str, ...] = attrs.field(default=(), repr=False)

    def clean(self, text: object) -> str:
        """Take the key and other secrets out of the server's words."""
        cleaned = str(text)
        for secret in sorted(filter(None, (self.key, *self.hidden)), key=len, reverse=True):
            cleaned = cleaned.replace(secret, "[key]")
        return cleaned


def translate(error: Exception, context: RequestContext) -> ApiError:
    """Say in our words what the SDK raised. Total: every class of the installed SDK has its row in the table."""
    known = next(kind.__name__ for kind in type(error).__mro__ if kind.__name__ in TRANSLATIONS)
    return TRANSLATIONS[known](error, context)


def _by_status(error: Any, context: RequestContext) -> ApiError:
    status, body = error.status_code, error.response.content
    message = _envelope(body).get("message")
    words = context.clean(message or _beginning(body))
    said = f"{status} from {context.address}: {words}"
    if status in (400, 404) and _is_cut_short(body):
        return RequestFailed(f"an answer that is cut short: {said}", again=True)
    if status == 404:
        return _not_found(body, context)
    if status == 410:
        return ApiGone(f"the Assistants API at {context.address} is gone: {words}")
    if status in (401, 403):
        return AccessRefused(said)
    if status == 400 and _API_VERSION.search(words):
        return WrongAddress(f"{context.address} does not take this api-version: {words}")
    if status == 400 and words.startswith("Invalid 'thread_id'"):
        return IdRefused(words)
    hint = retry_after(error.response.headers, words)
    if status == 429:
        return _over_limit(said, _envelope(body), hint)
    return RequestFailed(said, again=_may_ask_again(status, error.response.headers), retry_after=hint)


def _over_limit(said: str, envelope: Mapping[str, Any], hint: float | None) -> ApiError:
    if "insufficient_quota" in (envelope.get("code"), envelope.get("type")):
        return QuotaSpent(f"the quota of this key is used up: {said}")
    return RateLimited(said, retry_after=hint)


def _may_ask_again(status: int, headers: Mapping[str, str]) -> bool:
    """As the SDK decides: by the server's own word where there is one."""
    told = {"true": True, "false": False}.get(headers.get("x-should-retry", ""))
    return told if told is not None else status in (408, 409) or status >= 500


# Azure's services refuse a version that they do not know, or miss (quoted). It is the same for every thread.
_API_VERSION = re.compile(r"\bapi[- ]version\b", re.IGNORECASE)

# How the API (recorded) and servers like it say that there is no such thread. Any other 404 about an object, a
# cursor for example, is not taken for one.
_NO_SUCH_THREAD = re.compile(r"\bno thread\b|\bthread\b.*\b(not found|does not exist|doesn't exist)", re.IGNORECASE)

# 404s in an envelope like the API's own that speak of the route: OpenAI's (recorded), and those of other servers.
_NO_SUCH_ROUTE = ("Invalid URL", "Resource not found", "Unknown request URL", "Not Found")


def _not_found(body: bytes, context: RequestContext) -> ApiError:
    message = _envelope(body).get("message")
    said = context.clean(message or (_beginning(body) if body.strip() else "404 with an empty body"))
    if isinstance(message, str) and _NO_SUCH_THREAD.search(message):
        return ThreadMissing(said)
    if isinstance(message, str) and not message.startswith(_NO_SUCH_ROUTE):
        return RequestFailed(f"404 from {context.address}: {said}")
    foreign = body.lstrip()[:1] in (b"<", b"{")  # a web page, or the JSON of some other server
    if context.answered and not foreign:
        return ApiGone(f"the Assistants API at {context.address} is gone: 404 without an error of its own")
    return WrongAddress(f"this address does not serve the Assistants API (any more): {context.address} ({said})")


def _is_cut_short(body: bytes) -> bool:
    """Whether the words that decide what this status means have not come."""
    try:
        loads(body)
    except ValueError:
        return body.lstrip()[:1] == b"{"
    return False


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


# Causes, by name since each HTTP library has its own, that mean that nobody is there. A body that broke off does not.
_NOBODY_THERE = {"ConnectError", "ConnectTimeout", "ReadTimeout", "PoolTimeout"}


def _no_connection(error: Exception, context: RequestContext) -> ApiError:
    cause = error.__cause__
    why = f" ({cause})" if str(cause or "") else ""
    what = context.clean(f"no whole answer from {context.address}: {error}{why}")
    return RequestFailed(what, unreachable=type(cause).__name__ in _NOBODY_THERE, again=True)


def _no_access(error: Exception, context: RequestContext) -> ApiError:
    return AccessRefused(context.clean(f"no access to {context.address}: {error}"))


def failed(error: Exception, context: RequestContext, *, again: bool = False) -> ApiError:
    """Say that no usable answer came; ``again`` where asking again may help."""
    return RequestFailed(context.clean(f"{type(error).__name__} at {context.address}: {error}"), again=again)


TRANSLATIONS: dict[str, Callable[[Any, RequestContext], ApiError]] = {
    "OpenAIError": failed,
    "APIError": failed,
    "APIConnectionError": _no_connection,
    "APITimeoutError": _no_connection,
    "APIResponseValidationError": failed,
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
    "APIRemovedInV1": failed,
    "AgentFilePreparationError": failed,
    "AgentFileStagingError": failed,
    "AgentOutputParseError": failed,
    "AgentTurnResultError": failed,
    "ContentFilterFinishReasonError": failed,
    "InvalidWebhookSignatureError": failed,
    "LengthFinishReasonError": failed,
    "MissingDependencyError": failed,
    "StreamAlreadyConsumed": failed,
    "WebSocketConnectionClosedError": failed,
    "WebSocketQueueFullError": failed,
    "_AmbiguousModuleClientUsageError": failed,
}
"""What becomes of each exception of the SDK, by name, since no major version has them all."""
