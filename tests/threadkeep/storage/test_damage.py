"""A damaged export is repaired from what can be read of it and from the server, and nothing readable is thrown away."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import threadkeep
from canned import HTTP
from canned_threads import ThreadServer
from exporting import Ending, Export, threads_of
from small_world import IDS, OPTIONS, world
from threadkeep.storage.index import Outcome

THREADS = threads_of(a=3, b=2, c=0, d=1, e=4)


@pytest.fixture
def export(tmp_path: Path) -> Export:
    """An export of all threads."""
    return Export(tmp_path).run_alone(THREADS, ThreadServer(THREADS))


def asked_for(server: ThreadServer) -> list[str]:
    """The threads that were asked for."""
    return list(dict.fromkeys(url.split("/")[5] for url in server.asked))


def old_files(export: Export, number: int = 1) -> dict[str, bytes]:
    """The files that are kept, under the names that they had."""
    prefix = f"out.old-{number}."
    return {
        name.replace(prefix, "out."): content for name, content in export.contents().items() if name.startswith(prefix)
    }


@given(
    thread=st.sampled_from(["thread_a", "thread_b", "thread_d", "thread_e"]),
    place=st.floats(0, 0.999),
    byte=st.integers(1, 255),
    flat=st.booleans(),
)
def test_a_changed_byte_costs_its_own_thread_alone(
    tmp_path_factory: pytest.TempPathFactory, thread: str, place: float, byte: int, flat: bool
) -> None:
    """Whatever byte: the others cost no request, the damaged one is named, and the old files are kept as they are."""
    export = Export(tmp_path_factory.mktemp("export")).run_alone(THREADS, ThreadServer(THREADS), flat=flat)
    before, row = export.contents(), export.rows[thread]
    content = bytearray(before["out.ndjson"])
    content[(row.offset or 0) + int(place * (row.bytes or 0))] ^= byte
    export.paths.out.write_bytes(content)
    server = ThreadServer(THREADS)
    export.run_alone(THREADS, server, flat=flat)
    assert asked_for(server) == [thread]
    assert export.paths.out.read_bytes() == before["out.ndjson"]
    assert export.paths.index.read_bytes() == before["out.ndjson.index"]
    assert old_files(export) == {**before, "out.ndjson": bytes(content)}
    assert export.result.manifest is not None
    assert export.result.manifest.kept_as == 1
    assert export.notices == [
        f"out.ndjson or a file next to it was damaged. Damaged threads: 1 ({thread}); those in the list are fetched"
        " again. The damaged files are kept as out.old-1.*."
    ]
    export.run_alone(THREADS, server, flat=flat)
    assert len(old_files(export)) == 3
    assert not (export.paths.out.parent / "out.old-2.ndjson").exists()


SHIFTS: dict[str, Callable[[list[bytes]], list[bytes]]] = {
    "a line is lost": lambda lines: lines[1:],
    "a line is put in": lambda lines: [b'{"not": "ours"}\n', *lines],
    "a line of nothing is put in": lambda lines: [b"\n", *lines],
    "half a line is put in": lambda lines: [b'{"thread_id":"thread_b"', *lines],
    "a line is there twice": lambda lines: [lines[0], *lines],
    "threads have changed places": lambda lines: lines[3:5] + lines[:3] + lines[5:],
    "everything is there twice": lambda lines: lines + lines,
    "the end is lost": lambda lines: lines[:-2],
    "the last newline is lost": lambda lines: [*lines[:-1], lines[-1][:-1]],
    "all is lost": lambda _lines: [],
}
COST = {
    "a line is lost": ["thread_a"],
    "half a line is put in": ["thread_a"],
    "a line is there twice": ["thread_a"],
    "the end is lost": ["thread_e"],
    "the last newline is lost": ["thread_e"],
    "all is lost": ["thread_a", "thread_b", "thread_d", "thread_e"],
}


@pytest.mark.parametrize("shift", SHIFTS)
def test_threads_that_were_moved_are_found_again(shift: str, export: Export) -> None:
    """By their digests: only those that have lost something are fetched, and OUT is what it was."""
    before = export.contents()
    export.paths.out.write_bytes(b"".join(SHIFTS[shift](export.lines)))
    server = ThreadServer(THREADS)
    export.run_alone(THREADS, server)
    assert sorted(asked_for(server)) == COST.get(shift, [])
    after = export.contents()
    assert {name: after[name] for name in before if "manifest" not in name} == {
        name: before[name] for name in before if "manifest" not in name
    }
    assert old_files(export)


def test_damaged_threads_that_are_not_listed_are_partial(export: Export) -> None:
    """What can be read of them is in the partial file; they stay wanted, and are repaired when they are listed."""
    before = export.contents()
    lines = export.lines
    lines[1] = lines[1].replace(b'"user"', b'"us\1r"')
    export.paths.out.write_bytes(b"".join(lines))
    server = ThreadServer(THREADS)
    export.run_alone(["thread_b"], server)
    assert (server.asked, export.result.left_over, export.result.is_complete) == ([], 1, False)
    assert export.outcomes["thread_a"] is Outcome.PARTIAL
    assert "its lines were damaged" in str(export.rows["thread_a"].reason)
    assert export.messages(export.paths.partial) == {"thread_a": [THREADS["thread_a"][0], THREADS["thread_a"][2]]}
    assert export.messages() == {name: THREADS[name] for name in ("thread_b", "thread_d", "thread_e")}
    export.run_alone(["thread_a"], ThreadServer(THREADS))
    assert export.paths.out.read_bytes() == before["out.ndjson"]
    assert export.paths.index.read_bytes() == before["out.ndjson.index"]
    assert not export.paths.partial.exists()


def test_a_damaged_thread_of_which_nothing_can_be_read_is_unfinished(export: Export) -> None:
    """It is not called complete, and not called missing either."""
    row = export.rows["thread_d"]
    content = bytearray(export.paths.out.read_bytes())
    content[row.offset or 0] = 1
    export.paths.out.write_bytes(content)
    export.run_alone([], ThreadServer({}))
    assert export.outcomes["thread_d"] is Outcome.UNFINISHED
    assert export.rows["thread_d"].reason == "its lines were damaged, and nothing of them could be read"


def test_flat_lines_of_damaged_threads_stay_in_the_old_files_only(tmp_path: Path) -> None:
    """The partial file has full lines, and a flat one cannot be made full."""
    export = Export(tmp_path).run_alone(THREADS, ThreadServer(THREADS), flat=True)
    lines = export.lines
    export.paths.out.write_bytes(b"".join(lines[1:]))
    export.run_alone([], ThreadServer({}), flat=True)
    assert export.outcomes["thread_a"] is Outcome.UNFINISHED
    assert not export.paths.partial.exists()
    assert old_files(export)["out.ndjson"] == b"".join(lines[1:])


def test_what_a_damaged_thread_still_has_is_merged_with_what_the_server_has(export: Export) -> None:
    """The server has lost a message since that can still be read here."""
    lines = export.lines
    export.paths.out.write_bytes(b"".join([*lines[:2], *lines[3:]]))
    now = {**THREADS, "thread_a": [THREADS["thread_a"][0], THREADS["thread_a"][2]]}
    export.run_alone(THREADS, ThreadServer(now))
    assert export.messages() == {name: rows for name, rows in THREADS.items() if rows}


def test_a_damaged_thread_that_the_server_has_no_longer_keeps_what_can_be_read(export: Export) -> None:
    """And says why it is not complete."""
    export.paths.out.write_bytes(b"".join(export.lines[1:]))
    export.run_alone(THREADS, ThreadServer({}))
    assert export.outcomes["thread_a"] is Outcome.MISSING
    assert export.messages(export.paths.partial) == {"thread_a": THREADS["thread_a"][1:]}


def without_row(index: bytes, thread_id: str) -> bytes:
    """An index that has lost a row."""
    return b"".join(line for line in index.splitlines(keepends=True) if thread_id.encode() not in line)


@pytest.mark.parametrize("harm", [without_row, lambda index, name: index.replace(f'"{name}"'.encode(), b"?", 1)])
@pytest.mark.parametrize("flat", [False, True])
def test_a_lost_index_row_costs_its_own_thread_alone(
    harm: Callable[[bytes, str], bytes], flat: bool, tmp_path: Path
) -> None:
    """Its lines are still there: the thread is named and stays wanted, whatever is listed, and is fetched again."""
    export = Export(tmp_path).run_alone(THREADS, ThreadServer(THREADS), flat=flat)
    export.paths.index.write_bytes(harm(export.paths.index.read_bytes(), "thread_b"))
    server = ThreadServer(THREADS)
    export.run_alone(["thread_a"], server, flat=flat)
    assert "Damaged threads: 1 (thread_b);" in export.notices[0]
    assert (server.asked, export.result.left_over, export.result.is_complete) == ([], 1, False)
    if flat:  # a flat line cannot be made a full one
        assert export.outcomes["thread_b"] is Outcome.UNFINISHED
    else:
        assert export.messages(export.paths.partial) == {"thread_b": THREADS["thread_b"]}
    export.run_alone(["thread_b"], server, flat=flat)
    assert asked_for(server) == ["thread_b"]
    assert list(export.rows) == [*(name for name in THREADS if name != "thread_b"), "thread_b"]
    assert export.result.is_complete


def test_a_row_that_says_that_a_thread_is_empty_is_not_believed_against_its_lines(export: Export) -> None:
    """Two rows of which the middle is lost make such a row: the thread of the first one, and no lines."""
    index = export.paths.index.read_bytes().splitlines(keepends=True)
    spliced = index[2].replace(index[2][28:], index[3][28:])
    assert b'"bytes":0' in spliced
    export.paths.index.write_bytes(b"".join([*index[:2], spliced, *index[4:]]))
    export.run_alone(THREADS, ThreadServer(THREADS))
    assert _threads(export.messages()) == {name: rows for name, rows in THREADS.items() if rows}


def test_rows_that_claim_the_same_bytes_are_not_both_believed(export: Export) -> None:
    """A row that is there twice, or leads elsewhere, is damage, and nothing is written twice."""
    index = export.paths.index.read_bytes().splitlines(keepends=True)
    export.paths.index.write_bytes(b"".join([*index, index[1]]))
    export.run_alone(THREADS, ThreadServer(THREADS))
    assert export.messages() == {name: rows for name, rows in THREADS.items() if rows}
    assert sorted(export.paths.index.read_bytes().splitlines(keepends=True)) == sorted(index)


def test_a_damaged_partial_file_keeps_what_can_be_read(tmp_path: Path) -> None:
    """Of its thread, and all of the others'."""
    threads = threads_of(a=250, b=250)
    export = Export(tmp_path).run_alone(threads, Ending(threads, lambda: HTTP.Response(410), 2), concurrency=2)
    lines = export.paths.partial.read_bytes().splitlines(keepends=True)
    lines[3] = b"?" + lines[3]
    export.paths.partial.write_bytes(b"".join(lines))
    export.run_alone([], ThreadServer({}))
    readable = {name: threads[name][:100] for name in threads}
    readable["thread_a"] = [row for number, row in enumerate(readable["thread_a"]) if number != 3]
    assert export.messages(export.paths.partial) == readable
    assert old_files(export)["out.ndjson.partial"] == b"".join(lines)
    export.run_alone(threads, ThreadServer(threads))
    assert export.messages() == threads


