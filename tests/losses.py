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


def _thread(files: Files, draw: random.Random) -> str:
    """A thread with lines."""
    return draw.choice(list(files.threads))


def _lost(files: Files, code: str, thread_id: str, **where: Any) -> Loss:
    return Loss(files=files, code=code, thread_id=thread_id, refetch=frozenset([thread_id]), **where)


# --- the export's lines


Change = Callable[[list[bytes], range, random.Random], int | None]
"""Changes the lines of OUT, of which a thread has some; gives the number of the finding's line, from 1."""


def _lines(
    code: str, change: Change, *, least: int = 1, is_last: bool = True, file: str = OUT, **expected: Any
) -> Cause:
    """Change the lines of a thread that has so many at least, and that may be the last one or not."""

    def cause(files: Files, draw: random.Random) -> Loss:
        lines, threads = files.lines(file), list(files.threads_of(file).items())
        fitting = [one for one in (threads if is_last else threads[:-1]) if len(one[1]) >= least]
        thread_id, own = draw.choice(fitting)
        line = change(lines, own, draw)
        return attrs.evolve(_lost(files.put(file, lines), code, thread_id, file=file, line=line), **expected)

    return cause


def _line_removed(lines: list[bytes], own: range, draw: random.Random) -> int:
    del lines[draw.choice(own)]
    return own.start + 1


def _lines_swapped(lines: list[bytes], own: range, draw: random.Random) -> int:
    one, other = draw.sample(own, 2)
    lines[one], lines[other] = lines[other], lines[one]
    return own.start + 1


def _line_doubled(lines: list[bytes], own: range, draw: random.Random) -> int:
    number = draw.choice(own)
    lines.insert(number, lines[number])
    return number + 2


def _line_moved_to_the_end(lines: list[bytes], own: range, draw: random.Random) -> int:
    lines.append(lines.pop(draw.choice(own)))
    return len(lines)


def _thread_lost(lines: list[bytes], own: range, _draw: random.Random) -> None:
    del lines[own.start : own.stop]


def _thread_doubled(lines: list[bytes], own: range, _draw: random.Random) -> int:
    lines += lines[own.start : own.stop]
    return len(lines) - len(own) + 1


def _byte_changed(lines: list[bytes], own: range, draw: random.Random) -> int:
    """Any byte of a line but its newline, to any other, but a newline; not of the id of a thread of one line."""
    number = draw.choice(own)
    line = bytearray(lines[number])
    place = draw.randrange(60 if len(own) == 1 else 0, len(line) - 1)
    line[place] = draw.choice([byte for byte in range(256) if byte not in (line[place], 10)])
    lines[number] = bytes(line)
    return own.start + 1


def _newlines_joined(lines: list[bytes], own: range, draw: random.Random) -> int:
    number = draw.choice(own[:-1])
    lines[number] = lines[number][:-1]
    return number + 1


def _line_broken(lines: list[bytes], own: range, draw: random.Random) -> int:
    number = draw.choice(own)
    place = draw.randrange(60, len(lines[number]) - 2)
    lines[number] = lines[number][:place] + b"\n" + lines[number][place:]
    return number + 1


def _blank_line(lines: list[bytes], own: range, draw: random.Random) -> int:
    number = draw.choice(own[:-1])
    lines.insert(number + 1, b"\n")
    return number + 2


def _end_changed(lines: list[bytes], own: range, draw: random.Random) -> int:
    """Of a line of a file of which nothing is read but the threads."""
    number = draw.choice(own)
    place = draw.randrange(len(lines[number]) - 20, len(lines[number]) - 1)
    lines[number] = lines[number][:place] + b"?" + lines[number][place + 1 :]
    return own.start + 1


def _line_cut(lines: list[bytes], own: range, draw: random.Random) -> int:
    number = draw.choice(own)
    lines[number] = lines[number][: draw.randrange(len(lines[number]) - 2)] + b"\n"
    return own.start + 1


