"""A damaged export is healed when the damaged threads are asked for: the rest stays, and nothing is deleted."""

import errno
from collections.abc import Callable, Iterator
from io import BytesIO
from itertools import count, groupby
from pathlib import Path

import attrs
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from drawn_exports import (
    HEADER,
    PATHS,
    World,
    begin,
    commit,
    contents,
    faults_on,
    finish,
    journal,
    lines_by_thread,
    lines_of,
)
from simulated_disk import SimulatedDisk
from threadkeep.errors import Interrupted, MalformedLine, OutputUnusable
from threadkeep.healing import Asked
from threadkeep.journal import Entry, Outcome, encode_line, fold
from threadkeep.outfiles import OutFiles
from threadkeep.records.ndjson import decode, parse
from threadkeep.storage.manifest import claims
from threadkeep.storage.paths import draft
from threadkeep.wanted import encode
from threadkeep.wounds import look

RUNS = PATHS.beside("runs")
WORLDS = st.lists(st.integers(0, 4), min_size=1, max_size=5).map(
    lambda sizes: {f"thread_{number}": (size, 1) for number, size in enumerate(sizes)}
)
PLACES = st.floats(0, 1, exclude_max=True)


def change(content: bytes, place: int, other: int) -> bytes:
    """One byte is another."""
    return content[:place] + bytes([content[place] ^ (other % 255 + 1)]) + content[place + 1 :]


