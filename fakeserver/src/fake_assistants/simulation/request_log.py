"""The request log: the requests to the API, in order, without any key."""

from collections import deque
from collections.abc import Iterator

import attrs

from fake_assistants.http.lossless_json import Obj
from fake_assistants.http.message import Pairs, Request
from fake_assistants.http.redaction import Mask

# A server that runs for days must not grow without end.
KEPT = 100_000


@attrs.frozen
class Entry:
    """One request to the API and the status of its answer. `fault` names an injected fault, `host` the Host header.

    The status is 0 where a fault closed the connection before any answer. `unrouted` is whether no route took it: an
    unknown path, or a method that the path does not have.
    """

    method: str
    path: str
    query: Pairs
    status: int
    fault: str | None = None
    unrouted: bool = False
    host: str = attrs.field(default="", kw_only=True)

    def json(self) -> Obj:
        """The entry as the control API shows it; a query name given twice has a list of values."""
        query: Obj = {}
        for name, value in self.query:
            query[name] = [*_as_list(query[name]), value] if name in query else value
        return {
            "method": self.method,
            "path": self.path,
            "query": query,
            "status": self.status,
            "fault": self.fault,
        }


def _as_list(value: str | list[str]) -> list[str]:
    return value if isinstance(value, list) else [value]


class RequestLog:
    """The newest 100,000 entries, oldest first."""

    def __init__(self) -> None:
        self._entries: deque[Entry] = deque(maxlen=KEPT)

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(tuple(self._entries))

    def note(self, request: Request, status: int, fault: str | None = None, *, unrouted: bool = False) -> None:
        """Write a request down, with everything that could be a key masked."""
        mask = Mask(request)
        path, query, host = (
            mask.text(request.path),
            mask.query(request.query),
            mask.text(request.headers.get("host", "")),
        )
        self._entries.append(Entry(mask.text(request.method), path, query, status, fault, unrouted, host=host))

    def clear(self) -> None:
        """Forget every entry."""
        self._entries.clear()
