"""Which lines of a file count while threads are fetched again."""

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from threadkeep.journal import Entry, Header, Outcome, Span, encode_line, fold
from threadkeep.storage.paths import Paths
from threadkeep.superseded import Superseded
from threadkeep.validation.sidecar_check import damage

LINES = st.lists(st.tuples(st.booleans(), st.sampled_from([b"a\n", b"bb\n", b"\n"])), max_size=12)


@given(LINES)
def test_parts_are_the_lines_in_their_order(drawn: list[tuple[bool, bytes]]) -> None:
    """Each once, and marked as the bytes at which it stands."""
    ranges, place = list[tuple[int, int]](), 0
    for passed, line in drawn:
        ranges += [(place, place + len(line))] if passed else []
        place += len(line)
    parts = Superseded(ranges=tuple(ranges)).parts([line for _, line in drawn])
    assert [(passed, line) for passed, part in parts for line in part] == drawn


def test_behind_the_end_the_lines_of_complete_threads_do_not_count() -> None:
    """What a kill has left of a refresh; a line that is cut short is told as ever."""
    named = [b'{"thread_id":"%s"}' % name for name in (b"a", b"b", b"a")]
    lines = [named[0] + b"\n", named[1] + b"\n", named[0] + b"\n", named[2]]
    parts = Superseded(tail=len(lines[0]), complete={"a": 1}).parts(lines)
    assert [passed for passed, part in parts for _ in part] == [False, False, True, False]


SIZES = st.lists(st.integers(0, 3), min_size=1, max_size=4)


@given(SIZES, st.data())
def test_own_lines_count_wherever_they_were_moved(sizes: list[int], data: st.DataObject) -> None:
    """Lines put before them move them behind the journal's end. What comes when all of their own have come is new."""
    own = [b'{"thread_id":"%d"}\n' % name for name, size in enumerate(sizes) for _ in range(size)]
    names = data.draw(st.lists(st.integers(0, len(sizes) - 1), max_size=4))
    new = [b'{"thread_id":"%d"}\n' % name for name in names]
    place, many = data.draw(st.integers(0, len(own))), data.draw(st.integers(0, 60))
    strange = [b"\n"] * many
    lines = [*own[:place], *strange, *own[place:], *new]
    complete = {f"{name}": size for name, size in enumerate(sizes)}
    parts = Superseded(tail=len(b"".join(own)), complete=complete).parts(lines)
    passed = [passed for passed, part in parts for _ in part]
    assert passed == [False] * (len(own) + many) + [True] * len(new)


@pytest.mark.parametrize("strange", [b"\n" * 300, None], ids=["blank lines", "a line twice"])
def test_bytes_put_into_the_files_of_a_killed_run_lose_no_thread(strange: bytes | None, tmp_path: Path) -> None:
    """The last threads were called lost once, though each of their lines was there; nothing could heal them."""
    paths = Paths(tmp_path / "out.ndjson")
    lines = [b'{"thread_id":"thread_%d","run":%d}\n' % (name, 10 ** (9 - name)) for name in range(3)]
    ends = [len(b"".join(lines[: place + 1])) for place in range(3)]
    rows = [entry(line, end - len(line), f"thread_{n}") for n, (line, end) in enumerate(zip(lines, ends, strict=True))]
    paths.beside("runs").write_bytes((lines[0] if strange is None else strange) + b"".join(lines))
    journal = fold(encode_line(HEADER) + b"".join(map(encode_line, rows)))
    assert {one.thread_id for one in damage(paths, journal)} == ({"thread_0"} if strange is None else {None})


def test_the_file_of_runs_while_threads_are_fetched_again(tmp_path: Path) -> None:
    """Old lines are passed over there too, and what is wrong is told with its line."""
    paths = Paths(tmp_path / "out.ndjson")
    old, new = b'{"thread_id":"thread_a","run":1}\n', b'{"thread_id":"thread_a","run":22}\n'
    paths.beside("runs").write_bytes(old + new)
    journal = fold(encode_line(HEADER) + encode_line(entry(old, 0)) + encode_line(entry(new, len(old))))
    assert list(damage(paths, journal)) == []
    paths.beside("runs").write_bytes(old + new.replace(b"22", b"33"))
    assert [(one.code, one.line) for one in damage(paths, journal)] == [("digest_mismatch", 2)]


HEADER = Header(source="x", assistant_id="asst_1", flat=False, started_at="now", include=("runs",))


def entry(line: bytes, start: int, name: str = "thread_a") -> Entry:
    """Of a thread with a run and no messages."""
    span = Span(lines=1, end_offset=start + len(line), sha256=hashlib.sha256(line).hexdigest())
    return Entry(thread_id=name, outcome=Outcome.COMPLETE, beside={"runs": span})
