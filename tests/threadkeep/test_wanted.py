"""No id that a run was asked for is forgotten, however that run and those after it ended."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from drawn_exports import HEADER, PATHS, begin, commit, journal, missed_on
from simulated_disk import PowerCut, SimulatedDisk
from threadkeep.healing import Asked
from threadkeep.manifest import Ending, build
from threadkeep.outfiles import OutFiles
from threadkeep.wanted import encode, read

IDS = [f"thread_{number}" for number in range(6)]
RUN = st.tuples(st.sets(st.sampled_from(IDS)), st.integers(0, 6), st.none() | st.integers(0, 40))


def run(disk: SimulatedDisk, ids: set[str], count: int, left: int | None) -> None:
    """Ask for these, get so many of them, and end in order or by a kill after so many changes to the disk."""
    disk.left = left
    try:
        out = begin(disk, ids)
        commit(out, {name: (1, 1) for name in sorted(ids)[:count] if not out.stands(name)})
        listed = sorted({*ids, *out.left_over})
        out.finish(build(out.header, out.journal, Ending(finished_at="now", listed=listed, ended_by=None), {}))
    except PowerCut:
        pass
    disk.kill()


@given(st.lists(RUN, max_size=4))
@example([({"thread_0", "thread_1"}, 1, 20), ({"thread_0"}, 1, None)])
def test_who_was_asked_for_is_complete_or_left_over(runs: list[tuple[set[str], int, int | None]]) -> None:
    """As soon as a run has begun: whatever kills it, and whatever the runs after it are asked for."""
    disk, asked = SimulatedDisk(), set[str]()
    for ids, count, left in runs:
        was_there = disk.content(PATHS.wanted), disk.content(PATHS.manifest)
        run(disk, ids, count, left)
        began = left is None or (disk.content(PATHS.wanted), disk.content(PATHS.manifest)) != was_there
        asked |= ids if began else set()
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


def test_a_file_of_wanted_ids_that_cannot_be_read_is_in_nobodys_way() -> None:
    """It tells nothing, and the next one takes its place."""
    disk = SimulatedDisk()
    disk.put(PATHS.journal, PATHS.drafts[0], iter([b""]))
    disk.put(PATHS.wanted, PATHS.drafts[0], iter([b"{"]))
    with begin(disk, IDS) as out:
        assert out.left_over == ()
    assert read(disk.content(PATHS.wanted) or b"") == tuple(IDS)


@given(st.lists(st.text()))
def test_ids_are_read_as_they_were_written(ids: list[str]) -> None:
    """Whatever they are made of."""
    assert read(encode(ids)) == tuple(ids)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b'{"format":"threadkeep-wanted/1","thread_ids":[1]}'])
def test_what_is_no_list_of_ids_is_refused(content: bytes) -> None:
    """In one way."""
    with pytest.raises(ValueError):  # noqa: PT011 - the words are JSON's
        read(content)
