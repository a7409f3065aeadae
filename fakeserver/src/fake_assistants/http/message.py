"""One exchange: a request in, a reply out. Bytes and text only, no library's own types."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl

import attrs

from fake_assistants.http.lossless_json import loads

Pairs = tuple[tuple[str, str], ...]

# Below this path is the control API; everything else is the API that is faked.
CONTROL_PREFIX = "/_fake/"

# Scheme and host of an absolute target (RFC 9112, 3.2.2).
_ABSOLUTE = re.compile(r"https?://[^/]*", re.IGNORECASE)


def _pairs(given: Mapping[str, str] | Iterable[tuple[str, str]]) -> Pairs:
    return tuple(given.items() if isinstance(given, Mapping) else given)


def _lowered(given: Mapping[str, str] | Iterable[tuple[str, str]]) -> dict[str, str]:
    """Header names in lower case; a repeated header is joined with commas, as RFC 9110 allows."""
    headers: dict[str, str] = {}
    for name, value in _pairs(given):
        key = name.lower()
        headers[key] = f"{headers[key]}, {value}" if key in headers else value
    return headers


@attrs.frozen
class Request:
    """What a client asks. `path` is as on the wire, percent-encoded and without the query.

    `query` and `headers` may be given as mappings or as pairs. Header names are kept in lower case.
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
        """A request from a wire target such as `/v1/threads/thread_1/messages?limit=2`.

        An absolute target, as proxies send it (`http://host/v1/threads`), stands for its path.
        """
        path, _, query = target.partition("?")
        absolute = _ABSOLUTE.match(path)
        path = (path[absolute.end() :] or "/") if absolute else path
        return cls(method, path, parse_qsl(query, keep_blank_values=True), headers, body)

    def asked(self, name: str) -> str | None:
        """The value of a query parameter; the last one when it is repeated, None when it is absent."""
        return dict(self.query).get(name)

    def asked_all(self, name: str) -> tuple[str, ...]:
        """Every value of a repeated query parameter, such as `include[]`."""
        return tuple(value for key, value in self.query if key == name)


@attrs.frozen
class Pause:
    """In a stream: so many seconds pass before the next chunk."""

    seconds: float


@attrs.frozen
class Cut:
    """In a stream: here the connection breaks, and the client sees no proper end."""


Chunk = bytes | Pause | Cut


@attrs.frozen
class Reply:
    """What the fake answers. Skins add `content-length` (streams have none) and nothing else.

    `chunks` is a stream in place of the body; whoever takes from it moves the database on. After `delay` seconds
    the answer begins, or, with `hang_up`, the connection is closed without any. `unrouted` is for the request log: no
    route took the request. It is not told to the client.
    """

    status: int
    headers: Pairs = attrs.field(default=(), converter=_pairs)
    body: bytes = b""
    chunks: Iterator[Chunk] | None = None
    delay: float = attrs.field(default=0.0, kw_only=True)
    hang_up: bool = attrs.field(default=False, kw_only=True)
    unrouted: bool = attrs.field(default=False, kw_only=True)

    def header(self, name: str) -> str | None:
        """The value of one header, by its lower-case name."""
        return dict(self.headers).get(name)

    def json(self) -> Any:
        """The body as JSON. Raises MalformedJson (a ValueError) when it is not."""
        return loads(self.body)
