"""No id that a run was asked for is forgotten, however that run and those after it ended."""

import contextlib
from itertools import count as counting
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from drawn_exports import HEADER, PATHS, World, begin, commit, contents, finish, journal, lines_of, missed_on
from simulated_disk import Choose, PowerCut, SimulatedDisk
from threadkeep.errors import OutputUnusable
from threadkeep.healing import Asked
from threadkeep.outfiles import OutFiles
from threadkeep.storage.manifest import Ending, build
from threadkeep.wanted import encode, read

IDS = [f"thread_{number}" for number in range(6)]
RUN = st.tuples(st.sets(st.sampled_from(IDS)), st.integers(0, 6), st.none() | st.integers(0, 40))


def run(disk: SimulatedDisk, ids: set[str], count: int, left: int | None) -> None:
    """Ask for these, get so many of them, and end in order or by a kill after so many changes to the disk."""
    disk.left = left
    with contextlib.suppress(PowerCut):
        run_to_its_end(disk, ids, count)
    disk.kill()


def run_to_its_end(disk: SimulatedDisk, ids: set[str], count: int) -> None:
    """Ask for these, and get so many of them."""
    with begin(disk, ids) as out:
        commit(out, {name: (1, 1) for name in sorted(ids)[:count] if not out.stands(name)})
        listed = sorted({*ids, *out.left_over})
        out.finish(build(out.header, out.journal, Ending(finished_at="now", listed=listed, ended_by=None), {}))


@given(st.lists(RUN, max_size=4))
@example([({"thread_0", "thread_1"}, 1, 20), ({"thread_0"}, 1, None)])
def test_who_was_asked_for_is_complete_or_left_over(runs: list[tuple[set[str], int, int | None]]) -> None:
    """As soon as a run has begun: whatever kills it, and whatever the runs after it are asked for."""
    disk, asked = SimulatedDisk(), set[str]()
    for ids, count, left in runs:
        was_there = written(disk)
        run(disk, ids, count, left)
        asked |= ids if left is None or written(disk) != was_there else set()
        assert asked <= {*journal(disk).entries, *missed_on(disk)}
        assert left is not None or not disk.exists(PATHS.wanted)
    with begin(disk) as out:
        assert asked <= {*out.left_over, *journal(disk).entries}
        assert not {*out.left_over} & {*journal(disk).entries}


def test_what_is_saved_elsewhere_is_not_kept() -> None:
    """A list of done ids takes them out, and a kill does not bring them back."""
    disk = SimulatedDisk()
    begin(disk, IDS)
    disk.kill()
    OutFiles.begin(PATHS, HEADER, disk=disk, asked=Asked(frozenset(IDS[:2]), left_out=frozenset(IDS[2:])))
    disk.kill()
    with begin(disk) as out:
        assert out.left_over == tuple(IDS[:2])


WHOLE = {"thread_0": (2, 1), "thread_1": (3, 1), "thread_2": (1, 1)}
WORLDS = st.lists(st.integers(1, 3), min_size=1, max_size=4).map(
    lambda sizes: {f"thread_{number}": (size, 1) for number, size in enumerate(sizes)}
)
HARM = st.tuples(st.sampled_from([PATHS.out, PATHS.beside("runs"), PATHS.journal]), st.integers(0, 20))


def export(world: World) -> SimulatedDisk:
    """A whole export."""
    disk = SimulatedDisk()
    with begin(disk, world) as out:
        commit(out, world)
        finish(out)
    return disk


def without_a_line(disk: SimulatedDisk, path: Path, number: int) -> None:
    """Lose a line of a file, but for the first and the last of the journal: those are no damage that can be healed."""
    lines = (disk.content(path) or b"").splitlines(keepends=True)
    places = range(1, len(lines) - 1) if path == PATHS.journal else range(len(lines))
    if places:
        del lines[places[number % len(places)]]
    disk.put(path, PATHS.drafts[0], iter([b"".join(lines)]))


def written(disk: SimulatedDisk) -> dict[Path, bytes]:
    """What a run has written by now. A draft is nothing, nor is a file before its first byte."""
    return {path: content for path, content in contents(disk).items() if path in PATHS.written and content}


@given(WORLDS, HARM, st.sets(st.sampled_from(IDS)), st.integers(0, 50), st.data())
def test_a_healing_that_is_cut_off_forgets_nobody(
    world: World, harm: tuple[Path, int], shorter: set[str], left: int, data: st.DataObject
) -> None:
    """Wherever the power goes, whatever is lost then, and whatever the run behind it is asked for."""
    is_cut_off(world, harm, shorter, left, lambda most: data.draw(st.integers(0, most)))