SIDECARS: dict[str, Callable[[bytes], bytes | None]] = {
    "changed": lambda content: content.replace(b"run_1", b"run_2", 1),
    "lost": lambda _content: None,
    "cut short": lambda content: content[:-5],
}


@pytest.mark.parametrize("harm", SIDECARS)
@pytest.mark.parametrize("kind", ["runs", "threads"])
def test_damaged_sidecars_cost_the_threads_that_they_are_of(kind: str, harm: str, tmp_path: Path) -> None:
    """Their messages stay where they are meanwhile, and the thread is complete when it is fetched again."""
    export = Export(tmp_path).run_alone(IDS[:3], world(), **OPTIONS)
    before = export.contents()
    path = export.paths.sidecar(kind)
    damaged = SIDECARS[harm](
        path.read_bytes().replace(b"thread_c", b"run_1 \1") if kind == "threads" else path.read_bytes()
    )
    path.unlink()
    if damaged is not None:
        path.write_bytes(damaged)
    export.run_alone([], world(), **OPTIONS)
    assert export.paths.out.read_bytes() == before["out.ndjson"]
    assert not export.result.is_complete or export.result.left_over
    export.run_alone(IDS[:3], world(), **OPTIONS)
    after = export.contents()
    assert {name: after[name] for name in before if "manifest" not in name} == {
        name: before[name] for name in before if "manifest" not in name
    }


