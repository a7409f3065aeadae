"""What an export has of a thread that is written down anew, and the server has no longer."""

import asyncio
from contextlib import ExitStack, closing

import orjson
import pytest

from drawn_exports import HEADER, PATHS, begin, finish, journal
from simulated_disk import SimulatedDisk
from threadkeep.codec import encode_message
from threadkeep.errors import OutputUnusable
from threadkeep.events import Event, Notice
from threadkeep.journal import Entry, Outcome
from threadkeep.outfiles import Finished, OutFiles
from threadkeep.spool import Spool
from threadkeep.writer import Writer

RUNS = PATHS.beside("runs")


def message_line(number: int) -> bytes:
    """A line of the export."""
    row = {"id": f"msg_{number}", "thread_id": "thread_a", "role": "user", "created_at": 1, "content": []}
    return encode_message(row, assistant_id=HEADER.assistant_id, flat=False)


def run_line(number: int) -> bytes:
    """A line of the file of runs."""
    return orjson.dumps({"thread_id": "thread_a", "run_id": f"run_{number}"})


def finished(opened: ExitStack, messages: list[int], runs: list[int], files: tuple[str, ...] = ()) -> Finished:
    """A thread as a server gives it."""
    lines, beside = (opened.enter_context(closing(Spool(PATHS.out.parent))) for _ in range(2))
    lines.add([f"msg_{number}" for number in messages], [message_line(number) for number in messages])
    beside.add([f"run_{number}" for number in runs], [run_line(number) for number in runs])
    entry = Entry(
        thread_id="thread_a",
        outcome=Outcome.COMPLETE,
        messages=len(messages),
        first_id=lines.first_id,
        last_id=lines.last_id,
        files=files,
    )
    return Finished(entry=entry, lines=lines, beside={"runs": beside})


def written(out: OutFiles, messages: list[int], runs: list[int], files: tuple[str, ...] = ()) -> Entry:
    """Write it down; the entry that counts then."""
    with ExitStack() as opened:
        (entry,) = out.commit([finished(opened, messages, runs, files)])
    assert isinstance(entry, Entry)
    return entry


def content(numbers: list[int], line: object = message_line) -> bytes:
    """What a file holds."""
    assert callable(line)
    return b"".join(line(number) + b"\n" for number in numbers)


def test_messages_and_runs_that_went_stay() -> None:
    """Each in its place, with the files that they refer to; and the journal says so."""
    disk = SimulatedDisk()
    with begin(disk) as out:
        written(out, [1, 2, 3], [1, 2], ("file-1", "file-2"))
    with begin(disk) as out:
        entry = written(out, [2, 4], [3], ("file-2", "file-3"))
        finish(out)
    assert (disk.content(PATHS.out), disk.content(RUNS)) == (content([1, 2, 3, 4]), content([1, 2, 3], run_line))
    assert (entry.messages, entry.first_id, entry.last_id, entry.beside["runs"].lines) == (4, "msg_1", "msg_4", 3)
    assert journal(disk).wanted_files == ("file-1", "file-2", "file-3")


def test_runs_alone_stay_too() -> None:
    """Where every message is still there; and a thread that is as it was keeps its entry."""
    disk = SimulatedDisk()
    with begin(disk) as out:
        first = written(out, [1], [1, 2])
    with begin(disk) as out:
        assert written(out, [1], []) == first
        finish(out)
    assert disk.content(RUNS) == content([1, 2], run_line)


def test_a_thread_that_is_written_three_times_in_a_run() -> None:
    """Each version is joined with the one before it."""
    disk = SimulatedDisk()
    with begin(disk) as out:
        for number in (1, 2, 3):
            written(out, [number], [number])
        finish(out)
    assert sorted((disk.content(PATHS.out) or b"").splitlines()) == [message_line(number) for number in (1, 2, 3)]


def test_lines_that_somebody_else_changed_meanwhile_are_not_taken() -> None:
    """The refresh ends, and the files are as they are."""
    disk = SimulatedDisk()
    with begin(disk) as out:
        written(out, [1, 2], [])
    with begin(disk) as out:
        changed = content([1, 2]).replace(b"msg_1", b"msg_9")
        disk.grow(PATHS.out).cut(0)
        disk.grow(PATHS.out).write(changed)
        with pytest.raises(OutputUnusable, match="was changed by somebody else while thread_a was refreshed"):
            written(out, [2], [])
    assert disk.content(PATHS.out) == changed


def test_the_writer_tells_of_what_went() -> None:
    """In one sentence, before the entry."""
    told = asyncio.run(told_of_what_went())
    assert told[0] == Notice("thread_a: the server has 1 message and 2 runs of it no longer, and the export keeps them")
    assert isinstance(told[1], Entry)


async def told_of_what_went() -> list[Event]:
    """What is told when a thread has lost a message and its runs."""
    disk, told = SimulatedDisk(), list[Event]()
    with begin(disk) as out, ExitStack() as opened:
        written(out, [1, 2], [1, 2])
        await Writer(out, told.append).put(finished(opened, [1], []))
    return told
