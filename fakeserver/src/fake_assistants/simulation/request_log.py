"""The request log: all requests to the API, in order, with keys masked."""

import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, overload
from urllib.parse import unquote

import attrs

from fake_assistants.http.lossless_json import MalformedJson, Obj, loads
from fake_assistants.http.message import Request
from fake_assistants.http.redaction import Mask
from fake_assistants.simulation.profiles import PROFILES

# Limits on memory, for servers that run for days. Sizes are in bytes.
MOST_ENTRIES = 100_000
MOST_BODY_BYTES = 256 * 1024 * 1024
LARGEST_BODY = 16 * 1024 * 1024

_SHOWN = 10  # requests in a message


@attrs.frozen(kw_only=True)
class Entry:
    """One request to the API and the status of its answer. Every key in it is `***`.

    Attributes:
        path: as on the wire, percent-encoded.
        query: the parameters; a list of values for a name that was given twice.
        headers: with names in lower case.
        body: the request's JSON; None if there was none, if it was not JSON (a file upload), or above 16 MiB.
        status: 0 if a fault closed the connection before any answer.
        fault: the name of an injected fault.
        executed: whether the request reached the API, which may have refused it. Where it did not, a fault was first.
        unrouted: whether no route matched: an unknown path, or a method that the path does not have.
    """

    method: str
    host: str = ""
    path: str
    query: Mapping[str, Any] = attrs.field(factory=dict)
    headers: Mapping[str, str] = attrs.field(factory=dict)
    body: Any = None
    status: int
    fault: str | None = None
    executed: bool = True
    unrouted: bool = False

    def as_dict(self) -> Obj:
        """Return the entry as plain JSON, as in the answer to `GET /_fake/requests`."""
        return {field.name: getattr(self, field.name) for field in attrs.fields(Entry)}

    def __str__(self) -> str:
        fault = "" if self.fault is None else f" ({self.fault})"
        notes = ("" if self.executed else ", not executed") + (", no route" if self.unrouted else "")
        return f"{self.method} {self.path} -> {self.status}{fault}{notes}"


class Requests(Sequence[Entry]):
    """A selection of requests, oldest first. Equal to any sequence of the same entries.

    `choice` describes the selection in messages (" to GET /threads"); `others` are all requests.
    """

    def __init__(self, entries: Sequence[Entry] = (), choice: str = "", others: Sequence[Entry] = ()) -> None:
        self._chosen = entries
        self._choice = choice
        self._others = others

    def _entries(self) -> Sequence[Entry]:
        return self._chosen

    def __len__(self) -> int:
        return len(self._entries())

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries())

    @overload
    def __getitem__(self, index: int) -> Entry: ...
    @overload
    def __getitem__(self, index: slice) -> "Requests": ...
    def __getitem__(self, index: int | slice) -> "Entry | Requests":
        """Return an entry, or a slice of them. Raises IndexError with the requests that there are."""
        entries = self._entries()
        if isinstance(index, slice):
            return Requests(entries[index], self._choice, self._others)
        try:
            return entries[index]
        except IndexError:
            raise IndexError(f"no request at [{index}]: {self.summary()}") from None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str | bytes):
            return NotImplemented
        return list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<{' '.join(self.summary().split())}>"

    def to(self, method: str, path: str) -> "Requests":
        """Return the requests with this method and path, such as `to("POST", "/threads/*/messages")`.

        In the path `*` matches one segment or a part of one, `**` any number of segments; the method `"*"` matches any.
        A profile's prefix is optional: `/threads` and `/v1/threads` find the same requests.

        Raises ValueError for a path with a query: look at the entries' `query`.
        """
        if "?" in path:
            raise ValueError(f"{path!r} has a query: choose by the path alone, and compare the `query` of the entries")
        fits = _fitting(path)
        entries = tuple(self)
        chosen = tuple(one for one in entries if method.upper() in ("*", one.method.upper()) and fits(one.path))
        return Requests(chosen, f" to {method.upper()} {path}", self._others or entries)

    def only(self) -> Entry:
        """Return the only request. Raises AssertionError, listing the requests, unless there is exactly one."""
        entries = tuple(self)
        if len(entries) != 1:
            raise AssertionError(f"expected exactly one request: {self.summary()}")
        return entries[0]

    def summary(self) -> str:
        """Return a text with the number of requests and the newest, one a line; if there are none, the others."""
        entries = tuple(self)
        head = f"{len(entries) or 'no'} request{'' if len(entries) == 1 else 's'}{self._choice}"
        if not entries and self._others:
            head += f", but {len(self._others)} other{'' if len(self._others) == 1 else 's'}"
        shown = entries or self._others
        skipped = [f"... {len(shown) - _SHOWN} more"] if len(shown) > _SHOWN else []
        return "\n  ".join([f"{head}:" if shown else head, *skipped, *map(str, shown[-_SHOWN:])])


