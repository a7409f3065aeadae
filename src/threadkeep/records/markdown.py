"""A thread as a Markdown page that people read, and that gives back every message as it was. No I/O.

A page has front matter, whose rows are ``key: JSON``, and the messages. What is read back are comments,
``<!-- WORD JSON -->``, and quotes, whose lines begin with ``>``; every other line is for people only. A text is always
a quote, so that nothing in it can be taken for anything of the page, to a program or to a person.

``message``
    A message as the API gave it. Fields with their usual value are left out (`_USUAL`). A content that is a list is
    empty here, and its parts follow; a content that is a string is empty here, and its quote follows.
``message-as-it-is``
    The same of a message that has other fields than usual, or in another order: none is left out.
``part``
    A part of a content. Its text is empty here, and its quote follows. A quote without such a comment is a text part
    that has nothing but its text.
``flat``
    A message from a flat line; its text is the quote that follows.
``assistant``
    The assistant that the messages from here on were exported for, where it is not that of the page.
``end``
    How many messages the page has. Without it, the page was cut off.

A character that cannot be seen, or that no text file can hold, is written as ``&#x00000D;`` in a quote, with six
digits, and as ``\\u000d`` in JSON.
"""

import contextlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote as quote_url

import attrs

from threadkeep.errors import MalformedLine, MalformedMessage
from threadkeep.records.mapping import from_plain_json
from threadkeep.records.model import (
    ImageFilePart,
    ImageUrlPart,
    MessageRecord,
    Part,
    RefusalPart,
    TextPart,
    UnknownPart,
)
from threadkeep.records.ndjson import decode
from threadkeep.serialization.lossless_json import dumps, loads

__all__ = [
    "Page",
    "PageWriter",
    "contents_end",
    "contents_head",
    "contents_line",
    "in_line",
    "moment_of",
    "read_contents",
    "read_head",
    "read_messages",
]

_PAGE, _CONTENTS = "threadkeep-markdown/1", "threadkeep-markdown-contents/1"

# What cannot be seen, turns other text round, or cannot be encoded. Tabs stay; newlines end the lines of a quote.
_HIDDEN = r"\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff"
# A page that shows Markdown shows this as "&#x00202E;": the character itself would turn round what is next to it.
_TO_ESCAPE = re.compile(rf"[{_HIDDEN}]|&(?=amp;#x[0-9A-F]{{6}};)")
_ESCAPED = re.compile(r"&amp;#x([0-9A-F]{6});")
# In JSON these are in strings only. "--" and ">" could end a comment.
_JSON_TO_ESCAPE = re.compile(rf"[{_HIDDEN}<>]|--")
_MARKS = re.compile(r"([\\`*_{}\[\]<>()#!|~&$])")

_COMMENT = re.compile(r"<!-- (message|message-as-it-is|part|flat|assistant|end) (.*) -->")
_ENTRY = re.compile(r"- \[([A-Za-z0-9._~-]+)\]\(\1\.md\)")
_URL_SAFE = ":/?#[]@!$&'*+,;=%~-._"

_USUAL: Mapping[str, Any] = {
    "id": ...,
    "object": "thread.message",
    "created_at": ...,
    "assistant_id": None,
    "thread_id": ...,
    "run_id": None,
    "role": ...,
    "content": [],
    "attachments": [],
    "metadata": {},
}
_USUAL_PART = {"type": "text", "text": {"value": "", "annotations": []}}


@attrs.frozen(kw_only=True)
class Page:
    """The front matter of a page.

    Attributes:
        assistant_id: the assistant that the thread was exported for.
        thread: the thread object as the API gave it; None where it was not saved.
        files: the names of files in the folder ``files`` next to the page, by their ids.
    """

    thread_id: str
    assistant_id: str | None
    thread: Mapping[str, Any] | None = None
    files: Mapping[str, str] = attrs.field(factory=dict)


# --- writing