def _line_for_another(lines: list[bytes], own: range, draw: random.Random) -> int:
    one, other = draw.sample(own, 2)
    lines[one] = lines[other]
    return own.start + 1


def _threads_swapped(file: str) -> Cause:
    def cause(files: Files, draw: random.Random) -> Loss:
        threads = list(files.threads_of(file).items())
        place = draw.randrange(len(threads) - 1)
        (thread_id, one), (_, other) = threads[place : place + 2]
        lines = files.lines(file)
        lines[one.start : other.stop] = lines[other.start : other.stop] + lines[one.start : one.stop]
        line = one.start + len(other) + 1
        return Loss(files=files.put(file, lines), code="misplaced_thread", file=file, line=line, thread_id=thread_id)

    return cause


def _message_moved(files: Files, draw: random.Random) -> Loss:
    """Into another thread, as if it had always been there."""
    one, other = draw.sample([name for name, own in files.threads.items() if len(own) > 1], 2)
    lines = files.lines()
    moved = loads(lines.pop(draw.choice(files.threads[one])))
    for row in (moved, moved.get("message", {})):
        row["thread_id"] = other
    place = next(number for number, line in enumerate(lines) if loads(line)["thread_id"] == other)
    lines.insert(place + 1, dumps(moved) + b"\n")
    both = frozenset([one, other])
    return Loss(files=files.put(OUT, lines), code="digest_mismatch", line=place + 1, thread_id=other, refetch=both)


def _message_of_two_threads(files: Files, draw: random.Random) -> Loss:
    """A line of one thread has the id of a message of another one before it."""
    one, *others = (name for name, own in files.threads.items() if len(own) > 1)
    other = draw.choice(others)
    lines, number = files.lines(), draw.choice(files.threads[other])
    value = loads(lines[number])
    value["message_id"] = loads(lines[draw.choice(files.threads[one])])["message_id"]
    if "message" in value:
        value["message"]["id"] = value["message_id"]
    lines[number] = dumps(value) + b"\n"
    return _lost(files.put(OUT, lines), "duplicate_message", other, line=number + 1, path="$.message_id")


def _cut_off(files: Files, draw: random.Random) -> Loss:
    """In the middle of a line."""
    thread_id = _thread(files, draw)
    lines, number = files.lines(), draw.choice(files.threads[thread_id])
    damaged = files.put(OUT, [*lines[:number], lines[number][: draw.randrange(60, len(lines[number]))]])
    return Loss(files=damaged, code="torn_line", line=number + 1, thread_id=thread_id, refetch=_from(files, thread_id))


def _cut_between(files: Files, draw: random.Random) -> Loss:
    thread_id = _thread(files, draw)
    damaged = files.put(OUT, files.lines()[: files.threads[thread_id].start])
    after = _from(files, thread_id)
    return Loss(files=damaged, code="lost_thread", thread_id=draw.choice([*after]), refetch=after)


def _from(files: Files, thread_id: str) -> frozenset[str]:
    """A thread and those behind it."""
    names = list(files.threads)
    return frozenset(names[names.index(thread_id) :])


def _out(code: str, change: Callable[[bytes], bytes], thread_id: str = "thread_aaaaaa", **expected: Any) -> Cause:
    """Change the bytes of OUT; all threads are to be fetched again."""

    def cause(files: Files, _draw: random.Random) -> Loss:
        where: dict[str, Any] = {"thread_id": thread_id, "refetch": frozenset(files.threads), **expected}
        return Loss(files=files.put(OUT, change(files.content[OUT])), code=code, **where)

    return cause


def _torn_tail(files: Files, _draw: random.Random) -> Loss:
    damaged = files.put(OUT, files.content[OUT] + b'{"thread_id":"thread_hhhhhh","assi')
    return _lost(damaged, "torn_line", "thread_hhhhhh", line=len(files.lines()) + 1)


def _of_another_world(files: Files, _draw: random.Random) -> Loss:
    """A complete thread that nobody asked for."""
    lines = [line.replace(b"thread_hhhhhh", b"thread_zzzzzz") for line in files.lines() if b"thread_hhhhhh" in line]
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


