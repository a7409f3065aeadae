"""Collect the messages that findings are about, with some messages around each, in one pass over the export's lines.

Of most lines only the thread is looked at. Lines that are shown are read whatever they hold; none is ever refused.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import attrs

from threadkeep.errors import MalformedMessage
from threadkeep.html_report.visible_text import cut
from threadkeep.records.mapping import from_message_json
from threadkeep.records.model import ImageFilePart, ImageUrlPart, Part, RefusalPart, TextPart, UnknownPart
from threadkeep.serialization.lossless_json import loads, text_or_none
from threadkeep.serialization.text_files import BYTE_ORDER_MARK
from threadkeep.storage.spans import thread_of
from threadkeep.validation.findings import Finding, Severity
from threadkeep.validation.report import ValidationReport

__all__ = ["MOST_CHARACTERS", "MOST_MESSAGES", "MOST_THREADS", "Conversation", "Excerpt", "excerpts"]

MOST_THREADS, MOST_MESSAGES, MOST_CHARACTERS = 40, 12, 2_000
"""How many threads are shown, how many messages of each, and how much of a text."""

_MOST_PARTS, _MOST_OF_A_PART = 10, 500


@attrs.frozen(kw_only=True)
class Excerpt:
    """One line of the export, to be shown. All text in it is foreign.

    Attributes:
        line: its number, from 1.
        role, created_at, message_id: of the line; None when it has none.
        text: of the line; if that is no record, its own bytes, with escapes for those that are not UTF-8. No longer
            than `MOST_CHARACTERS`.
        cut: how many characters of it are left out.
        message_text: of the message in the line, if it is another one; cut likewise.
        parts: the other parts of the message, in a few words each.
        is_concerned: whether a finding is about it.
        is_readable: whether the line is a record, or near enough to be shown as one.
    """

    line: int
    role: str | None = None
    created_at: int | None = None
    message_id: str | None = None
    text: str
    cut: int = 0
    message_text: str | None = None
    parts: tuple[str, ...] = ()
    is_concerned: bool
    is_readable: bool = True


@attrs.frozen
class Conversation:
    """Some messages of one thread, in the order of the file, and how many more lines it has; ``thread_id`` is None for
    lines of no known thread.
    """

    thread_id: str | None
    messages: tuple[Excerpt, ...]
    left_out: int


def excerpts(report: ValidationReport, lines: Iterable[bytes]) -> tuple[Conversation, ...]:
    """Return the conversations that the listed findings of a report are about, the most severe findings first.

    Args:
        report: of validate.
        lines: of the export, with their newlines. They are read once, and not at all when no finding names a place.

    Returns:
        No more than `MOST_THREADS`. A thread that has no line in the export is not among them.
    """
    wanted = _wanted(report.findings, report.out.name)
    if not wanted:
        return ()
    marked = defaultdict[int, list[_ThreadExcerpt]](list)
    for one in wanted:
        for number in one.marked:
            marked[number].append(one)
    threads = {one.thread_id: one for one in wanted if one.thread_id is not None}
    for number, line in enumerate(lines, 1):
        owner = threads.get(thread_of(line.removeprefix(BYTE_ORDER_MARK)) or "")
        takers = marked.get(number, [])  # a finding knows the thread of a line better than the line
        for one in takers if owner is None or owner in takers else (*takers, owner):
            one.take(number, line)
    shown = [one for one in wanted if one.messages][:MOST_THREADS]
    return tuple(Conversation(one.thread_id, tuple(one.messages), one.lines - len(one.messages)) for one in shown)


@attrs.define
class _ThreadExcerpt:
    """A thread that is to be shown, and its lines that were found.

    Attributes:
        marked: the numbers of the lines that findings are about.
        near: the numbers of all the lines to show, if they are of this thread; its first lines where there are none.
        lines: how many it has.
    """

    thread_id: str | None
    marked: frozenset[int]
    near: frozenset[int]
    lines: int = 0
    messages: list[Excerpt] = attrs.field(factory=list)

    def take(self, number: int, line: bytes) -> None:
        """Look at a line of this thread, and add it if it is to be shown."""
        self.lines += 1
        if number in self.near or (not self.near and self.lines <= MOST_MESSAGES):
            self.messages.append(_excerpt(number, line, is_concerned=number in self.marked))


def _wanted(findings: Sequence[Finding], name: str) -> list[_ThreadExcerpt]:
    by_thread = defaultdict[str | None, dict[int, None]](dict)
    for one in _gravest_first(findings):
        if one.file == name and one.line is not None:
            by_thread[one.thread_id][one.line] = None
        elif one.thread_id is not None:
            by_thread[one.thread_id] |= {}
    # The first so many of those with a line, and of those with none, which may not be there.
    seen, wanted = Counter[bool](), list[_ThreadExcerpt]()
    for thread_id, numbers in by_thread.items():
        seen[bool(numbers)] += 1
        if seen[bool(numbers)] <= MOST_THREADS:
            concerned = list(numbers)[:MOST_MESSAGES]
            around = [number + away for away in (-1, 1, -2, 2) for number in concerned if thread_id is not None]
            near = list(dict.fromkeys([*concerned, *around]))[:MOST_MESSAGES]
            wanted.append(_ThreadExcerpt(thread_id, frozenset(concerned), frozenset(near)))
    return wanted


def _gravest_first(findings: Iterable[Finding]) -> Iterable[Finding]:
    """The first of each code comes before the second of any as severe: one code does not crowd out the others."""
    seen, ranked, order = Counter[str](), list[tuple[int, int, Finding]](), list(Severity)
    for one in findings:
        seen[one.code] += 1
        ranked.append((order.index(one.severity), seen[one.code], one))
    return [one for *_, one in sorted(ranked, key=lambda row: row[:2])]


def _excerpt(number: int, line: bytes, *, is_concerned: bool) -> Excerpt:
    try:
        value = loads(line.removeprefix(BYTE_ORDER_MARK))
    except ValueError:
        value = None
    is_readable = isinstance(value, dict) and isinstance(value.get("text"), str)
    if not is_readable:
        value = {"text": line.removesuffix(b"\n").decode("utf-8", "backslashreplace")}
    text, created_at, parts = value["text"], value.get("created_at"), _parts(value.get("message"))
    message_text = "\n".join(part.value for part in parts if isinstance(part, TextPart))
    others = [cut(_words(part), _MOST_OF_A_PART) for part in parts if not isinstance(part, TextPart)]
    more = [f"and {len(others) - _MOST_PARTS:,} more"] if len(others) > _MOST_PARTS else []
    return Excerpt(
        line=number,
        role=text_or_none(value.get("role")),
        created_at=created_at if type(created_at) is int else None,
        message_id=text_or_none(value.get("message_id")),
        text=text[:MOST_CHARACTERS],
        cut=max(len(text) - MOST_CHARACTERS, 0),
        message_text=message_text[:MOST_CHARACTERS] if "message" in value and message_text != text else None,
        parts=(*others[:_MOST_PARTS], *more),
        is_concerned=is_concerned,
        is_readable=is_readable,
    )


def _parts(message: Any) -> Sequence[Part]:
    try:
        return from_message_json(message, assistant_id="").parts if isinstance(message, dict) else ()
    except MalformedMessage:
        return ()


def _words(part: ImageFilePart | ImageUrlPart | RefusalPart | UnknownPart) -> str:
    match part:
        case ImageFilePart():
            return f"image, file {part.file_id}"
        case ImageUrlPart():
            return f"image at {part.url}"
        case RefusalPart():
            return f"refusal: {part.refusal}"
    return f"a part of type {part.type}" if part.type is not None else "a part of no type"