class RequestLog(Requests):
    """The newest requests: at most 100,000, fewer if their bodies have more than 256 MiB in total."""

    def __init__(self) -> None:
        super().__init__()
        self._notes: deque[_Note] = deque()
        self._unrouted: deque[tuple[int, _Note]] = deque(maxlen=MOST_ENTRIES)  # each with its number, from 1
        self._size = 0
        self.total = 0  # all requests ever logged, including those dropped since

    def _entries(self) -> Sequence[Entry]:
        return tuple(note.entry() for note in tuple(self._notes))

    def __len__(self) -> int:
        return len(self._notes)

    @overload
    def __getitem__(self, index: int) -> Entry: ...
    @overload
    def __getitem__(self, index: slice) -> Requests: ...
    def __getitem__(self, index: int | slice) -> Entry | Requests:
        """Return an entry, or a slice of them. Raises IndexError with the requests that there are."""
        try:
            return self._notes[index].entry() if isinstance(index, int) else super().__getitem__(index)
        except IndexError:
            return super().__getitem__(index)

    def note(
        self,
        request: Request,
        status: int,
        fault: str | None = None,
        *,
        executed: bool = True,
        unrouted: bool = False,
    ) -> None:
        """Log a request. Keys are masked when an entry is read."""
        result = _Result(status, fault, executed, unrouted)
        note = _Note(_without_upload(request), result)
        self._notes.append(note)
        self.total += 1
        self._size += note.size
        if unrouted:
            self._unrouted.append((self.total, _Note(attrs.evolve(request, body=b""), result)))
        while len(self._notes) > MOST_ENTRIES or self._size > MOST_BODY_BYTES:
            self._size -= self._notes.popleft().size

    def unrouted(self, since: int = 0) -> list[Entry]:
        """Return the requests that matched no route, of those logged after the first `since`, without their bodies.

        They are here after `clear` too: a test that resets the fake must not lose them.
        """
        return [note.entry() for number, note in tuple(self._unrouted) if number > since]

    def clear(self) -> None:
        """Remove every entry, though not what `unrouted` returns."""
        self._notes.clear()
        self._size = 0


class _Result(NamedTuple):
    """What became of a request, as in `Entry`."""

    status: int
    fault: str | None
    executed: bool
    unrouted: bool


class _Note:
    """A request as it came. Its entry is made on first access, since masking takes longer than answering."""

    __slots__ = ("_entry", "_given", "size")

    def __init__(self, request: Request, result: _Result) -> None:
        self.size = len(request.body)
        self._given: tuple[Request, _Result] | None = (request, result)
        self._entry: Entry | None = None

    def entry(self) -> Entry:
        """Return the entry, the same at each call."""
        given = self._given  # read once: other threads may do the same
        if given is not None:
            self._entry = _entry(*given)
            self._given = None
        assert self._entry is not None
        return self._entry


def _entry(request: Request, result: _Result) -> Entry:
    mask = Mask(request)
    headers = mask.headers(request.headers)
    return Entry(
        method=mask.text(request.method),
        host=headers.get("host", ""),
        path=mask.text(request.path),
        query=_query(mask, request),
        headers=headers,
        body=_body(mask, request),
        **result._asdict(),
    )


def _query(mask: Mask, request: Request) -> Obj:
    query: Obj = {}
    for name, value in mask.query(request.query):
        query[name] = [*_as_list(query[name]), value] if name in query else value
    return query


def _as_list(value: str | list[str]) -> list[str]:
    return value if isinstance(value, list) else [value]


def _body(mask: Mask, request: Request) -> Any:
    try:
        return mask.json(loads(request.body)) if request.body else None
    except MalformedJson:
        return None


def _without_upload(request: Request) -> Request:
    """Drop the body of a file upload, and a body that is too large to store."""
    is_form = request.headers.get("content-type", "").startswith("multipart/")
    return attrs.evolve(request, body=b"") if is_form or len(request.body) > LARGEST_BODY else request


# --- paths ----------------------------------------------------------------------------------------------


def _fitting(pattern: str) -> Callable[[str], bool]:
    """Return a function that tests a path against a pattern. Either may have a profile's prefix."""
    patterns = [re.compile(_expression(one), re.DOTALL) for one in _spellings(f"/{pattern.lstrip('/')}")]

    def fits(path: str) -> bool:
        paths = {*_spellings(path), *map(unquote, _spellings(path))}
        return any(one.fullmatch(path) for one in patterns for path in paths)

    return fits


def _spellings(path: str) -> set[str]:
    """Return the path, and the path without the base of each profile that matches."""
    found = (base.pattern.match(path) for profile in PROFILES.values() for base in profile.bases)
    return {path, *(path[base.end() :] for base in found if base)}


_STARS = re.compile(r"(\*\*|\*)")
_MEANING = {"**": ".*", "*": "[^/]+"}


def _expression(pattern: str) -> str:
    return "".join(_MEANING.get(piece) or re.escape(piece) for piece in _STARS.split(pattern))
