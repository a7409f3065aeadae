"""What was changed where nobody would notice: in the index, and in blobs of the working store."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

import threadkeep
from canned_threads import ThreadServer
from exporting import ASSISTANT, Export, cut_off_at_commit, no_room_to_write, threads_of
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
