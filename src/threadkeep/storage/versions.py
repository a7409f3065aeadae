"""What several exports have of one thread, as one.

One rule: the versions follow each other as runs of one export do, in the order in which the exports were finished. A
complete version takes the place of those before it, and what only these have stays. A version that is not complete
takes no complete one's place. What is in a partial file stays there, unless it is in OUT.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import reduce
from typing import TypeAlias

import attrs

from threadkeep.errors import OutputUnusable
from threadkeep.serialization.lossless_json import dumps, loads
from threadkeep.storage.combine import Lines, ThreadToWrite
from threadkeep.storage.damage import spans_of
from threadkeep.storage.index import IndexHeader, IndexRow, Outcome
from threadkeep.storage.merge import FULLER, merged

__all__ = ["Version", "joined"]

_Rows: TypeAlias = Mapping[str, bytes]  # lines without their newlines, by the ids of their rows
_IDS = {"messages": "message_id", "runs": "run_id"}
_ANSWERED = (Outcome.MISSING, Outcome.FAILED, Outcome.PARTIAL)


@attrs.frozen
class Version:
    """What one export has of a thread.

    Attributes:
        header: of the export.
        finished_at: when the export was finished, as its manifest says.
        row: of the thread.
        read: returns the thread as it was written, and makes sure that it is.
    """

    header: IndexHeader
    finished_at: str
    row: IndexRow
    read: Callable[[], ThreadToWrite]

    @property
    def content(self) -> tuple[str, ...]:
        """What two versions share if they are equal."""
        row = self.row
        spans = (f"{name} {span.sha256}" for name, span in sorted(spans_of(row), key=lambda one: one[0]))
        return str(row.outcome), dumps([row.assistant_id, row.reason, row.files]).decode(), *spans


def joined(versions: Sequence[Version]) -> ThreadToWrite:
    """Return a thread as it is to be written. The order of its versions does not matter.

    Raises:
        OutputUnusable: a version is damaged, or two of them are of two threads that have one id at two servers.
    """
    if len(versions) == 1:
        return versions[0].read()
    in_time = sorted(versions, key=lambda one: (one.finished_at, one.content))
    if len({one.content for one in in_time}) == 1:
        return in_time[-1].read()
    return reduce(_followed, map(_held, in_time)).to_write()


@attrs.frozen(kw_only=True)
class _Held:
    """A thread with all its lines. Versions that differ are rare, and those of one thread are held at a time."""

    thread_id: str
    source: str
    assistant_id: str | None
    outcome: Outcome
    reason: str | None
    files: tuple[str, ...]
    messages: _Rows | None
    partial: _Rows
    sidecars: Mapping[str, _Rows]

    def to_write(self) -> ThreadToWrite:
        return ThreadToWrite(
            thread_id=self.thread_id,
            assistant_id=self.assistant_id,
            outcome=self.outcome,
            reason=self.reason,
            files=self.files,
            messages=None if self.messages is None else _lines(self.messages),
            sidecars={kind: _lines(rows) for kind, rows in self.sidecars.items()},
            partial=_lines(self.partial) if self.partial else None,
        )


def _held(version: Version) -> _Held:
    thread = version.read()
    return _Held(
        thread_id=thread.thread_id,
        source=version.header.source,
        assistant_id=thread.assistant_id,
        outcome=thread.outcome,
        reason=thread.reason,
        files=thread.files,
        messages=None if thread.messages is None else _rows(thread.messages, "messages"),
        partial=_rows(thread.partial or (), "messages"),
        sidecars={kind: _rows(lines, kind) for kind, lines in thread.sidecars.items()},
    )


def _rows(lines: Iterable[bytes], kind: str) -> _Rows:
    """A thread object is one line, which has no id of its own."""
    key = _IDS.get(kind)
    found = filter(None, b"".join(lines).split(b"\n"))
    return {"" if key is None else str(loads(line)[key]): line for line in found}


def _lines(rows: _Rows) -> Lines:
    return Lines(((row_id,), (), line + b"\n") for row_id, line in rows.items())


def _followed(old: _Held, new: _Held) -> _Held:
    """Return a thread as it is after another run, which has come to a version of its own."""
    base = old if new.messages is None and old.messages is not None else new
    if base.assistant_id is None and base.messages is None:
        base = attrs.evolve(base, assistant_id=old.assistant_id)
    messages = _messages(old, new)
    lines = _merged(_as_in(base, old.partial), _as_in(base, new.partial), "messages")
    partial = {row_id: line for row_id, line in lines.items() if row_id not in (messages or {})}
    outcome, reason = (Outcome.COMPLETE, None) if messages is not None else _settled(old, new, has_lines=bool(partial))
    kinds = dict.fromkeys([*old.sidecars, *new.sidecars])
    return attrs.evolve(
        base,
        source=new.source,
        outcome=outcome,
        reason=reason,
        files=tuple(dict.fromkeys([*old.files, *new.files])),
        messages=messages,
        partial=partial,
        sidecars={kind: _merged(old.sidecars.get(kind, {}), new.sidecars.get(kind, {}), kind) for kind in kinds},
    )


def _messages(old: _Held, new: _Held) -> _Rows | None:
    """Return the lines in OUT: None where no version is complete."""
    was, lines = old.messages, new.messages
    if was is None or lines is None:
        return was if lines is None else lines
    if old.source != new.source and was and lines and was.keys().isdisjoint(lines):
        raise OutputUnusable(
            f"{new.thread_id} is one thread at {old.source} and another one at {new.source}: they have no message in"
            " common. Merge what comes from each address by itself."
        )
    return _merged(_as_in(new, was), lines, "messages")


def _settled(old: _Held, new: _Held, *, has_lines: bool) -> tuple[Outcome, str | None]:
    """Return the outcome of a thread that is not complete: a run in which it had no turn says nothing of it."""
    last = old if new.outcome is Outcome.UNFINISHED and old.outcome in _ANSWERED else new
    is_cut_off = has_lines and last.outcome in (Outcome.FAILED, Outcome.UNFINISHED)
    return Outcome.PARTIAL if is_cut_off else last.outcome, last.reason


def _merged(old: _Rows, new: _Rows, kind: str) -> _Rows:
    fuller = FULLER.get(kind)
    return {
        row_id: fuller(before, line) if fuller is not None and before not in (None, line) else line
        for row_id, line, before in merged(old.items(), new.items(), new.keys())
    }


def _as_in(thread: _Held, rows: _Rows) -> _Rows:
    """Return lines of messages as they would be written for a thread, whose assistant may be another one."""
    return {row_id: _with_assistant(line, thread.assistant_id) for row_id, line in rows.items()}


def _with_assistant(line: bytes, assistant_id: str | None) -> bytes:
    value = loads(line)
    return line if value["assistant_id"] == assistant_id else dumps({**value, "assistant_id": assistant_id})