def _malformed_id(files: Files, draw: random.Random) -> Loss:
    """An entry that no run asks for: to fetch it again would help nobody."""
    ids = [*files.ids]
    ids.insert(draw.randrange(len(ids)), "asst_abc123")
    return Loss(files=attrs.evolve(files, ids=tuple(ids)), code="malformed_id", file=None)


# --- the index


def _row(change: Mapping[str, Any], code: str, thread_id: str = "thread_bbbbbb", **expected: Any) -> Cause:
    """Change the row of a thread. A line of 0 is the thread's first; without one it is that of the row."""

    def cause(files: Files, _draw: random.Random) -> Loss:
        rows = files.rows
        number = next(place for place, row in enumerate(rows) if row.thread_id == thread_id)
        rows[number] = msgspec.structs.replace(rows[number], **change)
        where: dict[str, Any] = {"thread_id": thread_id, "refetch": frozenset([thread_id])}
        where |= {"line": number + 2, "file": INDEX} if "line" not in expected else {}
        where |= expected | ({"line": files.threads[thread_id].start + 1} if "line" in expected else {})
        return Loss(files=files.put_rows(rows), code=code, **where)

    return cause


def _of_another(files: Files, draw: random.Random) -> Loss:
    """The finding names the other thread."""
    cause = _row({"thread_id": "thread_y"}, "index_mismatch", path="$.thread_id", refetch=None, strangers=("thread_y",))
    return attrs.evolve(cause(files, draw), thread_id="thread_y")


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


def _rows_swapped(files: Files, _draw: random.Random) -> Loss:
    one, other, *rest = files.rows
    damaged = files.put_rows([other, one, *rest])
    return Loss(files=damaged, code="misplaced_thread", line=1, thread_id="thread_aaaaaa", refetch=None)


def _header(**change: Any) -> Callable[[list[bytes], random.Random], object]:
    return lambda lines, _draw: lines.__setitem__(0, dumps({**json.loads(lines[0]), **change}) + b"\n")


def _garbled(lines: list[bytes], draw: random.Random) -> None:
    lines[2] = lines[2][: draw.randrange(1, len(lines[2]) - 2)] + b"\n"


def _put(number: int, content: bytes) -> Callable[[list[bytes], random.Random], object]:
    return lambda lines, _draw: lines.__setitem__(number, content)


# --- the manifest


def _manifest(path: str, value: object) -> Cause:
    """Put a value where a path leads."""

    def cause(files: Files, _draw: random.Random) -> Loss:
        content = json.loads(files.content[MANIFEST])
        *steps, last = path.removeprefix("$.").split(".")
        row = content
        for step in steps:
            row = row[step]
        row[last] = value
        damaged = files.put(MANIFEST, dumps(content))
        # Where the index may be another one, an id that only lines name may be that of a lost row.
        return Loss(files=damaged, code="manifest_mismatch", file=MANIFEST, path=path)

    return cause


def _manifest_cut(files: Files, draw: random.Random) -> Loss:
    content = files.content[MANIFEST]
    damaged = files.put(MANIFEST, content[: draw.randrange(len(content) - 2)])
    return Loss(files=damaged, code="unreadable_manifest", file=MANIFEST)


def _manifest_without(key: str) -> Cause:
    def cause(files: Files, _draw: random.Random) -> Loss:
        content = json.loads(files.content[MANIFEST])
        del content[key]
        return Loss(files=files.put(MANIFEST, dumps(content)), code="unreadable_manifest", file=MANIFEST)

    return cause


def _line_and_index_lost(files: Files, _draw: random.Random) -> Loss:
    damaged = files.put(OUT, files.lines()[:-1]).without(INDEX)
    where: dict[str, Any] = {"file": MANIFEST, "path": "$.files.out.bytes"}
    return Loss(files=damaged, code="manifest_mismatch", refetch=frozenset(files.ids), **where)


