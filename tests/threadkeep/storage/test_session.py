"""An export is begun, resumed, or refused: what is there decides, and nothing is overwritten that is not ours."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from canned import HTTP
from canned_threads import ThreadServer
from exporting import ASSISTANT, Ending, Export, cut_off_at_commit, no_room_to_write, threads_of
from small_world import IDS, OPTIONS, world
from threadkeep.errors import OutputUnusable, UnreadableIds
from threadkeep.storage.index import Outcome

THREADS = threads_of(a=150, b=2, c=1)
GONE = HTTP.Response(404, content=b'{"error": {"message": "Not now."}}')


@pytest.fixture
def export(tmp_path: Path) -> Export:
    """An export of all threads."""
    return Export(tmp_path).run_alone(THREADS, ThreadServer(THREADS))


def cut_off(folder: Path, commits: int = 2) -> Export:
    """One that was cut off in the middle of a thread."""
    with cut_off_at_commit(commits):
        return Export(folder).run_alone(THREADS, ThreadServer(THREADS), concurrency=1)


OTHERS: list[tuple[dict[str, Any], str]] = [
    (
        {"assistant_id": "asst_other"},
        r"and not with ASSISTANT_ID asst_other$",
    ),
    ({"flat": True}, "begun without --flat, and not with --flat"),
    ({"include": ("runs",)}, "begun without --include, and not with --include runs"),
]


@pytest.mark.parametrize(("others", "words"), OTHERS)
@pytest.mark.parametrize("begun", [cut_off, lambda folder: Export(folder).run_alone(THREADS, ThreadServer(THREADS))])
def test_an_export_is_resumed_as_what_it_was_begun_as(
    begun: Callable[[Path], Export], others: dict[str, Any], words: str, tmp_path: Path
) -> None:
    """Whether its files were written or not. Nothing changes, and --fresh keeps all of it."""
    export = begun(tmp_path)
    before, server = export.contents(), ThreadServer(THREADS)
    with pytest.raises(OutputUnusable, match=words):
        export.run_alone(THREADS, server, **others)
    assert (export.contents(), server.asked) == (before, [])
    export.run_alone(["thread_c"], server, fresh=True, **others)
    kept = {name.replace("out.ndjson", "out.old-1.ndjson"): content for name, content in before.items()}
    assert kept.items() <= export.contents().items()


def test_another_source_is_refused(export: Export) -> None:
    """Its threads may be others."""
    with pytest.raises(
        OutputUnusable,
        match=r"begun with --base-url https://api.test/v1, and not with --base-url https://other.test/v1",
    ):
        export.run_alone(THREADS, ThreadServer(THREADS), source="https://other.test/v1")


@pytest.mark.parametrize("others", [others for others, _ in OTHERS])
def test_nothing_that_was_fetched_binds_nobody(others: dict[str, Any], tmp_path: Path) -> None:
    """Where every thread has failed, or none was asked for, the export can be another one; its ids stay wanted."""
    export = Export(tmp_path)
    export.run_alone(THREADS, lambda _request: HTTP.Response(410))
    assert set(export.outcomes.values()) == {Outcome.UNFINISHED}
    with cut_off_at_commit(1):
        export.run_alone(["thread_c"], ThreadServer(THREADS))
    export.run_alone(["thread_c"], ThreadServer(THREADS), **others)
    assert list(export.outcomes.values()) == [Outcome.UNFINISHED, Outcome.UNFINISHED, Outcome.COMPLETE]
    assert export.result.left_over == 2


def test_another_source_is_no_damage_while_nothing_was_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The manifest says what the index next to it says."""
    export = Export(tmp_path)
    export.run_alone(THREADS, lambda _request: HTTP.Response(410))
    monkeypatch.setattr("exporting.SOURCE", "https://other.test/v1")
    export.run_alone(THREADS, ThreadServer(THREADS))
    assert (export.notices, export.result.is_complete) == ([], True)


