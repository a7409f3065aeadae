"""Kinds of damage to the files of an export, and the finding that each must have: a table for `test_mutations`.

Each kind is pure: from the files and a `random.Random` to the damaged ones and the finding.
"""

import json
import random
from collections.abc import Callable, Mapping
from typing import Any

import attrs
import msgspec

from damaged import DOWNLOADS, INDEX, MANIFEST, OUT, PARTIAL, RUNS, THREADS, Files
from threadkeep.serialization.lossless_json import dumps, loads
from threadkeep.validation.findings import KINDS, Severity

__all__ = ["LOSSES", "Loss"]


@attrs.frozen(kw_only=True)
class Loss:
    """The finding that damage must have.

    Attributes:
        files: the damaged ones.
        place: the file, line and path.
        refetch: all threads that are to be fetched again; None where there may be more than `thread_id`.
        strangers: ids that findings may name and nobody asked for.
        severity: where it is not that of the kind.
    """

    files: Files
    code: str
    file: str | None = OUT
    line: int | None = None
    path: str | None = None
    thread_id: str | None = None
    refetch: frozenset[str] | None = frozenset()
    strangers: tuple[str, ...] = ()
    severity: Severity | None = None

    @property
    def expected(self) -> tuple[object, ...]:
        """The finding, but for its words."""
        severity = self.severity or KINDS[self.code].severity
        return self.code, severity, self.file, self.line, self.path, self.thread_id


Cause = Callable[[Files, random.Random], Loss]


def _thread(files: Files, draw: random.Random, *, least: int = 1) -> str:
    """A thread with lines, so many at least."""
    return draw.choice([name for name, own in files.threads.items() if len(own) >= least])


def _lost(files: Files, code: str, thread_id: str, **where: Any) -> Loss:
    return Loss(files=files, code=code, thread_id=thread_id, refetch=frozenset([thread_id]), **where)


# --- the export's lines


def _line_removed(files: Files, draw: random.Random) -> Loss:
    thread_id = _thread(files, draw, least=2)
    own, lines = files.threads[thread_id], files.lines()
    del lines[draw.choice(own)]
    return _lost(files.put(OUT, lines), "digest_mismatch", thread_id, line=own.start + 1)


def _lines_swapped(files: Files, draw: random.Random) -> Loss:
    thread_id = _thread(files, draw, least=2)
    own, lines = files.threads[thread_id], files.lines()
    one, other = draw.sample(own, 2)
    lines[one], lines[other] = lines[other], lines[one]
    return _lost(files.put(OUT, lines), "digest_mismatch", thread_id, line=own.start + 1)


def _line_doubled(files: Files, draw: random.Random) -> Loss:
    thread_id = _thread(files, draw)
    lines, number = files.lines(), draw.choice(files.threads[thread_id])
    lines.insert(number, lines[number])
    path = "$.message_id"
    return _lost(files.put(OUT, lines), "duplicate_message", thread_id, line=number + 2, path=path)


def _line_moved_to_the_end(files: Files, draw: random.Random) -> Loss:
    *others, _ = files.threads
    thread_id = draw.choice([name for name in others if len(files.threads[name]) > 1])
    lines = files.lines()
    lines.append(lines.pop(draw.choice(files.threads[thread_id])))
    last = list(files.threads)[-1]
    del last
    return _lost(files.put(OUT, lines), "split_thread", thread_id, line=len(lines))


def _thread_lost(files: Files, draw: random.Random) -> Loss:
    thread_id = _thread(files, draw)
    lines, own = files.lines(), files.threads[thread_id]
    del lines[own.start : own.stop]
    return _lost(files.put(OUT, lines), "lost_thread", thread_id)


def _threads_swapped(files: Files, draw: random.Random) -> Loss:
    names = list(files.threads)
    place = draw.randrange(len(names) - 1)
    one, other = files.threads[names[place]], files.threads[names[place + 1]]
    lines = files.lines()
    lines[one.start : other.stop] = lines[other.start : other.stop] + lines[one.start : one.stop]
    line = one.start + len(other) + 1
    return Loss(files=files.put(OUT, lines), code="misplaced_thread", line=line, thread_id=names[place])


