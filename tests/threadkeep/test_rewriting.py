"""The files of an export written anew: a crash at any moment leaves the old export or the new one, never a mixture."""

import errno
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drawn_exports import (
    HEADER,
    PATHS,
    begin,
    commit,
    contents,
    faults,
    faults_on,
    finish,
    journal,
    lines_by_thread,
    lines_of,
)
from simulated_disk import PowerCut, SimulatedDisk
from threadkeep.errors import Interrupted, OutputUnusable
from threadkeep.journal import Entry, FileEntry, FileOutcome, Outcome, encode_line
from threadkeep.outfiles import Finished, OutFiles
from threadkeep.storage.paths import draft, rewrite_of

OLD = {"thread_a": (3, 1), "thread_b": (0, 1), "thread_c": (2, 1), "thread_d": (1, 1)}
NEW = {"thread_a": (4, 2), "thread_b": (1, 2), "thread_c": (2, 1), "thread_d": (2, 2)}
RUNS = PATHS.beside("runs")


def export() -> SimulatedDisk:
    """A whole export, and an outcome of a thread and of a file that must outlive everything."""
    disk = SimulatedDisk()
    with begin(disk) as out:
        out.commit([Finished(entry=Entry(thread_id="thread_x", outcome=Outcome.MISSING, reason="no such thread"))])
        out.commit([Finished(entry=FileEntry(file_id="file-1", outcome=FileOutcome.MISSING, reason="gone"))])
        commit(out, OLD)
        finish(out)
    return disk


def holds(disk: SimulatedDisk, world: dict[str, tuple[int, int]]) -> bool:
    """Whether an export is whole and holds just this world."""
    expected = {name: lines_of(name, *row) for name, row in world.items() if row[0]}
    return (
        faults_on(disk) == {"thread_missing"}
        and lines_by_thread(disk.content(PATHS.out)) == expected
        and set(lines_by_thread(disk.content(RUNS))) == world.keys()
        and journal(disk).files.keys() == {"file-1"}
        and not any(disk.exists(path) for path in (*PATHS.rewrites, *PATHS.drafts))
    )


def crashed(disk: SimulatedDisk, act: Callable[[], object], data: st.DataObject) -> bool:
    """Do something until the power goes, which leaves what may be left."""
    try:
        act()
    except PowerCut:
        disk.cut_the_power(lambda most: data.draw(st.integers(0, most), label="kept"))
        return True
    disk.left = None
    return False


def refreshed(disk: SimulatedDisk) -> None:
    """A run that refreshes all."""
    with begin(disk, NEW, refresh=True) as out:
        commit(out, NEW)
        finish(out)


@given(st.integers(0, 60), st.integers(0, 60), st.data())
def test_a_crash_while_an_export_is_refreshed(first: int, second: int, data: st.DataObject) -> None:
    """At any change of the disk, and once more while that is mended: each thread is there, as it was or as it is."""
    disk = export()
    for left in (first, second):
        disk.left = left
        crashed(disk, lambda: refreshed(disk), data)
        disk.left = None
    with begin(disk) as out:
        stands = {entry.thread_id: entry.messages for entry in out.journal.complete}
        finish(out)
    each = {name: row if stands[name] == row[0] else OLD[name] for name, row in NEW.items()}
    assert holds(disk, each)
    refreshed(disk)
    assert holds(disk, NEW)


@pytest.mark.parametrize("kept_back", [0, 1])
@pytest.mark.parametrize("names", [["thread_a"], ["thread_c"], ["thread_a", "thread_d"], list(NEW)])
def test_validate_of_a_refresh_that_was_killed(names: list[str], kept_back: int) -> None:
    """Old lines and new ones stand there, and perhaps some that no entry speaks of: nothing else is said of them."""
    disk = export()
    out = begin(disk)
    commit(out, {name: (NEW[name][0], 3) for name in names[kept_back:]})
    torn_off = {name: lines_of(name, NEW[name][0], 4) for name in names[:kept_back]}
    disk.grow(PATHS.out).write(b"".join(line for lines in torn_off.values() for line in lines))
    content = disk.content(PATHS.out) or b""
    killed = {"unfinished_run", "unfinished_rewrite", "thread_missing"}
    assert faults(content, journal(disk)) == killed
    place = journal(disk).entries["thread_c"].end_offset - 10
    assert faults(content[:place] + b"?" + content[place + 1 :], journal(disk)) > killed
    disk.kill()
    with begin(disk) as again:
        finish(again)
    assert faults_on(disk) == {"thread_missing"}