def test_ids_of_a_run_that_was_killed_before_its_first_page_stay_wanted(tmp_path: Path) -> None:
    """The next one counts and names them, whatever it is asked for."""
    with cut_off_at_commit(1):
        Export(tmp_path).run_alone(THREADS, ThreadServer(THREADS))
    export = Export(tmp_path).run_alone(["thread_c"], ThreadServer(THREADS))
    assert (export.result.left_over, export.result.is_complete) == (2, False)
    assert list(export.rows) == list(THREADS)
    assert any(notice.startswith("2 threads of earlier runs are not complete") for notice in export.notices)
    export.run_alone(["thread_b"], ThreadServer(THREADS))
    assert any(notice.startswith("1 thread of earlier runs is not complete") for notice in export.notices)


def test_a_file_without_an_index_is_somebodys(export: Export) -> None:
    """It is refused before any request, and --fresh keeps it under another name."""
    export.paths.index.unlink()
    before, server = export.contents(), ThreadServer(THREADS)
    for act in (lambda: export.run_alone(THREADS, server), export.write):
        with pytest.raises(OutputUnusable, match=r"out\.ndjson exists already.*never overwritten.*--fresh"):
            act()
    assert (export.contents(), server.asked) == (before, [])
    export.run_alone(THREADS, server, fresh=True)
    assert export.result.is_complete
    assert export.contents()["out.old-1.ndjson"] == before["out.ndjson"]
    assert export.result.manifest is not None
    assert export.result.manifest.kept_as == 1


def test_a_manifest_alone_is_somebodys(export: Export) -> None:
    """Whether it can be read or not."""
    for path in (export.paths.out, export.paths.index):
        path.unlink()
    for content in (export.paths.manifest.read_bytes(), b"{"):
        export.paths.manifest.write_bytes(content)
        with pytest.raises(OutputUnusable, match=r"manifest\.json exists already"):
            export.run_alone(THREADS, ThreadServer(THREADS))


@pytest.mark.parametrize("content", [None, b"{", b"[" * 100_000, b'{"format": "threadkeep-manifest/1"}'])
def test_a_lost_or_damaged_manifest_is_written_anew(content: bytes | None, export: Export) -> None:
    """From the index, with a notice, and without any request."""
    before, server = export.contents(), ThreadServer(THREADS)
    export.paths.manifest.unlink()
    if content is not None:
        export.paths.manifest.write_bytes(content)
    export.run_alone(THREADS, server)
    assert (export.contents(), server.asked) == (before, [])
    assert export.notices == ["out.ndjson.manifest.json is lost or damaged; it is written anew from the index."]


@pytest.mark.parametrize("header", [b"", b"{}", b"?", b"[" * 100_000])
def test_a_damaged_header_is_known_from_the_manifest(header: bytes, export: Export) -> None:
    """And the index is repaired; where the manifest is lost too, nothing is guessed."""
    before, server = export.contents(), ThreadServer(THREADS)
    rows = export.paths.index.read_bytes().partition(b"\n")[2]
    export.paths.index.write_bytes(header + b"\n" + rows)
    export.run_alone(THREADS, server)
    assert server.asked == []
    assert export.paths.index.read_bytes() == before["out.ndjson.index"]
    export.paths.index.write_bytes(header + b"\n" + rows)
    export.paths.manifest.unlink()
    with pytest.raises(OutputUnusable, match=r"index does not begin as an index does.*--fresh"):
        export.run_alone(THREADS, server)


def test_a_store_that_is_damaged_is_moved_aside(tmp_path: Path) -> None:
    """With a notice; the files do without it, and what it had is fetched again."""
    export = Export(tmp_path).run_alone(["thread_b"], ThreadServer(THREADS))
    with cut_off_at_commit(2):
        export.run_alone(THREADS, ThreadServer(THREADS), concurrency=1)
    content = bytearray(export.paths.store.read_bytes())
    content[100:4000] = bytes(3900)
    export.paths.store.write_bytes(content)
    export.run_alone(THREADS, ThreadServer(THREADS))
    assert export.messages() == {name: THREADS[name] for name in ("thread_b", "thread_a", "thread_c")}
    (notice,) = export.notices
    assert notice.startswith("out.ndjson.store is damaged (")
    assert "It is kept as out.old-1.ndjson.store" in notice
    assert (tmp_path / "out.old-1.ndjson.store").read_bytes() == content