def _thread_doubled(files: Files, draw: random.Random) -> Loss:
    *others, _ = files.threads
    thread_id = draw.choice(others)
    lines, own = files.lines(), files.threads[thread_id]
    damaged = files.put(OUT, lines + lines[own.start : own.stop])
    return _lost(damaged, "split_thread", thread_id, line=len(lines) + 1)


def _message_moved(files: Files, draw: random.Random) -> Loss:
    """Into another thread, as if it had always been there."""
    one, other = draw.sample([name for name, own in files.threads.items() if len(own) > 1], 2)
    lines = files.lines()
    moved = loads(lines[draw.choice(files.threads[one])])
    lines = [line for line in lines if loads(line)["message_id"] != moved["message_id"]]
    moved["thread_id"] = other
    if "message" in moved:
        moved["message"]["thread_id"] = other
    place = next(number for number, line in enumerate(lines) if loads(line)["thread_id"] == other)
    lines.insert(place + 1, dumps(moved) + b"\n")
    both = frozenset([one, other])
    damaged = files.put(OUT, lines)
    return Loss(files=damaged, code="digest_mismatch", line=place + 1, thread_id=other, refetch=both)


def _message_of_two_threads(files: Files, draw: random.Random) -> Loss:
    """A line of one thread has the id of a message of another one before it."""
    names = [name for name, own in files.threads.items() if len(own) > 1]
    one, other = names[0], draw.choice(names[1:])
    lines = files.lines()
    message_id = loads(lines[draw.choice(files.threads[one])])["message_id"]
    number = draw.choice(files.threads[other])
    value = loads(lines[number])
    value["message_id"] = message_id
    if "message" in value:
        value["message"]["id"] = message_id
    lines[number] = dumps(value) + b"\n"
    where: dict[str, Any] = {"line": number + 1, "path": "$.message_id"}
    return _lost(files.put(OUT, lines), "duplicate_message", other, **where)


def _cut_off(files: Files, draw: random.Random) -> Loss:
    """In the middle of a line."""
    thread_id = _thread(files, draw)
    lines, number = files.lines(), draw.choice(files.threads[thread_id])
    tail = lines[number][: draw.randrange(60, len(lines[number]))]
    after = list(files.threads)[list(files.threads).index(thread_id) :]
    damaged = files.put(OUT, [*lines[:number], tail])
    return Loss(files=damaged, code="torn_line", line=number + 1, thread_id=thread_id, refetch=frozenset(after))


def _cut_between(files: Files, draw: random.Random) -> Loss:
    thread_id = _thread(files, draw)
    after = list(files.threads)[list(files.threads).index(thread_id) :]
    damaged = files.put(OUT, files.lines()[: files.threads[thread_id].start])
    return Loss(files=damaged, code="lost_thread", thread_id=draw.choice(after), refetch=frozenset(after))


def _torn_tail(files: Files, _draw: random.Random) -> Loss:
    damaged = files.put(OUT, files.content[OUT] + b'{"thread_id":"thread_hhhhhh","assi')
    where = {"line": len(files.lines()) + 1}
    return _lost(damaged, "torn_line", "thread_hhhhhh", **where)


def _emptied(files: Files, draw: random.Random) -> Loss:
    lost = frozenset(files.threads)
    return Loss(files=files.put(OUT, b""), code="lost_thread", thread_id=draw.choice([*lost]), refetch=lost)


def _byte_changed(files: Files, draw: random.Random) -> Loss:
    """Any byte of a line but its newline, to any other, but a newline."""
    thread_id = _thread(files, draw)
    lines, number = files.lines(), draw.choice(files.threads[thread_id])
    line = bytearray(lines[number])
    place = draw.randrange(len(line) - 1)
    line[place] = draw.choice([byte for byte in range(256) if byte not in (line[place], 10)])
    lines[number] = bytes(line)
    first = files.threads[thread_id].start + 1
    if number == first - 1 and len(files.threads[thread_id]) == 1 and place < 60:  # its id may be what was changed
        return _byte_changed(files, draw)
    return Loss(
        files=files.put(OUT, lines),
        code="digest_mismatch",
        line=first,
        thread_id=thread_id,
        refetch=frozenset([thread_id]),
    )