@pytest.mark.parametrize("shorter", [set(), {"thread_0"}])
@pytest.mark.parametrize("harm", [(PATHS.out, 3), (PATHS.beside("runs"), 0), (PATHS.journal, 1)])
def test_a_healing_that_is_killed_forgets_nobody(harm: tuple[Path, int], shorter: set[str]) -> None:
    """At every single change to the disk."""
    assert next(left for left in counting() if not is_cut_off(WHOLE, harm, shorter, left, lambda most: most)) > 20


def is_cut_off(world: World, harm: tuple[Path, int], shorter: set[str], left: int, choose: Choose) -> bool:
    """Heal an export until the power goes, and run again; gives whether it came to that."""
    disk = export(world)
    without_a_line(disk, *harm)
    disk.kill()
    was_there, disk.left = written(disk), left
    try:
        run_to_its_end(disk, set(world) - sound(disk, world), 0)
    except PowerCut:
        disk.cut_the_power(choose)
    else:
        return False
    if written(disk) != was_there:  # else nobody has come to be asked yet
        assert set(world) <= {*journal(disk).entries, *missed_on(disk)}
        with contextlib.suppress(OutputUnusable):
            run_to_its_end(disk, shorter & set(world), 0)
        disk.kill()
        assert set(world) <= {*journal(disk).entries, *missed_on(disk)}
    return True


def sound(disk: SimulatedDisk, world: World) -> set[str]:
    """The threads whose lines and whose entry are there."""
    entries, out, runs = journal(disk).entries, disk.content(PATHS.out) or b"", disk.content(PATHS.beside("runs"))
    return {
        name
        for name, (messages, version) in world.items()
        if name in entries and b"".join(lines_of(name, messages, version)) in out and name.encode() in (runs or b"")
    }


@given(WORLDS, st.integers(0, 9), st.sets(st.sampled_from(IDS)))
def test_a_thread_whose_journal_line_is_lost_is_not_forgotten(world: World, number: int, ids: set[str]) -> None:
    """The manifest says that there were more, and lines in the export whose; whatever the next run is asked for."""
    disk = export(world)
    lines = (disk.content(PATHS.journal) or b"").splitlines(keepends=True)
    del lines[1 + number % len(world)]
    disk.put(PATHS.journal, PATHS.drafts[0], iter([b"".join(lines)]))
    with contextlib.suppress(OutputUnusable):
        run_to_its_end(disk, ids, 0)
    assert set(world) <= {*journal(disk).entries, *missed_on(disk)}


def test_a_lost_export_tells_of_nobody() -> None:
    """Where a journal line is lost too; the other threads are damaged, and told."""
    disk = export(WHOLE)
    without_a_line(disk, PATHS.journal, 0)
    disk.remove(PATHS.out)
    with pytest.raises(OutputUnusable, match="does not hold the lines of"):
        begin(disk, ["thread_9"])


def test_where_there_is_no_room_for_the_ids_nothing_is_changed() -> None:
    """Nor is half of them left in the way."""
    disk = export(WHOLE)
    before, disk.room = contents(disk), disk.used() + 10
    with pytest.raises(OutputUnusable, match="No space left"):
        begin(disk, IDS)
    assert contents(disk) == before


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b'{"format":"threadkeep-wanted/2","thread_ids":[]}\n'])
def test_a_file_of_wanted_ids_that_cannot_be_read_is_no_reason_to_forget_them(content: bytes) -> None:
    """Whoever goes on is refused, and told; nothing changes. When it is deleted, it is gone on with."""
    disk = export(WHOLE)
    disk.put(PATHS.wanted, PATHS.drafts[0], iter([content]))
    before = contents(disk)
    with pytest.raises(OutputUnusable, match=r"wanted\.json cannot be read: .*Delete it, and give all ids again"):
        begin(disk, IDS)
    assert contents(disk) == before
    disk.remove(PATHS.wanted)
    with begin(disk, IDS) as out:
        assert out.left_over == ()
    assert read(disk.content(PATHS.wanted) or b"") == tuple(IDS[3:])


def test_a_manifest_that_cannot_be_read_is_in_nobodys_way() -> None:
    """The journal says most of what it said, validate tells it, and the next one takes its place."""
    disk = export(WHOLE)
    disk.put(PATHS.manifest, PATHS.drafts[0], iter([b"{"]))
    with begin(disk, IDS) as out:
        assert out.left_over == ()
    assert not disk.exists(PATHS.manifest)


@given(st.lists(st.text()))
def test_ids_are_read_as_they_were_written(ids: list[str]) -> None:
    """Whatever they are made of."""
    assert read(encode(ids)) == tuple(ids)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b'{"format":"threadkeep-wanted/1","thread_ids":[1]}'])
def test_what_is_no_list_of_ids_is_refused(content: bytes) -> None:
    """In one way."""
    with pytest.raises(ValueError):  # noqa: PT011 - the words are JSON's
        read(content)
