"""Kinds of damage to the files of an export, and what must be found then: tables for `test_mutations`.

Each kind is pure: from the files and a `random.Random` to the damaged ones and what must be found. `BASE` says which
export it damages.
"""

import json
import random
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from damaged import JOURNAL, MANIFEST, OUT, PARTIAL, RUNS, THREADS, WANTED, Files
from threadkeep.serialization.lossless_json import dumps, loads
from threadkeep.validation.findings import KINDS, Severity
from threadkeep.wanted import encode

__all__ = ["LOSSES", "Loss"]


@attrs.frozen(kw_only=True)
class Loss:
    """What must be found.

    Attributes:
        files: the damaged ones.
        place: the file, line and path.
        refetch: all threads that want to be fetched again; None where there may be more than `thread_id`.
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
    return Loss(files=files.put(OUT, lines), code="misplaced_thread", line=one.start + 1, thread_id=names[place + 1])


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


def _torn_tail_of_a_kill(files: Files, draw: random.Random) -> Loss:
    damaged = _torn_tail(files, draw).files.without(MANIFEST)
    return Loss(files=damaged, code="torn_line", line=len(files.lines()) + 1, severity=Severity.NOTE)


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
    thread_id = _thread(files, draw)
    lines, number = files.lines(), draw.choice(files.threads[thread_id])
    lines.insert(number + 1, b"\n")
    return _lost(files.put(OUT, lines), "blank_line", thread_id, line=number + 2)


def _byte_order_mark(files: Files, _draw: random.Random) -> Loss:
    first = next(iter(files.threads))
    damaged = files.put(OUT, b"\xef\xbb\xbf" + files.content[OUT])
    return Loss(files=damaged, code="byte_order_mark", line=1, thread_id=first, refetch=frozenset([first]))


def _all_crlf(files: Files, draw: random.Random) -> Loss:
    damaged = files.put(OUT, files.content[OUT].replace(b"\n", b"\r\n"))
    thread_id = next(iter(files.threads))
    number = draw.choice(files.threads[thread_id])
    return Loss(files=damaged, code="crlf", line=number + 1, thread_id=thread_id, refetch=frozenset(files.threads))


def _as_utf_16(files: Files, _draw: random.Random) -> Loss:
    damaged = files.put(OUT, files.content[OUT].decode().encode("utf-16"))
    return Loss(files=damaged, code="lost_thread", thread_id="thread_hhhhhh", refetch=None)


def _of_another_world(files: Files, draw: random.Random) -> Loss:
    """A thread that nobody asked for, whole."""
    lines = [line.replace(b"thread_hhhhhh", b"thread_zzzzzz") for line in files.lines() if b"thread_hhhhhh" in line]
    del draw
    damaged = files.put(OUT, [*files.lines(), *lines])
    where: dict[str, Any] = {"line": len(files.lines()) + 1, "strangers": ("thread_zzzzzz",)}
    return Loss(files=damaged, code="unjournalled_thread", thread_id="thread_zzzzzz", **where)


def _not_wanted(files: Files, draw: random.Random) -> Loss:
    thread_id = _thread(files, draw)
    damaged = attrs.evolve(files, ids=tuple(name for name in files.ids if name != thread_id))
    line = files.threads[thread_id].start + 1
    return Loss(files=damaged, code="not_wanted", line=line, thread_id=thread_id, strangers=(thread_id,))


def _not_exported(files: Files, draw: random.Random) -> Loss:
    ids = [*files.ids]
    ids.insert(draw.randrange(len(ids)), "thread_more")
    return _lost(attrs.evolve(files, ids=tuple(ids)), "not_exported", "thread_more", file=None)


# --- the journal


def _rows(files: Files, name: str = JOURNAL) -> list[dict[str, Any]]:
    return [json.loads(line) for line in files.lines(name)]


def _put_rows(files: Files, rows: list[dict[str, Any]], name: str = JOURNAL) -> Files:
    return files.put(name, [dumps(row) + b"\n" for row in rows])


def _entry(change: Callable[[dict[str, Any]], object], code: str, **expected: Any) -> Cause:
    """Change the entry of a thread with lines. A line of -1 stands for the entry's, of 0 for the thread's first."""

    def cause(files: Files, draw: random.Random) -> Loss:
        rows, thread_id = _rows(files), _thread(files, draw)
        number = next(place for place, row in enumerate(rows) if row.get("thread_id") == thread_id)
        change(rows[number])
        where: dict[str, Any] = {"thread_id": thread_id, "refetch": frozenset([thread_id]), **expected}
        if where.get("line") == -1:
            where |= {"line": number + 1, "file": JOURNAL}
        if where.get("line") == 0:
            where["line"] = files.threads[thread_id].start + 1
        return Loss(files=_put_rows(files, rows), code=code, **where)

    return cause


def _header(change: Callable[[dict[str, Any]], object], code: str, **expected: Any) -> Cause:
    def cause(files: Files, draw: random.Random) -> Loss:
        rows = _rows(files)
        change(rows[0])
        del draw
        return Loss(files=_put_rows(files, rows), code=code, **expected)

    return cause


def _file_entry(change: Callable[[dict[str, Any]], object], code: str, file: str) -> Cause:
    def cause(files: Files, draw: random.Random) -> Loss:
        rows = _rows(files)
        change(next(row for row in rows if row.get("file_id") == "file-img1"))
        del draw
        return Loss(files=_put_rows(files, rows), code=code, file=file)

    return cause


def _empty_entry(field: str, value: object) -> Cause:
    def cause(files: Files, draw: random.Random) -> Loss:
        rows = _rows(files)
        number = next(place for place, row in enumerate(rows) if row.get("thread_id") == "thread_cccccc")
        rows[number][field] = value
        del draw
        where: dict[str, Any] = {"file": JOURNAL, "line": number + 1, "path": f"$.{field}"}
        return _lost(_put_rows(files, rows), "journal_mismatch", "thread_cccccc", **where)

    return cause


def _entry_lost(files: Files, draw: random.Random) -> Loss:
    thread_id = _thread(files, draw)
    kept = [row for row in _rows(files) if row.get("thread_id") != thread_id]
    line = files.threads[thread_id].start + 1
    return _lost(_put_rows(files, kept), "unjournalled_thread", thread_id, line=line)


def _entry_of_nothing(files: Files, draw: random.Random) -> Loss:
    rows = _rows(files)
    rows.append({**rows[1], "thread_id": "thread_more"})
    del draw
    damaged = _put_rows(files, rows)
    return attrs.evolve(_lost(damaged, "lost_thread", "thread_more", strangers=("thread_more",)), refetch=None)


def _entry_garbled(files: Files, draw: random.Random) -> Loss:
    thread_id = _thread(files, draw)
    lines = files.lines(JOURNAL)
    number = next(place for place, row in enumerate(_rows(files)) if row.get("thread_id") == thread_id)
    cut = draw.randrange(1, len(lines[number]) - 2)
    lines[number] = lines[number][:cut] + b"\n"
    damaged = files.put(JOURNAL, lines)
    again = frozenset([thread_id])
    return Loss(files=damaged, code="unreadable_journal", file=JOURNAL, line=number + 1, refetch=again)


def _journal_torn(files: Files, draw: random.Random) -> Loss:
    lines = files.lines(JOURNAL)
    number = max(place for place, row in enumerate(_rows(files)) if row.get("messages"))
    thread_id = _rows(files)[number]["thread_id"]
    damaged = files.put(JOURNAL, [*lines[:number], lines[number][: draw.randrange(1, len(lines[number]))]])
    return Loss(files=damaged, code="torn_journal", file=JOURNAL, refetch=frozenset([thread_id]))


def _journal(content: bytes | None, code: str, **where: Any) -> Cause:
    def cause(files: Files, draw: random.Random) -> Loss:
        del draw
        damaged = files.without(JOURNAL) if content is None else files.put(JOURNAL, content)
        again = frozenset(files.ids)
        return Loss(files=damaged, code=code, file=JOURNAL, refetch=again, **where)

    return cause


def _header_lost(files: Files, draw: random.Random) -> Loss:
    del draw
    damaged = files.put(JOURNAL, files.lines(JOURNAL)[1:])
    return Loss(files=damaged, code="unreadable_journal", file=JOURNAL, line=1, refetch=frozenset(files.ids))


# --- the manifest


def _manifest(path: str, value: object) -> Cause:
    """Put a value where a path leads."""

    def cause(files: Files, draw: random.Random) -> Loss:
        said = json.loads(files.content[MANIFEST])
        *steps, last = path.removeprefix("$.").split(".")
        row = said
        for step in steps:
            row = row[step]
        row[last] = value
        del draw
        return Loss(files=files.put(MANIFEST, dumps(said)), code="manifest_mismatch", file=MANIFEST, path=path)

    return cause


def _manifest_cut(files: Files, draw: random.Random) -> Loss:
    content = files.content[MANIFEST]
    damaged = files.put(MANIFEST, content[: draw.randrange(len(content) - 2)])
    return Loss(files=damaged, code="unreadable_manifest", file=MANIFEST)


def _wanted_garbled(files: Files, draw: random.Random) -> Loss:
    content = encode(["thread_z"])
    damaged = files.without(MANIFEST).put(WANTED, content[: draw.randrange(len(content) - 2)])
    return Loss(files=damaged, code="unreadable_wanted", file=WANTED)


def _manifest_without(key: str) -> Cause:
    def cause(files: Files, draw: random.Random) -> Loss:
        said = json.loads(files.content[MANIFEST])
        del said[key], draw
        return Loss(files=files.put(MANIFEST, dumps(said)), code="unreadable_manifest", file=MANIFEST)

    return cause


def _manifest_lost(files: Files, draw: random.Random) -> Loss:
    del draw
    return Loss(files=files.without(MANIFEST), code="unfinished_run", file=MANIFEST)


def _manifest_against_lines(path: str, change: Callable[[Files], Files]) -> Cause:
    """The journal is gone too."""

    def cause(files: Files, draw: random.Random) -> Loss:
        del draw
        damaged = change(files).without(JOURNAL)
        where: dict[str, Any] = {"file": MANIFEST, "path": path}
        return Loss(files=damaged, code="manifest_mismatch", refetch=frozenset(files.ids), **where)

    return cause


def _last_line_lost(files: Files) -> Files:
    return files.put(OUT, files.lines()[:-1])


# --- what stands beside


def _beside_lost(name: str) -> Cause:
    """Of a file of lines every thread that has some wants to be fetched again; any run asks for a download."""

    def cause(files: Files, _draw: random.Random) -> Loss:
        lines = files.lines(name) if name in (RUNS, THREADS) else []
        owners = frozenset(json.loads(line)["thread_id"] for line in lines)
        return Loss(files=files.without(name), code="lost_file", file=name, refetch=owners)

    return cause


def _beside_changed(name: str) -> Cause:
    def cause(files: Files, draw: random.Random) -> Loss:
        lines = files.lines(name)
        number = draw.randrange(len(lines))
        thread_id = json.loads(lines[number])["thread_id"]
        first = next(n for n, line in enumerate(lines) if json.loads(line)["thread_id"] == thread_id)
        place = draw.randrange(len(lines[number]) - 20, len(lines[number]) - 1)
        lines[number] = lines[number][:place] + b"?" + lines[number][place + 1 :]
        return _lost(files.put(name, lines), "digest_mismatch", thread_id, file=name, line=first + 1)

    return cause


def _beside_shorter(name: str) -> Cause:
    def cause(files: Files, draw: random.Random) -> Loss:
        lines = files.lines(name)
        thread_id = json.loads(draw.choice(lines))["thread_id"]
        kept = [line for line in lines if json.loads(line)["thread_id"] != thread_id]
        return _lost(files.put(name, kept), "lost_thread", thread_id, file=name)

    return cause


def _beside_longer(files: Files, _draw: random.Random) -> Loss:
    lines = files.lines(RUNS)
    damaged = files.put(RUNS, [*lines, lines[0]])
    thread_id = json.loads(lines[0])["thread_id"]
    return _lost(damaged, "split_thread", thread_id, file=RUNS, line=len(lines) + 1)


def _beside_headed(files: Files, _draw: random.Random) -> Loss:
    """Lines of a thread that the journal does not know, before all others."""
    damaged = files.put(RUNS, [b'{"thread_id":"thread_more"}\n', *files.lines(RUNS)])
    where: dict[str, Any] = {"file": RUNS, "line": 1, "strangers": ("thread_more",)}
    return Loss(files=damaged, code="unjournalled_thread", thread_id="thread_more", **where)


def _beside_swapped(files: Files, _draw: random.Random) -> Loss:
    one, other, *rest = files.lines(THREADS)
    thread_id = json.loads(other)["thread_id"]
    damaged = files.put(THREADS, [other, one, *rest])
    return Loss(files=damaged, code="misplaced_thread", file=THREADS, line=1, thread_id=thread_id)


def _span(field: str, value: object, code: str, refetch: frozenset[str]) -> Cause:
    def cause(files: Files, draw: random.Random) -> Loss:
        rows = _rows(files)
        row = next(row for row in rows if row.get("thread_id") == "thread_aaaaaa")
        row["beside"]["runs"][field] = value
        del draw
        where: dict[str, Any] = {"file": RUNS, "line": 1, "thread_id": "thread_aaaaaa", "refetch": refetch}
        return Loss(files=_put_rows(files, rows), code=code, **where)

    return cause


_IMAGE = "out.files/file-img1"


def _file(change: Callable[[bytes], bytes]) -> Cause:
    return lambda files, _draw: Loss(
        files=files.put(_IMAGE, change(files.content[_IMAGE])), code="file_mismatch", file=_IMAGE
    )


# --- the partial file, of the export that was cut off

_PARTLY = "thread_ffffff"


def _of_partial(change: Callable[[list[bytes], random.Random], list[bytes] | None], line: bool = False) -> Cause:
    def cause(files: Files, draw: random.Random) -> Loss:
        lines = files.lines(PARTIAL)
        changed = change(lines, draw)
        damaged = files.without(PARTIAL) if changed is None else files.put(PARTIAL, changed)
        numbers = [n for n, (old, new) in enumerate(zip(lines, changed or (), strict=False), 1) if old != new]
        where: dict[str, Any] = {"line": numbers[0]} if line else {"thread_id": _PARTLY}
        return Loss(files=damaged, code="lost_partial", file=PARTIAL, refetch=None, **where)

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


def _partial_entry(change: Mapping[str, object]) -> Cause:
    def cause(files: Files, draw: random.Random) -> Loss:
        rows = _rows(files)
        next(row for row in rows if row.get("thread_id") == _PARTLY).update(change)
        del draw
        damaged = _put_rows(files, rows)
        return Loss(files=damaged, code="lost_partial", file=PARTIAL, thread_id=_PARTLY, refetch=None)

    return cause


def _partial_of_no_journal(files: Files, draw: random.Random) -> Loss:
    del draw
    damaged = files.without(JOURNAL, MANIFEST)
    return Loss(files=damaged, code="thread_partial", file=PARTIAL, line=1, thread_id=_PARTLY, refetch=None)


def _given_up_by_the_manifest(code: str, thread_id: str, place: int) -> Cause:
    def cause(files: Files, draw: random.Random) -> Loss:
        del draw
        where: dict[str, Any] = {"file": MANIFEST, "path": f"$.not_whole[{place}]", "thread_id": thread_id}
        return Loss(files=files.without(JOURNAL), code=code, refetch=None, **where)

    return cause


def _as_it_is(code: str, thread_id: str) -> Cause:
    """What the export that was cut off says without any damage."""

    def cause(files: Files, draw: random.Random) -> Loss:
        del draw
        line = next((n for n, row in enumerate(_rows(files), 1) if row.get("thread_id") == thread_id), None)
        file = None if line is None else JOURNAL
        again = frozenset(["thread_dddddd", _PARTLY, "thread_gggggg"])
        return Loss(files=files, code=code, file=file, line=line, thread_id=thread_id, refetch=again)

    return cause


def _partial_torn(files: Files, draw: random.Random) -> Loss:
    lines = files.lines(PARTIAL)
    tail = lines[0][: draw.randrange(1, len(lines[0]) - 2)]
    damaged = files.put(PARTIAL, [*lines, tail])
    return Loss(files=damaged, code="lost_partial", file=PARTIAL, line=len(lines) + 1, refetch=None)


def _beside_torn(files: Files, draw: random.Random) -> Loss:
    lines = files.lines(RUNS)
    damaged = files.put(RUNS, [*lines, lines[-1][: draw.randrange(1, len(lines[-1]))]])
    return Loss(files=damaged, code="torn_line", file=RUNS, line=len(lines) + 1)


def _of_a_kill(loss: Loss) -> Loss:
    """The same after a run that did not end by itself: it leaves that."""
    killed = loss.files.without(MANIFEST)
    return attrs.evolve(loss, files=killed, code="torn_line", severity=Severity.NOTE)


_WHOLE = ("full", "flat")

LOSSES: dict[str, tuple[tuple[str, ...], Cause]] = {
    "a line removed": (_WHOLE, _line_removed),
    "two lines swapped": (_WHOLE, _lines_swapped),
    "a line doubled": (_WHOLE, _line_doubled),
    "a line moved to the end": (_WHOLE, _line_moved_to_the_end),
    "a thread lost": (_WHOLE, _thread_lost),
    "two threads swapped": (_WHOLE, _threads_swapped),
    "a thread doubled": (_WHOLE, _thread_doubled),
    "a message moved to another thread": (_WHOLE, _message_moved),
    "a message in two threads": (_WHOLE, _message_of_two_threads),
    "cut off in a line": (_WHOLE, _cut_off),
    "cut off between threads": (_WHOLE, _cut_between),
    "a torn tail": (_WHOLE, _torn_tail),
    "a torn tail of a kill": (_WHOLE, _torn_tail_of_a_kill),
    "emptied": (_WHOLE, _emptied),
    "a byte changed": (("full",), _byte_changed),
    "two lines in one": (_WHOLE, _newlines_joined),
    "a line in two": (_WHOLE, _line_broken),
    "a blank line": (_WHOLE, _blank_line),
    "a byte order mark": (_WHOLE, _byte_order_mark),
    "crlf throughout": (_WHOLE, _all_crlf),
    "as utf-16": (_WHOLE, _as_utf_16),
    "a thread of another world": (_WHOLE, _of_another_world),
    "a list that names one less": (_WHOLE, _not_wanted),
    "a list that names one more": (_WHOLE, _not_exported),
    "an entry of more messages": (
        _WHOLE,
        _entry(lambda row: row.update(messages=row["messages"] + 1), "journal_mismatch", line=-1, path="$.messages"),
    ),
    "an entry of another first message": (
        _WHOLE,
        _entry(lambda row: row.update(first_id="msg_no"), "journal_mismatch", line=-1, path="$.first_id"),
    ),
    "an entry of no last message": (
        _WHOLE,
        _entry(lambda row: row.update(last_id=None), "journal_mismatch", line=-1, path="$.last_id"),
    ),
    "an entry of another digest": (
        _WHOLE,
        _entry(lambda row: row.update(sha256="0" * 64), "digest_mismatch", line=0),
    ),
    "an entry without digest": (_WHOLE, _entry(lambda row: row.pop("sha256"), "digest_mismatch", line=0)),
    "an entry of another end": (
        _WHOLE,
        _entry(
            lambda row: row.update(end_offset=row["end_offset"] - 1), "misplaced_thread", line=0, refetch=frozenset()
        ),
    ),
    "an entry of another outcome": (
        _WHOLE,
        _entry(lambda row: row.update(outcome="failed"), "unjournalled_thread", line=0),
    ),
    "an entry that failed": (_WHOLE, _entry(lambda row: row.update(outcome="failed"), "thread_failed", line=-1)),
    "an entry that is missing": (_WHOLE, _entry(lambda row: row.update(outcome="missing"), "thread_missing", line=-1)),
    "an entry that is invalid": (_WHOLE, _entry(lambda row: row.update(outcome="invalid"), "thread_invalid", line=-1)),
    "an entry of an outcome that is none": (
        _WHOLE,
        _entry(lambda row: row.update(outcome="lost"), "unreadable_journal", line=-1, thread_id=None, refetch=None),
    ),
    "an entry of another thread": (
        _WHOLE,
        _entry(
            lambda row: row.update(thread_id="thread_y"),
            "unjournalled_thread",
            line=0,
            refetch=None,
            strangers=("thread_y",),
        ),
    ),
    "an entry with an unknown key": (
        _WHOLE,
        _entry(lambda row: row.update(more=1), "unreadable_journal", line=-1, thread_id=None, refetch=None),
    ),
    "an entry lost": (_WHOLE, _entry_lost),
    "an entry of nothing": (_WHOLE, _entry_of_nothing),
    "an entry garbled": (_WHOLE, _entry_garbled),
    "an empty thread's entry with a first message": (_WHOLE, _empty_entry("first_id", "msg_no")),
    "an empty thread's entry with a last message": (_WHOLE, _empty_entry("last_id", "msg_no")),
    "an empty thread's entry with another digest": (_WHOLE, _empty_entry("sha256", "0" * 64)),
    "a journal of another source": (
        _WHOLE,
        _header(lambda row: row.update(source="http://no"), "manifest_mismatch", file=MANIFEST, path="$.source"),
    ),
    "a journal of another time": (
        _WHOLE,
        _header(lambda row: row.update(started_at="no"), "manifest_mismatch", file=MANIFEST, path="$.started_at"),
    ),
    "a journal of another assistant": (
        _WHOLE,
        _header(
            lambda row: row.update(assistant_id="asst_no"),
            "mixed_assistants",
            line=1,
            path="$.assistant_id",
            thread_id="thread_aaaaaa",
        ),
    ),
    "a journal of the other form": (
        _WHOLE,
        _header(
            lambda row: row.update(flat=not row["flat"]),
            "mixed_formats",
            line=1,
            path="$.message",
            thread_id="thread_aaaaaa",
        ),
    ),
    "a journal of another format": (
        _WHOLE,
        _header(
            lambda row: row.update(format="other/9"),
            "unreadable_journal",
            file=JOURNAL,
            line=1,
            path="$.format",
            refetch=None,
        ),
    ),
    "a journal of fewer kinds": (
        _WHOLE,
        _header(lambda row: row.update(include=["runs"]), "manifest_mismatch", file=MANIFEST, path="$.beside.threads"),
    ),
    "a journal without header": (_WHOLE, _header_lost),
    "a torn journal": (("cut",), lambda files, draw: attrs.evolve(_journal_torn(files, draw), refetch=None)),
    "a journal lost": (_WHOLE, _journal(None, "lost_journal")),
    "an empty journal": (_WHOLE, _journal(b"", "unreadable_journal", line=1)),
    "a journal of something else": (_WHOLE, _journal(b"hello\n", "unreadable_journal", line=1)),
    "a download's entry with another digest": (
        _WHOLE,
        _file_entry(lambda row: row.update(sha256="0" * 64), "file_mismatch", _IMAGE),
    ),
    "a download's entry with another size": (
        _WHOLE,
        _file_entry(lambda row: row.update(bytes=1), "file_mismatch", _IMAGE),
    ),
    "a download's entry with another name": (
        _WHOLE,
        _file_entry(lambda row: row.update(name="../other"), "lost_file", "out.files/other"),
    ),
    "a download's entry that failed": (
        _WHOLE,
        _file_entry(lambda row: row.update(outcome="failed"), "file_failed", _IMAGE),
    ),
    "a download's entry of another": (
        _WHOLE,
        _file_entry(lambda row: row.update(file_id="file-other"), "not_exported", _IMAGE),
    ),
    **{
        f"a manifest of another {path[2:]}": (_WHOLE, _manifest(path, value))
        for path, value in {
            "$.source": "http://no",
            "$.assistant_id": "asst_no",
            "$.started_at": "no",
            "$.totals.threads": 9,
            "$.totals.unfinished": 1,
            "$.totals.messages": 7,
            "$.totals.bytes": 1,
            "$.outcomes.complete": 7,
            "$.outcomes.failed": True,
            "$.digest": "0" * 64,
            "$.beside.runs.lines": 1,
            "$.beside.runs.bytes": 1,
            "$.beside.threads.digest": "0" * 64,
            "$.not_whole": [{"thread_id": "thread_aaaaaa", "outcome": "failed", "messages": 0, "cursor": None}],
            "$.unfinished": ["thread_aaaaaa"],
            "$.files": [],
            "$.unfinished_files": ["file-img1"],
        }.items()
    },
    "a manifest of the other form": (("full",), _manifest("$.flat", True)),
    "a manifest cut": (_WHOLE, _manifest_cut),
    "wanted ids cut": (_WHOLE, _wanted_garbled),
    **{
        f"a manifest without {key}": (_WHOLE, _manifest_without(key))
        for key in ("source", "totals", "digest", "outcomes", "versions", "finished_at")
    },
    "a manifest lost": (_WHOLE, _manifest_lost),
    "a line and the journal lost": (_WHOLE, _manifest_against_lines("$.totals.messages", _last_line_lost)),
    "bytes and the journal lost": (_WHOLE, _manifest_against_lines("$.totals.bytes", _last_line_lost)),
    "a thread changed and the journal lost": (_WHOLE, _manifest_against_lines("$.digest", _last_line_lost)),
    **{f"{name} lost": (_WHOLE, _beside_lost(name)) for name in (RUNS, THREADS, _IMAGE)},
    **{f"{name} changed": (_WHOLE, _beside_changed(name)) for name in (RUNS, THREADS)},
    **{f"{name} shorter": (_WHOLE, _beside_shorter(name)) for name in (RUNS, THREADS)},
    "runs longer": (_WHOLE, _beside_longer),
    "runs of nobody": (_WHOLE, _beside_headed),
    "thread objects swapped": (_WHOLE, _beside_swapped),
    "runs of another digest": (_WHOLE, _span("sha256", "0" * 64, "digest_mismatch", frozenset(["thread_aaaaaa"]))),
    "runs of another count": (_WHOLE, _span("lines", 7, "digest_mismatch", frozenset(["thread_aaaaaa"]))),
    "runs of another end": (_WHOLE, _span("end_offset", 7, "misplaced_thread", frozenset())),
    "a file cut": (_WHOLE, _file(lambda content: content[:-1])),
    "a file changed": (_WHOLE, _file(lambda content: content[:-1] + b"?")),
    "a file emptied": (_WHOLE, _file(lambda _content: b"")),
    "the partial file lost": (("cut",), _of_partial(lambda _lines, _draw: None)),
    "the partial file shorter": (("cut",), _of_partial(_one_fewer)),
    "a line of the partial file garbled": (("cut",), _of_partial(_one_garbled, line=True)),
    "a message of the partial file lost for a line twice": (("cut",), _of_partial(_one_for_another)),
    "a torn tail of the partial file": (("cut",), _partial_torn),
    "a torn tail of the partial file of a kill": (
        ("cut",),
        lambda files, draw: _of_a_kill(_partial_torn(files, draw)),
    ),
    "torn runs": (_WHOLE, _beside_torn),
    "torn runs of a kill": (_WHOLE, lambda files, draw: _of_a_kill(_beside_torn(files, draw))),
    "a partial entry of more messages": (("cut",), _partial_entry({"messages": 999})),
    "a partial entry of another first message": (("cut",), _partial_entry({"first_id": "msg_no"})),
    "a partial entry of another cursor": (("cut",), _partial_entry({"cursor": "msg_no"})),
    "pages of which nothing tells": (("cut",), _partial_of_no_journal),
    "a failed thread by the manifest": (("cut",), _given_up_by_the_manifest("thread_failed", "thread_dddddd", 1)),
    "a partial thread by the manifest": (("cut",), _given_up_by_the_manifest("thread_partial", _PARTLY, 2)),
    "a failed thread": (("cut",), _as_it_is("thread_failed", "thread_dddddd")),
    "a partial thread": (("cut",), _as_it_is("thread_partial", _PARTLY)),
    "a missing thread": (("cut",), _as_it_is("thread_missing", "thread_unknown")),
    "an id that is none": (("cut",), _as_it_is("thread_invalid", "no-id")),
    "a thread that had no turn": (("cut",), _as_it_is("not_exported", "thread_gggggg")),
}
"""By name: of which exports, and the damage."""