def test_what_is_next_to_a_damaged_thread_stays(tmp_path: Path) -> None:
    """Its object and its runs are still there when it is fetched again, also if the server has lost them by then."""
    options = {"include": OPTIONS["include"]}
    export = Export(tmp_path).run_alone(IDS, world(), **options)
    objects, runs = export.sidecar("threads"), export.sidecar("runs")
    export.paths.out.unlink()
    for is_first in (True, False):
        export.run_alone(IDS[:1], world(), **options)
        assert export.result.is_written is is_first
        assert (export.sidecar("threads"), export.sidecar("runs")) == (objects, runs)
        assert export.rows["thread_b"].reason == "its lines were damaged, and nothing of them could be read"
    fake = world()
    fake.load({name: rows for name, rows in fake.snapshot().items() if name != "runs"})
    export.run_alone(IDS, fake, **options)
    assert (export.sidecar("threads"), export.sidecar("runs")) == (objects, runs)
    assert set(threadkeep.validate(export.paths.out).counts) == {"thread_missing"}


def test_a_damaged_export_that_is_only_written(export: Export) -> None:
    """`write` keeps the old files too, and asks for nothing."""
    export.paths.out.write_bytes(b"".join(export.lines[1:]))
    manifest = export.write()
    assert (manifest.kept_as, manifest.is_complete) == (1, False)
    assert export.messages(export.paths.partial) == {"thread_a": THREADS["thread_a"][1:]}
    assert old_files(export)