@given(st.integers(0, 60), st.integers(0, 60), st.data())
def test_a_crash_while_an_export_is_healed(first: int, second: int, data: st.DataObject) -> None:
    """At any change of the disk, and once more: the same command heals it, and the damaged files are kept."""
    disk = export()
    damaged = (disk.content(PATHS.out) or b"").replace(b"msg_thread_a_1", b"msg_thread_a_?", 1)
    disk.put(PATHS.out, PATHS.drafts[0], iter([damaged]))

    def heal() -> None:
        with begin(disk, ["thread_a"]) as out:
            assert not out.stands("thread_a")
            assert all(out.stands(name) for name in OLD if name != "thread_a")

    for left in (first, second):
        disk.left = left
        crashed(disk, heal, data)
        disk.left = None
    heal()
    copies = [disk.content(PATHS.aside(number).out) for number in (1, 2, 3)]
    assert damaged in copies
    kept = lines_by_thread(disk.content(PATHS.partial))
    assert set(lines_of("thread_a", 3, 1)) - {lines_of("thread_a", 3, 1)[1]} <= set(kept["thread_a"])
    with begin(disk) as out:
        commit(out, {"thread_a": OLD["thread_a"]})
        finish(out)
    assert holds(disk, OLD)


def test_what_was_not_brought_to_count_is_deleted() -> None:
    """A file that was written anew without the others is nothing."""
    disk = export()
    disk.put(rewrite_of(PATHS.out), draft(PATHS.out), iter([b"half of it"]))
    with begin(disk) as out:
        finish(out)
    assert holds(disk, OLD)


def test_a_full_disk_leaves_the_old_files_and_takes_back_the_new() -> None:
    """Exit 5 then; the next run tries again."""
    disk = export()
    with begin(disk, NEW, refresh=True) as out:
        commit(out, NEW)
        before = contents(disk)
        disk.room = disk.used() + 100
        with pytest.raises(OutputUnusable, match="No space left"):
            out.compact()
        assert contents(disk) == before
    disk.room = None
    with begin(disk) as out:
        finish(out)
    assert holds(disk, NEW)


def test_lines_that_changed_meanwhile_are_not_taken_for_those_that_were_written() -> None:
    """Somebody else writes where an export is written: the files stay as they are."""
    disk = export()
    with begin(disk, NEW, refresh=True) as out:
        commit(out, NEW)
        disk._names[PATHS.out].volatile = (disk.content(PATHS.out) or b"").replace(b"thread_c", b"thread_?")
        before = contents(disk)
        with pytest.raises(OutputUnusable, match="changed by somebody else while it was written anew"):
            out.compact()
        assert contents(disk) == before


def test_files_that_vanished_are_not_written_anew() -> None:
    """As nothing else is written then."""
    disk = export()
    with begin(disk, NEW, refresh=True) as out:
        commit(out, NEW)
        disk.rename(PATHS.out, PATHS.aside(1).out)
        with pytest.raises(OutputUnusable, match="was moved or deleted"):
            out.compact()


def ever(disk: SimulatedDisk) -> Iterator[bool]:
    """Over when the files are about to be written anew."""
    while True:
        yield disk.exists(rewrite_of(PATHS.out))


def test_going_on_can_be_interrupted_while_files_are_written_anew() -> None:
    """The old ones stand then."""
    disk = export()
    with begin(disk, NEW, refresh=True) as out:
        commit(out, NEW)
    before, over = contents(disk), ever(disk)
    with pytest.raises(Interrupted, match="was written anew"):
        begin_interrupted(disk, over)
    assert {path: content for path, content in contents(disk).items() if path != PATHS.partial} == before
    with begin(disk) as out:
        finish(out)
    assert holds(disk, NEW)


