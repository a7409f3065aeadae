"""The files of an export are private and regular, and nothing is written or read through a link."""

import errno
import os
import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

import threadkeep
from canned_threads import ThreadServer
from exporting import Export, no_room_to_write, threads_of
from full_disk import full_disk
from small_world import IDS, OPTIONS, world
from threadkeep.errors import OutputUnusable
from threadkeep.storage import private_files
from threadkeep.storage.paths import Paths, new

THREADS = threads_of(a=2, b=1)


def names(paths: Paths) -> list[str]:
    """Every name at which a run may write."""
    return [path.name for path in paths.all_files()]


NAMES = names(Paths(Path("out.ndjson")))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("is_old", [False, True])
def test_a_link_at_any_of_our_names_is_not_followed(name: str, is_old: bool, tmp_path: Path) -> None:
    """The run is refused, or goes on without the link; what that leads to is neither written nor read as ours."""
    folder = tmp_path / "folder"
    folder.mkdir()
    export = Export(folder)
    if is_old:
        export.run_alone(["thread_a"], ThreadServer(THREADS))
    mine = tmp_path / "mine"
    mine.write_bytes(b"mine")
    mine.chmod(0o640)
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to(mine)
    with pytest.raises(OutputUnusable, match=rf"{name} is a symbolic link\. Remove it, or choose another OUT\."):
        export.run_alone(THREADS, ThreadServer(THREADS))
    with pytest.raises(OutputUnusable, match="is a symbolic link"):
        export.run_alone(THREADS, ThreadServer(THREADS), fresh=True)
    with pytest.raises(OutputUnusable, match="is a symbolic link"):
        export.write()
    assert (mine.read_bytes(), mine.stat().st_mode & 0o777) == (b"mine", 0o640)
    assert (folder / name).is_symlink()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["pipe", "folder"])
def test_what_is_no_file_is_neither_waited_for_nor_moved(
    name: str, make: Callable[[Path], None], tmp_path: Path
) -> None:
    """A pipe would be waited for without end; a device would be gone for everybody."""
    export = Export(tmp_path)
    make(tmp_path / name)
    for fresh in (False, True):
        with pytest.raises(OutputUnusable, match=rf"{name} is (a folder|not a regular file)"):
            export.run_alone(THREADS, ThreadServer(THREADS), fresh=fresh)
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["out.ndjson", "out.ndjson.index", "out.ndjson.manifest.json", "out.ndjson.partial"])
@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")], ids=["pipe", "link"])
def test_a_reader_follows_no_link_and_waits_for_no_pipe(
    name: str, make: Callable[[Path], None], tmp_path: Path
) -> None:
    """It is refused in words."""
    Export(tmp_path).run_alone(THREADS, ThreadServer(THREADS))
    (tmp_path / name).unlink(missing_ok=True)
    make(tmp_path / name)
    with pytest.raises(OutputUnusable, match=f"{name} is (a symbolic link|not a regular file)"):
        threadkeep.read(tmp_path / "out.ndjson")


@pytest.mark.parametrize("name", ["out.ndjson.store", "out.ndjson.lock"])
def test_a_hard_link_at_a_name_that_is_written_in_place_is_refused(name: str, tmp_path: Path) -> None:
    """Those of other files are replaced, and their other names keep what they had."""
    mine = tmp_path / "mine"
    mine.write_bytes(b"mine")
    (tmp_path / name).hardlink_to(mine)
    with pytest.raises(OutputUnusable, match=rf"{name} has another name too \(a hard link\)"):
        Export(tmp_path).run_alone(THREADS, ThreadServer(THREADS))
    assert mine.read_bytes() == b"mine"


def test_a_folder_of_downloads_that_is_a_link_is_refused(tmp_path: Path) -> None:
    """Or a file."""
    export = Export(tmp_path)
    export.paths.files.symlink_to(tmp_path)
    with pytest.raises(OutputUnusable, match=r"out\.files is a symbolic link"):
        export.run_alone(THREADS, ThreadServer(THREADS), files=True)
    export.paths.files.unlink()
    export.paths.files.write_bytes(b"mine")
    with pytest.raises(OutputUnusable, match=r"out\.files is not a regular file|out\.files is"):
        export.run_alone(THREADS, ThreadServer(THREADS), files=True)


def test_a_link_that_is_planted_while_a_run_is_at_work_is_not_followed(tmp_path: Path) -> None:
    """At the names of new files, and of those that they take the place of."""
    folder = tmp_path / "folder"
    folder.mkdir()
    export, mine = Export(folder), tmp_path / "mine"
    mine.write_bytes(b"mine")

    class Planting(ThreadServer):
        def spoil(self, request: object, times: int) -> None:
            del request, times
            paths = (*export.paths.written.values(), export.paths.manifest, new(export.paths.manifest))
            for name in {*paths, *map(new, paths)}:
                name.unlink(missing_ok=True)
                name.symlink_to(mine)

    export.run_alone(THREADS, Planting(THREADS))
    assert mine.read_bytes() == b"mine"
    assert export.ended_by is None
    assert export.messages() == THREADS
    written = [path for path in (*export.paths.written.values(), export.paths.manifest) if path.exists()]
    assert [path.name for path in written if not path.is_symlink()] == [
        "out.ndjson",
        "out.ndjson.index",
        "out.ndjson.manifest.json",
    ]
    assert {stat.S_IMODE(path.lstat().st_mode) for path in written} == {0o600}


