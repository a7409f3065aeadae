"""Answers of the server under test."""

from collections.abc import Iterable

import attrs

from fake_assistants.conformance.expectations import Deviation, Found, shown
from fake_assistants.http.lossless_json import MalformedJson, loads
from fake_assistants.http.message import Cut, Pause, Reply

ENVELOPE = ("message", "type", "param", "code")


@attrs.frozen
class Answer:
    """A reply and its request, as in "POST /v1/threads"."""

    asked: str
    reply: Reply

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.reply.status

    @property
    def body(self) -> bytes:
        """The body as received; empty for a stream, see `events`."""
        return self.reply.body

    def header(self, name: str) -> str | None:
        """Return the value of a header, by its name in any case."""
        return next((value for key, value in self.reply.headers if key.lower() == name.lower()), None)

    def has_header(self, name: str, expected: str) -> None:
        """Expect a header with exactly this value. Raises Deviation."""
        actual = self.header(name)
        if actual != expected:
            raise Deviation(self.asked, f"{name}: {expected}", f"{name}: {actual}" if actual else f"no {name}")

    def deviates(self, expected: str) -> Deviation:
        """Return the deviation that shows this complete answer."""
        return Deviation(self.asked, expected, f"{self.status} {shown(self.body)}".rstrip())

    def json(self) -> Found:
        """Parse the body as JSON. Raises Deviation."""
        try:
            return Found(loads(self.body), self.asked)
        except MalformedJson:
            raise self.deviates("a JSON body") from None

    def ok(self) -> Found:
        """Return the JSON body of a 200. Raises Deviation."""
        if self.status != 200:
            raise self.deviates("status 200")
        return self.json()

    def refused(
        self,
        status: int | tuple[int, ...],
        message: str | None = None,
        *,
        param: str | None = None,
        code: str | None = None,
        type: str = "invalid_request_error",  # noqa: A002, the envelope's own word
    ) -> None:
        """Expect an error in the envelope, with these fields. Raises Deviation.

        Without a message any text is accepted.
        """
        statuses = (status,) if isinstance(status, int) else status
        if self.status not in statuses:
            raise self.deviates(f"status {' or '.join(map(str, statuses))}{f' and {message!r}' if message else ''}")
        error = self.json()["error"]
        error["message"].text()
        error.has(**({} if message is None else {"message": message}), type=type, param=param, code=code)


# Longer than any answer of a model; an endless stream is stopped here. In bytes.
_MAX_STREAM = 16 * 1024 * 1024


@attrs.frozen
class Event:
    """One event. `data` is JSON text, or a word such as `[DONE]`."""

    name: str
    text: str
    asked: str

    @property
    def data(self) -> Found:
        """Parse the event's JSON. Raises Deviation."""
        try:
            return Found(loads(self.text.encode()), self.asked, f"({self.name or 'event'}) $")
        except MalformedJson:
            raise Deviation(self.asked, f"JSON in the event {self.name}", shown(self.text.encode())) from None


def wire(answer: Answer) -> bytes:
    """Read a stream to its end, and return its bytes. Raises Deviation if it breaks or does not end."""
    read: list[bytes] = []
    size = 0
    for chunk in (answer.body,) if answer.reply.chunks is None else answer.reply.chunks:
        if isinstance(chunk, Cut):
            raise Deviation(answer.asked, "a stream with a proper end", f"a break after {size} bytes")
        if isinstance(chunk, Pause):
            continue
        read.append(chunk)
        size += len(chunk)
        if size > _MAX_STREAM:
            raise Deviation(answer.asked, "a stream that ends", f"more than {_MAX_STREAM} bytes")
    return b"".join(read)


def events(answer: Answer) -> list[Event]:
    """Return the events of a 200, in order. Raises Deviation."""
    if answer.status != 200:
        raise answer.deviates("status 200")
    blocks = wire(answer).decode("utf-8", "replace").replace("\r\n", "\n").split("\n\n")
    return [_event(block, answer.asked) for block in blocks if block.strip("\n")]


def _event(block: str, asked: str) -> Event:
    fields = [line.partition(":") for line in block.split("\n")]
    return Event(_joined(fields, "event"), _joined(fields, "data"), asked)


def _joined(fields: Iterable[tuple[str, str, str]], expected: str) -> str:
    return "\n".join(value.removeprefix(" ") for name, _, value in fields if name == expected)
