"""The requests that are sent, reported one by one to a function: `watch_sent` is the one place that does it."""

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any, TypeAlias

import attrs

from threadkeep.clock import now

__all__ = ["OnSent", "SentRequest", "on_sent", "watch_sent"]

# The request's id in OpenAI's answers, and in those of Azure.
_REQUEST_IDS = ("x-request-id", "apim-request-id", "x-ms-request-id")


@attrs.frozen(kw_only=True)
class SentRequest:
    """A request, and what came of it.

    Attributes:
        method: of HTTP.
        path: of the URL, without host and query, since both may hold secrets.
        status: of the answer; None if none came.
        milliseconds: until the answer had come; of a file, until it began.
        request_id: by which the server's operators find it; None if the answer names none.
        problem: the name of the exception that came in place of an answer.
        key: the number of the key in the order of the keys, from 1.
    """

    method: str
    path: str
    status: int | None = None
    milliseconds: int
    request_id: str | None = None
    problem: str | None = None
    key: int = 1


OnSent: TypeAlias = Callable[[SentRequest], None]

on_sent: ContextVar[OnSent | None] = ContextVar("on_sent", default=None)
"""Called for each request that is sent in this context; None for nothing."""


@contextlib.contextmanager
def watch_sent(request: Any) -> Iterator[Callable[[Any], Any]]:
    """Report a request of an HTTP library when it is over. The answer must be passed through what this yields."""
    if (report := on_sent.get()) is None:
        yield lambda response: response
        return
    began, responses, problem = now(), list[Any](), None

    def take(response: Any) -> Any:
        responses.append(response)
        return response

    try:
        yield take
    except BaseException as error:
        problem = type(error).__name__
        raise
    finally:
        headers = responses[0].headers if responses else {}
        report(
            SentRequest(
                method=request.method,
                path=request.url.raw_path.decode("ascii", "replace").partition("?")[0],
                status=responses[0].status_code if responses else None,
                milliseconds=max(0, round((now() - began).total_seconds() * 1000)),
                request_id=next((headers[name] for name in _REQUEST_IDS if name in headers), None),
                problem=problem,
            )
        )
