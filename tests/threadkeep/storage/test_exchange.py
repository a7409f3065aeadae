"""A new set of files takes the place of the old one at once: for whoever reads meanwhile, and whenever it is killed."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import threadkeep
from exporting import Export, no_room_to_write
from kills import after_kills, recorded
from small_world import IDS, OPTIONS, world
from threadkeep.errors import OutputUnusable
from threadkeep.storage import file_set, writer
from threadkeep.storage.file_set import open_file_set
from threadkeep.storage.paths import Paths
from threadkeep.storage.private_files import open_regular

ENOUGH = 10  # changes of the disk, at least, in one exchange


def nothing(_export: Export) -> None:
    """No export was there before."""


def smaller(export: Export) -> None:
    """One with some of the threads."""
    export.run_alone(IDS[:1], world(), **OPTIONS)


def partial(export: Export) -> None:
    """One that the sunset has cut off in the middle of a thread."""
    fake = world()
    fake.sunset.after_requests(7)
    export.run_alone(IDS, fake, concurrency=1, **OPTIONS)
    assert export.paths.partial.exists()


def damaged(export: Export) -> None:
    """One that has lost a line, and whose files are kept."""
    export.run_alone(IDS, world(), **OPTIONS)
    export.paths.out.write_bytes(b"".join(export.lines[1:]))


def without_manifest(export: Export) -> None:
    """One without a manifest."""
    smaller(export)
    export.paths.manifest.unlink()


OLD = [(one, False) for one in (nothing, smaller, partial, damaged, without_manifest)]
OLD += [(one, True) for one in (partial, damaged)]


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kill loses nothing that was written."""
    monkeypatch.setattr(os, "fsync", lambda _number: None)


def prepared(folder: Path, old: Callable[[Export], None], **options: object) -> Export:
    """An export as it was, and everything that is to be written in the working store next to it."""
    export = Export(folder)
    folder.mkdir()
    old(export)
    with no_room_to_write():
        export.run_alone(IDS, world(), **OPTIONS, **options)
    assert export.paths.store.exists()
    return export


def copied(export: Export, folder: Path) -> Export:
    """The same in another folder."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(export.paths.out.parent, folder)
    return Export(folder)


def seen(paths: Paths) -> dict[str, bytes]:
    """What a reader sees of an export, by the names of its files."""
    with open_file_set(paths) as files:
        return {name: file.read() for name, file in files.files.items()}


def aside(contents: dict[str, bytes]) -> dict[str, bytes]:
    """The files of the set that is kept."""
    return {name: content for name, content in contents.items() if ".old-" in name}


@pytest.mark.parametrize(("old", "fresh"), OLD)
def test_a_kill_at_any_change_of_the_disk(old: Callable[[Export], None], fresh: bool, tmp_path: Path) -> None:
    """A reader sees the old set or the new one; the next writer finishes it, to the byte, and nothing is left over."""
    ready = prepared(tmp_path / "ready", old, fresh=fresh)
    written = copied(ready, tmp_path / "written")
    written.write()
    before, after, target = seen(ready.paths), seen(written.paths), tmp_path / "killed"
    kills, views = 0, list[bool]()
    for _ in after_kills(lambda _nth: copied(ready, target).write):
        kills += 1
        killed = Export(target)
        view = seen(killed.paths)
        assert view in (before, after)
        views.append(view == after)
        if view:
            with threadkeep.read(killed.paths.out) as export:
                assert [dict(record.raw) for record in export] == [
                    row for rows in killed_messages(view).values() for row in rows
                ]
        killed.write()
        assert killed.contents() == written.contents()
    assert kills > ENOUGH
    assert views == sorted(views)
    assert views[0] < views[-1]


def killed_messages(view: dict[str, bytes]) -> dict[str, list[object]]:
    """The messages of the lines that a reader sees."""
    found: dict[str, list[object]] = {}
    for line in view["out"].split(b"\n")[:-1]:
        record = threadkeep.decode(line)
        found.setdefault(record.thread_id, []).append(dict(record.raw))
    return found


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> tuple[Export, list[Callable[[], object]], Path]:
    """An export that is about to be replaced, the changes that do it in another folder, and that folder."""
    folder = tmp_path_factory.mktemp("exchange")
    ready = prepared(folder / "ready", partial)
    target = folder / "target"
    return ready, recorded(copied(ready, target).write), target


@given(steps=st.lists(st.integers(0, 4), max_size=40))
def test_a_reader_between_any_two_changes(
    exchange: tuple[Export, list[Callable[[], object]], Path], steps: list[int]
) -> None:
    """While it opens one file after the other, the set is replaced step by step: it sees one of the two, or the next.

    When the new set is in place, another writer begins a third one under the same names, and has not finished it.
    """
    ready, changes, target = exchange
    export = copied(ready, target)
    ready_to_rename(export, ready)
    before = seen(ready.paths)
    left, waits = iter(list(changes)), iter(steps)

    def opening(path: Path) -> object:
        for _ in range(next(waits, 0)):
            change = next(left, None)
            if change is None:
                for other in export.paths.written.values():
                    other.with_name(other.name + ".new").write_bytes(b"not finished")
            else:
                change()
        return open_regular(path)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(file_set, "open_regular", opening)
        view = seen(export.paths)
    for change in left:
        change()
    after = seen(export.paths)
    assert view in (before, after)
    assert before != after


def ready_to_rename(export: Export, ready: Export) -> None:
    """Write the new set next to the old one, as a writer leaves it when it begins to rename."""
    writing = copied(ready, export.paths.out.parent.with_name("writing"))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("threadkeep.storage.writer._exchange", _stop)
        with pytest.raises(Stopped):
            writing.write()
    marker = writing.paths.manifest.name + ".new"
    for path in writing.paths.out.parent.glob("*.new"):
        name = path.name + ".new" if path.name == marker else path.name
        path.rename(export.paths.out.with_name(name))


class Stopped(Exception):
    """The writer goes no further."""


def _stop(*_arguments: object) -> None:
    raise Stopped


def test_everything_is_on_the_disk_before_it_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A power cut loses what was not brought there: each new file, and the names in the folder, then the manifest."""
    ready = prepared(tmp_path / "ready", partial)
    events, rename = list[str](), os.rename
    folder = ready.paths.out.parent

    def synced(number: int) -> None:
        events.append(os.path.relpath(os.readlink(f"/proc/self/fd/{number}"), folder))

    def renamed(path: Path, target: Path) -> None:
        events.append(f"{path.name} -> {target.name}")
        rename(path, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "rename", renamed)
    ready.write()
    names = [f"{path.name}.new" for path in ready.paths.written.values() if path.exists()]
    marker = f"{ready.paths.manifest.name}.new"
    moment = events.index(f"{marker}.new -> {marker}")
    before, after = events[:moment], events[moment + 1 :]
    assert {*names, ".", f"{marker}.new"} <= {*before}
    assert before.index(".") > max(map(before.index, names))
    assert after[0] == "."
    assert after[-3:] == [".", f"{marker} -> {ready.paths.manifest.name}", "."]


