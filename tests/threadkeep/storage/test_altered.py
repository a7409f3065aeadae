"""What was changed where nobody would notice: in the index, and in blobs of the working store."""

import sqlite3
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


@pytest.mark.parametrize("value", [b"", b'["x"]', b'[["x"],[],null]', b"\xff"])
@pytest.mark.parametrize("assistant_id", [ASSISTANT, "auto"])
@pytest.mark.parametrize("cut_off", [False, True])
def test_what_is_stored_about_a_page_has_its_checksum_too(
    value: bytes, assistant_id: str, cut_off: bool, tmp_path: Path
) -> None:
    """A thread with a page that is not as it was stored is fetched anew, whether it was complete or not."""
    export = Export(tmp_path)
    options = {"assistant_id": assistant_id, "concurrency": 1}
    with cut_off_at_commit(4) if cut_off else no_room_to_write():
        export.run_alone(THREADS, ThreadServer(THREADS), **options)
    with sqlite3.connect(export.paths.store) as db:
        assert db.execute("UPDATE pages SET about=?", (value,)).rowcount
    db.close()
    if cut_off:  # the thread that was complete is noticed when it is written
        export.run_alone(THREADS, ThreadServer(THREADS), **options)
        assert not export.result.is_complete
    else:
        assert not export.write().is_complete
    export.run_alone(THREADS, ThreadServer(THREADS), **options)
    assert export.messages() == THREADS
    assert threadkeep.validate(export.paths.out).is_complete


def test_a_store_that_is_moved_aside_by_write_is_named(tmp_path: Path) -> None:
    """Also when there is nothing else to write from."""
    export = Export(tmp_path)
    export.paths.store.write_bytes(b"no database")
    with pytest.raises(OutputUnusable, match=r"It is kept as out\.old-1\.ndjson\.store; .* there is nothing to write"):
        export.write()
