"""An export is read as it is: its records, its threads with all that belongs to them, and bare lines of any origin."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import threadkeep
from canned import HTTP
from canned_threads import ThreadServer
from exporting import ASSISTANT, Ending, Export, cut_off_at_commit, threads_of
from small_world import IDS, OPTIONS, world
from threadkeep.errors import MalformedLine, OutputUnusable
from threadkeep.storage import lines
from threadkeep.storage.index import Outcome

THREADS = threads_of(a=3, b=2, c=0, d=1)


@pytest.fixture
def export(tmp_path: Path) -> Export:
    """An export with everything, and one thread that is missing."""
    return Export(tmp_path).run_alone(IDS, world(), **OPTIONS)


def raws(records: Any) -> list[dict[str, Any]]:
    """Messages as the API gave them."""
    return [dict(record.raw) for record in records]


def test_the_records_of_an_export(export: Export) -> None:
    """In the order of OUT, as often as it is iterated."""
    expected = [row for rows in export.messages().values() for row in rows]
    with threadkeep.read(str(export.paths.out)) as read:
        assert raws(read) == expected
        assert raws(read) == expected
        assert read.path == export.paths.out
        assert {record.assistant_id for record in read} == {ASSISTANT}


def test_the_threads_of_an_export(export: Export) -> None:
    """In the order of the index, each with what belongs to it; those that are not complete too."""
    with threadkeep.read(export.paths.out) as read:
        threads = list(read.threads())
        assert [thread.thread_id for thread in threads] == list(IDS)
        assert [thread.outcome for thread in threads] == ["complete"] * 3 + ["missing"]
        assert {thread.thread_id: raws(thread.messages) for thread in threads[:3]} == export.messages()
        a, b, _, none = threads
        assert a.thread is not None
        assert (a.thread["id"], a.runs, list(a.files)) == ("thread_a", (), ["file-1"])
        assert a.files["file-1"].read_bytes() == b"hi"
        assert [run["run_id"] for run in b.runs] == ["run_1"]
        assert (list(none.messages), none.thread, none.runs, dict(none.files)) == ([], None, (), {})
        assert str(none.reason).startswith("No thread found")


def test_one_thread_by_its_id(export: Export) -> None:
    """The index is read once for all of them; an unknown one is a KeyError."""
    with threadkeep.read(export.paths.out) as read:
        for name in reversed(IDS[:3]):
            assert raws(read[name].messages) == export.messages()[name]
        assert read["thread_none"].outcome is Outcome.MISSING
        with pytest.raises(KeyError, match="thread_unknown"):
            read["thread_unknown"]


def test_threads_can_be_read_in_any_order(export: Export) -> None:
    """Also one while another one is being read."""
    with threadkeep.read(export.paths.out) as read:
        pairs = zip(read["thread_a"].messages, read["thread_b"].messages, strict=False)
        assert [(a.message_id, b.message_id) for a, b in pairs] == [
            (f"msg_thread_a_{number:05}", f"msg_thread_b_{number:05}") for number in range(3)
        ]
        seen = [(thread.thread_id, read["thread_c"].thread_id, len(list(read))) for thread in read.threads()]
        assert seen == [(name, "thread_c", 155) for name in IDS]


def test_a_thread_that_is_not_complete_has_what_came(tmp_path: Path) -> None:
    """From the partial file; iterating the export leaves it out."""
    threads = threads_of(a=250)
    export = Export(tmp_path).run_alone(threads, Ending(threads, lambda: HTTP.Response(410), 1), flat=True)
    with threadkeep.read(export.paths.out) as read:
        assert list(read) == []
        (thread,) = read.threads()
        assert (thread.outcome, raws(thread.messages)) == (Outcome.PARTIAL, threads["thread_a"][:100])


def test_a_flat_export(tmp_path: Path) -> None:
    """Its records have no message; all else is there."""
    export = Export(tmp_path).run_alone(THREADS, ThreadServer(THREADS), flat=True)
    with threadkeep.read(export.paths.out) as read:
        assert {record.text for record in read["thread_a"].messages} == {"number 0", "number 1", "number 2"}
        assert {record.message_id for record in read} == {row["id"] for rows in THREADS.values() for row in rows}


def bare(folder: Path, *rows: tuple[str, int], extra: bytes = b"") -> Path:
    """A file of the common script: flat lines, and no index."""
    found = [
        {
            "thread_id": name,
            "assistant_id": None,
            "message_id": f"m{number}",
            "role": "user",
            "text": "\u2028",
            "created_at": 1,
        }
        for name, number in rows
    ]
    path = folder / "bare.ndjson"
    path.write_bytes("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in found).encode() + extra)
    return path


def test_a_bare_file_is_read_by_one_pass(tmp_path: Path) -> None:
    """Its threads are runs of lines of one thread; blank lines say nothing, and the last newline may be missing."""
    path = bare(tmp_path, ("x", 1), ("x", 2), ("y", 3), ("x", 4))
    path.write_bytes(path.read_bytes().replace(b"\n", b"\n\n \n", 1)[:-1])
    with threadkeep.read(path) as read:
        assert [record.message_id for record in read] == ["m1", "m2", "m3", "m4"]
        threads = [(one.thread_id, [record.message_id for record in one.messages]) for one in read.threads()]
        assert threads == [("x", ["m1", "m2"]), ("y", ["m3"]), ("x", ["m4"])]
        assert (read["y"].outcome, [one.message_id for one in read["y"].messages]) == (None, ["m3"])
        assert [one.message_id for one in read["x"].messages] == ["m1", "m2"]
        with pytest.raises(KeyError):
            read["z"]


def test_an_empty_file_has_no_threads(tmp_path: Path) -> None:
    """Nor records."""
    with threadkeep.read(bare(tmp_path)) as read:
        assert (list(read), list(read.threads())) == ([], [])


@pytest.mark.parametrize("line", [b"{}", b"[]", b"\xff", b'{"thread_id":', b"[" * 100_000], ids=lambda line: line[:9])
def test_a_line_that_is_no_record_is_named(line: bytes, tmp_path: Path) -> None:
    """By its number, when it is reached: what is before it can be read."""
    path = bare(tmp_path, ("x", 1), ("y", 2), extra=line + b"\n")
    with threadkeep.read(path) as read:
        iterators: list[Iterator[Any]] = [iter(read), read.threads()]
        for iterator in iterators:
            assert next(iterator).thread_id == "x"
            with pytest.raises(MalformedLine, match=r"line 3 of bare\.ndjson: "):
                list(iterator)


def test_what_does_not_exist(tmp_path: Path) -> None:
    """Is named, and nothing is created."""
    with pytest.raises(OutputUnusable, match=r"no\.ndjson does not exist, and there is no index next to it"):
        threadkeep.read(tmp_path / "no.ndjson")
    with pytest.raises(OutputUnusable):
        threadkeep.read(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_a_run_that_was_cut_off_has_fetched_is_not_written_yet(tmp_path: Path) -> None:
    """The message says what writes it."""
    with cut_off_at_commit(2):
        Export(tmp_path).run_alone(THREADS, ThreadServer(THREADS))
    with pytest.raises(OutputUnusable, match=r"not written yet: .* `threadkeep write` writes what it has fetched\.$"):
        threadkeep.read(tmp_path / "out.ndjson")


def test_an_index_alone_is_read(export: Export) -> None:
    """OUT is lost: what became of each thread is known, and no message."""
    export.paths.out.unlink()
    with threadkeep.read(export.paths.out) as read:
        assert list(read) == []
        assert [list(thread.messages) for thread in read.threads()] == [[]] * 4


def test_a_file_that_is_shorter_than_its_index_says(export: Export) -> None:
    """What is there is read."""
    export.paths.out.write_bytes(b"".join(export.lines[:2]))
    with threadkeep.read(export.paths.out) as read:
        assert [len(list(thread.messages)) for thread in read.threads()] == [2, 0, 0, 0]


def test_lines_that_cannot_be_read_are_passed_over_or_named(export: Export) -> None:
    """Rows of the index and of the downloads are passed over; a line of a sidecar file is named."""
    for path in (export.paths.index, export.paths.downloads):
        path.write_bytes(path.read_bytes() + b"?\n")
    runs = export.paths.sidecar("runs")
    runs.write_bytes(b"[" + runs.read_bytes()[1:])
    with threadkeep.read(export.paths.out) as read:
        assert len(list(read["thread_a"].files)) == 1
        with pytest.raises(MalformedLine, match="a line of runs is not JSON"):
            _ = [thread.runs for thread in read.threads()]
    runs.write_bytes(b"[]".ljust(len(runs.read_bytes()) - 1) + b"\n")
    with threadkeep.read(export.paths.out) as read:
        assert read["thread_b"].runs == ()
    runs.unlink()
    with threadkeep.read(export.paths.out) as read:
        assert read["thread_b"].runs == ()


def test_a_sparse_file_is_refused_and_not_read_into_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Gigabytes without a newline are no NDJSON; the limit of a line is far above any message."""
    path = tmp_path / "sparse.ndjson"
    with path.open("wb") as file:
        file.truncate(5 * 1024**3)
    assert lines.LINE_LIMIT >= 64 * 1024**2
    monkeypatch.setattr(lines, "LINE_LIMIT", 1000)
    with pytest.raises(OutputUnusable, match=r"sparse\.ndjson is a binary file, and no export"):
        threadkeep.read(path)
    with path.open("r+b") as file:
        file.write(b'{"thread_id":"x","message_id":"m","role":"user"')
    with threadkeep.read(path) as read:
        for iterate in (read, read.threads()):
            with pytest.raises(
                OutputUnusable, match=r"sparse\.ndjson is no NDJSON: it has 1,000 bytes without a newline"
            ):
                list(iterate)