@pytest.mark.parametrize("content", [b"", b"{", b"[" * 100_000])
def test_what_no_writer_has_left_takes_nobodys_place(content: bytes, tmp_path: Path) -> None:
    """A file at the name of a new manifest that is none: nothing is changed, and it is named."""
    export = Export(tmp_path / "export")
    tmp_path.joinpath("export").mkdir()
    smaller(export)
    before = export.contents()
    marker = export.paths.manifest.with_name(export.paths.manifest.name + ".new")
    marker.write_bytes(content)
    with pytest.raises(OutputUnusable, match=r"manifest\.json\.new is not what an export leaves there .* Move it away"):
        export.write()
    marker.unlink()
    assert export.contents() == before


def test_a_new_manifest_that_cannot_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Is no sign that there is none."""
    export = Export(tmp_path)
    smaller(export)
    real = os.open

    def refuse(path: Path, *arguments: int, **options: int) -> int:
        if str(path).endswith(".manifest.json.new"):
            raise PermissionError(13, "Permission denied")
        return real(path, *arguments, **options)

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(OutputUnusable, match=r"manifest\.json\.new: Permission denied"):
        export.write()


def test_the_new_files_of_another_export_stay(tmp_path: Path) -> None:
    """Somebody repairs the files that were kept aside: their names look like ours."""
    export = Export(tmp_path).run_alone(IDS[:1], world(), **OPTIONS)
    other = Export(tmp_path)
    other.paths = Paths(tmp_path / "out.old-1.ndjson")
    other.run_alone(IDS[:1], world(), **OPTIONS)
    put_in_place = writer.put_in_place

    def meanwhile(*arguments: Any) -> None:
        export.run_alone(IDS[:1], world(), **OPTIONS)
        put_in_place(*arguments)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("threadkeep.storage.session.put_in_place", meanwhile)
        other.run_alone(IDS, world(), **OPTIONS)
    assert threadkeep.validate(other.paths.out).counts.keys() <= {"thread_missing", "file_missing"}
    assert len(other.rows) == len(IDS)


def test_a_new_manifest_whose_files_are_lost_deletes_nothing(tmp_path: Path) -> None:
    """Somebody has deleted them: what was fetched is still in the working store."""
    ready = prepared(tmp_path / "ready", smaller)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(writer, "_exchange", _stop)
        with pytest.raises(Stopped):
            ready.write()
    path = ready.paths.index.with_name("out.ndjson.index.new")
    content = path.read_bytes()
    path.unlink()
    before = ready.contents()
    with pytest.raises(
        OutputUnusable, match=r"names a file that is not there as it was written: .*Nothing was deleted"
    ):
        ready.write()
    assert ready.contents() == before
    path.write_bytes(content)
    ready.write()
    assert not ready.paths.store.exists()


def test_a_copy_of_the_manifest_at_the_new_name_deletes_nothing(tmp_path: Path) -> None:
    """It says of no new set."""
    ready = prepared(tmp_path / "ready", smaller)
    marker = ready.paths.manifest.with_name(ready.paths.manifest.name + ".new")
    shutil.copy(ready.paths.manifest, marker)
    ready.write()
    assert not marker.exists()
    assert set(ready.rows) == {*IDS}
