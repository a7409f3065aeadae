"""What was changed where nobody would notice: in the index, and in blobs of the working store."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import threadkeep
from canned import HTTP
from canned_threads import ThreadServer
from exporting import ASSISTANT, Export, cut_off_at_commit, no_room_to_write, threads_of
from small_world import IDS, OPTIONS, world
from threadkeep.errors import OutputUnusable

THREADS = threads_of(a=3, b=230)


@pytest.mark.parametrize(
    ("field", "other"),
    [(b'"messages":3', b'"messages":4'), (b'"first_id":"msg_', b'"first_id":"msg_x'), (b'"outcome":"complete"', None)],
)
@pytest.mark.parametrize("flat", [False, True])
def test_an_index_that_was_altered_is_written_anew_from_the_lines(
    field: bytes, other: bytes | None, flat: bool, tmp_path: Path
) -> None:
    """The altered one is kept, no thread is asked for unless its row is lost, and the export is as it was."""
    export = Export(tmp_path).run_alone(THREADS, ThreadServer(THREADS), flat=flat)
    before, manifest = export.contents(), threadkeep.status(export.paths.out).manifest
    altered = before["out.ndjson.index"].replace(field, other or b'"outcome":"compl', 1)
    export.paths.index.write_bytes(altered)
    server = ThreadServer(THREADS)
    export.run_alone(THREADS, server, flat=flat)
    assert bool(server.asked) is (other is None)
    after = export.contents()
    if other is not None:  # a row that is lost has lost its place
        assert (after["out.ndjson"], after["out.ndjson.index"]) == (before["out.ndjson"], before["out.ndjson.index"])
    assert after["out.old-1.ndjson.index"] == altered
    found = threadkeep.status(export.paths.out).manifest
    assert manifest is not None
    assert found is not None
    assert (found.digest, found.totals, found.kept_as) == (manifest.digest, manifest.totals, 1)
    assert threadkeep.validate(export.paths.out).is_complete


def test_a_number_of_the_manifest_that_was_altered_is_corrected_by_the_next_run(tmp_path: Path) -> None:
    """Whatever number validate finds to be wrong, the same export again writes the manifest anew, and says so."""
    export = Export(tmp_path).run_alone(IDS, world(), **OPTIONS)
    written = json.loads(export.paths.manifest.read_bytes())
    numbers = [(group, name) for group in ("totals", "outcomes", "downloads") for name in written[group]]
    found = {one.code for one in threadkeep.validate(export.paths.out)}
    for group, name in numbers:
        altered = {**written, group: {**written[group], name: written[group][name] + 1}}
        export.paths.manifest.write_text(json.dumps(altered))
        assert "manifest_mismatch" in {one.code for one in threadkeep.validate(export.paths.out)}
        export.events.clear()
        export.run_alone(IDS, world(), **OPTIONS)
        assert json.loads(export.paths.manifest.read_bytes()) == written
        assert {one.code for one in threadkeep.validate(export.paths.out)} == found
        assert export.notices == ["out.ndjson.manifest.json contradicts the index; it is written anew from the index."]


def test_an_intact_thread_is_not_lost_for_another_row(tmp_path: Path) -> None:
    """A row that is there twice, or names another thread, costs no thread that is as it was written."""
    for number in range(2):
        export = Export(tmp_path / str(number))
        export.paths.out.parent.mkdir()
        export.run_alone(THREADS, ThreadServer(THREADS))
        header, a, b = export.paths.index.read_bytes().splitlines(keepends=True)
        export.paths.index.write_bytes(header + a + (b.replace(b"_b", b"_a") if number else b + a))
        export.write()
        assert export.messages()["thread_a"] == THREADS["thread_a"]
        if number:
            assert export.messages(export.paths.partial) == {"thread_b": THREADS["thread_b"]}
            assert "Damaged threads: 1 (thread_b)" in export.notices[0]


@pytest.mark.parametrize("flat", [False, True])
def test_the_lines_of_a_row_that_is_not_complete_are_not_lost(flat: bool, tmp_path: Path) -> None:
    """A row that says so of a thread that has lines in OUT is altered: the thread is wanted again."""
    export = Export(tmp_path).run_alone(THREADS, ThreadServer(THREADS), flat=flat)
    index = export.paths.index.read_bytes()
    export.paths.index.write_bytes(index.replace(b'"complete"', b'"dropped"', 1))
    export.run_alone(["thread_b"], ThreadServer(THREADS), flat=flat)
    assert (export.result.left_over, export.result.is_complete) == (1, False)
    assert flat or export.messages(export.paths.partial) == {"thread_a": THREADS["thread_a"]}


def test_an_empty_thread_whose_sidecar_was_altered_stays_complete(tmp_path: Path) -> None:
    """Its lines are in the sidecar only."""
    options = {"include": ("threads",)}
    export = Export(tmp_path).run_alone(IDS, world(), **options)
    row = export.rows["thread_none"]
    assert row.outcome == "missing"
    empty = threads_of(empty=0)
    export = Export(tmp_path / "empty")
    export.paths.out.parent.mkdir()
    fake = world()
    fake.load({"threads": [{"id": "thread_empty"}]})
    export.run_alone(empty, fake, **options)
    index = export.paths.index.read_bytes()
    sha256 = export.rows["thread_empty"].sidecars["threads"].sha256.encode()
    export.paths.index.write_bytes(index.replace(sha256, b"0" * 64))
    export.write()
    assert export.rows["thread_empty"].outcome == "complete"


@pytest.mark.parametrize("assistant_id", [ASSISTANT, "auto"])
def test_an_altered_assistant_is_not_believed(assistant_id: str, tmp_path: Path) -> None:
    """The lines say which one it is."""
    threads = threads_of(a=1)
    threads["thread_a"][0] |= {"role": "assistant", "assistant_id": ASSISTANT}
    export = Export(tmp_path).run_alone(threads, ThreadServer(threads), assistant_id=assistant_id)
    before = export.paths.index.read_bytes()
    header, row = before.splitlines(keepends=True)
    export.paths.index.write_bytes(header + row.replace(ASSISTANT.encode(), b"asst_other"))
    export.write()
    assert export.paths.index.read_bytes() == before
    assert threadkeep.validate(export.paths.out).is_complete


def test_a_flat_thread_whose_row_is_lost_with_the_manifest_is_wanted(tmp_path: Path) -> None:
    """Nothing but its lines says that it was there."""
    export = Export(tmp_path).run_alone(THREADS, ThreadServer(THREADS), flat=True)
    export.paths.manifest.unlink()
    header, _, b = export.paths.index.read_bytes().splitlines(keepends=True)
    export.paths.index.write_bytes(header + b)
    export.run_alone(["thread_b"], ThreadServer(THREADS), flat=True)
    assert export.outcomes["thread_a"] == "unfinished"
    assert "thread_a" in export.notices[0]


def test_what_was_fetched_stays_when_its_page_is_damaged_and_the_server_is_silent(tmp_path: Path) -> None:
    """The other pages of the thread are all that there may ever be."""
    export = Export(tmp_path)
    with cut_off_at_commit(4):
        export.run_alone(["thread_b"], ThreadServer(THREADS), concurrency=1)
    with closing(sqlite3.connect(export.paths.store)) as db, db:
        assert db.execute("UPDATE pages SET lines=x'' WHERE seq=1").rowcount
    export.run_alone(THREADS, lambda request: unreachable(request), concurrency=1)
    kept = export.messages(export.paths.partial)
    assert kept["thread_b"] == THREADS["thread_b"][:100] + THREADS["thread_b"][200:]


def unreachable(request: Any) -> None:
    """No answer."""
    raise HTTP.ConnectError("no route", request=request)


HARM = [
    "UPDATE pages SET about=x''",
    """UPDATE pages SET about='["x"]'""",
    """UPDATE pages SET about='[["x"],[],null]'""",
    "UPDATE pages SET about=x'ff'",
    "UPDATE pages SET lines=x''",
    "UPDATE pages SET crc=0",
    "UPDATE pages SET seq=seq+7",
    "UPDATE pages SET kind='runs'",
    "UPDATE pages SET thread=thread+10",
    "UPDATE pages SET thread=3-thread, seq=seq+5",
    "DELETE FROM pages",
    "DELETE FROM fetched",
    "DELETE FROM pages WHERE seq=2",
    "UPDATE fetched SET outcome='complet'",
    "UPDATE fetched SET outcome='complete'",
    "UPDATE fetched SET thread_id='thread_x'||id",
    "UPDATE fetched SET id=id+10",
    "UPDATE meta SET value='{'",
    "UPDATE meta SET value='{}' WHERE name='progress'",
    "UPDATE meta SET value='[]' WHERE name='progress'",
    "UPDATE meta SET value='\"yesterday\"' WHERE name='started_at'",
    "UPDATE meta SET value='7' WHERE name='header'",
    "UPDATE meta SET value=x'ff'",
    "DELETE FROM meta",
    "DELETE FROM ids",
    "UPDATE ids SET ask=0",
    "DROP TABLE pages",
    "DROP TABLE salvaged",
    "DROP INDEX ids_by_id",
    "DROP VIEW wanted",
]


@pytest.mark.parametrize("harm", HARM)
@pytest.mark.parametrize("assistant_id", [ASSISTANT, "auto"])
@pytest.mark.parametrize("cut_off", [False, True])
def test_what_has_changed_in_a_store_is_fetched_anew(
    harm: str, assistant_id: str, cut_off: bool, tmp_path: Path
) -> None:
    """Where SQLite does not notice it: nothing false is written, and the same command ends with every message."""
    export = Export(tmp_path)
    options = {"assistant_id": assistant_id, "concurrency": 1}
    with cut_off_at_commit(4) if cut_off else no_room_to_write():
        export.run_alone(THREADS, ThreadServer(THREADS), **options)
    with closing(sqlite3.connect(export.paths.store)) as db, db:
        db.execute(harm)
    for _ in range(3):
        export.run_alone(THREADS, ThreadServer(THREADS), **options)
        assert export.messages().items() <= THREADS.items()
        if export.result.is_complete:
            break
    assert export.messages() == THREADS
    assert threadkeep.validate(export.paths.out).is_complete


def test_a_store_that_is_moved_aside_by_write_is_named(tmp_path: Path) -> None:
    """Also when there is nothing else to write from."""
    export = Export(tmp_path)
    export.paths.store.write_bytes(b"no database")
    with pytest.raises(OutputUnusable, match=r"It is kept as out\.old-1\.ndjson\.store; .* there is nothing to write"):
        export.write()