def _newlines_joined(files: Files, draw: random.Random) -> Loss:
    thread_id = _thread(files, draw, least=2)
    own, lines = files.threads[thread_id], files.lines()
    number = draw.choice(own[:-1])
    lines[number] = lines[number][:-1]
    return _lost(files.put(OUT, lines), "malformed_line", thread_id, line=number + 1, path="$")


def _line_broken(files: Files, draw: random.Random) -> Loss:
    thread_id = _thread(files, draw)
    lines, number = files.lines(), draw.choice(files.threads[thread_id])
    place = draw.randrange(60, len(lines[number]) - 2)
    lines[number] = lines[number][:place] + b"\n" + lines[number][place:]
    return _lost(files.put(OUT, lines), "malformed_line", thread_id, line=number + 1, path="$")


def _blank_line(files: Files, draw: random.Random) -> Loss:
    thread_id = _thread(files, draw, least=2)
    lines, number = files.lines(), draw.choice(files.threads[thread_id][:-1])
    lines.insert(number + 1, b"\n")
    return _lost(files.put(OUT, lines), "blank_line", thread_id, line=number + 2, path="$")


def _byte_order_mark(files: Files, _draw: random.Random) -> Loss:
    first = next(iter(files.threads))
    damaged = files.put(OUT, b"\xef\xbb\xbf" + files.content[OUT])
    return Loss(files=damaged, code="byte_order_mark", line=1, path="$", thread_id=first, refetch=frozenset([first]))


def _all_crlf(files: Files, draw: random.Random) -> Loss:
    damaged = files.put(OUT, files.content[OUT].replace(b"\n", b"\r\n"))
    thread_id = next(iter(files.threads))
    number = draw.choice(files.threads[thread_id])
    return Loss(
        files=damaged, code="crlf", line=number + 1, path="$", thread_id=thread_id, refetch=frozenset(files.threads)
    )


def _as_utf_16(files: Files, _draw: random.Random) -> Loss:
    damaged = files.put(OUT, files.content[OUT].decode().encode("utf-16"))
    return Loss(files=damaged, code="lost_thread", thread_id="thread_hhhhhh", refetch=None)


def _of_another_world(files: Files, draw: random.Random) -> Loss:
    """A complete thread that nobody asked for."""
    lines = [line.replace(b"thread_hhhhhh", b"thread_zzzzzz") for line in files.lines() if b"thread_hhhhhh" in line]
    del draw
    damaged = files.put(OUT, [*files.lines(), *lines])
    where: dict[str, Any] = {"line": len(files.lines()) + 1, "strangers": ("thread_zzzzzz",)}
    return Loss(files=damaged, code="unindexed_lines", thread_id="thread_zzzzzz", **where)


def _not_wanted(files: Files, draw: random.Random) -> Loss:
    thread_id = _thread(files, draw)
    damaged = attrs.evolve(files, ids=tuple(name for name in files.ids if name != thread_id))
    line = files.ids.index(thread_id) + 2
    return Loss(files=damaged, code="not_wanted", file=INDEX, line=line, thread_id=thread_id, strangers=(thread_id,))


def _not_exported(files: Files, draw: random.Random) -> Loss:
    ids = [*files.ids]
    ids.insert(draw.randrange(len(ids)), "thread_more")
    return _lost(attrs.evolve(files, ids=tuple(ids)), "not_exported", "thread_more", file=None)


# --- the index


def _row(change: Mapping[str, Any], code: str, thread_id: str = "thread_bbbbbb", **expected: Any) -> Cause:
    """Change the row of a thread. A line of -1 is that of the row, of 0 the thread's first."""

    def cause(files: Files, draw: random.Random) -> Loss:
        del draw
        rows = files.rows
        number = next(place for place, row in enumerate(rows) if row.thread_id == thread_id)
        rows[number] = msgspec.structs.replace(rows[number], **change)
        where: dict[str, Any] = {"thread_id": thread_id, "refetch": frozenset([thread_id]), **expected}
        if where.get("line") == -1:
            where |= {"line": number + 2, "file": INDEX}
        if where.get("line") == 0:
            where["line"] = files.threads[thread_id].start + 1
        return Loss(files=files.put_rows(rows), code=code, **where)

    return cause


