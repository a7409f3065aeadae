"""What an export has of a thread that is written down anew, and the server has no longer."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from typing import Any

import attrs
import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from drawn_exports import HEADER, PATHS, begin, finish, journal
from simulated_disk import SimulatedDisk
from threadkeep.errors import OutputUnusable
from threadkeep.exporter.commits import Writer
from threadkeep.exporter.events import Event, Notice
from threadkeep.journal import Entry, Outcome
from threadkeep.outfiles import Finished, OutFiles
from threadkeep.records.ndjson import encode_message
from threadkeep.spool import Spool

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


NUMBERS = st.sampled_from(range(5))
MESSAGES = st.dictionaries(NUMBERS, st.sampled_from(["", " ", "a text", "another"]), max_size=5)
"""What each message holds."""
STEPS = st.dictionaries(NUMBERS, st.lists(NUMBERS, unique=True, max_size=4), max_size=3)
"""The steps of each run."""


@attrs.frozen
class Version:
    """A thread as a server gives it, now or then."""

    messages: Mapping[int, str]
    runs: Mapping[int, Sequence[int]]
    time: int = 1

    def lines(self, *, flat: bool) -> dict[str, bytes]:
        """Of its messages."""
        return {f"msg_{one}": encode_message(self._message(one), assistant_id="a", flat=flat) for one in self.messages}

    def _message(self, number: int) -> dict[str, object]:
        text = {"type": "text", "text": {"value": self.messages[number], "annotations": []}}
        content = [text] if self.messages[number] else ([], None)[number % 2]
        row = {"id": f"msg_{number}", "thread_id": "thread_a", "role": "user", "created_at": self.time}
        return {**row, "content": content}

    def run_lines(self) -> dict[str, bytes]:
        """Of its runs."""
        return {
            f"run_{number}": json.dumps(
                {
                    "thread_id": "thread_a",
                    "run_id": f"run_{number}",
                    "run": {"id": f"run_{number}", "time": self.time},
                    "steps": [{"id": f"step_{number}_{step}", "time": self.time} for step in steps],
                }
            ).encode()
            for number, steps in self.runs.items()
        }


def given_as(version: Version, opened: ExitStack, *, flat: bool) -> Finished:
    """It, ready to be written down."""
    lines, runs = (opened.enter_context(closing(Spool(PATHS.out.parent))) for _ in range(2))
    for spool, rows in ((lines, version.lines(flat=flat)), (runs, version.run_lines())):
        spool.add(list(rows), list(rows.values()))
    entry = Entry(
        thread_id="thread_a",
        outcome=Outcome.COMPLETE,
        messages=lines.lines,
        first_id=lines.first_id,
        last_id=lines.last_id,
    )
    return Finished(entry=entry, lines=lines, beside={"runs": runs})


def exported(disk: SimulatedDisk, version: Version, *, flat: bool) -> tuple[list[bytes], list[dict[str, Any]]]:
    """The lines and the runs that the export has when it was exported, or refreshed."""
    with OutFiles.begin(PATHS, attrs.evolve(HEADER, flat=flat), disk=disk) as out, ExitStack() as opened:
        out.commit([given_as(version, opened, flat=flat)])
        finish(out)
    return (disk.content(PATHS.out) or b"").splitlines(), [*map(json.loads, (disk.content(RUNS) or b"").splitlines())]


def _is_poorer(then: str, now: str, *, flat: bool) -> bool:
    """A text of blanks is a part, and an empty one none."""
    return bool(then.strip() and not now.strip()) or (bool(then) and not now and not flat)


@given(MESSAGES, MESSAGES, STEPS, STEPS, st.booleans())
@example({1: "a"}, {1: ""}, {1: [1, 2, 3]}, {1: []}, False)
@example({1: "a"}, {1: ""}, {1: [1, 2, 3]}, {1: [3]}, True)
def test_an_export_is_never_poorer_for_a_refresh(
    then: dict[int, str], now: dict[int, str], runs: dict[int, list[int]], runs_now: dict[int, list[int]], flat: bool
) -> None:
    """Every message, run and step of both versions is in it, the new ones unless they have lost what they held."""
    old, new, disk = Version(then, runs), Version(now, runs_now, time=2), SimulatedDisk()
    exported(disk, old, flat=flat)
    lines, rows = exported(disk, new, flat=flat)
    was, came = old.lines(flat=flat), new.lines(flat=flat)
    stays = {f"msg_{one}" for one in then if one not in now or _is_poorer(then[one], now[one], flat=flat)}
    assert {json.loads(line)["message_id"]: line for line in lines} == {
        name: was[name] if name in stays else came[name] for name in {**was, **came}
    }
    assert len(lines) == len({*was, *came})
    assert {row["run_id"]: row["run"] for row in rows} == {
        f"run_{number}": {"id": f"run_{number}", "time": 2 if number in runs_now else 1}
        for number in {**runs, **runs_now}
    }
    assert [sorted(step["id"] for step in row["steps"]) for row in rows] == [
        sorted({f"step_{one}_{step}" for step in [*runs.get(one, ()), *runs_now.get(one, ())]})
        for one in (int(row["run_id"].removeprefix("run_")) for row in rows)
    ]
    before = disk.content(PATHS.out), disk.content(RUNS), disk.content(PATHS.journal)
    exported(disk, new, flat=flat)
    assert (disk.content(PATHS.out), disk.content(RUNS), disk.content(PATHS.journal)) == before


@pytest.mark.parametrize("flat", [True, False])
def test_a_page_that_comes_empty_the_second_time_is_kept_as_it_came(flat: bool) -> None:
    """A thread was cut off, and the API gives its messages without what they said later: that is kept aside."""
    disk, pages = SimulatedDisk(), Version({1: "a", 2: "b", 3: ""}, {}).lines(flat=False)
    image = {"id": "msg_4", "thread_id": "thread_a", "role": "user", "created_at": 1, "content": [{"type": "image"}]}
    pages["msg_4"] = encode_message(image, assistant_id="a", flat=False)
    with (
        OutFiles.begin(PATHS, attrs.evolve(HEADER, flat=flat), disk=disk) as out,
        closing(Spool(PATHS.out.parent)) as spool,
    ):
        spool.add(list(pages), list(pages.values()))
        assert out.add_partial(spool) == 4
    exported(disk, Version({1: "", 2: "b", 3: "", 4: "" if flat else "c"}, {}), flat=flat)
    assert disk.content(PATHS.partial) == pages["msg_1"] + b"\n"


@pytest.mark.parametrize(
    ("then", "now", "words"),
    [
        (Version({1: "a"}, {1: [1]}), Version({1: ""}, {1: []}), "content of messages and steps of runs"),
        (Version({1: "a", 2: "a"}, {1: [1]}), Version({1: "a"}, {1: []}), "1 message and steps of runs"),
        (Version({1: "a"}, {1: [1], 2: []}), Version({1: ""}, {1: [1]}), "content of messages and 1 run"),
    ],
)
def test_what_was_lost_of_a_message_or_a_run_is_told(then: Version, now: Version, words: str) -> None:
    """Also where all of them are there."""
    (told,) = (one.text for one in asyncio.run(told_of(then, now)) if isinstance(one, Notice))
    assert told == f"thread_a: the server has {words} of it no longer, and the export keeps them"


async def told_of(then: Version, now: Version) -> list[Event]:
    """What is told when a thread is refreshed."""
    disk, told = SimulatedDisk(), list[Event]()
    with begin(disk) as out, ExitStack() as opened:
        out.commit([given_as(then, opened, flat=False)])
        await Writer(out, told.append).put(given_as(now, opened, flat=False))
    return told