# --- the files next to the export


def _lost_file(name: str, code: str = "lost_file", *, all_again: bool = False) -> Cause:
    """Of a file of lines every thread that has some is to be fetched again."""

    def cause(files: Files, _draw: random.Random) -> Loss:
        lines = files.lines(name) if name in (OUT, RUNS, THREADS) else []
        owners = files.ids if all_again else [json.loads(line)["thread_id"] for line in lines]
        refetch = _with_image(files) if name == _IMAGE else frozenset(owners)
        return Loss(files=files.without(name), code=code, file=name, refetch=refetch)

    return cause


def _sidecar_headed(files: Files, _draw: random.Random) -> Loss:
    """Lines of a thread that the index does not know, before all others."""
    damaged = files.put(RUNS, [b'{"thread_id":"thread_more"}\n', *files.lines(RUNS)])
    where: dict[str, Any] = {"file": RUNS, "line": 1, "strangers": ("thread_more",)}
    return Loss(files=damaged, code="unindexed_lines", thread_id="thread_more", **where)


def _sidecar_torn(files: Files, draw: random.Random) -> Loss:
    lines = files.lines(RUNS)
    damaged = files.put(RUNS, [*lines, lines[-1][: draw.randrange(1, 20)]])
    return Loss(files=damaged, code="torn_line", file=RUNS, line=len(lines) + 1)


def _span(change: Mapping[str, Any], code: str, **expected: Any) -> Cause:
    """Change where the runs of the first thread are."""

    def cause(files: Files, _draw: random.Random) -> Loss:
        rows = files.rows
        span = msgspec.structs.replace(rows[0].sidecars["runs"], **change)
        rows[0] = msgspec.structs.replace(rows[0], sidecars={**rows[0].sidecars, "runs": span})
        return Loss(files=files.put_rows(rows), code=code, file=RUNS, thread_id="thread_aaaaaa", **expected)

    return cause


def _runs_never_saved(files: Files, _draw: random.Random) -> Loss:
    rows = files.rows
    sidecars = {name: span for name, span in rows[0].sidecars.items() if name != "runs"}
    rows[0] = msgspec.structs.replace(rows[0], sidecars=sidecars)
    return _lost(files.put_rows(rows), "lost_thread", "thread_aaaaaa", file=RUNS)


_IMAGE = "out.files/file-img1.png"


def _with_image(files: Files) -> frozenset[str]:
    """The threads that refer to it: the command that exports them downloads it again."""
    found = frozenset(row.thread_id for row in files.rows if "file-img1" in row.files)
    assert found
    return found


def _file(change: Callable[[bytes], bytes]) -> Cause:
    return lambda files, _draw: Loss(
        files=files.put(_IMAGE, change(files.content[_IMAGE])),
        code="file_mismatch",
        file=_IMAGE,
        refetch=_with_image(files),
    )


def _download(change: Mapping[str, object], code: str, file: str = _IMAGE, line: int | None = None) -> Cause:
    def cause(files: Files, _draw: random.Random) -> Loss:
        rows = [json.loads(line) for line in files.lines(DOWNLOADS)]
        next(row for row in rows if row["file_id"] == "file-img1").update(change)
        damaged = files.put(DOWNLOADS, [dumps(row) + b"\n" for row in rows])
        return Loss(files=damaged, code=code, file=file, line=line, refetch=_with_image(files))

    return cause


# --- the export that was cut off

_PARTLY = "thread_ffffff"


def _partial_lost(files: Files, _draw: random.Random) -> Loss:
    damaged = files.without(PARTIAL)
    return Loss(files=damaged, code="lost_partial", file=PARTIAL, thread_id=_PARTLY, refetch=None)


def _as_it_is(code: str, thread_id: str) -> Cause:
    """A finding that the export has without any damage, since it was cut off."""

    def cause(files: Files, _draw: random.Random) -> Loss:
        line = next(number for number, row in enumerate(files.rows, 2) if row.thread_id == thread_id)
        again = frozenset(["thread_dddddd", _PARTLY, "thread_gggggg"])
        return Loss(files=files, code=code, file=INDEX, line=line, thread_id=thread_id, refetch=again)

    return cause


