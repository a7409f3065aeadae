"""Map the SDK's exceptions to ours: by the name of the class, the HTTP status and the server's own message.

Pure, and without the SDK: no major version has all classes, and those of its HTTP library differ in name only.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any

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

__all__ = ["MAX_WAIT", "retry_after", "translate"]

MAX_WAIT = 900.0
"""Seconds. A server that asks for a longer wait gets a request after these all the same."""

_TRY_AGAIN = re.compile(r"try again in ((?:\d+(?:\.\d+)?(?:ms|h|m|s))+)")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|h|m|s)")
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


def retry_after(headers: Mapping[str, str], message: str) -> float | None:
    """Return the seconds that an answer asks to wait, at most `MAX_WAIT`, or None if it does not say.

    The order is the SDK's: ``retry-after-ms``, then ``retry-after`` as seconds or as a date. The API's rate limit had
    it in the message only (recorded): "Please try again in 20s", or in milliseconds, minutes or hours.

    Args:
        headers: of the answer, by names in lower case or whatever their case.
        message: of the error.
    """
    found = _TRY_AGAIN.search(message)
    waits = (
        _number(headers.get("retry-after-ms"), 0.001),
        _number(headers.get("retry-after"), 1.0),
        _seconds_between(headers.get("date"), headers.get("retry-after")),
        sum(float(amount) * _SECONDS[unit] for amount, unit in _DURATION.findall(found[1])) if found else None,
    )
    return next((min(seconds, MAX_WAIT) for seconds in waits if seconds is not None and seconds > 0), None)


def _number(text: str | None, unit: float) -> float | None:
    try:
        seconds = float(text or "") * unit
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) else None


def _seconds_between(now: str | None, then: str | None) -> float | None:
    """A date is relative to the server's own: the clocks of two machines differ by more than such a wait."""
    try:
        dates = [parsedate_to_datetime(text or "").astimezone() for text in (now, then)]
    except (ValueError, OverflowError):
        return None
    return (dates[1] - dates[0]).total_seconds()


def translate(error: Exception, *, address: str, answered: bool, secrets: Iterable[str]) -> ApiError:
    """Return our error for an exception of the SDK or of its HTTP library, by its nearest ancestor in the table.

    Args:
        address: the base URL, without secrets.
        answered: whether this address has answered as an Assistants API before.
        secrets: what no message may show: the key, a password, a value of the base URL's query.
    """
    known = next(kind.__name__ for kind in type(error).__mro__ if kind.__name__ in _TRANSLATIONS)
    problem = _TRANSLATIONS[known](error, address, answered)
    pieces = str(problem).split(address)  # a host may be named as its key is
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        # The API echoes a short key completely (recorded).
        pieces = [piece.replace(secret, "[key]") for piece in pieces]
    problem.args = (address.join(pieces),)
    problem.status = getattr(error, "status_code", None)
    return problem


# Azure's services reject an unknown or missing version (quoted). It is the same for every thread.
_API_VERSION = re.compile(r"\bapi[- ]version\b", re.IGNORECASE)

# How the API (recorded) and servers like it report a missing thread. A 404 about another object, such as a cursor, is
# not one.
_NO_SUCH_THREAD = re.compile(r"\bno thread\b|\bthread\b.*\b(not found|does not exist|doesn't exist)", re.IGNORECASE)

# 404s about the route in an error object like the API's own: OpenAI's (recorded), and those of other servers.
_NO_SUCH_ROUTE = ("Invalid URL", "Resource not found", "Unknown request URL", "Not Found")


