"""Kinds of damage to a single line of an export, and the finding that each must have: a table for `test_mutations`.

Each kind is pure: from a line and a `random.Random` to the damaged line, the code and the path.
"""

import random
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from threadkeep.serialization.lossless_json import dumps, loads

__all__ = ["LINES", "LineKind", "edited"]

Damaged = tuple[bytes, str, str | None]
Mutate = Callable[[bytes, random.Random], Damaged]
Fits = Callable[[dict[str, Any]], bool]


@attrs.frozen
class LineKind:
    """One kind of damage to one line.

    Attributes:
        mutate: damages the line.
        base: which export: full, flat, or None for either.
        fits: whether a line, parsed, can be damaged so.
        is_inner: the line must not be its thread's first, since the damage takes the thread's id away, or moves lines.
        is_quiet: only digests differ: a forger who recomputes them is not found out.
    """

    mutate: Mutate
    base: str | None = None
    fits: Fits = lambda _value: True
    is_inner: bool = False
    is_quiet: bool = False


def edited(line: bytes, change: Callable[[dict[str, Any]], object]) -> bytes:
    """The line with its value changed in place, or with the value that the change gives."""
    value = loads(line)
    given = change(value)
    return dumps(value if given is None else given) + b"\n"


def _bytes(code: str, change: Callable[[bytes, random.Random], bytes], path: str | None = "$") -> Mutate:
    return lambda line, draw: (change(line, draw), code, path)


def _value(code: str, path: str, change: Callable[[dict[str, Any]], object]) -> Mutate:
    return lambda line, _draw: (edited(line, change), code, path)


def _set(code: str, path: str, value: object) -> Mutate:
    """Put a value at a path of plain keys."""
    *steps, last = path.removeprefix("$.").split(".")

    def change(row: dict[str, Any]) -> None:
        for step in steps:
            row = row[step]
        row[last] = value

    return _value(code, path, change)


def _inserted(found: bytes, put: bytes) -> Callable[[bytes, random.Random], bytes]:
    """Put bytes behind the first place where others stand, which they must."""

    def change(line: bytes, _draw: random.Random) -> bytes:
        assert found in line
        return line.replace(found, found + put, 1)

    return change


def _cut(line: bytes, draw: random.Random) -> bytes:
    return line[: draw.randrange(60, len(line) - 2)] + b"\n"


def _swapped(line: bytes, draw: random.Random) -> bytes:
    value = loads(line)
    keys = list(value)
    while keys == list(value):
        draw.shuffle(keys)
    return dumps({key: value[key] for key in keys}) + b"\n"


def _two_texts(value: dict[str, Any]) -> bool:
    return len([part for part in value["message"]["content"] if part["type"] == "text"]) == 2


def _has_text(value: dict[str, Any]) -> bool:
    content = value["message"]["content"]
    return bool(content) and content[0]["type"] == "text" and bool(content[0]["text"]["value"])


def _texts_changed(value: dict[str, Any]) -> None:
    """In the part and next to it: nothing in the line contradicts the other."""
    value["message"]["content"][0]["text"]["value"] += "!"
    value["text"] = "\n".join(part["text"]["value"] for part in value["message"]["content"] if part["type"] == "text")


def _has_number(number: float) -> Fits:
    """Whether the message has this number, of this type and sign."""
    return lambda value: repr(value["message"].get("x_number")) == repr(number)


def _quiet(change: Callable[[bytes], bytes], base: str | None = None, fits: Fits = lambda _value: True) -> LineKind:
    return LineKind(_bytes("digest_mismatch", lambda line, _: change(line), None), base, fits, is_quiet=True)


_BEYOND = 10**30

_WRONG: Mapping[str, tuple[object, ...]] = {
    "thread_id": (5, "", None),
    "assistant_id": ("", ["asst"]),
    "message_id": ([], "", False),
    "role": (1, {}),
    "text": (None, 7, ["text"]),
    "created_at": ("1760000000", 1.5, True, 1_760_000_000.0),
}

_NO_MESSAGES: tuple[object, ...] = (None, [], "message", 3, {})