_BOTH: dict[str, Cause] = {
    "a line removed": _lines("digest_mismatch", _line_removed, least=2),
    "two lines swapped": _lines("digest_mismatch", _lines_swapped, least=2),
    "a line doubled": _lines("duplicate_message", _line_doubled, path="$.message_id"),
    "a line moved to the end": _lines("split_thread", _line_moved_to_the_end, least=2, is_last=False),
    "a thread lost": _lines("lost_thread", _thread_lost),
    "two threads swapped": _threads_swapped(OUT),
    "a thread doubled": _lines("split_thread", _thread_doubled, is_last=False),
    "a message moved to another thread": _message_moved,
    "a message in two threads": _message_of_two_threads,
    "cut off in a line": _cut_off,
    "cut off between threads": _cut_between,
    "a torn tail": _torn_tail,
    "emptied": _out("lost_thread", lambda _content: b""),
    "two lines in one": _lines("malformed_line", _newlines_joined, least=2, path="$"),
    "a line in two": _lines("malformed_line", _line_broken, path="$"),
    "a blank line": _lines("blank_line", _blank_line, least=2, path="$"),
    "a byte order mark": _out(
        "byte_order_mark",
        lambda content: b"\xef\xbb\xbf" + content,
        line=1,
        path="$",
        refetch=frozenset(["thread_aaaaaa"]),
    ),
    "crlf throughout": _out("crlf", lambda content: content.replace(b"\n", b"\r\n"), line=1, path="$"),
    "as utf-16": _out(
        "lost_thread", lambda content: content.decode().encode("utf-16"), thread_id="thread_hhhhhh", refetch=None
    ),
    "a thread of another world": _of_another_world,
    "a list that names one less": _not_wanted,
    "a list that names one more": _not_exported,
    "a list that names an assistant": _malformed_id,
    "a row of more messages": _row({"messages": 999}, "index_mismatch", path="$.messages"),
    "a row of another first message": _row({"first_id": "msg_no"}, "index_mismatch", path="$.first_id"),
    "a row of no last message": _row({"last_id": None}, "index_mismatch", path="$.last_id"),
    "a row of another assistant": _row({"assistant_id": "asst_no"}, "index_mismatch", path="$.assistant_id"),
    "a row of another digest": _row({"sha256": "0" * 64}, "digest_mismatch", line=0),
    "a row of fewer bytes": _row({"bytes": 9}, "digest_mismatch", line=0),
    "a row of another place": _row({"offset": 9}, "misplaced_thread", line=0, refetch=frozenset()),
    "a row that failed": _row({"outcome": "failed", "offset": None}, "thread_failed"),
    "a row of another thread": _of_another,
    "an empty thread's row with a first message": _row(
        {"first_id": "msg_no"}, "index_mismatch", "thread_cccccc", path="$.first_id"
    ),
    "an empty thread's row with another digest": _row(
        {"sha256": "0" * 64}, "index_mismatch", "thread_cccccc", path="$.sha256"
    ),
    "a row lost": _row_lost,
    "a row twice": _row_twice,
    "two rows swapped": _rows_swapped,
    "a row garbled": _index(_garbled, "unreadable_index", line=3),
    "a row of an outcome that is none": _index(
        _put(1, b'{"thread_id":"a","assistant_id":null,"outcome":"lost"}\n'), "unreadable_index", line=2
    ),
    "an index without header": _index(lambda lines, _: lines.pop(0), "unreadable_index", line=1),
    "an index of another format": _index(_header(format="other/9"), "unreadable_index", line=1),
    "an index without its last newline": _index(
        lambda lines, _: lines.append(lines.pop()[:-1]), "unreadable_index", line=9
    ),
    "an index cut": _index(_put(-1, b'{"thread_id"'), "unreadable_index", line=9),
    **{
        f"an index of another {key}": _index(
            _header(**{key: value}), "manifest_mismatch", file=MANIFEST, path=f"$.{key}"
        )
        for key, value in {"source": "http://no", "assistant_id": "asst_no", "include": ["runs"]}.items()
    },
    "an index lost": _lost_file(INDEX, "lost_index", all_again=True),
    "a line and the index lost": _line_and_index_lost,
    **{
        f"a manifest of another {path[2:]}": _manifest(path, value)
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
    "a manifest cut": _manifest_cut,
    **{
        f"a manifest without {key}": _manifest_without(key)
        for key in ("source", "totals", "digest", "outcomes", "versions", "finished_at", "files")
    },
    "a manifest lost": _lost_file(MANIFEST, "lost_manifest"),
    **{f"{name} lost": _lost_file(name) for name in (OUT, RUNS, THREADS, _IMAGE, DOWNLOADS)},
    **{f"{name} changed": _lines("digest_mismatch", _end_changed, file=name) for name in (RUNS, THREADS)},
    **{f"{name} shorter": _lines("lost_thread", _thread_lost, file=name) for name in (RUNS, THREADS)},
    "runs longer": _lines("split_thread", _thread_doubled, is_last=False, file=RUNS),
    "runs of nobody": _sidecar_headed,
    "torn runs": _sidecar_torn,
    "thread objects swapped": _threads_swapped(THREADS),
    "runs never saved": _runs_never_saved,
    "runs of another digest": _span(
        {"sha256": "0" * 64}, "digest_mismatch", line=1, refetch=frozenset(["thread_aaaaaa"])
    ),
    "runs of another place": _span({"offset": 7}, "misplaced_thread", line=1),
    "a download's row with another digest": _download({"sha256": "0" * 64}, "file_mismatch"),
    "a download's row with another size": _download({"bytes": 1}, "file_mismatch"),
    "a download's row with another name": _download({"name": "other"}, "lost_file", "out.files/other"),
    "a download's row that failed": _download({"outcome": "failed"}, "file_failed", "out.files/file-img1"),
    "a download's row that had no turn": _download({"outcome": "unfinished"}, "not_exported", "out.files/file-img1"),
    "a download's row of another": _download({"file_id": "file-other"}, "not_exported", "out.files/file-img1"),
    "a download's row of an outcome that is none": _download({"outcome": "lost"}, "unreadable_index", DOWNLOADS, 1),
    "a file cut": _file(lambda content: content[:-1]),
    "a file changed": _file(lambda content: content[:-1] + b"?"),
    "a file emptied": _file(lambda _content: b""),
}

_FULL: dict[str, Cause] = {
    "a byte changed": _lines("digest_mismatch", _byte_changed),
    "an index of the other form": _index(
        _header(flat=True), "mixed_formats", file=OUT, path="$.message", line=1, thread_id="thread_aaaaaa"
    ),
    "a manifest of the other form": _manifest("$.flat", True),
}

_CUT: dict[str, Cause] = {
    "the partial file lost": _partial_lost,
    **{
        name: _lines("lost_partial", change, file=PARTIAL, refetch=None)
        for name, change in {
            "the partial file shorter": _line_removed,
            "a line of the partial file garbled": _line_cut,
            "a message of the partial file lost for a line twice": _line_for_another,
        }.items()
    },
    "a failed thread": _as_it_is("thread_failed", "thread_dddddd"),
    "a partial thread": _as_it_is("thread_partial", _PARTLY),
    "a missing thread": _as_it_is("thread_missing", "thread_unknown"),
    "a thread that had no turn": _as_it_is("thread_unfinished", "thread_gggggg"),
}

LOSSES: dict[str, tuple[tuple[str, ...], Cause]] = {
    name: (bases, cause)
    for bases, causes in ((("full", "flat"), _BOTH), (("full",), _FULL), (("cut",), _CUT))
    for name, cause in causes.items()
}
"""By name: of which exports, and the damage."""
