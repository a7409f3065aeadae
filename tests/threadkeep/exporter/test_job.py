"""An export is begun or gone on with: what stands there is checked first, and that may be interrupted."""

import asyncio
from contextlib import closing
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import portalocker
import pytest

from threadkeep.errors import Interrupted, OutputUnusable
from threadkeep.exporter.engine import Options
from threadkeep.exporter.job import Job, Result, carry_out
from threadkeep.journal import Entry, Header, Journal, Outcome, encode_line
from threadkeep.outfiles import Finished, OutFiles
from threadkeep.readback import read_manifest
from threadkeep.records.ndjson import encode_message
from threadkeep.storage.manifest import Ending, build
from threadkeep.storage.paths import Paths

ASSISTANT = "asst_1"
THREADS = 5
HEADER = Header(source="http://here/v1", assistant_id=ASSISTANT, flat=False, started_at="2026-08-01T00:00:00+00:00")


def commit(out: OutFiles, number: int) -> None:
    """A thread of one message."""
    thread_id, name = f"thread_{number}", f"msg_{number}"
    row = {"id": name, "thread_id": thread_id, "role": "user", "created_at": 1, "content": []}
    with closing(out.spool()) as spool:
        spool.add([name], [encode_message(row, assistant_id=ASSISTANT, flat=False)])
        entry = Entry(thread_id=thread_id, outcome=Outcome.COMPLETE, messages=1, first_id=name, last_id=name)
        out.commit([Finished(entry=entry, lines=spool)])


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    """An export of a few threads."""
    paths = Paths(tmp_path / "out.ndjson")
    with OutFiles.begin(paths, HEADER) as out:
        for number in range(THREADS):
            commit(out, number)
    return paths


def content(paths: Paths) -> dict[Path, bytes]:
    """All bytes of an export."""
    return {path: path.read_bytes() for path in paths.all if path.exists()}


@pytest.mark.parametrize("moment", range(1, THREADS + 1))
def test_going_on_can_be_interrupted_before_every_thread(moment: int, paths: Paths) -> None:
    """While gigabytes are read. Nothing has changed then, and nobody holds the lock."""
    before, asked = content(paths), count(1)
    with pytest.raises(Interrupted, match="interrupted while the lines of"):
        OutFiles.begin(paths, HEADER, is_over=lambda: next(asked) == moment)
    assert content(paths) == before
    with OutFiles.begin(paths, HEADER) as out:
        assert len(out.journal.complete) == THREADS


async def cancelled_at_once(paths: Paths, *, times: int) -> Result:
    """Cancel an export when it has just begun, in the middle of looking at its files."""
    job = Job(ids=("thread_1",), paths=paths, options=Options(assistant_id=ASSISTANT))
    exporting = asyncio.create_task(carry_out(job, [], HEADER.source, now=lambda: datetime.now(UTC)))
    for _ in range(times):
        await asyncio.sleep(0)
        exporting.cancel()
    return await exporting


@pytest.mark.parametrize("times", [1, 2, 3])
def test_an_export_that_is_cancelled_while_it_is_begun(times: int, tmp_path: Path) -> None:
    """It says so, however often it is cancelled, and the same export can be gone on with."""
    paths = Paths(tmp_path / "out.ndjson")
    result = asyncio.run(cancelled_at_once(paths, times=times))
    assert (str(result.ended_by), result.manifest.unfinished) == ("interrupted", ("thread_1",))
    with OutFiles.begin(paths, HEADER) as out:
        commit(out, 1)


def test_an_export_that_is_cancelled_when_it_is_as_good_as_begun(tmp_path: Path) -> None:
    """The manifest of the run before is gone by then; what that did not come to is not forgotten."""
    paths = Paths(tmp_path / "out.ndjson")
    earlier = build(HEADER, Journal(HEADER, {}), Ending(finished_at="", listed=["thread_2"], ended_by=None), {})
    with OutFiles.begin(paths, HEADER) as out:
        out.finish(earlier)
    result = asyncio.run(cancelled_at_once(paths, times=1))
    manifest = read_manifest(paths)
    assert manifest == result.manifest
    assert manifest.unfinished == ("thread_1", "thread_2")


@pytest.mark.parametrize("named", ["threadkeep-journal/0", "threadkeep-journal/99"])
def test_a_journal_of_another_version(named: str, paths: Paths) -> None:
    """Is not called damaged: its version is named, and the one that is known here."""
    paths.journal.write_bytes(paths.journal.read_bytes().replace(b"threadkeep-journal/1", named.encode()))
    before = content(paths)
    with pytest.raises(OutputUnusable, match=rf"in the format {named}.*threadkeep-journal/1 only.*--fresh"):
        OutFiles.begin(paths, HEADER)
    assert content(paths) == before


@pytest.mark.parametrize("torn", [b"", encode_line(HEADER)[:6], encode_line(HEADER)[:-1]])
def test_a_journal_that_was_not_begun_beside_no_lines(torn: bytes, paths: Paths) -> None:
    """A run was killed at its very beginning, whether it had made the file of lines or not."""
    paths.manifest.unlink(missing_ok=True)
    paths.journal.write_bytes(torn)
    paths.out.write_bytes(b"")
    with OutFiles.begin(paths, HEADER) as out:
        assert not out.journal.entries
    paths.journal.write_bytes(torn)
    paths.out.write_bytes(b"{}\n")
    with pytest.raises(OutputUnusable, match="does not begin as a journal does"):
        OutFiles.begin(paths, HEADER)


@pytest.mark.parametrize("line", [b"[]", b"{", b'{"format":1}', b'"threadkeep-journal/0"', b"{}"])
def test_a_journal_that_is_none(line: bytes, paths: Paths) -> None:
    """Another thing that stands in its place."""
    paths.journal.write_bytes(line + b"\n")
    with pytest.raises(OutputUnusable, match="does not begin as a journal does"):
        OutFiles.begin(paths, HEADER)


def test_a_file_system_without_locks(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not told as somebody else's lock."""

    def refuse(*_arguments: object) -> None:
        raise portalocker.LockException("no locks here")

    monkeypatch.setattr(portalocker, "lock", refuse)
    with pytest.raises(OutputUnusable, match="it cannot be locked: no locks here"):
        OutFiles.begin(paths, HEADER)
