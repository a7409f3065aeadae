"""Server-sent events, as recorded: a name, compact JSON in raw UTF-8, no ids, no comments."""

from fake_assistants.http.lossless_json import dumps_compact

DONE = b"event: done\ndata: [DONE]\n\n"

CONTENT_TYPE = "text/event-stream; charset=utf-8"


def event(name: str, data: object) -> bytes:
    """One named event."""
    return b"event: %b\ndata: %b\n\n" % (name.encode(), dumps_compact(data))


def data(value: object) -> bytes:
    """One event without a name, as chat completions stream."""
    return b"data: %b\n\n" % dumps_compact(value)
