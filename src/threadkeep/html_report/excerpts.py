"""The conversations that findings speak of, as far as a reader needs them: some messages round each place.

One pass over the export's lines. Of most lines only the thread is looked at; those that are shown are read, whatever
they hold, and none is ever refused.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import attrs

from threadkeep.errors import MalformedMessage
from threadkeep.records.mapping import from_message_json
from threadkeep.records.model import ImageFilePart, ImageUrlPart, Part, RefusalPart, TextPart, UnknownPart
from threadkeep.serialization.lossless_json import dumps, loads, text_or_none
from threadkeep.serialization.text_files import BYTE_ORDER_MARK
from threadkeep.validation.findings import Finding, Severity
from threadkeep.validation.report import ValidationReport

__all__ = ["MOST_CHARACTERS", "MOST_MESSAGES", "MOST_THREADS", "Conversation", "Excerpt", "excerpts"]

MOST_THREADS, MOST_MESSAGES, MOST_CHARACTERS = 40, 12, 2_000
"""How many threads are shown, how many messages of each, and how much of a text."""

_MOST_PARTS, _MOST_OF_A_PART = 10, 500
_AWAY = (-1, 1, -2, 2)
_BEGINNING = b'{"thread_id":"'
_GRAVITY = {severity: place for place, severity in enumerate(Severity)}


@attrs.frozen(kw_only=True)
class Excerpt:
    """One line of the export, to be looked at. All text in it is foreign.

    Attributes:
        line: its number, from 1.
        role: who speaks; None when the line does not say.
        created_at: seconds since the epoch; None when the line does not say.
        text: what the line gives as the text; of a line that is no record its own bytes, those that are not UTF-8 as
            backslash escapes. No longer than `MOST_CHARACTERS`.
        cut: how many characters of it are left out.
        said: the text that the message itself holds, where the line gives another one; cut like ``text``.
        parts: what the message holds beside text, in a few words each.
        is_concerned: whether a finding is about it.
        is_readable: whether the line is a record, or near enough to be shown as one.
    """

    line: int
    role: str | None = None
    created_at: int | None = None
    message_id: str | None = None
    text: str
    cut: int = 0
    said: str | None = None
    parts: tuple[str, ...] = ()
    is_concerned: bool
    is_readable: bool = True


@attrs.frozen(kw_only=True)
class Conversation:
    """Some messages of one thread.

    Attributes:
        thread_id: None for lines of which nobody knows the thread.
        messages: in the order of the file.
        left_out: how many more lines the thread has.
    """

    thread_id: str | None
    messages: tuple[Excerpt, ...]
    left_out: int


def excerpts(report: ValidationReport, lines: Iterable[bytes]) -> tuple[Conversation, ...]:
    """Collect what the listed findings of a report speak of, those with the gravest findings first.

    Args:
        report: what was found.
        lines: of the export, with their newlines. They are read once, and not at all when no finding names a place.

    Returns:
        No more than `MOST_THREADS`. A thread that has no line in the export is not among them.
    """
    wanted = _wanted(report.findings, report.out.name)
    if wanted:
        _collect(wanted, lines)
    return tuple(one.conversation() for one in wanted if one.messages)[:MOST_THREADS]


@attrs.define
class _ThreadExcerpt:
    """A thread that is to be shown: what of it, and what has come of it.

    Attributes:
        marked: the numbers of the lines that findings are about.
        sought: the ids of messages that findings are about, where they name no line, as JSON; those that were met are
            taken out.
        near: the numbers of all the lines to show, if they are of this thread.
        heads: how many of its first lines to show.
        lines: how many it has.
    """

    thread_id: str | None
    marked: frozenset[int]
    sought: dict[str, bytes]
    near: frozenset[int]
    heads: int
    lines: int = 0
    messages: list[Excerpt] = attrs.field(factory=list)

    def take(self, number: int, line: bytes) -> None:
        """Look at a line of this thread, and keep it if it is to be shown."""
        self.lines += 1
        if number in self.near:
            self.messages.append(_excerpt(number, line, is_concerned=number in self.marked))
        elif self.lines <= self.heads or any(text in line for text in self.sought.values()):
            found = _excerpt(number, line, is_concerned=False)
            # An id that stands in the export very often does not make it longer.
            is_sought = self.sought.pop(found.message_id or "", None) is not None
            if is_sought or self.lines <= self.heads:
                self.messages.append(attrs.evolve(found, is_concerned=is_sought))

    def conversation(self) -> Conversation:
        """What came of it."""
        left_out = self.lines - len(self.messages)
        return Conversation(thread_id=self.thread_id, messages=tuple(self.messages), left_out=left_out)


def _wanted(findings: Sequence[Finding], name: str) -> list[_ThreadExcerpt]:
    by_thread = defaultdict[str | None, list[Finding]](list)
    for one in _gravest_first(findings):
        if one.thread_id is not None or _line(one, name) is not None:
            by_thread[one.thread_id].append(one)
    plans = [_plan(thread_id, found, name) for thread_id, found in by_thread.items()]
    # Only of those with a line it is known that they are there.
    return list(_at_most(MOST_THREADS, plans))


def _at_most(most: int, plans: Iterable[_ThreadExcerpt]) -> Iterator[_ThreadExcerpt]:
    """Pass the first so many of those that name a line, and of those that name none."""
    seen = Counter[bool]()
    for one in plans:
        seen[bool(one.marked)] += 1
        if seen[bool(one.marked)] <= most:
            yield one


def _gravest_first(findings: Iterable[Finding]) -> Iterable[Finding]:
    """The first of each code come before the second of any that is as grave: one code does not crowd out the others."""
    seen = Counter[str]()
    ranked = list[tuple[int, int, Finding]]()
    for one in findings:
        seen[one.code] += 1
        ranked.append((_GRAVITY[one.severity], seen[one.code], one))
    return [one for *_, one in sorted(ranked, key=lambda row: row[:2])]


def _line(one: Finding, name: str) -> int | None:
    return one.line if one.file == name else None


def _plan(thread_id: str | None, findings: Iterable[Finding], name: str) -> _ThreadExcerpt:
    """Decide what to show of a thread: the first places that are concerned, and then what stands round them."""
    numbers, ids = dict[int, None](), dict[str, bytes]()
    for one in findings:
        number = _line(one, name)
        if len(numbers) + len(ids) == MOST_MESSAGES:
            break
        if number is not None:
            numbers[number] = None
        elif one.message_id:
            ids[one.message_id] = dumps(one.message_id)
    near = dict(numbers)
    for number in (number + away for away in _AWAY for number in numbers):
        if len(near) + len(ids) < MOST_MESSAGES and thread_id is not None:
            near[number] = None
    heads = 0 if numbers else max(MOST_MESSAGES - len(ids), 0)
    return _ThreadExcerpt(thread_id, frozenset(numbers), ids, frozenset(near), heads)


def _collect(wanted: Iterable[_ThreadExcerpt], lines: Iterable[bytes]) -> None:
    marked = defaultdict[int, list[_ThreadExcerpt]](list)
    for one in wanted:
        for number in one.marked:
            marked[number].append(one)
    threads = {one.thread_id: one for one in wanted if one.thread_id is not None}
    begun = {dumps(thread_id)[1:-1]: one for thread_id, one in threads.items()}
    for number, line in enumerate(lines, 1):
        owner = _owner(line, begun, threads)
        # A finding knows better than the line whose it is.
        takers = marked.get(number) if marked else None
        for one in takers or ():
            one.take(number, line)
        if owner is not None and not (takers and owner in takers):
            owner.take(number, line)


def _owner(
    line: bytes, begun: Mapping[bytes, _ThreadExcerpt], threads: Mapping[str, _ThreadExcerpt]
) -> _ThreadExcerpt | None:
    """Say which of the wanted threads a line names. A line as it is written needs no reading for that."""
    if line.startswith(_BEGINNING):
        end = line.find(b'"', len(_BEGINNING))
        named = line[len(_BEGINNING) : end]
        if b"\\" not in named:
            return begun.get(named)
    value = _parsed(line)
    thread_id = value.get("thread_id") if isinstance(value, dict) else None
    return threads.get(thread_id) if isinstance(thread_id, str) else None


def _parsed(line: bytes) -> Any:
    """What a line holds; None where it cannot be read."""
    try:
        return loads(line.removeprefix(BYTE_ORDER_MARK))
    except ValueError:
        return None


def _excerpt(number: int, line: bytes, *, is_concerned: bool) -> Excerpt:
    value = _parsed(line)
    if not isinstance(value, dict) or not isinstance(value.get("text"), str):
        text = line.removesuffix(b"\n").decode("utf-8", "backslashreplace")
        return Excerpt(line=number, is_concerned=is_concerned, is_readable=False, **_cut(text))
    text, created_at = value["text"], value.get("created_at")
    parts = _parts(value)
    said = "\n".join(part.value for part in parts if isinstance(part, TextPart))
    return Excerpt(
        line=number,
        role=text_or_none(value.get("role")),
        created_at=created_at if isinstance(created_at, int) and not isinstance(created_at, bool) else None,
        message_id=text_or_none(value.get("message_id")),
        said=said[:MOST_CHARACTERS] if "message" in value and said != text else None,
        parts=tuple(_in_words(parts)),
        is_concerned=is_concerned,
        **_cut(text),
    )


def _cut(text: str) -> dict[str, Any]:
    return {"text": text[:MOST_CHARACTERS], "cut": max(len(text) - MOST_CHARACTERS, 0)}


def _parts(line: Mapping[str, Any]) -> Sequence[Part]:
    message = line.get("message")
    try:
        return from_message_json(message, assistant_id="").parts if isinstance(message, dict) else ()
    except MalformedMessage:
        return ()


def _in_words(parts: Iterable[Part]) -> Iterator[str]:
    """Say what there is beside text."""
    words = [_short(_words(part)) for part in parts if not isinstance(part, TextPart)]
    yield from words[:_MOST_PARTS]
    if len(words) > _MOST_PARTS:
        yield f"and {len(words) - _MOST_PARTS:,} more"


def _short(text: str) -> str:
    return text if len(text) <= _MOST_OF_A_PART else f"{text[:_MOST_OF_A_PART]}…"


def _words(part: ImageFilePart | ImageUrlPart | RefusalPart | UnknownPart) -> str:
    match part:
        case ImageFilePart():
            return f"image, file {part.file_id}"
        case ImageUrlPart():
            return f"image at {part.url}"
        case RefusalPart():
            return f"refusal: {part.refusal}"
    return f"a part of type {part.type}" if part.type is not None else "a part of no type"