@attrs.define
class PageWriter:
    """Write a page, piece by piece.

    Attributes:
        page: its front matter.
        url: returns the URL of a file by its id, as it is seen from the page; None for a file that is not there.
        messages: how many were written.
    """

    page: Page
    url: Callable[[str], str | None]
    messages: int = 0
    _assistant_id: str | None = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._assistant_id = self.page.assistant_id

    def head(self) -> str:
        """Return the front matter and the title."""
        page, rows = self.page, dict[str, Any]()
        rows |= {"format": _PAGE, "thread_id": page.thread_id, "assistant_id": page.assistant_id}
        if page.thread is not None:
            thread = dict(page.thread)
            rows["created"] = moment_of(thread.get("created_at"))
            if isinstance(thread.get("metadata"), dict):
                rows["metadata"] = thread["metadata"]
                thread["metadata"] = {}
            rows["thread"] = thread
        if page.files:
            rows["files"] = dict(page.files)
        return f"{_front_matter(rows)}\n# {in_line(page.thread_id)}\n"

    def message(self, record: MessageRecord) -> str:
        """Return a message."""
        self.messages += 1
        lines = [""]
        if record.assistant_id != self._assistant_id:
            self._assistant_id = record.assistant_id
            lines += [_comment("assistant", record.assistant_id), ""]
        lines += [self._opening(record), f"## {_heading(record)}", *self._attached(record)]
        content = record.raw.get("content")
        if not isinstance(content, list):
            if isinstance(content, str) or (not record.raw and record.parts):
                lines += ["", _quote(record.text)]
        else:
            for raw, part in zip(content, record.parts, strict=True):
                lines += ["", *self._part(raw, part)]
        return "\n".join([*lines, ""])

    def end(self) -> str:
        """Return the end of the page."""
        return f"\n{_comment('end', self.messages)}\n"

    def _opening(self, record: MessageRecord) -> str:
        raw = record.raw
        if not raw:
            known = {"message_id": record.message_id, "role": record.role, "created_at": record.created_at}
            return _comment("flat", known)
        if isinstance(raw.get("content"), list | str):
            raw = {**raw, "content": type(raw["content"])()}
        if [*raw] != [*_USUAL]:
            return _comment("message-as-it-is", raw)
        usual = {**_USUAL, "thread_id": self.page.thread_id}
        return _comment("message", {key: value for key, value in raw.items() if value != usual[key]})

    def _attached(self, record: MessageRecord) -> Iterator[str]:
        attachments = record.raw.get("attachments")
        for row in attachments if isinstance(attachments, list) else ():
            if isinstance(row, dict) and isinstance(file_id := row.get("file_id"), str):
                url = self.url(file_id)
                yield f"\nAttached: {in_line(file_id)}" if url is None else f"\nAttached: [{in_line(file_id)}]({url})"

    def _part(self, raw: Any, part: Part) -> Iterator[str]:
        path = _text_path(raw)
        emptied = raw if path is None else _with_text(raw, path, "")
        if emptied != _USUAL_PART or [*emptied, *emptied["text"]] != ["type", "text", "value", "annotations"]:
            yield _comment("part", emptied)
        if (shown := self._shown(part)) is not None:
            yield shown
        if path is not None:
            if shown is not None:
                yield ""
            yield _quote(_text_at(raw, path))

    def _shown(self, part: Part) -> str | None:
        """Return a line for people, for what is not a text."""
        match part:
            case TextPart():
                return None
            case RefusalPart():
                return "*Refusal:*"
            case ImageUrlPart(url):
                return f"![image](<{quote_url(url, safe=_URL_SAFE, errors='replace')}>)"
            case ImageFilePart(file_id):
                found = self.url(file_id)
                name = in_line(file_id)
                return f"*Image {name}, which was not downloaded*" if found is None else f"![{name}]({found})"
            case UnknownPart(kind):
                return f"*A part of the type {in_line(kind or '')}*" if kind else "*A part without a type*"


def contents_head(title: str) -> str:
    """Return the beginning of the page that lists the threads."""
    return f"{_front_matter({'format': _CONTENTS})}\n# {in_line(title)}\n\n"


def contents_line(name: str, thread_id: str, messages: int, begun: int | None, words: str) -> str:
    """Return the line of a thread: its page without ``.md``, and what helps people to find it."""
    count = f"{messages:,} message{'' if messages == 1 else 's'}"
    pieces = [
        *([in_line(thread_id)] * (thread_id != name)),
        count,
        *([] if begun is None else [moment_of(begun)]),
        *([in_line(words)] * bool(words)),
    ]
    return f"- [{name}]({name}.md) {' · '.join(pieces)}\n"


def contents_end(threads: int) -> str:
    """Return the end of that page."""
    return f"\n{_comment('end', threads)}\n"