def test_the_longest_line_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its newline counts too."""
    path = bare(tmp_path, ("x", 1))
    monkeypatch.setattr(lines, "LINE_LIMIT", path.stat().st_size)
    with threadkeep.read(path) as read:
        assert len(list(read)) == 1
    monkeypatch.setattr(lines, "LINE_LIMIT", path.stat().st_size - 1)
    with threadkeep.read(path) as read, pytest.raises(OutputUnusable):
        list(read)


def test_an_index_without_a_newline_is_refused(export: Export, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a run too."""
    monkeypatch.setattr(lines, "LINE_LIMIT", 1000)
    with export.paths.index.open("ab") as file:
        file.truncate(5 * 1024**3)
    with threadkeep.read(export.paths.out) as read, pytest.raises(OutputUnusable, match="index is no NDJSON"):
        list(read.threads())
    with pytest.raises(OutputUnusable, match="index is no NDJSON"):
        export.run_alone(IDS, world(), **OPTIONS)


def test_an_export_that_is_replaced_again_and_again(export: Export, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reader gives up at some time, in words."""
    opened = iter(range(10**6))
    from threadkeep.storage import file_set

    real = file_set._manifest_bytes

    def changing(paths: Any) -> Any:
        export.paths.manifest.write_text(str(next(opened)))
        return real(paths)

    monkeypatch.setattr(file_set, "_manifest_bytes", changing)
    with pytest.raises(OutputUnusable, match="is being replaced again and again"):
        threadkeep.read(export.paths.out)
