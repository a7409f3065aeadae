"""Map the SDK's exceptions to ours: by the name of the class, the HTTP status and the server's own message.

Pure, and without the SDK: no major version has all classes, and those of its HTTP library differ in name only.
"""

import contextlib
import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any
from urllib.parse import unquote, urlsplit

import attrs

from threadkeep.api.endpoints import Api, variables_of
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

__all__ = ["LOCKED", "MAX_WAIT", "RequestContext", "retry_after", "translate"]

LOCKED = "conversation_locked"
"""The code with which OpenAI refuses a request while another one is at work on the same conversation (quoted)."""

MAX_WAIT = 900.0
"""Seconds. A server that asks for a longer wait gets a request after these all the same."""

_NUMBER, _UNIT = r"(\d+(?:\.\d+)?)", r"(milliseconds?|ms|hours?|h|minutes?|mins?|m|seconds?|secs?|s)(?![a-z])"
_DURATION = re.compile(rf"{_NUMBER} ?{_UNIT}", re.IGNORECASE)
_WAIT = re.compile(
    rf"\b(?:again|retry|wait)(?: in| after| for| at least)* ((?:{_NUMBER} ?{_UNIT}(?:,? and |,? )?)+)", re.I
)
_SECONDS = {"milli": 0.001, "ms": 0.001, "h": 3600.0, "m": 60.0, "s": 1.0}


def retry_after(headers: Mapping[str, str], message: str, now: datetime) -> float | None:
    """Return the seconds that an answer asks to wait, at most `MAX_WAIT`, or None if it does not say.

    The order is the SDK's: ``retry-after-ms``, then ``retry-after`` as seconds or as a date. Servers also say it in the
    message only: "Please try again in 20s" or "in 1m30s" (recorded), "Please retry after 60 seconds" (quoted).

    Args:
        headers: of the answer, by names in lower case or whatever their case.
        message: of the error.
        now: a date counts from here if the answer has no date of its own.
    """
    found = _WAIT.search(message)
    waits = (
        _number(headers.get("retry-after-ms"), 0.001),
        _number(headers.get("retry-after"), 1.0),
        _seconds_between(headers.get("date"), headers.get("retry-after"), now),
        sum(float(amount) * _unit(unit) for amount, unit in _DURATION.findall(found[1])) if found else None,
    )
    return next((min(seconds, MAX_WAIT) for seconds in waits if seconds is not None and seconds > 0), None)


def _unit(word: str) -> float:
    return next(seconds for begins, seconds in _SECONDS.items() if word.lower().startswith(begins))


def _number(text: str | None, unit: float) -> float | None:
    try:
        seconds = float(text or "") * unit
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) else None


def _seconds_between(date: str | None, then: str | None, now: datetime) -> float | None:
    """A date is relative to the server's own: the clocks of two machines may differ by more than such a wait."""
    try:
        until = parsedate_to_datetime(then or "").astimezone()
    except (ValueError, OverflowError):
        return None
    with contextlib.suppress(ValueError, OverflowError):
        now = parsedate_to_datetime(date or "").astimezone()
    return (until - now).total_seconds()


@attrs.frozen(kw_only=True)
class RequestContext:
    """What decides about the meaning of an error.

    Attributes:
        address: the base URL, without secrets.
        path: of the request, below the base URL.
        answered: whether this address has answered as an Assistants API before.
        now: in UTC.
        proxy: the proxy that the request went through, without secrets; None if there is none.
        api: the API that is asked.
    """

    address: str
    path: str
    answered: bool
    now: datetime
    proxy: str | None = None
    api: Api = Api.ASSISTANTS


def translate(error: Exception, context: RequestContext) -> ApiError:
    """Return our error for an exception of the SDK or of its HTTP library, by its nearest ancestor in the table.

    The server's words are only in its ``quoted``, see `threadkeep.api.secrets`.
    """
    if isinstance(error.__cause__, ApiError):  # raised in the middle of an answer, by us
        return error.__cause__
    known = next(kind.__name__ for kind in type(error).__mro__ if kind.__name__ in _TRANSLATIONS)
    problem = _TRANSLATIONS[known](error, context)
    problem.status = getattr(error, "status_code", None)
    problem.was_sent = not (known == "APIConnectionError" and _has_reached_nobody(list(_causes(error))))
    return problem