def begin_interrupted(disk: SimulatedDisk, over: Iterator[bool]) -> None:
    OutFiles.begin(PATHS, HEADER, disk=disk, is_over=lambda: next(over))


def test_a_journal_that_calls_a_complete_thread_failed_loses_none_of_its_lines() -> None:
    """Ours never says so. Whoever has written it: what can be read goes to the partial file."""
    disk = export()
    failed = encode_line(Entry(thread_id="thread_a", outcome=Outcome.FAILED, end_offset=10))
    disk.put(PATHS.journal, PATHS.drafts[0], iter([(disk.content(PATHS.journal) or b"") + failed]))
    with begin(disk) as out:
        finish(out)
    assert lines_by_thread(disk.content(PATHS.partial)) == {"thread_a": lines_of("thread_a", 3, 1)}
    assert set(lines_by_thread(disk.content(PATHS.out))) == {"thread_c", "thread_d"}


def test_a_disk_that_refuses_twice_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be taken back is deleted by the next run."""
    disk = export()
    with begin(disk, NEW, refresh=True) as out:
        commit(out, NEW)
        disk.room = disk.used()

        def refuse(*_arguments: object) -> None:
            raise OSError(errno.EIO, "Input/output error")

        with monkeypatch.context() as patched:
            patched.setattr(disk, "remove", refuse)
            with pytest.raises(OutputUnusable, match="No space left"):
                out.compact()
    disk.room = None
    with begin(disk) as out:
        finish(out)
    assert holds(disk, NEW)


def killed_in_the_exchange(renamed: int) -> SimulatedDisk:
    """An export that a kill left when so many of its files had changed places."""
    disk = export()
    with begin(disk, NEW, refresh=True) as out:
        commit(out, NEW)
        rename, left = disk.rename, iter(range(renamed))

        def renamed_or_killed(path: Path, new: Path) -> None:
            if next(left, None) is None:
                raise PowerCut
            rename(path, new)

        disk.rename = renamed_or_killed  # type: ignore[method-assign]
        with suppress(PowerCut):
            out.compact()
        disk.rename = rename  # type: ignore[method-assign]
        disk.kill()
    return disk


@pytest.mark.parametrize("renamed", [0, 1])
def test_what_is_set_aside_in_the_midst_of_an_exchange_stays_together(renamed: int) -> None:
    """Begun anew, the old export can still be gone on with under its other name."""
    disk = killed_in_the_exchange(renamed)
    assert disk.exists(rewrite_of(PATHS.journal))
    with OutFiles.begin(PATHS, HEADER, disk=disk, fresh=True) as out:
        assert not out.journal.entries
    old = PATHS.aside(1)
    with OutFiles.begin(old, HEADER, disk=disk) as out:
        assert {entry.thread_id: entry.messages for entry in out.journal.complete} == {
            name: messages for name, (messages, _) in NEW.items()
        }
    assert lines_by_thread(disk.content(old.out)) == {name: lines_of(name, *row) for name, row in NEW.items() if row[0]}


@pytest.mark.parametrize("content", [b"", b"junk", b"{}\n", encode_line(HEADER) + b"{", encode_line(HEADER) + b"{}\n"])
def test_what_no_rewrite_has_left_takes_no_journals_place(content: bytes) -> None:
    """Somebody else has put it there: nothing is changed, and the name is told."""
    disk = export()
    disk.put(rewrite_of(PATHS.journal), draft(PATHS.out), iter([content]))
    disk.put(rewrite_of(PATHS.out), draft(PATHS.out), iter([b"short"]))
    before = contents(disk)
    with pytest.raises(OutputUnusable, match=r"journal\.rewrite is not what a rewrite of this export leaves there"):
        begin(disk)
    assert contents(disk) == before