def _of_another(change: Mapping[str, Any], code: str, **expected: Any) -> Cause:
    """Change the thread of a row: the finding names the other one."""
    cause = _row(change, code, refetch=None, strangers=("thread_y",), **expected)
    return lambda files, draw: attrs.evolve(cause(files, draw), thread_id="thread_y")


def _index(change: Callable[[list[bytes], random.Random], object], code: str, **expected: Any) -> Cause:
    """Change the lines of the index."""

    def cause(files: Files, draw: random.Random) -> Loss:
        lines = files.lines(INDEX)
        change(lines, draw)
        return Loss(files=files.put(INDEX, lines), code=code, refetch=None, **{"file": INDEX, **expected})

    return cause


def _row_lost(files: Files, draw: random.Random) -> Loss:
    thread_id = _thread(files, draw)
    rows = [row for row in files.rows if row.thread_id != thread_id]
    line = files.threads[thread_id].start + 1
    return _lost(files.put_rows(rows), "unindexed_lines", thread_id, line=line)


def _row_twice(files: Files, draw: random.Random) -> Loss:
    rows, thread_id = files.rows, _thread(files, draw)
    rows.append(next(row for row in rows if row.thread_id == thread_id))
    return attrs.evolve(_lost(files.put_rows(rows), "lost_thread", thread_id), refetch=None)


def _rows_swapped(files: Files, draw: random.Random) -> Loss:
    rows = files.rows
    del draw
    rows[0], rows[1] = rows[1], rows[0]
    return Loss(files=files.put_rows(rows), code="misplaced_thread", line=1, thread_id="thread_aaaaaa", refetch=None)


def _index_lost(files: Files, draw: random.Random) -> Loss:
    del draw
    return Loss(files=files.without(INDEX), code="lost_index", file=INDEX, refetch=frozenset(files.ids))


def _header(**change: Any) -> Callable[[list[bytes], random.Random], object]:
    def changed(lines: list[bytes], draw: random.Random) -> None:
        del draw
        lines[0] = dumps({**json.loads(lines[0]), **change}) + b"\n"

    return changed


def _garbled(lines: list[bytes], draw: random.Random) -> None:
    lines[2] = lines[2][: draw.randrange(1, len(lines[2]) - 2)] + b"\n"


def _put(number: int, content: bytes) -> Callable[[list[bytes], random.Random], object]:
    return lambda lines, _draw: lines.__setitem__(number, content)


# --- the manifest


def _manifest(path: str, value: object) -> Cause:
    """Put a value where a path leads."""

    def cause(files: Files, draw: random.Random) -> Loss:
        content = json.loads(files.content[MANIFEST])
        *steps, last = path.removeprefix("$.").split(".")
        row = content
        for step in steps:
            row = row[step]
        row[last] = value
        del draw
        damaged = files.put(MANIFEST, dumps(content))
        # Where the index may be another one, an id that only lines name may be that of a lost row.
        return Loss(files=damaged, code="manifest_mismatch", file=MANIFEST, path=path)

    return cause


def _manifest_cut(files: Files, draw: random.Random) -> Loss:
    content = files.content[MANIFEST]
    damaged = files.put(MANIFEST, content[: draw.randrange(len(content) - 2)])
    return Loss(files=damaged, code="unreadable_manifest", file=MANIFEST)


def _manifest_without(key: str) -> Cause:
    def cause(files: Files, draw: random.Random) -> Loss:
        content = json.loads(files.content[MANIFEST])
        del content[key], draw
        return Loss(files=files.put(MANIFEST, dumps(content)), code="unreadable_manifest", file=MANIFEST)

    return cause


def _manifest_lost(files: Files, draw: random.Random) -> Loss:
    del draw
    return Loss(files=files.without(MANIFEST), code="lost_manifest", file=MANIFEST)