# Azure's services reject an unknown or missing version (quoted). It is the same for every thread.
_API_VERSION = re.compile(r"\bapi[- ]version\b", re.IGNORECASE)

# Of what a server says so many bytes or letters are read, where its words decide. The time grows with their square.
_READ = 2_000

# How the API (recorded) and servers like it report a missing thread.
_NO_SUCH_THREAD = re.compile(r"\bno thread\b|\bthread\b.*\b(not found|does not exist|doesn't exist)", re.IGNORECASE)

# The API names it (recorded). Servers and proxies have mixed answers up.
_THREAD_ID = re.compile(r"'(thread_\w+)'")

# A 404 about another object below a thread, such as the message of a cursor, says nothing of the thread.
_OTHER_OBJECT = re.compile(
    r"\bno (message|run|run step|step|file|assistant)\b|^(message|run|run step|step|file|assistant)\b.*\bnot found",
    re.IGNORECASE,
)

_BARE, _MESSAGES = re.compile(r"not found\.?", re.IGNORECASE), re.compile(r"/threads/[^/]+(/messages)?")

# What says that it does not help to wait: a code of OpenAI (recorded), and of Engramia (seen).
_SPENT = {"insufficient_quota", "QUOTA_EXCEEDED"}

# 404s about the route in a JSON body: OpenAI's (recorded), and those of other servers and frameworks.
_NO_SUCH_ROUTE = re.compile(
    r"invalid url|resource not found|unknown request url|unexpected endpoint|not found\.?$|cannot (get|post) /|no route"
    r"|(the )?(requested )?(route|url|path|endpoint|page)\b.*\b(not found|not exist|unknown)|404 page not found",
    re.IGNORECASE,
)


def _by_status(error: Any, context: RequestContext) -> ApiError:
    status, body, headers = error.status_code, error.response.content, error.response.headers
    codes, message, is_cut_short = _error_of(body)
    words, quoted = message or body[:_READ].decode("utf-8", "replace"), message or body
    what = f"{status} from {context.address}"
    if status in (400, 404) and is_cut_short:  # the words that decide what this status means are missing
        return RequestFailed(f"an answer that is cut short: {what}", quoted=quoted, may_retry=True)
    if status == 404:
        return _not_found(message, body, context)
    if (elsewhere := _elsewhere(status, headers.get("location", ""), quoted, codes, context)) is not None:
        return elsewhere
    if status == 410:
        return ApiGone(f"the {context.api} at {context.address} is gone", quoted=quoted)
    if status in (401, 403, 407):
        of_proxy = f"the proxy refuses the connection, see {_PROXIES}: 407"
        return AccessRefused(of_proxy, quoted=quoted) if status == 407 else _refused(what, quoted, context)
    if status == 400 and _API_VERSION.search(words):
        return WrongAddress(f"{context.address} does not take this api-version", quoted=quoted)
    if status == 400 and words.startswith("Invalid 'thread_id'"):
        return IdRefused("", quoted=words)
    if status == 429 and not _SPENT.isdisjoint(codes):
        return QuotaSpent(f"the quota of this key is used up: {what}", quoted=quoted)
    wait = retry_after(headers, words, context.now)
    if status == 429:
        return RateLimited(what, quoted=quoted, may_retry=True, retry_after=wait)
    # As the SDK decides, unless the server itself says. A locked conversation is free again in a moment (quoted).
    by_status = status in (408, 409) or status >= 500 or LOCKED in codes
    may_retry = {"true": True, "false": False}.get(headers.get("x-should-retry", ""), by_status)
    return RequestFailed(what, quoted=quoted, may_retry=may_retry, retry_after=wait, code=(*codes, None)[0])


def _elsewhere(
    status: int, location: str, quoted: str | bytes, codes: Collection[str], context: RequestContext
) -> WrongAddress | None:
    """Return the error for an answer that says that the API is at another address; None for any other answer."""
    if 300 <= status < 400 and context.api is not Api.ASSISTANTS:
        what = f"{status} from {context.address}: it redirects to {_host_of(location)}"
        return WrongAddress(f"{what}, and messages are sent to no other address")
    takes_none = status == 405 or (status == 501 and not codes)  # a web server, and not an API that lacks something
    if takes_none and not context.answered:
        what = f"this address does not serve the {context.api}: {context.address}: {status}"
        return WrongAddress(what, quoted=quoted)
    return None