def in_line(text: str) -> str:
    """Return a text as a piece of one line of Markdown that shows it as it is."""
    return _escaped(" ".join(_MARKS.sub(r"\\\1", text).split()))


def moment_of(seconds: object) -> str:
    """Return a time of the API for people; what is none as it is."""
    if seconds is None:
        return "no time"
    if isinstance(seconds, int | float):
        with contextlib.suppress(ValueError, OverflowError, OSError):
            return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"
    return str(seconds)


def _heading(record: MessageRecord) -> str:
    role = in_line(record.role or "") or "no role"
    return f"{role[0].upper()}{role[1:]}, {in_line(moment_of(record.created_at))}"


def _front_matter(rows: Mapping[str, Any]) -> str:
    return "".join(["---\n", *(f"{key}: {_json(value)}\n" for key, value in rows.items()), "---\n"])


def _comment(word: str, value: Any) -> str:
    return f"<!-- {word} {_json(value)} -->"


def _json(value: Any) -> str:
    # dumps gives lone surrogates and C0 characters as escapes already.
    return _JSON_TO_ESCAPE.sub(lambda found: "".join(f"\\u{ord(char):04x}" for char in found[0]), dumps(value).decode())


def _quote(text: str) -> str:
    return "\n".join(f"> {line}" if line else ">" for line in _escaped(text).split("\n"))


def _escaped(text: str) -> str:
    return _TO_ESCAPE.sub(lambda found: f"&amp;#x{ord(found[0]):06X};", text)


def _unescaped(text: str) -> str:
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)) if int(found[1], 16) <= 0x10FFFF else found[0], text)


def _text_path(part: Any) -> Sequence[str] | None:
    """Return where the text of a part is; the same for a part whose text was emptied."""
    match part:
        case {"type": "refusal", "refusal": str()}:
            return ("refusal",)
        case {"text": str()}:
            return ("text",)
        case {"type": "text", "text": {"value": str()}}:
            return ("text", "value")
    return None


def _text_at(part: Any, path: Sequence[str]) -> str:
    for key in path:
        part = part[key]
    text: str = part
    return text


def _with_text(part: Any, path: Sequence[str], text: str) -> Any:
    key, *rest = path
    return {**part, key: _with_text(part[key], rest, text) if rest else text}


# --- reading


def read_head(lines: Iterable[str]) -> Page:
    """Read the front matter of a page.

    Args:
        lines: of the page, from its first one on. No more are read than the front matter has.

    Raises:
        ValueError: it is no front matter of a page.
    """
    rows = _read_front_matter(lines, _PAGE)
    thread_id, assistant_id, thread = rows.get("thread_id"), rows.get("assistant_id"), rows.get("thread")
    files, metadata = rows.get("files", {}), rows.get("metadata")
    if not isinstance(thread_id, str) or not isinstance(assistant_id, str | None):
        raise ValueError("the front matter has no thread_id, or an assistant_id that is none")
    if not isinstance(thread, dict | None) or not isinstance(files, dict):
        raise ValueError("the front matter has a thread, or files, that are no object")
    if thread is not None and metadata is not None:
        thread["metadata"] = metadata
    names = {file_id: name for file_id, name in files.items() if isinstance(name, str)}
    return Page(thread_id=thread_id, assistant_id=assistant_id, thread=thread, files=names)


def read_messages(page: Page, lines: Iterable[str]) -> Iterator[MessageRecord]:
    """Read the messages of a page.

    Args:
        page: its front matter.
        lines: what follows the front matter.

    Raises:
        ValueError: the page is damaged, or cut off.
    """
    draft, assistant_id, count = None, page.assistant_id, 0
    for word, value in _blocks(lines):
        if word in ("part", "quote"):
            if draft is None:
                raise ValueError(f"a {word} comes before the first message")
            draft.add(word, value)
            continue
        if draft is not None:
            yield draft.record(page.thread_id, assistant_id)
            draft, count = None, count + 1
        if word == "end":
            if value != count:
                raise ValueError(f"the page has {count:,} messages, and its end says {value}: some are missing")
            return
        if word == "assistant":
            assistant_id = value
        else:
            draft = _Draft(word, value)
    raise ValueError("the page has no end: it was cut off")