def _line_and_index_lost(files: Files, draw: random.Random) -> Loss:
    del draw
    damaged = files.put(OUT, files.lines()[:-1]).without(INDEX)
    where: dict[str, Any] = {"file": MANIFEST, "path": "$.files.out.bytes"}
    return Loss(files=damaged, code="manifest_mismatch", refetch=frozenset(files.ids), **where)


# --- the files next to the export


def _file_lost(name: str) -> Cause:
    """Of a file of lines every thread that has some is to be fetched again."""

    def cause(files: Files, _draw: random.Random) -> Loss:
        lines = files.lines(name) if name in (RUNS, THREADS) else []
        owners = frozenset(json.loads(line)["thread_id"] for line in lines)
        return Loss(files=files.without(name), code="lost_file", file=name, refetch=owners)

    return cause


def _sidecar_changed(name: str) -> Cause:
    def cause(files: Files, draw: random.Random) -> Loss:
        lines = files.lines(name)
        number = draw.randrange(len(lines))
        thread_id = json.loads(lines[number])["thread_id"]
        first = next(n for n, line in enumerate(lines) if json.loads(line)["thread_id"] == thread_id)
        place = draw.randrange(len(lines[number]) - 20, len(lines[number]) - 1)
        lines[number] = lines[number][:place] + b"?" + lines[number][place + 1 :]
        return _lost(files.put(name, lines), "digest_mismatch", thread_id, file=name, line=first + 1)

    return cause


def _sidecar_shorter(name: str) -> Cause:
    def cause(files: Files, draw: random.Random) -> Loss:
        lines = files.lines(name)
        thread_id = json.loads(draw.choice(lines))["thread_id"]
        kept = [line for line in lines if json.loads(line)["thread_id"] != thread_id]
        return _lost(files.put(name, kept), "lost_thread", thread_id, file=name)

    return cause


def _sidecar_longer(files: Files, _draw: random.Random) -> Loss:
    lines = files.lines(RUNS)
    damaged = files.put(RUNS, [*lines, lines[0]])
    thread_id = json.loads(lines[0])["thread_id"]
    return _lost(damaged, "split_thread", thread_id, file=RUNS, line=len(lines) + 1)


def _sidecar_headed(files: Files, _draw: random.Random) -> Loss:
    """Lines of a thread that the index does not know, before all others."""
    damaged = files.put(RUNS, [b'{"thread_id":"thread_more"}\n', *files.lines(RUNS)])
    where: dict[str, Any] = {"file": RUNS, "line": 1, "strangers": ("thread_more",)}
    return Loss(files=damaged, code="unindexed_lines", thread_id="thread_more", **where)


def _sidecar_swapped(files: Files, _draw: random.Random) -> Loss:
    one, other, *rest = files.lines(THREADS)
    thread_id = json.loads(one)["thread_id"]
    damaged = files.put(THREADS, [other, one, *rest])
    return Loss(files=damaged, code="misplaced_thread", file=THREADS, line=2, thread_id=thread_id)


def _sidecar_torn(files: Files, draw: random.Random) -> Loss:
    lines = files.lines(RUNS)
    damaged = files.put(RUNS, [*lines, lines[-1][: draw.randrange(1, 20)]])
    return Loss(files=damaged, code="torn_line", file=RUNS, line=len(lines) + 1)


def _span(change: Mapping[str, Any], code: str, **expected: Any) -> Cause:
    """Change where the runs of the first thread are."""

    def cause(files: Files, draw: random.Random) -> Loss:
        rows = files.rows
        span = msgspec.structs.replace(rows[0].sidecars["runs"], **change)
        rows[0] = msgspec.structs.replace(rows[0], sidecars={**rows[0].sidecars, "runs": span})
        del draw
        return Loss(files=files.put_rows(rows), code=code, file=RUNS, thread_id="thread_aaaaaa", **expected)

    return cause


