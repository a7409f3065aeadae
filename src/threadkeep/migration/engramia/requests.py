"""Decide how to push patterns to Engramia, each once. Pure: the caller sends the requests.

Facts about Engramia's server, version 0.6.6, which was read and asked:

* ``POST /learn`` stores one pattern. Its answer has no key, and a repeated request is stored again.
* A pattern is stored first, and much can fail after that. Most errors with status 500 and above leave it stored; so do
  requests that overlap on a server with JSON storage. ``outcome`` says what an error means.
* The export is the only list. It has all patterns of a project and needs a key with the permission ``export`` (role
  admin or owner). ``recall`` finds patterns too, but raises the score of each that it finds: never check with it.
* The server replaces secrets and addresses in ``code`` by ``[REDACTED...]``, by default.
* JSON storage drops ``run_id``. PostgreSQL keeps it, and then the export has it.
* Scores change when a pattern is recalled and with time. Task, code and source do not.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum
from hashlib import sha256
from typing import Any, Generic, TypeVar

import attrs

from threadkeep.errors import ApiError, BadPage
from threadkeep.serialization.lossless_json import loads, text_or_none

__all__ = [
    "EXPORT",
    "LEARN",
    "Comparison",
    "ExportReader",
    "Outcome",
    "Sent",
    "Stored",
    "compare",
    "is_same",
    "outcome",
    "read_learned",
    "task_hash",
]

_Place = TypeVar("_Place")

LEARN = "/learn"
"""The route that stores a pattern."""

EXPORT = "/governance/export"
"""The route that lists all patterns as NDJSON."""

_REDACTED = re.compile(r"\[REDACTED(?:_[A-Z_]+)?\]")


def read_learned(body: bytes) -> None:
    """Read the answer to a pattern that was stored.

    Raises:
        BadPage: it does not say so.
    """
    if _object(body).get("stored") is not True:
        raise BadPage("the answer does not say that the pattern is stored", quoted=body)


class Outcome(Enum):
    """What an error of ``POST /learn`` means for the line that was sent."""

    REFUSED = "refused"
    """Nothing was stored, and this line will not be. Others may be."""
    FULL = "full"
    """Nothing was stored, and no other line will be: the server has as many patterns as it takes."""
    FAILED = "failed"
    """Nothing was stored. The line may be sent again."""
    UNKNOWN = "unknown"
    """Perhaps the pattern was stored. Read the export before the line is sent again."""


# The answer to blank texts, which are not sent, and to any text when 100,000 patterns are stored. Other errors with the
# same status and code may come after the effect.
_FULL = "Validation error in request."


def outcome(problem: ApiError) -> Outcome:
    """Return what an error means."""
    if problem.status == 422 and problem.code is not None:
        return Outcome.FULL if _FULL in str(problem) else Outcome.UNKNOWN
    if problem.status in (413, 422):  # too large, and not as the schema says
        return Outcome.REFUSED
    is_maintenance = (problem.status, problem.code) == (503, "SERVICE_UNAVAILABLE")
    return Outcome.UNKNOWN if problem.unconfirmed and not is_maintenance else Outcome.FAILED


def _object(body: bytes) -> Mapping[str, Any]:
    try:
        value = loads(body)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def task_hash(task: str) -> str:
    """Return the part of a pattern's key that depends on its task. Patterns with another hash need no comparison."""
    return sha256(task.encode()).hexdigest()[:8]


@attrs.frozen(kw_only=True)
class Stored:
    """A pattern that a server has.

    Attributes:
        key: its id, such as ``patterns/059dc8fc_1795992158221``.
        run_id: None if the server's storage does not keep it.
    """

    key: str
    task: str | None
    code: str | None
    source: str | None
    run_id: str | None

    @property
    def task_hash(self) -> str:
        """The hash of the task as it was sent."""
        return self.key.removeprefix("patterns/").partition("_")[0]