def _host_of(location: str) -> str:
    """Return the host of a URL, for people; the rest of it may hold a secret."""
    try:
        return urlsplit(location).hostname or "another path"
    except ValueError:
        return "another address"


def _not_found(message: str | None, body: bytes, context: RequestContext) -> ApiError:
    if context.api is not Api.ASSISTANTS:
        return _object_not_found(message, body, context)
    words = message
    if words is None and body[:1].strip() not in (b"", b"<", b"{", b"["):
        words = body[:_READ].decode("utf-8", "replace")
    if words is not None and _NO_SUCH_THREAD.search(words):
        named = _THREAD_ID.search(words)
        if named is not None and named[1] not in unquote(context.path):
            what = f"the answer from {context.address} is about another thread"
            return RequestFailed(what, quoted=words, may_retry=True)
        return ThreadMissing("", quoted=words)
    # What frameworks say of an object and of a route alike: from an address that has the route it is the thread.
    if message is not None and context.answered and _BARE.fullmatch(message) and _MESSAGES.fullmatch(context.path):
        return ThreadMissing("", quoted=message)
    if message is not None and not _NO_SUCH_ROUTE.match(message):
        is_thread = context.path.startswith("/threads/") and not _OTHER_OBJECT.search(message)
        return (
            ThreadMissing("", quoted=message)
            if is_thread
            else RequestFailed(f"404 from {context.address}", quoted=message)
        )
    # OpenAI answers an empty 404 since it has closed (recorded); a web page is a sunset only where the API was before.
    if not body.strip() or (context.answered and not body.lstrip().startswith(b"{")):
        return ApiGone(f"the Assistants API at {context.address} is gone: 404 without an error message of the API")
    what = f"this address does not serve the Assistants API: {context.address}"
    return WrongAddress(what, quoted=message or body)


def _object_not_found(message: str | None, body: bytes, context: RequestContext) -> ApiError:
    """A 404 of an API without a sunset: of an object, unless the address has never answered and has no such route."""
    if context.answered or (message is not None and not _NO_SUCH_ROUTE.match(message)):
        return RequestFailed(f"404 from {context.address}", quoted=message or body)
    return WrongAddress(f"this address does not serve the {context.api}: {context.address}", quoted=message or body)


def _error_of(body: bytes) -> tuple[tuple[str, ...], str | None, bool]:
    """Read an error: its code and its type, as far as it has them; its message; whether it is JSON cut short.

    The API has ``{"error": {"message", "type", "code"}}``; servers like it have ``{"error": "..."}``, ``{"message"}``,
    FastAPI's ``{"detail"}``, or ``{"errors": [...]}``. Engramia has ``{"error_code", "detail"}``.
    """
    try:
        answer = loads(body)
    except ValueError:
        return (), None, body.lstrip()[:1] == b"{"
    if not isinstance(answer, dict):
        return (), None, False
    error = answer.get("error")
    fields = error if isinstance(error, dict) else {}
    # The reason phrase may be under "error" as well, so that comes last.
    found = (fields.get("message"), *(answer.get(name) for name in ("message", "detail", "errors", "error")))
    words = next((words for words in map(_words, found) if words), None)
    codes = (fields.get("code"), fields.get("type"), answer.get("error_code"))
    return tuple(code for code in codes if isinstance(code, str)), None if words is None else words[:_READ], False


def _words(value: object) -> str | None:
    """Return the first text in a value: FastAPI's details are lists of objects."""
    match value:
        case str():
            return value
        case [first, *_]:
            return _words(first)
        case {"message": words} | {"msg": words} | {"detail": words}:
            return _words(words)
    return None


# The causes that mean that no server answers, by name, since each HTTP library has its own. A body that broke off is
# not one of them.
_NO_CONNECTION = {"ConnectError", "ConnectTimeout", "PoolTimeout"}