def _runs_never_saved(files: Files, draw: random.Random) -> Loss:
    rows = files.rows
    sidecars = {name: span for name, span in rows[0].sidecars.items() if name != "runs"}
    rows[0] = msgspec.structs.replace(rows[0], sidecars=sidecars)
    del draw
    return _lost(files.put_rows(rows), "lost_thread", "thread_aaaaaa", file=RUNS)


_IMAGE = "out.files/file-img1.png"


def _file(change: Callable[[bytes], bytes]) -> Cause:
    return lambda files, _draw: Loss(
        files=files.put(_IMAGE, change(files.content[_IMAGE])), code="file_mismatch", file=_IMAGE
    )


def _download(change: Mapping[str, object], code: str, file: str = _IMAGE, line: int | None = None) -> Cause:
    def cause(files: Files, draw: random.Random) -> Loss:
        rows = [json.loads(line) for line in files.lines(DOWNLOADS)]
        next(row for row in rows if row["file_id"] == "file-img1").update(change)
        del draw
        damaged = files.put(DOWNLOADS, [dumps(row) + b"\n" for row in rows])
        return Loss(files=damaged, code=code, file=file, line=line)

    return cause


# --- the partial file, of the export that was cut off

_PARTLY = "thread_ffffff"


def _of_partial(change: Callable[[list[bytes], random.Random], list[bytes] | None]) -> Cause:
    def cause(files: Files, draw: random.Random) -> Loss:
        changed = change(files.lines(PARTIAL), draw)
        damaged = files.without(PARTIAL) if changed is None else files.put(PARTIAL, changed)
        line = None if changed is None else 1
        return Loss(files=damaged, code="lost_partial", file=PARTIAL, line=line, thread_id=_PARTLY, refetch=None)

    return cause


def _one_fewer(lines: list[bytes], draw: random.Random) -> list[bytes]:
    place = draw.randrange(len(lines))
    return [*lines[:place], *lines[place + 1 :]]


def _one_garbled(lines: list[bytes], draw: random.Random) -> list[bytes]:
    place = draw.randrange(len(lines))
    return [*lines[:place], lines[place][: draw.randrange(len(lines[place]) - 2)] + b"\n", *lines[place + 1 :]]


def _one_for_another(lines: list[bytes], draw: random.Random) -> list[bytes]:
    one, other = draw.sample(range(len(lines)), 2)
    return [lines[other] if place == one else line for place, line in enumerate(lines)]


def _as_it_is(code: str, thread_id: str) -> Cause:
    """A finding that the export has without any damage, since it was cut off."""

    def cause(files: Files, draw: random.Random) -> Loss:
        del draw
        line = next(number for number, row in enumerate(files.rows, 2) if row.thread_id == thread_id)
        again = frozenset(["thread_dddddd", _PARTLY, "thread_gggggg"])
        return Loss(files=files, code=code, file=INDEX, line=line, thread_id=thread_id, refetch=again)

    return cause


_COMPLETE = ("full", "flat")
_FIRST: dict[str, Any] = {"line": 1, "thread_id": "thread_aaaaaa"}