def read_contents(lines: Iterable[str]) -> Iterator[str]:
    """Read the page that lists the threads, and yield the names of their pages, without ``.md``.

    Raises:
        ValueError: it is no such page, or it was cut off.
    """
    remaining, count = iter(lines), 0
    _read_front_matter(remaining, _CONTENTS)
    for line in remaining:
        if (entry := _ENTRY.match(line)) is not None:
            count += 1
            yield entry[1]
        elif (comment := _COMMENT.fullmatch(line)) is not None and comment[1] == "end":
            if _value(comment[2]) != count:
                raise ValueError(f"the page lists {count:,} threads, and its end says {comment[2]}: some are missing")
            return
    raise ValueError("the page has no end: it was cut off")


def _read_front_matter(lines: Iterable[str], expected: str) -> dict[str, Any]:
    remaining, rows = iter(lines), dict[str, Any]()
    if next(remaining, None) != "---":
        raise ValueError("it does not begin with front matter")
    for line in remaining:
        if line == "---":
            break
        key, separator, value = line.partition(": ")
        if separator:
            with contextlib.suppress(ValueError):  # somebody's own row
                rows[key] = _value(value)
    if rows.get("format") != expected:
        raise ValueError(f"its front matter does not say 'format: \"{expected}\"'")
    return rows


def _blocks(lines: Iterable[str]) -> Iterator[tuple[str, Any]]:
    """Yield comments of ours, each as its word and its value, and quotes, each as "quote" and its text."""
    quoted: list[str] = []
    for line in lines:
        if line.startswith(">"):
            quoted.append(line[1:].removeprefix(" "))
            continue
        if quoted:
            yield "quote", _unescaped("\n".join(quoted))
            quoted = []
        if (comment := _COMMENT.fullmatch(line)) is not None:
            yield comment[1], _value(comment[2])
    if quoted:
        yield "quote", _unescaped("\n".join(quoted))


def _value(text: str) -> Any:
    return loads(text.encode())


@attrs.define
class _Draft:
    """A message that is being read."""

    word: str
    value: Any
    parts: list[Any] = attrs.field(factory=list)
    _path: Sequence[str] | None = None  # of the last part, until its quote has come
    _text: str | None = None  # of the message itself

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.value, dict):
            raise ValueError("a message is no object")

    def add(self, word: str, value: Any) -> None:
        """Add a part, or a quote."""
        if word == "part":
            self._refuse_open()
            self.parts.append(value)
            self._path = _text_path(value)
        elif self._path is not None:
            self.parts[-1] = _with_text(self.parts[-1], self._path, value)
            self._path = None
        elif self.word == "flat" or isinstance(self.value.get("content"), str):
            if self._text is not None:
                raise ValueError("a message has two texts")
            self._text = value
        else:
            self.parts.append(_with_text(_USUAL_PART, ("text", "value"), value))

    def record(self, thread_id: str, assistant_id: str | None) -> MessageRecord:
        """Return the message."""
        self._refuse_open()
        if self.word == "flat":
            flat = {"thread_id": thread_id, "assistant_id": assistant_id, "text": self._text or "", **self.value}
            try:
                return decode(dumps(flat))
            except MalformedLine as error:
                raise ValueError(f"a message is not complete: {error}") from None
        raw = self.value
        if self.word == "message":
            raw = {**_USUAL, "attachments": [], "metadata": {}, "thread_id": thread_id, **raw}
        return _record({**raw, **self._content(raw)}, thread_id, assistant_id)

    def _content(self, raw: Mapping[str, Any]) -> Mapping[str, Any]:
        if raw.get("content") == []:
            return {"content": self.parts}
        if self.parts:
            raise ValueError("a message has parts, and a content that has none")
        if not isinstance(raw.get("content"), str):
            return {}
        if self._text is None:
            raise ValueError("the text of a message is missing")
        return {"content": self._text}

    def _refuse_open(self) -> None:
        if self._path is not None:
            raise ValueError("the text of a part is missing")


def _record(raw: Mapping[str, Any], thread_id: str, assistant_id: str | None) -> MessageRecord:
    missing = [key for key, value in raw.items() if value is ...]
    if missing:
        raise ValueError(f"a message has no {missing[0]}")
    try:
        record = from_plain_json(raw, assistant_id=assistant_id)
    except MalformedMessage as error:
        raise ValueError(f"a message is not complete: {error}") from None
    if record.thread_id != thread_id:
        raise ValueError(f"a message belongs to another thread, {record.thread_id}")
    return record