def on_lines(act: Callable[[list[bytes], int, int], list[bytes]]) -> Callable[[bytes, int, int], bytes]:
    """Damage by whole lines."""

    def damage(content: bytes, place: int, other: int) -> bytes:
        lines = content.splitlines(keepends=True)
        return b"".join(act(lines, place * len(lines) // len(content), other * len(lines) // len(content)))

    return damage


def moved(lines: list[bytes], line: int, to: int) -> list[bytes]:
    rest = lines[:line] + lines[line + 1 :]
    return [*rest[:to], lines[line], *rest[to:]]


DAMAGES: dict[str, Callable[[bytes, int, int], bytes]] = {
    "a changed byte": change,
    "bytes lost": lambda content, place, other: content[:place] + content[max(place, other) :],
    "bytes too many": lambda content, place, other: content[:place] + content[:other] + content[place:],
    "a lost end": lambda content, place, _: content[:place],
    "a line lost": on_lines(lambda lines, line, _: lines[:line] + lines[line + 1 :]),
    "a line twice": on_lines(lambda lines, line, to: [*lines[:to], lines[line], *lines[to:]]),
    "a line moved": on_lines(moved),
    "lines turned round": on_lines(lambda lines, line, _: lines[line:] + lines[:line]),
    "a blank line": on_lines(lambda lines, line, _: [*lines[:line], b"\n", *lines[line:]]),
    "a foreign line": on_lines(lambda lines, line, _: [*lines[:line], b'{"thread_id": "thread_x"}\n', *lines[line:]]),
    "no newline": on_lines(lambda lines, line, _: [*lines[:line], lines[line].strip(), *lines[line + 1 :]]),
}
DAMAGE = st.tuples(st.sampled_from(sorted(DAMAGES)), st.sampled_from([PATHS.out, RUNS]), PLACES, PLACES)


def damaged(disk: SimulatedDisk, name: str, path: Path, place: float, other: float) -> None:
    """Damage a file of the export."""
    content = disk.content(path) or b""
    if content:
        new = DAMAGES[name](content, int(place * len(content)), int(other * len(content)))
        disk.put(path, PATHS.drafts[0], iter([new]))


def thread_of(line: bytes) -> object:
    try:
        value = parse(line)
    except MalformedLine:
        return None
    return value.get("thread_id") if isinstance(value, dict) else None


def not_as_written(before: bytes, now: bytes | None) -> Iterator[str]:
    """The threads whose lines do not stand in a file once, together, and as they were: plainly seen."""
    groups = [(name, b"".join(lines)) for name, lines in groupby((now or b"").splitlines(keepends=True), thread_of)]
    for thread_id, lines in lines_by_thread(before).items():
        if [group for name, group in groups if name == thread_id] != [b"".join(lines)]:
            yield thread_id


def export(world: World) -> SimulatedDisk:
    """A whole export."""
    disk = SimulatedDisk()
    with begin(disk) as out:
        commit(out, world)
        finish(out)
    return disk


def wounds_of(disk: SimulatedDisk, before: dict[Path, bytes]) -> set[str]:
    return {name for path in (PATHS.out, RUNS) for name in not_as_written(before[path], disk.content(path))}


def is_contradicted(disk: SimulatedDisk, before: dict[Path, bytes]) -> bool:
    return any(not (disk.content(path) or b"").startswith(before[path]) for path in (PATHS.out, RUNS))


@given(WORLDS, st.lists(DAMAGE, min_size=1, max_size=2))
@example({"thread_0": (3, 1), "thread_1": (2, 1)}, [("a line twice", PATHS.out, 0.7, 0.7)])
@example({"thread_0": (3, 1), "thread_1": (2, 1)}, [("a blank line", PATHS.out, 0.7, 0.7)])
@example({"thread_0": (3, 1), "thread_1": (2, 1)}, [("a lost end", PATHS.out, 0.0, 0.0)])
def test_a_healed_export_is_as_one_made_afresh(world: World, harm: list[tuple[str, Path, float, float]]) -> None:
    """Whatever befell the files, the damaged threads and no others are fetched again, and the old files are kept."""
    disk = export(world)
    before = contents(disk)
    for one in harm:
        damaged(disk, *one)
    wounds, now, heals = wounds_of(disk, before), contents(disk), is_contradicted(disk, before)
    with begin(disk, wounds) as out:
        missing = {thread_id for thread_id in world if not out.stands(thread_id)}
        assert missing <= wounds
        assert len(out.notices) == heals
        kept_aside = lines_by_thread(disk.content(PATHS.partial))
        commit(out, {thread_id: world[thread_id] for thread_id in missing})
        finish(out)
    after = contents(disk)
    assert {name: sorted(lines) for name, lines in lines_by_thread(after[PATHS.out]).items()} == {
        name: sorted(lines) for name, lines in lines_by_thread(before[PATHS.out]).items()
    }
    assert claims(journal(disk), listed=9) == claims(fold(before[PATHS.journal]), listed=9)
    assert not faults_on(disk)
    assert missing or not heals or after[PATHS.out] == before[PATHS.out]
    if heals:
        old = PATHS.aside(1)
        assert [disk.content(path) for path in old.written] == [now.get(path) for path in PATHS.written]
        assert kept_aside == lines_by_thread(b"".join(readable(now[PATHS.out], without=world.keys() - missing)))
    assert not any(disk.exists(path) for path in (*PATHS.rewrites, *PATHS.drafts))


def readable(content: bytes, without: set[str]) -> Iterator[bytes]:
    """The full lines of other threads."""
    for line in content.splitlines(keepends=True):
        try:
            if line.endswith(b"\n") and decode(line).thread_id not in without:
                yield line
        except MalformedLine:
            pass


def holding(files: dict[Path, bytes]) -> SimulatedDisk:
    """A disk with these files."""
    disk = SimulatedDisk()
    for path, content in files.items():
        disk.put(path, PATHS.drafts[0], iter([content]))
    return disk


@given(WORLDS, DAMAGE)
def test_who_asks_for_everything_is_told(world: World, harm: tuple[str, Path, float, float]) -> None:
    """A list that names whole threads, or not all of the damaged ones, heals nothing, and nothing changes."""
    disk = export(world)
    before = contents(disk)
    damaged(disk, *harm)
    wounds = wounds_of(disk, before)
    assume(is_contradicted(disk, before))
    now = contents(disk)
    with begin(disk, world, refresh=True) as out:
        fetched = {thread_id for thread_id in world if not out.stands(thread_id)}
    assert fetched <= wounds
    for asked in [*(wounds - {name} for name in fetched), wounds | {"thread_unheard_of"}]:
        other = holding(now)
        with pytest.raises(OutputUnusable, match=r"does not hold the lines of thread_.*--ids-to-refetch"):
            begin(other, asked)
        assert contents(other) == now


def spoiled(disk: SimulatedDisk, path: Path, thread_id: str) -> None:
    """Change the first line of a thread in a file."""
    content = disk.content(path) or b""
    disk.put(path, PATHS.drafts[0], iter([content.replace(thread_id.encode(), b"thread_?", 1)]))


WORLD = {"thread_0": (2, 1), "thread_1": (3, 1), "thread_2": (1, 1)}


@given(WORLDS, st.data())
def test_a_lost_journal_line_costs_its_own_thread_alone(world: World, data: st.DataObject) -> None:
    """The threads behind it stand where they stood, though nothing says any more where their lines begin."""
    disk = export(world)
    before = contents(disk)
    header, *entries = before[PATHS.journal].splitlines(keepends=True)
    lost = data.draw(st.integers(0, len(entries) - 1))
    disk.put(PATHS.journal, PATHS.drafts[0], iter([header, *entries[:lost], *entries[lost + 1 :]]))
    name = list(world)[lost]
    with begin(disk, [name]) as out:
        assert [one for one in world if not out.stands(one)] == [name]
        commit(out, {name: world[name]})
        finish(out)
    assert lines_by_thread(disk.content(PATHS.out)) == lines_by_thread(before[PATHS.out])
    assert claims(journal(disk), listed=9) == claims(fold(before[PATHS.journal]), listed=9)
    assert not faults_on(disk)


def test_a_lost_journal_line_before_a_thread_that_is_missing_is_no_torn_end() -> None:
    """The lines that it was of are not gone on behind: the thread would stand in the export twice."""
    disk = export(WORLD)
    content = disk.content(PATHS.journal) or b""
    header, *entries = content.splitlines(keepends=True)
    end = journal(disk).end_offset
    missing = encode_line(Entry(thread_id="thread_9", outcome=Outcome.MISSING, end_offset=end))
    disk.put(PATHS.journal, PATHS.drafts[0], iter([header, *entries[:-1], missing]))
    with begin(disk, ["thread_2"]) as out:
        assert [name for name in WORLD if not out.stands(name)] == ["thread_2"]
        commit(out, {"thread_2": WORLD["thread_2"]})
        finish(out)
    assert lines_by_thread(disk.content(PATHS.out)) == {name: lines_of(name, *WORLD[name]) for name in WORLD}
    assert faults_on(disk) == {"thread_missing"}


class Counting(BytesIO):
    """A file that knows how much was read of it in pieces."""

    been_read = 0

    def read(self, size: int | None = -1, /) -> bytes:
        content = super().read(size)
        Counting.been_read += len(content)
        return content


def test_two_threads_in_turns_are_read_a_few_times_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not once for each of their lines; and it is asked often whether that is over."""
    disk = export({"thread_0": (200, 1), "thread_1": (200, 1)})
    lines = (disk.content(PATHS.out) or b"").splitlines(keepends=True)
    turns = b"".join(line for pair in zip(lines[:200], lines[200:], strict=True) for line in pair)
    disk.put(PATHS.out, PATHS.drafts[0], iter([turns]))
    monkeypatch.setattr(disk, "read", lambda path: Counting(disk.content(path) or b""))
    looks = count()
    wounds = look(PATHS, journal(disk), disk, lambda: next(looks) < 0)
    assert (wounds.damaged, wounds.sound) == (("thread_0", "thread_1"), frozenset())
    assert Counting.been_read < 5 * len(turns)
    assert next(looks) > 400


@given(st.lists(st.sampled_from(PATHS.aside(1).written), min_size=1), st.booleans())
def test_a_copy_takes_nobodys_name(taken: list[Path], is_draft: bool) -> None:
    """Where a file stands at a name of the copy, or at one that is needed to write it, the next number is free."""
    disk = export(WORLD)
    spoiled(disk, PATHS.out, "thread_1")
    mine = {draft(path) if is_draft else path for path in taken}
    for path in mine:
        disk.put(path, PATHS.drafts[0], iter([b"mine"]))
    with begin(disk, ["thread_1"]) as out:
        assert "out.old-2.ndjson" in out.notices[0]
    assert {disk.content(path) for path in mine} == {b"mine"}


class Short(BytesIO):
    """A file on a file system that knows how long its files can be."""

    def seek(self, place: int, whence: int = 0, /) -> int:
        if place > 2**44:
            raise OSError(errno.EINVAL, "Invalid argument")
        return super().seek(place, whence)


def test_lines_behind_the_end_of_every_file_are_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the file system says when it is asked for them; the threads are, and nothing is fetched again."""
    disk = export(WORLD)
    header, *lines = (disk.content(PATHS.journal) or b"").splitlines(keepends=True)
    end = journal(disk).entries["thread_1"].end_offset
    lines[1] = lines[1].replace(b'"end_offset":%d,' % end, b'"end_offset":%d,' % 2**62, 1)
    disk.put(PATHS.journal, PATHS.drafts[0], iter([header, *lines]))
    with monkeypatch.context() as patched:
        patched.setattr(disk, "read", lambda path: Short(disk.content(path) or b""))
        with begin(disk) as out:
            assert all(map(out.stands, WORLD))
            finish(out)
    assert not faults_on(disk)


def test_nobody_heals_unasked() -> None:
    """Whoever does not say what is asked for is refused, as every damaged export was before there was healing."""
    disk = export(WORLD)
    spoiled(disk, PATHS.out, "thread_1")
    with pytest.raises(OutputUnusable, match=r"its journal says so\. `threadkeep validate"):
        OutFiles.begin(PATHS, HEADER, disk=disk)


def test_healing_can_be_interrupted_while_the_files_are_read() -> None:
    """Nothing has changed then."""
    disk = export(WORLD)
    spoiled(disk, PATHS.out, "thread_2")
    for moment in range(1, 9):
        before = contents(disk)
        with pytest.raises(Interrupted):
            begin_interrupted(disk, moment)
        assert contents(disk) == before
        assert not disk.exists(PATHS.aside(1).out)


def begin_interrupted(disk: SimulatedDisk, moment: int) -> None:
    """Begin to heal, and be asked to stop from the so-manieth look on."""
    looks = count(1)
    asked = Asked(frozenset(["thread_2"]))
    OutFiles.begin(PATHS, HEADER, disk=disk, asked=asked, is_over=lambda: next(looks) >= moment)


@pytest.mark.parametrize("partial", [b"", b"".join(lines_of("thread_9", 1, 1))])
@pytest.mark.parametrize("part", range(20))
def test_a_full_disk_leaves_no_copy(part: int, partial: bytes) -> None:
    """And the damaged files as they are, whatever finds no room; but it may be known by then what is wanted."""
    disk = export(WORLD)
    spoiled(disk, PATHS.out, "thread_1")
    if partial:
        disk.put(PATHS.partial, PATHS.drafts[0], iter([partial]))
    before = contents(disk)
    disk.room = disk.used() + part * room_for_healing(before) // 20
    with pytest.raises(OutputUnusable, match="No space left"):
        begin(disk, ["thread_1"])
    assert contents(disk) in (before, before | {PATHS.wanted: encode(["thread_1"])})
    assert not any(disk.exists(path) for path in (*PATHS.aside(1).all, *map(draft, PATHS.aside(1).written)))


def room_for_healing(files: dict[Path, bytes]) -> int:
    """How many bytes stand there more when the new files are about to take their places."""
    disk = holding(files)
    most = [disk.used()]
    rename = disk.rename

    def watched(path: Path, new: Path) -> None:
        most.append(disk.used())
        rename(path, new)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(disk, "rename", watched)
        begin(disk, ["thread_1"])
    return max(most) - most[0]


def test_a_damaged_export_whose_refresh_was_killed_is_healed_too() -> None:
    """The lines that no longer count go, and count for nothing."""
    disk = export(WORLD)
    with begin(disk, WORLD, refresh=True) as out:
        commit(out, {"thread_0": (4, 2), "thread_1": (1, 2)})
    spoiled(disk, RUNS, "thread_2")
    with begin(disk, ["thread_2"]) as out:
        assert [name for name in WORLD if out.stands(name)] == ["thread_0", "thread_1"]
        commit(out, {"thread_2": (1, 1)})
        finish(out)
    joined = lines_of("thread_1", 1, 2) + lines_of("thread_1", 3, 1)[1:]
    lines = {"thread_0": lines_of("thread_0", 4, 2), "thread_1": joined}
    assert lines_by_thread(disk.content(PATHS.out)) == lines | {"thread_2": lines_of("thread_2", 1, 1)}
    assert not faults_on(disk)


def test_a_flat_export_is_healed_without_a_partial_file() -> None:
    """Its lines are too little for that, and they are in the copy."""
    disk, flat = SimulatedDisk(), attrs.evolve(HEADER, flat=True)
    with OutFiles.begin(PATHS, flat, disk=disk) as out:
        commit(out, WORLD)
    spoiled(disk, PATHS.out, "thread_1")
    with OutFiles.begin(PATHS, flat, disk=disk, asked=Asked(frozenset(["thread_1"]))) as out:
        assert [name for name in WORLD if out.stands(name)] == ["thread_0", "thread_2"]
        assert "can still be read: 2, kept in out.old-1.ndjson" in out.notices[0]
    assert not disk.exists(PATHS.partial)