def test_every_file_is_private(tmp_path: Path) -> None:
    """Whatever the umask is; the working store too, and the folder of downloads."""
    export, umask = Export(tmp_path), os.umask(0)
    try:
        with no_room_to_write():
            export.run_alone(IDS, world(), **OPTIONS)
        assert modes(tmp_path) == {0o600, 0o700}
        export.run_alone(IDS, world(), **OPTIONS)
        export.paths.out.write_bytes(b"".join(export.lines[1:]))
        export.run_alone(IDS, world(), fresh=True, **OPTIONS)
    finally:
        os.umask(umask)
    assert modes(tmp_path) == {0o600, 0o700}
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir() if path.is_dir()} == {0o700}


def modes(folder: Path) -> set[int]:
    """Who may read what."""
    return {stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*")}


def test_the_mode_of_an_existing_export_stays(tmp_path: Path) -> None:
    """Its owner has given it to somebody; what is next to it stays private."""
    export = Export(tmp_path).run_alone(["thread_a"], ThreadServer(THREADS))
    export.paths.out.chmod(0o644)
    export.run_alone(THREADS, ThreadServer(THREADS))
    assert export.paths.out.stat().st_mode & 0o777 == 0o644
    assert export.paths.index.stat().st_mode & 0o777 == 0o600


def test_a_full_disk_while_files_are_written(tmp_path: Path) -> None:
    """The old files stay, nothing is left of the new ones, and all is fetched already when there is room."""
    threads = threads_of(a=2, b=2000)
    export = Export(tmp_path).run_alone(["thread_b"], ThreadServer(threads))
    before = export.contents()
    with full_disk(export.paths.out.stat().st_size):
        export.run_alone(threads, ThreadServer(threads))
    assert "out.ndjson: File too large" in str(export.ended_by)
    after = export.contents()
    assert {name: after[name] for name in before} == before
    assert after.keys() - before.keys() <= {"out.ndjson.store", "out.ndjson.store-journal"}
    server = ThreadServer(threads)
    export.run_alone(threads, server)
    assert (export.messages(), server.asked) == (threads, [])


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.EDQUOT])
def test_a_folder_that_cannot_be_written_to(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names a file in it, and says what the system says."""
    real = os.open

    def refuse(path: Path, flags: int, *arguments: int, **options: int) -> int:
        if flags & os.O_CREAT:
            raise OSError(number, os.strerror(number))
        return real(path, flags, *arguments, **options)

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(OutputUnusable, match=rf"out\.ndjson\.lock: {os.strerror(number)}"):
        Export(tmp_path).run_alone(THREADS, ThreadServer(THREADS))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    """It is not created: its name may be mistyped."""
    with pytest.raises(OutputUnusable, match=r"nowhere is not a folder\. Create it, or choose another OUT\."):
        Export(tmp_path / "nowhere").run_alone(THREADS, ThreadServer(THREADS))


def test_a_folder_that_vanishes_ends_the_run(tmp_path: Path) -> None:
    """In words that name a file of it."""
    folder = tmp_path / "folder"
    folder.mkdir()

    class Removing(ThreadServer):
        def spoil(self, request: object, times: int) -> None:
            del request, times
            if folder.exists():
                folder.rename(tmp_path / "elsewhere")

    export = Export(folder).run_alone(THREADS, Removing(THREADS), concurrency=1)
    assert isinstance(export.ended_by, OutputUnusable)
    assert "out.ndjson" in str(export.ended_by)
    moved = Export(tmp_path / "elsewhere")
    moved.run_alone(THREADS, ThreadServer(THREADS))
    assert moved.messages() == THREADS


def test_a_file_system_that_does_not_bring_a_folder_to_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some refuse that for folders; nothing can be done then."""
    fsync = os.fsync

    def refuse(number: int) -> None:
        if stat.S_ISDIR(os.fstat(number).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        fsync(number)

    monkeypatch.setattr(os, "fsync", refuse)
    assert Export(tmp_path).run_alone(THREADS, ThreadServer(THREADS)).result.is_complete


def test_what_the_disk_refuses_to_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Is no link and no missing file: it comes out as it is."""

    def refuse(*_arguments: object) -> int:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(OSError, match="Input/output error"):
        private_files.open_regular(tmp_path / "any")


def test_sqlite_is_never_led_by_a_link(tmp_path: Path) -> None:
    """It would follow one, and make what it leads to readable for all."""
    export, mine = Export(tmp_path), tmp_path / "mine.db"
    sqlite3.connect(mine).close()
    export.paths.store.symlink_to(mine)
    with pytest.raises(OutputUnusable, match="symbolic link"):
        export.write()
