"""Requests and replies, as bytes and text: independent of any HTTP library."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl

import attrs

from fake_assistants.http.lossless_json import loads

Pairs = tuple[tuple[str, str], ...]

# Paths with this prefix are the control API; all others are the API that is faked.
CONTROL_PREFIX = "/_fake/"

# Scheme and host of an absolute target (RFC 9112, 3.2.2).
_ABSOLUTE = re.compile(r"https?://[^/]*", re.IGNORECASE)


def _pairs(given: Mapping[str, str] | Iterable[tuple[str, str]]) -> Pairs:
    return tuple(given.items() if isinstance(given, Mapping) else given)


def _lowered(given: Mapping[str, str] | Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return headers with names in lower case; a repeated header is joined with commas, as RFC 9110 allows."""
    headers: dict[str, str] = {}
    for name, value in _pairs(given):
        key = name.lower()
        headers[key] = f"{headers[key]}, {value}" if key in headers else value
    return headers


@attrs.frozen
class Request:
    """A client's request. `path` is as on the wire: percent-encoded, without the query.

    `query` and `headers` may be given as mappings or as pairs. Header names are stored in lower case.
    """

    method: str
    path: str
    query: Pairs = attrs.field(default=(), converter=_pairs)
    headers: Mapping[str, str] = attrs.field(default=(), converter=_lowered)
    body: bytes = b""

    @classmethod
    def of(
        cls,
        method: str,
        target: str,
        headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        body: bytes = b"",
    ) -> "Request":
        """Return a request for a wire target such as `/v1/threads/thread_1/messages?limit=2`.

        Of an absolute target, as proxies send it (`http://host/v1/threads`), the path is used.
        """
        path, _, query = target.partition("?")
        absolute = _ABSOLUTE.match(path)
        path = (path[absolute.end() :] or "/") if absolute else path
        return cls(method, path, parse_qsl(query, keep_blank_values=True), headers, body)

    @property
    def user_identity(self) -> str:
        """The end user on whose behalf a service of Microsoft is asked, "" for none.

        Documented: the header `x-ms-user-identity`, earlier called `x-ms-user-isolation-key`.
        """
        given = (self.headers.get(name, "").strip() for name in ("x-ms-user-identity", "x-ms-user-isolation-key"))
        return next(filter(None, given), "")

    def asked(self, name: str) -> str | None:
        """Return the value of a query parameter; the last one if it is repeated, None if it is absent."""
        return dict(self.query).get(name)

    def asked_all(self, name: str) -> tuple[str, ...]:
        """Return every value of a repeated query parameter, such as `include[]`."""
        return tuple(value for key, value in self.query if key == name)


@attrs.frozen
class Pause:
    """In a stream: wait this many seconds before the next chunk."""

    seconds: float


@attrs.frozen
class Cut:
    """In a stream: break the connection here, without a proper end."""


Chunk = bytes | Pause | Cut


@attrs.frozen
class Reply:
    """The fake's answer to a request. Adapters add `content-length` (not to streams) and nothing else.

    Attributes:
        chunks: a stream in place of the body. Taking a chunk may change the database.
        delay: seconds before the answer begins.
        hang_up: after the delay, close the connection without an answer.
        unrouted: no route matched the request. For the request log only; it is not sent.
    """

    status: int
    headers: Pairs = attrs.field(default=(), converter=_pairs)
    body: bytes = b""
    chunks: Iterator[Chunk] | None = None
    delay: float = attrs.field(default=0.0, kw_only=True)
    hang_up: bool = attrs.field(default=False, kw_only=True)
    unrouted: bool = attrs.field(default=False, kw_only=True)

    def header(self, name: str) -> str | None:
        """Return the value of a header, by its lower-case name."""
        return dict(self.headers).get(name)

    def json(self) -> Any:
        """Parse the body as JSON. Raises MalformedJson (a ValueError)."""
        return loads(self.body)