# Over aiohttp the SDK takes most errors for timeouts of a connection, also where a connection was lost. Of its own
# errors these mean that there was none.
_NO_CONNECTION_OF_AIOHTTP = {"ClientConnectorError", "ConnectionTimeoutError"}

# What asking again does not help against, by the name of a cause, and what does. Once the address has answered, these
# are faults of the network like any other.
_REMEDIES = {
    "gaierror": "the host of {} is not known. Check {}, and this machine's network",
    "SSLCertVerificationError": "the certificate of {} is not trusted. If its authority is your own, name its"
    " certificates in SSL_CERT_FILE",
}
_PROXIES = "HTTP_PROXY, HTTPS_PROXY and NO_PROXY"


def _causes(error: BaseException) -> Iterator[BaseException]:
    found = error.__cause__ or error.__context__
    for _ in range(10):
        if found is None:
            return
        yield found
        found = found.__cause__ or found.__context__


def _has_reached_nobody(causes: Sequence[BaseException]) -> bool:
    """Return whether an error means that a request has reached no server, by its causes, the nearest first."""
    kinds = [[kind.__name__ for kind in type(cause).__mro__] for cause in causes if _is_of_aiohttp(cause)]
    is_certain = all(_NO_CONNECTION_OF_AIOHTTP.intersection(names) for names in kinds[:1])
    return bool(causes) and type(causes[0]).__name__ in _NO_CONNECTION and is_certain


def _is_of_aiohttp(cause: BaseException) -> bool:
    return type(cause).__module__.partition(".")[0] == "aiohttp"


def _no_connection(error: Exception, context: RequestContext) -> ApiError:
    causes = list(_causes(error))
    names = [type(cause).__name__ for cause in causes]
    # With a proxy it is the proxy that is connected to.
    peer, source = (
        (context.address, "the address") if context.proxy is None else (f"the proxy {context.proxy}", _PROXIES)
    )
    if "ProxyError" in names:
        what = f"the proxy refuses the connection to {context.address}, see {_PROXIES}"
        return RequestFailed(what, quoted=str(causes[names.index("ProxyError")]), unreachable=True)
    for name, remedy in _REMEDIES.items():
        if name in names and not context.answered:
            return WrongAddress(remedy.format(peer, source), quoted=str(causes[names.index(name)]))
    why = f" ({causes[0]})" if causes and str(causes[0]) else ""
    is_silent = _has_reached_nobody(causes) or names[:1] == ["ReadTimeout"]
    what = f"no complete answer from {context.address}"
    if is_silent and context.proxy is not None:
        what += f" through the proxy {context.proxy}, see {_PROXIES}"
    return RequestFailed(what, quoted=f"{error}{why}", unreachable=is_silent, may_retry=True)


def _too_slow(_error: Exception, context: RequestContext) -> ApiError:
    what = f"no complete answer from {context.address}: it came too slowly, or without an end"
    return RequestFailed(what, unreachable=not context.answered, may_retry=True)


def _no_access(error: Exception, context: RequestContext) -> ApiError:
    return _refused(f"no access to {context.address}", str(error), context)


def _refused(what: str, quoted: str | bytes, context: RequestContext) -> AccessRefused:
    problem = AccessRefused(what, quoted=quoted)
    problem.variables = variables_of(context.address, context.api)
    return problem


def _failed(error: Exception, context: RequestContext, *, may_retry: bool = False) -> ApiError:
    return RequestFailed(f"{type(error).__name__} at {context.address}", quoted=str(error), may_retry=may_retry)


_TRANSLATIONS: dict[str, Callable[[Any, RequestContext], ApiError]] = {
    "APIStatusError": _by_status,
    "APIConnectionError": _no_connection,
    # The key cannot be obtained: there are two kinds, or its provider rejected a token.
    **dict.fromkeys(("OAuthError", "SubjectTokenProviderError", "MutuallyExclusiveAuthError"), _no_access),
    "TimeoutError": _too_slow,
    # The SDK does not map these of its HTTP library: a body that breaks off.
    **dict.fromkeys(("HTTPError", "OSError"), partial(_failed, may_retry=True)),
    # Such as an id that no URL can carry.
    "Exception": _failed,
}
"""What becomes of an exception, by the name of its class: that of no major version has all of them."""
