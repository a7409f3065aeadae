"""A port over HTTP: sends requests to a real server, for the conformance suite.

It uses the standard library's client, which does not change requests or answers.
"""

import http.client
import ssl
import time
from collections.abc import Callable, Iterator
from urllib.parse import urlencode, urlsplit

from fake_assistants.conformance.expectations import Unreachable
from fake_assistants.http.message import Chunk, Cut, Reply, Request

# The maximum size of a read from a stream, in bytes.
_PIECE = 64 * 1024

_Connection = http.client.HTTPConnection


class HttpPort:
    """Sends requests to the server of a base URL such as `http://127.0.0.1:8000/v1`.

    `timeout` is in seconds, for each wait.
    """

    def __init__(self, base_url: str, *, timeout: float = 30.0) -> None:
        self.base_url = base_url
        parts = urlsplit(base_url)
        self._is_tls = parts.scheme == "https"
        self._host, self._port = parts.hostname or "", parts.port
        self._timeout = timeout

    def send(self, request: Request) -> Reply:
        """Return the server's answer. The chunks of a stream are read as they are taken. Raises Unreachable."""
        connection = self._connection()
        try:
            return _reply(connection, request)
        except (OSError, http.client.HTTPException, ValueError) as error:
            connection.close()
            raise Unreachable(f"{request.method} {request.path}: {_message(error)}") from None

    def _connection(self) -> _Connection:
        if self._is_tls:
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(self._host, self._port, timeout=self._timeout, context=context)
        return _Connection(self._host, self._port, timeout=self._timeout)


def _message(error: Exception) -> str:
    """Return an error's message in one line: it may quote bytes of a server that does not speak HTTP."""
    text = str(error) or type(error).__name__
    return text if text.isprintable() else repr(text)


def _reply(connection: _Connection, request: Request) -> Reply:
    query = f"?{urlencode(request.query)}" if request.query else ""
    body = request.body if request.body or request.method == "POST" else None
    headers = {**request.headers, "connection": "close"}
    connection.request(request.method, request.path + query, body=body, headers=headers)
    answer = connection.getresponse()
    pairs = tuple((name.lower(), value) for name, value in answer.getheaders())
    if (answer.getheader("content-type") or "").startswith("text/event-stream"):
        return Reply(answer.status, pairs, chunks=_chunks(connection, answer))
    content = answer.read()
    connection.close()
    return Reply(answer.status, pairs, content)


def _chunks(connection: _Connection, answer: http.client.HTTPResponse) -> Iterator[Chunk]:
    """Yield the stream as it comes; a break is a Cut."""
    try:
        while piece := answer.read1(_PIECE):
            yield piece
        if answer.length:  # a body with a length that ended before it
            yield Cut()
    except (OSError, http.client.HTTPException):
        yield Cut()
    finally:
        connection.close()


def pause(seconds: float) -> Callable[[], None]:
    """Return a function that waits between two polls."""
    return lambda: time.sleep(seconds)