LINES: dict[str, LineKind] = {
    # The bytes
    "a byte that begins no character": LineKind(_bytes("not_utf8", _inserted(b'"text":"', b"\xff"))),
    "an overlong byte": LineKind(_bytes("not_utf8", _inserted(b'"text":"', b"\xc0\xaf"))),
    "a surrogate in bytes": LineKind(_bytes("not_utf8", _inserted(b'"text":"', b"\xed\xa0\xbd"))),
    "half a character": LineKind(_bytes("not_utf8", _inserted(b'"text":"', b"\xf0\x9f\x8c"))),
    "crlf": LineKind(_bytes("crlf", lambda line, _: line[:-1] + b"\r\n")),
    "blanks for a line": LineKind(_bytes("blank_line", lambda _, draw: b" " * draw.randrange(9) + b"\n"), None),
    "cut": LineKind(_bytes("malformed_line", _cut)),
    "no last brace": LineKind(_bytes("malformed_line", lambda line, _: line[:-2] + b"\n")),
    "a comma too much": LineKind(_bytes("malformed_line", lambda line, _: line[:-2] + b",}\n")),
    "quotes of another kind": LineKind(_bytes("malformed_line", lambda line, _: line.replace(b'"role"', b"'role'"))),
    "a raw tab": LineKind(_bytes("malformed_line", _inserted(b'"text":"', b"\t"))),
    "zeros for bytes": LineKind(_bytes("malformed_line", lambda line, _: line[:60] + bytes(len(line) - 61) + b"\n")),
    "something behind it": LineKind(_bytes("malformed_line", lambda line, _: line[:-1] + b" {}\n")),
    "an escape that is none": LineKind(_bytes("malformed_line", _inserted(b'"text":"', b"\\x41"))),
    "too deep": LineKind(_bytes("malformed_line", _inserted(b'"message":', b"[" * 5000 + b"]" * 5000 + b",")), "full"),
    # Keys that are twice, numbers that are none
    "a key twice": LineKind(_bytes("duplicate_key", _inserted(b"{", b'"role":"user",'), "$.role")),
    "a key twice, one behind a blank": LineKind(_bytes("duplicate_key", _inserted(b"{", b'"role" :1,'), "$.role")),
    "a key twice, one escaped": LineKind(_bytes("duplicate_key", _inserted(b"{", b'"\\u0072ole":"x",'), "$.role")),
    "the message twice": LineKind(_bytes("duplicate_key", _inserted(b"{", b'"message":{},'), "$.message"), "full"),
    "a key of the message twice": LineKind(
        _bytes("duplicate_key", _inserted(b'"message":{', b'"role":"user",'), "$.message.role"), "full"
    ),
    "a key of metadata twice": LineKind(
        _bytes("duplicate_key", _inserted(b'"metadata":{', b'"a:b":"",'), '$.message.metadata["a:b"]'), "full"
    ),
    "a key of a text part twice": LineKind(
        _bytes("duplicate_key", _inserted(b'"text":{', b'"value":":",'), "$.message.content[0].text.value"),
        "full",
        lambda value: _has_text(value),
    ),
    **{
        f"{word} for a number": LineKind(
            _bytes("not_finite", _inserted(b'"message":{', b'"x":[1,%s],' % word.encode()), "$.message.x[1]"), "full"
        )
        for word in ("NaN", "Infinity", "-Infinity", "1e400", "-2.5E+999")
    },
    "a time that is infinite": LineKind(
        lambda line, _: (line.replace(b'"created_at":', b'"created_at":1e999,"x":', 1), "not_finite", "$.created_at")
    ),
    # Records
    **{
        f"{text.decode()} for a line": LineKind(
            _bytes("not_an_object", lambda _line, _draw, text=text: text + b"\n"),  # type: ignore[misc]
            is_inner=True,
        )
        for text in (b"[]", b"3", b"null", b'"thread"', b"true")
    },
    **{
        f"no {key}": LineKind(_value("missing_key", f"$.{key}", lambda row, key=key: row.pop(key) and None))  # type: ignore[misc]
        for key in ("assistant_id", "message_id", "role", "created_at")
    },
    "no thread_id": LineKind(_value("missing_key", "$.thread_id", lambda row: row.pop("thread_id") and None), "full"),
    "no text": LineKind(_value("missing_key", "$.text", lambda row: row.pop("text") and None)),
    **{
        f"{value!r} for {key}": LineKind(
            _set("wrong_type", f"$.{key}", value), "full" if key == "thread_id" else None, is_inner=True
        )
        for key, values in _WRONG.items()
        for value in values
    },
    "a key of somebody else": LineKind(_set("unknown_key", "$.extra", 1)),
    "a key with a blank": LineKind(_value("unknown_key", '$["a b"]', lambda row: row.update({"a b": 1}))),
    "an empty key": LineKind(_value("unknown_key", '$[""]', lambda row: row.update({"": None}))),
    **{
        f"{value!r} for a message": LineKind(_set("malformed_message", "$.message", value), "full")
        for value in _NO_MESSAGES
    },
    **{
        f"a message without {key}": LineKind(
            _value("malformed_message", "$.message", lambda row, key=key: row["message"].pop(key) and None),  # type: ignore[misc]
            "full",
        )
        for key in ("id", "thread_id")
    },
    # The keys next to the message
    "another text": LineKind(_set("text_mismatch", "$.text", "something else"), "full"),
    "a blank more in the text": LineKind(
        _value("text_mismatch", "$.text", lambda r: r.update(text=r["text"] + " ")), "full"
    ),
    "another text in a part": LineKind(
        _value(
            "text_mismatch",
            "$.text",
            lambda row: row["message"]["content"][0]["text"].update(value="something else"),
        ),
        "full",
        _has_text,
    ),
    "parts in another order": LineKind(
        _value("text_mismatch", "$.text", lambda row: row["message"]["content"].reverse()), "full", _two_texts
    ),
    "a part lost": LineKind(
        _value("text_mismatch", "$.text", lambda row: row["message"]["content"].pop() and None), "full", _two_texts
    ),
    "content lost": LineKind(
        _value("text_mismatch", "$.text", lambda row: row["message"].pop("content") and None), "full", _has_text
    ),
    "another role": LineKind(_set("key_mismatch", "$.role", "system"), "full"),
    "another role in the message": LineKind(
        _value("key_mismatch", "$.role", lambda row: row["message"].update(role=None)), "full"
    ),
    "another time": LineKind(
        _value("key_mismatch", "$.created_at", lambda row: row.update(created_at=row["created_at"] + 1)), "full"
    ),
    "another id": LineKind(_set("key_mismatch", "$.message_id", "msg_other"), "full"),
    "another id in the message": LineKind(
        _value("key_mismatch", "$.message_id", lambda row: row["message"].update(id="msg_other")), "full"
    ),
    "a message of another thread": LineKind(
        _value("foreign_message", "$.message.thread_id", lambda row: row["message"].update(thread_id="thread_x")),
        "full",
    ),
    "a line that says another thread": LineKind(
        _value("foreign_message", "$.message.thread_id", lambda row: row.update(thread_id="thread_x")),
        "full",
        is_inner=True,
    ),
    # Lines against each other
    "another assistant's": LineKind(_set("mixed_assistants", "$.assistant_id", "asst_other"), is_inner=True),
    "no assistant's": LineKind(_set("mixed_assistants", "$.assistant_id", None), is_inner=True),
    "a flat line": LineKind(
        _value("mixed_formats", "$.message", lambda row: row.pop("message") and None), "full", is_inner=True
    ),
    # Only digests differ
    "another text throughout": _quiet(lambda line: edited(line, _texts_changed), "full", _has_text),
    "another text, flat": _quiet(lambda line: line.replace(b'"text":"', b'"text":"Not: ', 1), "flat"),
    "another time, flat": _quiet(
        lambda line: edited(line, lambda row: row.update(created_at=row["created_at"] - 1)), "flat"
    ),
    "keys in another order": LineKind(_bytes("digest_mismatch", _swapped, None), is_quiet=True),
    "a blank between": _quiet(lambda line: line.replace(b'","', b'", "', 1)),
    "a blank at the end": _quiet(lambda line: line[:-1] + b" \n"),
    "an escape for a letter": _quiet(lambda line: line.replace(b'"role":', b'"\\u0072ole":', 1)),
    "half of another pair": _quiet(
        lambda line: line.replace(b"\\ud83d", b"\\ud83e"), fits=lambda value: "\ud83d" in value["text"]
    ),
    "a big number off by one": _quiet(
        lambda line: line.replace(b"%d" % _BEYOND, b"%d" % (_BEYOND + 1)), "full", _has_number(_BEYOND)
    ),
    "a big number as a double": _quiet(
        lambda line: line.replace(b"%d" % _BEYOND, b"1e30"), "full", _has_number(_BEYOND)
    ),
    "a whole number as a double": _quiet(
        lambda line: line.replace(b'"x_number":1}', b'"x_number":1.0}'), "full", _has_number(1)
    ),
    "a sign of nothing": _quiet(
        lambda line: line.replace(b'"x_number":-0.0}', b'"x_number":0.0}'), "full", _has_number(-0.0)
    ),
    "other metadata": _quiet(
        lambda line: edited(line, lambda row: row["message"]["metadata"].update(more="1")), "full"
    ),
    "metadata lost": _quiet(lambda line: edited(line, lambda row: row["message"].pop("metadata") and None), "full"),
    "an unknown part lost": _quiet(
        lambda line: edited(line, lambda row: row["message"]["content"].pop() and None),
        "full",
        lambda value: any(part["type"] == "hologram" for part in value["message"]["content"]),
    ),
    "a raw line separator for another": _quiet(
        lambda line: line.replace("\u2028".encode(), "\u2029".encode()), fits=lambda value: "\u2028" in value["text"]
    ),
}
"""By name."""