def test_old_files_are_copied_where_there_are_no_links(export: Export, monkeypatch: pytest.MonkeyPatch) -> None:
    """To the byte; they are private too."""
    before = export.contents()

    def refuse(*_arguments: object, **_options: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("os.link", refuse)
    export.run_alone(["thread_a"], ThreadServer(THREADS), fresh=True)
    assert old_files(export) == before
    assert {path.stat().st_mode & 0o777 for path in export.paths.out.parent.iterdir()} == {0o600}


def test_old_files_take_nobodys_name(export: Export) -> None:
    """The next number that is free under each of the names."""
    folder = export.paths.out.parent
    (folder / "out.old-1.ndjson").write_bytes(b"mine")
    (folder / "out.old-2.files").mkdir()
    (folder / "out.old-3.ndjson.index").symlink_to("nowhere")
    before = export.contents()
    export.run_alone(["thread_a"], ThreadServer(THREADS), fresh=True)
    assert old_files(export, 4) == {name: before[name] for name in before if ".old-" not in name}


def test_a_damaged_export_of_damaged_lines(export: Export) -> None:
    """Lines of every bad kind are salvaged where they are records, and no other line is taken for one."""
    lines = [
        b"\xff\n",
        b"[]\n",
        b"{}\n",
        b'{"thread_id": 3}\n',
        b'{"thread_id":"no thread","assistant_id":null}\n',
        b'{"thread_id" : "thread_z"}\n',
        b"1e999\n",
        b'{"thread_id":"thread_\\ud800"}\n',
        b'{"thread_id":"\\ud800"}\n',
    ]
    export.paths.out.write_bytes(b"".join([*lines, *export.lines]))
    export.run_alone(THREADS, ThreadServer({}))
    assert export.outcomes == dict.fromkeys(THREADS, Outcome.COMPLETE)
    with threadkeep.read(export.paths.out) as read:
        assert [dict(record.raw) for record in read] == [row for rows in THREADS.values() for row in rows]


@given(st.data())
def test_any_damage_is_repaired(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Whatever befalls OUT, or the rows of its index: a run with the full list makes it what it was."""
    folder = tmp_path_factory.mktemp("export")
    export = Export(folder).run_alone(THREADS, ThreadServer(THREADS))
    before = export.contents()
    path = data.draw(st.sampled_from([export.paths.out, export.paths.index]))
    header = path.read_bytes().index(b"\n") + 1 if path == export.paths.index else 0
    for _ in range(data.draw(st.integers(1, 3))):
        content = path.read_bytes()
        start = data.draw(st.integers(header, len(content)))
        end = data.draw(st.integers(start, min(len(content), start + 400)))
        path.write_bytes(content[:start] + data.draw(st.binary(max_size=20)) + content[end:])
    export.run_alone(THREADS, ThreadServer(THREADS))
    assert {name: export.outcomes[name] for name in THREADS} == dict.fromkeys(THREADS, Outcome.COMPLETE)
    assert _threads(export.messages()) == _threads({name: rows for name, rows in THREADS.items() if rows})
    kept = [content for name, content in export.contents().items() if ".old-" in name]
    assert kept or export.contents()["out.ndjson"] == before["out.ndjson"]


def _threads(messages: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
    """Threads whatever their order: that of an index that has lost a row is not known any more."""
    return dict(sorted(messages.items()))


def test_only_the_first_damaged_threads_are_named(tmp_path: Path) -> None:
    """All are counted."""
    threads = threads_of(**{f"n{number}": 1 for number in range(7)})
    export = Export(tmp_path).run_alone(threads, ThreadServer(threads))
    export.paths.out.write_bytes(b"")
    export.run_alone(threads, ThreadServer(threads))
    assert "Damaged threads: 7 (thread_n0, thread_n1, thread_n2, thread_n3, thread_n4, ...)" in export.notices[0]


def test_a_thread_of_many_megabytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Is read piece by piece: as it was, and damaged at its end."""
    for module in ("lines", "spans", "writer"):
        monkeypatch.setattr(f"threadkeep.storage.{module}.CHUNK", 1000)
    threads = threads_of(a=50, b=1)
    export = Export(tmp_path).run_alone(threads, ThreadServer(threads))
    before, server = export.contents(), ThreadServer(threads)
    export.run_alone(threads, server)
    assert (server.asked, export.contents()) == ([], before)
    content = export.paths.out.read_bytes()
    export.paths.out.write_bytes(content.replace(b"number 49", b"number 48"))
    export.run_alone(threads, server)
    assert asked_for(server) == ["thread_a"]
    assert export.paths.out.read_bytes() == before["out.ndjson"]


@pytest.mark.parametrize("name", ["out", "partial"])
def test_files_that_another_program_changes_while_they_are_read(name: str, tmp_path: Path) -> None:
    """Their lines are not taken for those that were looked at: the run ends, and nothing is replaced."""
    threads = threads_of(a=3, b=250)
    export = Export(tmp_path).run_alone(threads, Ending(threads, lambda: HTTP.Response(410), 2), concurrency=1)
    path = export.paths.written[name]
    before = path.read_bytes()

    class Changing(ThreadServer):
        def spoil(self, request: Any, times: int) -> None:
            del request, times
            path.write_bytes(before.replace(b"number", b"numbed"))

    export.run_alone(["thread_c"], Changing({}))
    if name == "out":
        assert "was changed by another program while it was read" in str(export.ended_by)
        assert export.paths.store.exists()
    path.write_bytes(before)
    export.run_alone(threads, ThreadServer(threads))
    assert export.messages() == threads


@pytest.mark.parametrize(
    "harm",
    [
        lambda index: index.replace(b'"first_id":"msg_thread_a_00000",', b""),
        lambda index: index.replace(b'"messages":3', b'"messages":4'),
        lambda index: index.replace(b"msg_thread_e_00003", b"msg_thread_e_00002"),
        lambda index: index[:-1],
        lambda index: index + b"\n",
    ],
)
def test_any_field_of_a_row_is_found_out_again(harm: Callable[[bytes], bytes], export: Export) -> None:
    """The manifest says that the index is not as it was written; the lines say what it must say."""
    before, server = export.contents(), ThreadServer(THREADS)
    damaged = harm(before["out.ndjson.index"])
    assert damaged != before["out.ndjson.index"]
    export.paths.index.write_bytes(damaged)
    export.run_alone(THREADS, server)
    assert server.asked == []
    assert export.paths.index.read_bytes() == before["out.ndjson.index"]
    assert old_files(export)["out.ndjson.index"] == damaged
