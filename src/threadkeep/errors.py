"""Everything that threadkeep raises.

A leaf stands only where a caller acts differently:

* ThreadkeepError
  - MalformedMessage      a JSON value that cannot be a message: it has no id or no thread_id
  - MalformedLine         an NDJSON line that is no export record
  - FlatRecord            a record read from a flat line, which carries no message to give back
  - UnreadableIds         the file of thread ids cannot be read as text
  - UnreadableKeys        the file of keys cannot be read, or lines of it are no keys
  - MalformedAddress      a base URL that is no HTTP address
  - OutputUnusable        the export or a file beside it cannot be opened or written
  - Interrupted           Ctrl-C, or a polite request to end
  + ApiError              what asking the API can come to
    - ThreadMissing       the API knows no such thread; the others may be fine
    - IdRefused           the API says that the id is malformed
    - ListingRefused      the API is there, and does not say which threads it has
    - BadPage             an answer that is no page, or contradicts its cursor; worth asking again
    - RequestFailed       no usable answer; it says whether asking again may help
      + RateLimited       429: everybody who asks with this key must wait
    + RunEnded            asking on is in vain: it ends the whole run
      - ApiGone           the sunset: the API answered before, or says itself that it is gone
      - WrongAddress      no Assistants API at this address (any more)
      - AccessRefused     the key or its permissions
      - QuotaSpent        429, and no waiting helps
      - ServerUnreachable no answer to anything any more

Each message says what happened and where; the command line adds what to do next.
"""

__all__ = [
    "AccessRefused",
    "ApiError",
    "ApiGone",
    "BadPage",
    "FlatRecord",
    "IdRefused",
    "Interrupted",
    "ListingRefused",
    "MalformedAddress",
    "MalformedLine",
    "MalformedMessage",
    "OutputUnusable",
    "QuotaSpent",
    "RateLimited",
    "RequestFailed",
    "RunEnded",
    "ServerUnreachable",
    "ThreadMissing",
    "ThreadkeepError",
    "UnreadableIds",
    "UnreadableKeys",
    "WrongAddress",
]


class ThreadkeepError(Exception):
    """The base of everything that threadkeep raises on purpose."""


class MalformedMessage(ThreadkeepError):
    """A JSON value that cannot be a message.

    Attributes:
        path: where in the value the trouble is, as a JSON path (``$.id``).
    """

    def __init__(self, what: str, path: str) -> None:
        super().__init__(f"{what} @ {path}")
        self.path = path


class MalformedLine(ThreadkeepError):
    """A line that is no export record.

    Attributes:
        code: the kind of trouble, the same words that ``validate`` uses for its findings.
        path: where in the line the trouble is, as a JSON path.
    """

    def __init__(self, code: str, what: str, path: str = "$") -> None:
        super().__init__(f"{what} @ {path}")
        self.code = code
        self.what = what
        self.path = path


class FlatRecord(ThreadkeepError):
    """A record that came from a flat line was asked for the message that such a line does not carry."""


class UnreadableIds(ThreadkeepError):
    """The file of thread ids is not text."""


class UnreadableKeys(ThreadkeepError):
    """The file of keys cannot be read, or lines of it are no keys. No key stands in the message."""


class MalformedAddress(ThreadkeepError):
    """The base URL is no HTTP address."""


class OutputUnusable(ThreadkeepError):
    """The export, or a file beside it, cannot be used: it exists already, or the disk refuses."""


class Interrupted(ThreadkeepError):
    """Ctrl-C, or a polite request to end."""


class ApiError(ThreadkeepError):
    """What asking the API came to, other than an answer.

    Attributes:
        status: the HTTP status, where a refusal of the server is behind it.
    """

    status: int | None = None


class ThreadMissing(ApiError):
    """The API answered 404 with its own JSON error: there is no such thread."""


class IdRefused(ApiError):
    """The API answered 400: the id is malformed."""


class ListingRefused(ApiError):
    """The server answers other routes of the API and does not list threads."""


class BadPage(ApiError):
    """A success whose body is no page of a list, contradicts its cursor, or is not of the size that a file has."""


class RequestFailed(ApiError):
    """No usable answer: the connection, a timeout, the rate limit or the server.

    Attributes:
        unreachable: True when no answer came back at all.
        again: True when asking again may help.
        retry_after: the seconds after which the server wants to be asked again; None if it did not say.
    """

    def __init__(
        self, what: str, *, unreachable: bool = False, again: bool = False, retry_after: float | None = None
    ) -> None:
        super().__init__(what)
        self.unreachable = unreachable
        self.again = again
        self.retry_after = retry_after


class RateLimited(RequestFailed):
    """429: too many requests with this key; it may be asked again."""

    def __init__(self, what: str, *, retry_after: float | None = None) -> None:
        super().__init__(what, again=True, retry_after=retry_after)


class RunEnded(ApiError):
    """Nothing more can come from this API with this key: asking on would be in vain."""


class ApiGone(RunEnded):
    """The sunset: 410, or an empty or foreign 404 from an address that has answered before."""


class WrongAddress(RunEnded):
    """The address does not serve the Assistants API (any more)."""


class AccessRefused(RunEnded):
    """401 or 403, or no key at all."""


class QuotaSpent(RunEnded):
    """429 with the code ``insufficient_quota``, or 429 to everybody however long everybody waited."""


class ServerUnreachable(RunEnded):
    """No answer came back at all, to one thread after another, or to the very first."""
