"""The events of a stream, read to its end."""

from collections.abc import Iterable

import attrs

from fake_assistants.conformance.answer import Answer
from fake_assistants.conformance.found import Deviation, Found, shown
from fake_assistants.exchange import Cut, Pause
from fake_assistants.jsontext import MalformedJson, loads

# More than any answer of a model; a server that streams for ever is stopped here. In bytes.
_MOST = 16 * 1024 * 1024


@attrs.frozen
class Event:
    """One event. `data` is JSON text, or a word such as `[DONE]`."""

    name: str
    text: str
    asked: str

    @property
    def data(self) -> Found:
        """The event's JSON. Raises Deviation."""
        try:
            return Found(loads(self.text.encode()), self.asked, f"({self.name or 'event'}) $")
        except MalformedJson:
            raise Deviation(self.asked, f"JSON in the event {self.name}", shown(self.text.encode())) from None


def wire(answer: Answer) -> bytes:
    """The bytes of a stream, read to its end. Raises Deviation for a stream that breaks or does not end."""
    read: list[bytes] = []
    size = 0
    for chunk in (answer.body,) if answer.reply.chunks is None else answer.reply.chunks:
        if isinstance(chunk, Cut):
            raise Deviation(answer.asked, "a stream with a proper end", f"a break after {size} bytes")
        if isinstance(chunk, Pause):
            continue
        read.append(chunk)
        size += len(chunk)
        if size > _MOST:
            raise Deviation(answer.asked, "a stream that ends", f"more than {_MOST} bytes")
    return b"".join(read)


def events(answer: Answer) -> list[Event]:
    """The events of a 200, in their order. Raises Deviation."""
    if answer.status != 200:
        raise answer.deviates("status 200")
    blocks = wire(answer).decode("utf-8", "replace").replace("\r\n", "\n").split("\n\n")
    return [_event(block, answer.asked) for block in blocks if block.strip("\n")]


def _event(block: str, asked: str) -> Event:
    fields = [line.partition(":") for line in block.split("\n")]
    return Event(_joined(fields, "event"), _joined(fields, "data"), asked)


def _joined(fields: Iterable[tuple[str, str, str]], wanted: str) -> str:
    return "\n".join(value.removeprefix(" ") for name, _, value in fields if name == wanted)