def other_database(path: Path) -> None:
    """A database of another program."""
    path.unlink()
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE mine(x)")


def newer_store(path: Path) -> None:
    """A store of a version to come."""
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version=99")


def headless_store(path: Path) -> None:
    """A store that does not say what it is of."""
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE meta SET value='{}' WHERE name='header'")


def tableless_store(path: Path) -> None:
    """A store without its tables."""
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("DROP TABLE meta")


def torn_store(path: Path) -> None:
    """A store of which pages are missing, as it can still be opened."""
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("CREATE TABLE more(x)")
        db.execute("INSERT INTO more SELECT zeroblob(100000) FROM pages")
    content = path.read_bytes()
    path.write_bytes(content[:-65536] + bytes(65536))


NO_STORES: list[Callable[[Path], object]] = [
    lambda path: path.write_bytes(b"no database" * 100),
    lambda path: path.write_bytes(b""),
    other_database,
    newer_store,
    headless_store,
    tableless_store,
    torn_store,
]


@pytest.mark.parametrize("harm", NO_STORES)
def test_what_is_no_store_is_kept(harm: Callable[[Path], object], tmp_path: Path) -> None:
    """Under another name, and the export begins without it."""
    export = cut_off(tmp_path)
    harm(export.paths.store)
    export.run_alone(THREADS, ThreadServer(THREADS))
    assert export.messages() == THREADS
    assert (tmp_path / "out.old-1.ndjson.store").exists()


def test_a_store_that_another_program_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Is neither damaged nor moved: the run is refused with what to do."""
    monkeypatch.setattr("threadkeep.storage.store._BUSY_SECONDS", 0.0)
    export = cut_off(tmp_path)
    with closing(sqlite3.connect(export.paths.store)) as db:
        db.execute("BEGIN EXCLUSIVE")
        for act in (export.write, lambda: export.run_alone(THREADS, ThreadServer(THREADS))):
            with pytest.raises(OutputUnusable, match=r"another program uses the working store\. Close it and run"):
                act()
    export.run_alone(THREADS, ThreadServer(THREADS))
    assert export.messages() == THREADS


def test_a_page_that_has_changed_has_its_thread_fetched_anew(tmp_path: Path) -> None:
    """SQLite does not notice that; the page's checksum does, and the others stay."""
    with no_room_to_write():
        export = Export(tmp_path).run_alone(THREADS, ThreadServer(THREADS))
    with closing(sqlite3.connect(export.paths.store)) as db, db:
        db.execute(
            "UPDATE pages SET lines=CAST(replace(lines, 'number 3', 'number 4') AS BLOB) WHERE thread="
            "(SELECT id FROM fetched WHERE thread_id='thread_a') AND seq=0"
        )
    server = ThreadServer(THREADS)
    export.run_alone(THREADS, server)
    assert (server.asked, export.outcomes["thread_a"]) == ([], Outcome.PARTIAL)
    assert export.messages(export.paths.partial) == {"thread_a": THREADS["thread_a"][100:]}
    export.run_alone(THREADS, server)
    assert export.messages() == THREADS
    assert all("thread_a" in url for url in server.asked)


def test_there_is_nothing_to_write(tmp_path: Path) -> None:
    """Where there is neither a store nor an index."""
    with pytest.raises(OutputUnusable, match=r"nothing to write: neither .*out\.ndjson\.store nor .*index exists"):
        Export(tmp_path).write()
    assert list(tmp_path.iterdir()) == []


def test_what_is_written_already_is_not_written_again(export: Export) -> None:
    """Nor by the next run."""
    before, stamp = export.contents(), export.paths.out.stat().st_ino
    manifest = export.write()
    assert manifest == export.result.manifest
    assert manifest.is_complete
    export.run_alone(THREADS, ThreadServer(THREADS))
    assert (export.contents(), export.paths.out.stat().st_ino) == (before, stamp)


