"""Where a conversion goes: private, complete or not there, and never in the place of something else."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from kills import after_kills
from threadkeep import OutputUnusable
from threadkeep.conversion.target import Target


def write_file(path: Path, content: str) -> None:
    """A format that writes a file."""
    path.write_text(content)


def write_folder(path: Path, content: str) -> None:
    """A format that writes a folder, with a folder in it."""
    (path / "pages").mkdir(parents=True)
    (path / "pages" / "a").write_text(content)


def content_of(path: Path) -> str | None:
    """What such a format has written; None where nothing is."""
    found = path / "pages" / "a" if path.is_dir() else path
    return found.read_text() if found.exists() else None


def write(target: Target, content: str, write_one: Callable[[Path, str], None]) -> None:
    """Write a target with its report."""
    with target.written(force=True) as draft:
        draft.losses.write_text(content)
        write_one(draft.path, content)


WAYS = [write_file, write_folder]


@pytest.mark.parametrize("first", WAYS)
@pytest.mark.parametrize("second", WAYS)
def test_a_target_takes_the_place_of_an_earlier_one(
    first: Callable[[Path, str], None], second: Callable[[Path, str], None], tmp_path: Path
) -> None:
    """A file or a folder, that of a file or a folder, and nothing else is left; only the owner may read it."""
    target = Target(tmp_path / "target")
    for content, way in (("old", first), ("new", second)):
        target.refuse(tmp_path / "out.ndjson", force=content == "new")
        write(target, content, way)
        assert content_of(target.path) == content == target.losses.read_text()
    assert {path.name for path in tmp_path.iterdir()} == {"target", "target.losses.ndjson"}
    for path in tmp_path.rglob("*"):
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, OSError])
def test_after_an_error_nothing_is_left(
    way: Callable[[Path, str], None], error: type[BaseException], tmp_path: Path
) -> None:
    """And what was there stays."""
    target = Target(tmp_path / "target")
    write(target, "old", way)

    def fail(path: Path, content: str) -> None:
        way(path, content)
        raise error("it breaks")

    with pytest.raises(OutputUnusable if error is OSError else error, match="it breaks"):
        write(target, "new", fail)
    assert (content_of(target.path), target.losses.read_text()) == ("old", "old")
    assert {path.name for path in tmp_path.iterdir()} == {"target", "target.losses.ndjson"}


@pytest.mark.parametrize("is_there", [False, True])
@pytest.mark.parametrize("way", WAYS)
def test_a_kill_leaves_a_complete_target_or_none(
    way: Callable[[Path, str], None], is_there: bool, tmp_path: Path
) -> None:
    """Whatever moment it comes at; a target is never without its report. A file is never missing meanwhile."""
    folder = tmp_path / "here"

    def prepare(_nth: int) -> Callable[[], object]:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        if is_there:
            write(Target(folder / "target"), "old", way)
        return lambda: write(Target(folder / "target"), "new", way)

    target = Target(folder / "target")
    for _ in after_kills(prepare):
        content = content_of(target.path)
        assert content in ("old" if is_there else None, "new", None if way is write_folder else "new")
        assert content is None or target.losses.exists()
    assert content_of(target.path) == "new"


OWN = [
    "out.ndjson",
    "out.ndjson.index",
    "out.ndjson.manifest.json.new",
    "out.ndjson.downloads",
    "out.ndjson.store-wal",
    "out.ndjson.lock",
    "out.files",
    "out.files/a.png",
    "out.old-1.ndjson",
    "out.old-2.files",
    ".",
    "link",
]


@pytest.mark.parametrize("name", OWN)
def test_no_file_of_the_export_is_replaced(name: str, tmp_path: Path) -> None:
    """Nor its downloads, what was kept of earlier ones, a folder around it, or what a link leads to."""
    (tmp_path / "export" / "out.files").mkdir(parents=True)
    (tmp_path / "export" / "link").symlink_to("out.ndjson")
    with pytest.raises(OutputUnusable, match="a file of the export itself"):
        Target(Path(os.path.normpath(tmp_path / "export" / name))).refuse(
            tmp_path / "export" / "out.ndjson", force=True
        )


def test_the_report_is_no_file_of_the_export_either(tmp_path: Path) -> None:
    """Where OUT has the name that the report would get."""
    with pytest.raises(OutputUnusable, match=r"t\.losses\.ndjson is a file of the export"):
        Target(tmp_path / "t").refuse(tmp_path / "t.losses.ndjson", force=True)


def test_what_is_there_is_refused(tmp_path: Path) -> None:
    """Without --force everything; with it, what is no file, and a folder that no conversion has written."""
    out, target = tmp_path / "out.ndjson", Target(tmp_path / "target")
    target.refuse(out, force=False)
    target.losses.touch()
    with pytest.raises(OutputUnusable, match=r"target\.losses\.ndjson exists already"):
        target.refuse(out, force=False)
    target.losses.unlink()
    target.path.symlink_to("nowhere")
    with pytest.raises(OutputUnusable, match="exists already"):
        target.refuse(out, force=False)
    with pytest.raises(OutputUnusable, match="no regular file"):
        target.refuse(out, force=True)
    target.path.unlink()
    os.mkfifo(target.path)
    with pytest.raises(OutputUnusable, match="no regular file"):
        target.refuse(out, force=True)
    target.path.unlink()
    target.path.mkdir()
    with pytest.raises(OutputUnusable, match="a folder that no conversion has written"):
        target.refuse(out, force=True)
    target.losses.touch()
    target.refuse(out, force=True)


@pytest.mark.parametrize(
    ("name", "words"), [("..", "does not name a file"), ("a\0b", "does not name"), ("no/t", "folder")]
)
def test_a_name_that_cannot_be(name: str, words: str, tmp_path: Path) -> None:
    """It is named."""
    with pytest.raises(OutputUnusable, match=words):
        Target(tmp_path / name).refuse(tmp_path / "out.ndjson", force=True)
