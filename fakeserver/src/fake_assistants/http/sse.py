"""Encode server-sent events, as recorded: a name, compact JSON in raw UTF-8, no ids, no comments."""

from fake_assistants.http.lossless_json import dumps_compact

DONE = b"event: done\ndata: [DONE]\n\n"

CONTENT_TYPE = "text/event-stream; charset=utf-8"


def event(name: str, data: object) -> bytes:
    """Encode an event with a name."""
    return b"event: %b\ndata: %b\n\n" % (name.encode(), dumps_compact(data))


def data(value: object) -> bytes:
    """Encode an event without a name, as chat completions are streamed."""
    return b"data: %b\n\n" % dumps_compact(value)