def test_what_a_run_that_was_cut_off_has_fetched_is_written_without_an_api(tmp_path: Path) -> None:
    """Complete threads to OUT, the others to the partial file; and the next run resumes from that."""
    export = cut_off(tmp_path)
    manifest = export.write()
    assert (manifest.ended_by, manifest.is_complete) == ("interrupted", False)
    assert export.messages() == {}
    assert export.messages(export.paths.partial) == {"thread_a": THREADS["thread_a"][:100]}
    assert list(export.outcomes.values()) == [Outcome.PARTIAL, Outcome.UNFINISHED, Outcome.UNFINISHED]
    assert not export.paths.store.exists()
    export.run_alone(THREADS, ThreadServer(THREADS))
    assert export.messages() == THREADS


def test_a_list_that_cannot_be_read_leaves_no_store(tmp_path: Path) -> None:
    """Nor does it take one away that is there."""

    def broken() -> Any:
        yield "thread_a"
        raise UnreadableIds("not text")

    export = Export(tmp_path)
    with pytest.raises(UnreadableIds):
        export.run_alone(broken(), ThreadServer(THREADS))
    assert export.contents() == {}
    export = cut_off(tmp_path)
    with pytest.raises(UnreadableIds):
        export.run_alone(broken(), ThreadServer(THREADS))
    server = ThreadServer(THREADS)
    export.run_alone(THREADS, server)
    assert "after=" in server.asked[0]


def test_ids_that_are_dropped_are_neither_asked_for_nor_counted(tmp_path: Path) -> None:
    """Their lines stay in the partial file; complete threads stay in the export, with a notice."""
    export = Export(tmp_path)
    export.run_alone(THREADS, Ending(THREADS, lambda: HTTP.Response(410), 1), concurrency=1)
    export.run_alone(["thread_c"], ThreadServer(THREADS))
    server = ThreadServer(THREADS)
    export.run_alone([], server, drop=["thread_a", "thread_b", "thread_c", "thread_unknown"])
    assert (server.asked, export.result.left_over, export.result.is_complete) == ([], 0, True)
    assert export.notices[-1] == "1 ids to be dropped are complete in the export, and stay in it."
    assert export.outcomes == {
        "thread_a": Outcome.DROPPED,
        "thread_b": Outcome.DROPPED,
        "thread_c": Outcome.COMPLETE,
    }
    assert export.messages(export.paths.partial) == {"thread_a": THREADS["thread_a"][:100]}
    export.run_alone(["thread_a"], server)
    assert export.outcomes["thread_a"] is Outcome.COMPLETE
    assert not export.paths.partial.exists()


def test_files_may_be_wanted_later_and_left_out_again(tmp_path: Path) -> None:
    """What was saved stays known."""
    export = Export(tmp_path)
    options = {"include": OPTIONS["include"]}
    export.run_alone(IDS, world(), **options)
    assert not export.paths.downloads.exists()
    export.run_alone(IDS, world(), files=True, **options)
    assert [row.outcome for row in export.result.downloads()] == ["saved", "missing"]
    before = export.contents()
    export.run_alone(IDS, world(), **options)
    export.run_alone([*IDS, "thread_more"], world(), **options)
    after = export.contents()
    assert all(after[name] == before[name] for name in before if "index" not in name and "manifest" not in name)


def test_an_assistant_of_each_thread_its_own(tmp_path: Path) -> None:
    """That of its newest assistant message; null where there is none, and a complete thread keeps its own."""
    threads = threads_of(a=3, b=2, c=103)
    for number, name in ((0, "asst_old"), (1, "asst_new")):
        threads["thread_a"][number] |= {"role": "assistant", "assistant_id": name}
    threads["thread_c"][2] |= {"role": "assistant", "assistant_id": "asst_c"}
    export = Export(tmp_path).run_alone(threads, ThreadServer(threads), assistant_id="auto")
    expected = {"thread_a": "asst_new", "thread_b": None, "thread_c": "asst_c"}
    assert {name: row.assistant_id for name, row in export.rows.items()} == expected
    assert export.messages() == threads
    threads["thread_a"][2] |= {"role": "assistant", "assistant_id": "asst_newest"}
    export.run_alone(threads, ThreadServer(threads), assistant_id="auto", refresh=True)
    assert {name: row.assistant_id for name, row in export.rows.items()} == expected
    assert export.messages() == threads
    assert ASSISTANT not in export.paths.index.read_text()