def _by_status(error: Any, address: str, answered: bool) -> ApiError:
    status, body, headers = error.status_code, error.response.content, error.response.headers
    fields, is_cut_short = _error_object(body)
    words = str(fields.get("message") or _excerpt(body))
    what = f"{status} from {address}: {words}"
    if status in (400, 404) and is_cut_short:  # the words that decide what this status means are missing
        return RequestFailed(f"an answer that is cut short: {what}", may_retry=True)
    if status == 404:
        return _not_found(fields.get("message"), body, words, address, answered=answered)
    if status == 410:
        return ApiGone(f"the Assistants API at {address} is gone: {words}")
    if status in (401, 403):
        return AccessRefused(what)
    if status == 400 and _API_VERSION.search(words):
        return WrongAddress(f"{address} does not take this api-version: {words}")
    if status == 400 and words.startswith("Invalid 'thread_id'"):
        return IdRefused(words)
    if status == 429 and "insufficient_quota" in (fields.get("code"), fields.get("type")):
        return QuotaSpent(f"the quota of this key is used up: {what}")
    wait = retry_after(headers, words)
    if status == 429:
        return RateLimited(what, may_retry=True, retry_after=wait)
    by_status = status in (408, 409) or status >= 500  # as the SDK decides, unless the server itself says
    may_retry = {"true": True, "false": False}.get(headers.get("x-should-retry", ""), by_status)
    return RequestFailed(what, may_retry=may_retry, retry_after=wait)


def _not_found(message: object, body: bytes, words: str, address: str, *, answered: bool) -> ApiError:
    if isinstance(message, str) and _NO_SUCH_THREAD.search(message):
        return ThreadMissing(words)
    if isinstance(message, str) and not message.startswith(_NO_SUCH_ROUTE):
        return RequestFailed(f"404 from {address}: {words}")
    # OpenAI answers an empty 404 since it has closed (recorded); a web page is a sunset only where the API was before.
    if not body.strip() or (answered and not body.lstrip().startswith(b"{")):
        return ApiGone(f"the Assistants API at {address} is gone: 404 without an error of its own")
    return WrongAddress(f"this address does not serve the Assistants API (any more): {address} ({words})")


def _error_object(body: bytes) -> tuple[Mapping[str, Any], bool]:
    """Return the object under ``error``, empty if there is none, and whether the body is JSON that is cut short."""
    try:
        answer = loads(body)
    except ValueError:
        return {}, body.lstrip()[:1] == b"{"
    fields = answer.get("error") if isinstance(answer, dict) else None
    return fields if isinstance(fields, dict) else {}, False


def _excerpt(body: bytes) -> str:
    text = " ".join(body[:120].decode("utf-8", "replace").split())
    return text + "…" if len(body) > 120 else text or "an empty body"


# The causes that mean that no server answers, by name, since each HTTP library has its own. A body that broke off is
# not one of them.
_NO_ANSWER = {"ConnectError", "ConnectTimeout", "ReadTimeout", "PoolTimeout"}


def _no_connection(error: Exception, address: str, _answered: bool) -> ApiError:
    cause = error.__cause__
    why = f" ({cause})" if str(cause or "") else ""
    what = f"no complete answer from {address}: {error}{why}"
    return RequestFailed(what, unreachable=type(cause).__name__ in _NO_ANSWER, may_retry=True)


def _no_access(error: Exception, address: str, _answered: bool) -> ApiError:
    return AccessRefused(f"no access to {address}: {error}")


def _failed(error: Exception, address: str, _answered: bool, *, may_retry: bool = False) -> ApiError:
    return RequestFailed(f"{type(error).__name__} at {address}: {error}", may_retry=may_retry)


_TRANSLATIONS: dict[str, Callable[[Any, str, bool], ApiError]] = {
    "APIStatusError": _by_status,
    "APIConnectionError": _no_connection,
    # The key cannot be obtained: there are two kinds, or its provider rejected a token.
    **dict.fromkeys(("OAuthError", "SubjectTokenProviderError", "MutuallyExclusiveAuthError"), _no_access),
    # The SDK does not map these of its HTTP library: a body that breaks off.
    **dict.fromkeys(("HTTPError", "OSError"), partial(_failed, may_retry=True)),
    # Such as an id that no URL can carry.
    "Exception": _failed,
}
"""What becomes of an exception, by the name of its class: that of no major version has all of them."""
