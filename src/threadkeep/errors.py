"""Everything that threadkeep raises on purpose. There is a class for each case in which a caller acts differently.

* ThreadkeepError
  - MalformedMessage      a JSON value that cannot be a message: it has no id or no thread_id
  - MalformedLine         an NDJSON line that is not an export record
  - FlatRecord            a record read from a flat line, which does not carry the message
  - UnreadableIds         a list of thread ids that cannot be read as text
  - UnreadableKeys        a file of keys that cannot be read, or that has malformed lines
  - MalformedAddress      a base URL that is not an HTTP address
  - ExtraMissing          a library is not installed that a call needs, such as one of an extra
  + OutputUnusable        the export or one of its files cannot be opened or written
    - OtherExport         the export was begun as another one: address, assistant, what it saves
  + HistoryUnusable       a chat history cannot be opened, read or written
    - HistoryDamaged      a chat history is damaged; nothing of it was deleted
  - Interrupted           Ctrl-C or SIGTERM
  + ApiError              a request without a usable answer
    - ThreadMissing       the API knows no such thread; others may be fine
    - IdRefused           the API rejects the id as malformed
    - ListingRefused      the API does not list its threads
    - BadPage             an answer that is not a page, or contradicts its cursor; a retry may help
    - RequestFailed       any other failure; it says whether a retry may help
      + RateLimited       429: every request with this key must wait
    + RunEnded            no further request can succeed: it ends the run
      - ApiGone           the sunset: the API answered before, or says itself that it is gone
      - WrongAddress      no such API at this address
      - AccessRefused     the key or its permissions are rejected
      - QuotaSpent        429, and waiting does not help
      - ServerUnreachable no answer to any request any more, or no way to send one

Each message says what happened and where. The command line adds what to do next.
"""

__all__ = [
    "AccessRefused",
    "ApiError",
    "ApiGone",
    "BadPage",
    "ExtraMissing",
    "FlatRecord",
    "HistoryDamaged",
    "HistoryUnusable",
    "IdRefused",
    "Interrupted",
    "ListingRefused",
    "MalformedAddress",
    "MalformedLine",
    "MalformedMessage",
    "OtherExport",
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
    """The base class."""


class MalformedMessage(ThreadkeepError):
    """A JSON value that cannot be a message. ``path`` is the JSON path of the fault (``$.id``)."""

    def __init__(self, what: str, path: str) -> None:
        super().__init__(f"{what} @ {path}")
        self.path = path


class MalformedLine(ThreadkeepError):
    """A line that is not an export record.

    Attributes:
        code: the kind of fault, in the words of ``validate``.
        what: the fault, without its path.
        path: the JSON path of the fault in the line.
    """

    def __init__(self, code: str, what: str, path: str = "$") -> None:
        super().__init__(f"{what} @ {path}")
        self.code = code
        self.what = what
        self.path = path


class FlatRecord(ThreadkeepError):
    """A record of a flat line, used where the message is needed that such a line does not carry."""


class UnreadableIds(ThreadkeepError):
    """The list of thread ids cannot be read as text."""


class UnreadableKeys(ThreadkeepError):
    """The file of keys cannot be read, or has malformed lines. The message never shows a key."""


class MalformedAddress(ThreadkeepError):
    """The base URL is not an HTTP address."""


class ExtraMissing(ThreadkeepError):
    """A library is not installed that a call needs, such as one of an extra. The message has the command for it."""


class OutputUnusable(ThreadkeepError):
    """The export or one of its files cannot be used: it exists already, or the disk reports an error."""


class OtherExport(OutputUnusable):
    """The export was begun as another one: from another address, for another assistant, or to save something else."""


class HistoryUnusable(ThreadkeepError):
    """A chat history cannot be opened, read or written: the disk or the server refuses, or it is something else."""


class HistoryDamaged(HistoryUnusable):
    """A chat history is damaged. Nothing of it was deleted.

    Attributes:
        place: where the damaged history is now: the file that it was moved to, or the URL of the database, for
            `threadkeep.recover`.
        recoverable: how many items `threadkeep.recover` returns for it.
    """

    def __init__(self, what: str, *, place: str, recoverable: int) -> None:
        super().__init__(what)
        self.place = place
        self.recoverable = recoverable


class Interrupted(ThreadkeepError):
    """Ctrl-C or SIGTERM."""


class ApiError(ThreadkeepError):
    """A request without a usable answer.

    Attributes:
        quoted: the server's words, until `threadkeep.api.secrets` puts it into the message: the message of an error
            as a str, any other body as bytes.
        status: the HTTP status of the answer, if there was one.
        unreachable: no answer came at all.
        may_retry: a retry may help.
        retry_after: the seconds that the server asks to wait before a retry; None if it does not say.
        code: the code that the server gives the error, or the type; None if it gives neither.
        was_sent: the request may have reached the server.
        unconfirmed: it was to change something there, and may have done so.
    """

    def __init__(self, what: str, *, quoted: str | bytes = "") -> None:
        super().__init__(what)
        self.quoted = quoted

    status: int | None = None
    unreachable: bool = False
    may_retry: bool = False
    retry_after: float | None = None
    code: str | None = None
    was_sent: bool = True
    unconfirmed: bool = False


class ThreadMissing(ApiError):
    """404 with the API's own JSON error: there is no such thread."""


class IdRefused(ApiError):
    """400: the id is malformed."""


class ListingRefused(ApiError):
    """The server answers other routes of the API, but does not list threads."""


class BadPage(ApiError):
    """A success whose body is not a page, contradicts its cursor, or does not have the size of the file."""

    may_retry = True


class RequestFailed(ApiError):
    """No usable answer, because of the connection, a timeout, the rate limit or the server."""

    def __init__(
        self,
        what: str,
        *,
        quoted: str | bytes = "",
        unreachable: bool = False,
        may_retry: bool = False,
        retry_after: float | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(what, quoted=quoted)
        self.unreachable = unreachable
        self.may_retry = may_retry
        self.retry_after = retry_after
        self.code = code


class RateLimited(RequestFailed):
    """429: too many requests with this key. A retry may help."""


class RunEnded(ApiError):
    """No further request to this API with this key can succeed."""


class ApiGone(RunEnded):
    """The sunset: 410, or an empty or foreign 404 from an address that has answered before."""


class WrongAddress(RunEnded):
    """The address does not serve the API that is asked for."""


class AccessRefused(RunEnded):
    """401 or 403, or no key at all.

    Attributes:
        variables: the environment variables that may have the key or token for this address; none where the message
            says what is missing.
    """

    variables: tuple[str, ...] = ()


class QuotaSpent(RunEnded):
    """429 with a code that says so, or 429 to every request however long all of them waited."""


class ServerUnreachable(RunEnded):
    """No answer to the first request, or to one thread after another, or no connection in this environment."""