class ExportReader:
    """Reads the export as it arrives."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes) -> Iterator[Stored]:
        """Yield the patterns that end in this chunk.

        Raises:
            BadPage: a line is not a pattern.
        """
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        return map(_stored, lines)

    def close(self) -> None:
        """Check that the export is complete.

        Raises:
            BadPage: it ends inside a line.
        """
        if self._rest:
            raise BadPage("the export of the patterns ends inside a line", quoted=self._rest)


def _stored(line: bytes) -> Stored:
    record = _object(line)
    key, pattern = record.get("key"), record.get("data")
    if not isinstance(key, str) or not isinstance(pattern, dict):
        raise BadPage("the export of the patterns has a line without key and data", quoted=line)
    design = pattern.get("design")
    design = design if isinstance(design, dict) else {}
    return Stored(
        key=key,
        task=text_or_none(pattern.get("task")),
        code=text_or_none(design.get("code")),
        source=text_or_none(design.get("source")),
        run_id=text_or_none(record.get("run_id")),
    )


def is_same(stored: Stored, line: Mapping[str, Any]) -> bool:
    """Return whether a stored pattern can be this line: its texts as they were sent, or redacted by the server.

    Lines with equal texts differ in their ``run_id``, if the server stores it.
    """
    return (
        stored.source == line["source"]
        and stored.run_id in (None, line["run_id"])
        and _can_be(stored.task, line["task"])
        and _can_be(stored.code, line["code"])
    )


def _can_be(stored: str | None, sent: str) -> bool:
    """Return whether a stored text is the sent one, perhaps with parts that were replaced by a mark of redaction."""
    if stored is None or stored == sent:
        return stored is not None
    first, *others = _REDACTED.split(stored)
    if not others or not sent.startswith(first):
        return False
    *between, last = others
    place = len(first)
    for text in between:  # a mark is for one character at least; the first place of each text leaves most to the rest
        place = sent.find(text, place + 1)
        if place < 0:
            return False
        place += len(text)
    return len(sent) - len(last) > place and sent.endswith(last)


@attrs.frozen
class Sent(Generic[_Place]):
    """A line that was sent.

    Attributes:
        place: what the caller knows the line by.
        is_acknowledged: the server answered that it is stored; otherwise its answer was `Outcome.UNKNOWN`.
    """

    place: _Place
    line: Mapping[str, Any]
    is_acknowledged: bool


@attrs.frozen(kw_only=True)
class Comparison(Generic[_Place]):
    """What an export shows about lines that were sent, by their places.

    Attributes:
        arrived: not acknowledged, but stored.
        missing: not acknowledged and not stored: they may be sent again.
        undecided: not acknowledged. The stored patterns are redacted so that each can be one of several lines, and
            there are more than were acknowledged and fewer than were sent.
        gone: acknowledged, but no longer stored.
        redacted: stored, but not as sent.
        without_run: stored, but perhaps without their ``run_id``.
        doubled: the key of each pattern that is stored more often than it was sent, with the place of such a line.
        foreign: the key of each pattern that has the task hash of a line and is no line, by that hash.
    """

    arrived: tuple[_Place, ...] = ()
    missing: tuple[_Place, ...] = ()
    undecided: tuple[_Place, ...] = ()
    gone: tuple[_Place, ...] = ()
    redacted: tuple[_Place, ...] = ()
    without_run: tuple[_Place, ...] = ()
    doubled: tuple[tuple[_Place, str], ...] = ()
    foreign: tuple[tuple[str, str], ...] = ()


def compare(sent: Iterable[Sent[_Place]], stored: Iterable[Stored]) -> Comparison[_Place]:
    """Compare lines that were sent with the patterns of an export.

    Lines that the server cannot tell apart are counted: it does not matter which of them has arrived.

    Args:
        sent: all lines that were sent whose tasks are in question, in order.
        stored: the export, without patterns that were there before the first line was sent.
    """
    lines, patterns = defaultdict[str, list[Sent[_Place]]](list), defaultdict[str, list[Stored]](list)
    for line in sent:
        lines[task_hash(line.line["task"])].append(line)
    for pattern in stored:
        if pattern.task_hash in lines:
            patterns[pattern.task_hash].append(pattern)
    found = defaultdict[str, list[Any]](list)
    for name in lines:
        for part in _compare_one_task(lines[name], patterns[name]):
            for field, values in attrs.asdict(part, recurse=False).items():
                found[field] += values
    return Comparison(**{field: tuple(values) for field, values in found.items()})


# Lines with equal texts, and with the same run if the server keeps runs.
_Kind = tuple[str, str, str, str | None]


def _compare_one_task(sent: Sequence[Sent[_Place]], stored: Sequence[Stored]) -> Iterator[Comparison[_Place]]:
    has_runs = any(pattern.run_id is not None for pattern in stored)
    kinds = defaultdict[_Kind, list[Sent[_Place]]](list)
    for each in sent:
        run_id = each.line["run_id"] if has_runs else None
        kinds[each.line["task"], each.line["code"], each.line["source"], run_id].append(each)
    fitting = [(pattern, _fitting(pattern, kinds)) for pattern in stored]
    groups = _groups(kinds, [found for _, found in fitting if found])
    patterns = defaultdict[_Kind, list[Stored]](list)
    for pattern, found in fitting:
        if found:
            patterns[groups[found[0]][0]].append(pattern)
    for kind, group in groups.items():
        if kind == group[0]:
            yield _count([kinds[each] for each in group], patterns[kind])
    yield Comparison(foreign=tuple((pattern.task_hash, pattern.key) for pattern, found in fitting if not found))


def _fitting(pattern: Stored, kinds: Mapping[_Kind, Sequence[Sent[_Place]]]) -> list[_Kind]:
    exact = (pattern.task, pattern.code, pattern.source, pattern.run_id)
    is_redacted = any(_REDACTED.search(text or "") for text in (pattern.task, pattern.code))
    if exact in kinds and not is_redacted:
        return [exact]  # type: ignore[list-item]  # a key of `kinds` has no None but the run
    return [kind for kind, lines in kinds.items() if is_same(pattern, lines[0].line)]


def _groups(kinds: Iterable[_Kind], together: Iterable[Sequence[_Kind]]) -> Mapping[_Kind, Sequence[_Kind]]:
    """Return the group of each kind: two that one stored pattern can be are in one group."""
    groups = {kind: [kind] for kind in kinds}
    for first, *others in together:
        for other in others:
            if groups[other] is not groups[first]:
                groups[first] += groups[other]
                for kind in groups[other]:
                    groups[kind] = groups[first]
    return groups


def _count(kinds: Sequence[Sequence[Sent[_Place]]], stored: Sequence[Stored]) -> Comparison[_Place]:
    """Compare the lines of a group with the patterns that can be one of them."""
    lines = [line for kind in kinds for line in kind]
    sure = tuple(line.place for line in lines if line.is_acknowledged)
    unsure = tuple(line.place for line in lines if not line.is_acknowledged)
    surplus = min(max(len(stored) - len(sure), 0), len(unsure))
    is_decided = len(kinds) == 1 or surplus in (0, len(unsure))
    texts = {(line.line["task"], line.line["code"]) for line in lines}
    is_redacted = any((each.task, each.code) not in texts for each in stored)
    has_runs = all(each.run_id is not None for each in stored)
    places = tuple(line.place for line in lines)
    return Comparison(
        arrived=unsure[:surplus] if is_decided else (),
        missing=unsure[surplus:] if is_decided else (),
        undecided=() if is_decided else unsure,
        gone=sure[len(stored) :],
        redacted=places if is_redacted else (),
        without_run=() if has_runs else places,
        doubled=tuple((places[0], each.key) for each in stored[len(lines) :]),
    )