LOSSES: dict[str, tuple[tuple[str, ...], Cause]] = {
    "a line removed": (_COMPLETE, _line_removed),
    "two lines swapped": (_COMPLETE, _lines_swapped),
    "a line doubled": (_COMPLETE, _line_doubled),
    "a line moved to the end": (_COMPLETE, _line_moved_to_the_end),
    "a thread lost": (_COMPLETE, _thread_lost),
    "two threads swapped": (_COMPLETE, _threads_swapped),
    "a thread doubled": (_COMPLETE, _thread_doubled),
    "a message moved to another thread": (_COMPLETE, _message_moved),
    "a message in two threads": (_COMPLETE, _message_of_two_threads),
    "cut off in a line": (_COMPLETE, _cut_off),
    "cut off between threads": (_COMPLETE, _cut_between),
    "a torn tail": (_COMPLETE, _torn_tail),
    "emptied": (_COMPLETE, _emptied),
    "a byte changed": (("full",), _byte_changed),
    "two lines in one": (_COMPLETE, _newlines_joined),
    "a line in two": (_COMPLETE, _line_broken),
    "a blank line": (_COMPLETE, _blank_line),
    "a byte order mark": (_COMPLETE, _byte_order_mark),
    "crlf throughout": (_COMPLETE, _all_crlf),
    "as utf-16": (_COMPLETE, _as_utf_16),
    "a thread of another world": (_COMPLETE, _of_another_world),
    "a list that names one less": (_COMPLETE, _not_wanted),
    "a list that names one more": (_COMPLETE, _not_exported),
    "a row of more messages": (_COMPLETE, _row({"messages": 999}, "index_mismatch", line=-1, path="$.messages")),
    "a row of another first message": (
        _COMPLETE,
        _row({"first_id": "msg_no"}, "index_mismatch", line=-1, path="$.first_id"),
    ),
    "a row of no last message": (_COMPLETE, _row({"last_id": None}, "index_mismatch", line=-1, path="$.last_id")),
    "a row of another assistant": (
        _COMPLETE,
        _row({"assistant_id": "asst_no"}, "index_mismatch", line=-1, path="$.assistant_id"),
    ),
    "a row of another digest": (_COMPLETE, _row({"sha256": "0" * 64}, "digest_mismatch", line=0)),
    "a row of fewer bytes": (_COMPLETE, _row({"bytes": 9}, "digest_mismatch", line=0)),
    "a row of another place": (_COMPLETE, _row({"offset": 9}, "misplaced_thread", line=0, refetch=frozenset())),
    "a row that failed": (
        _COMPLETE,
        _row({"outcome": "failed", "offset": None}, "thread_failed", line=-1),
    ),
    "a row of another thread": (
        _COMPLETE,
        _of_another({"thread_id": "thread_y"}, "index_mismatch", line=-1, path="$.thread_id"),
    ),
    "an empty thread's row with a first message": (
        _COMPLETE,
        _row({"first_id": "msg_no"}, "index_mismatch", "thread_cccccc", line=-1, path="$.first_id"),
    ),
    "an empty thread's row with another digest": (
        _COMPLETE,
        _row({"sha256": "0" * 64}, "index_mismatch", "thread_cccccc", line=-1, path="$.sha256"),
    ),
    "a row lost": (_COMPLETE, _row_lost),
    "a row twice": (_COMPLETE, _row_twice),
    "two rows swapped": (_COMPLETE, _rows_swapped),
    "a row garbled": (_COMPLETE, _index(_garbled, "unreadable_index", line=3)),
    "a row of an outcome that is none": (
        _COMPLETE,
        _index(_put(1, b'{"thread_id":"a","assistant_id":null,"outcome":"lost"}\n'), "unreadable_index", line=2),
    ),
    "an index without header": (_COMPLETE, _index(lambda lines, _: lines.pop(0), "unreadable_index", line=1)),
    "an index of another format": (_COMPLETE, _index(_header(format="other/9"), "unreadable_index", line=1)),
    "an index cut": (_COMPLETE, _index(_put(-1, b'{"thread_id"'), "unreadable_index", line=9)),
    "an index of another source": (
        _COMPLETE,
        _index(_header(source="http://no"), "manifest_mismatch", file=MANIFEST, path="$.source"),
    ),
    "an index of another assistant": (
        _COMPLETE,
        _index(_header(assistant_id="asst_no"), "manifest_mismatch", file=MANIFEST, path="$.assistant_id"),
    ),
    "an index of the other form": (
        ("full",),
        _index(_header(flat=True), "mixed_formats", file=OUT, path="$.message", **_FIRST),
    ),
    "an index of fewer kinds": (
        _COMPLETE,
        _index(_header(include=["runs"]), "manifest_mismatch", file=MANIFEST, path="$.include"),
    ),
    "an index lost": (_COMPLETE, _index_lost),
    "a line and the index lost": (_COMPLETE, _line_and_index_lost),
    **{
        f"a manifest of another {path[2:]}": (_COMPLETE, _manifest(path, value))
        for path, value in {
            "$.source": "http://no",
            "$.assistant_id": "asst_no",
            "$.include": [],
            "$.totals.threads": 9,
            "$.totals.messages": 7,
            "$.totals.partial_messages": 7,
            "$.outcomes.complete": 7,
            "$.outcomes.more": 0,
            "$.downloads.saved": 7,
            "$.downloads": None,
            "$.digest": "0" * 64,
            "$.files.out.bytes": 1,
            "$.files.index.sha256": "0" * 64,
            "$.files.downloads.bytes": 1,
            "$.files.runs.bytes": 1,
        }.items()
    },
    "a manifest of the other form": (("full",), _manifest("$.flat", True)),
    "a manifest cut": (_COMPLETE, _manifest_cut),
    **{
        f"a manifest without {key}": (_COMPLETE, _manifest_without(key))
        for key in ("source", "totals", "digest", "outcomes", "versions", "finished_at", "files")
    },
    "a manifest lost": (_COMPLETE, _manifest_lost),
    **{f"{name} lost": (_COMPLETE, _file_lost(name)) for name in (RUNS, THREADS, _IMAGE, DOWNLOADS)},
    "the export lost": (
        _COMPLETE,
        lambda files, _draw: Loss(files=files.without(OUT), code="lost_file", refetch=frozenset(files.threads)),
    ),
    **{f"{name} changed": (_COMPLETE, _sidecar_changed(name)) for name in (RUNS, THREADS)},
    **{f"{name} shorter": (_COMPLETE, _sidecar_shorter(name)) for name in (RUNS, THREADS)},
    "runs longer": (_COMPLETE, _sidecar_longer),
    "runs of nobody": (_COMPLETE, _sidecar_headed),
    "torn runs": (_COMPLETE, _sidecar_torn),
    "thread objects swapped": (_COMPLETE, _sidecar_swapped),
    "runs never saved": (_COMPLETE, _runs_never_saved),
    "runs of another digest": (
        _COMPLETE,
        _span({"sha256": "0" * 64}, "digest_mismatch", line=1, refetch=frozenset(["thread_aaaaaa"])),
    ),
    "runs of another place": (_COMPLETE, _span({"offset": 7}, "misplaced_thread", line=1)),
    "a download's row with another digest": (_COMPLETE, _download({"sha256": "0" * 64}, "file_mismatch")),
    "a download's row with another size": (_COMPLETE, _download({"bytes": 1}, "file_mismatch")),
    "a download's row with another name": (
        _COMPLETE,
        _download({"name": "../other"}, "lost_file", "out.files/other"),
    ),
    "a download's row that failed": (
        _COMPLETE,
        _download({"outcome": "failed"}, "file_failed", "out.files/file-img1"),
    ),
    "a download's row that had no turn": (
        _COMPLETE,
        _download({"outcome": "unfinished"}, "not_exported", "out.files/file-img1"),
    ),
    "a download's row of another": (
        _COMPLETE,
        _download({"file_id": "file-other"}, "not_exported", "out.files/file-img1"),
    ),
    "a download's row of an outcome that is none": (
        _COMPLETE,
        _download({"outcome": "lost"}, "unreadable_index", DOWNLOADS, 1),
    ),
    "a file cut": (_COMPLETE, _file(lambda content: content[:-1])),
    "a file changed": (_COMPLETE, _file(lambda content: content[:-1] + b"?")),
    "a file emptied": (_COMPLETE, _file(lambda _content: b"")),
    "the partial file lost": (("cut",), _of_partial(lambda _lines, _draw: None)),
    "the partial file shorter": (("cut",), _of_partial(_one_fewer)),
    "a line of the partial file garbled": (("cut",), _of_partial(_one_garbled)),
    "a message of the partial file lost for a line twice": (("cut",), _of_partial(_one_for_another)),
    "a failed thread": (("cut",), _as_it_is("thread_failed", "thread_dddddd")),
    "a partial thread": (("cut",), _as_it_is("thread_partial", _PARTLY)),
    "a missing thread": (("cut",), _as_it_is("thread_missing", "thread_unknown")),
    "a thread that had no turn": (("cut",), _as_it_is("thread_unfinished", "thread_gggggg")),
}
"""By name: of which exports, and the damage."""
