"""The real disk: a file is written whole, and no other file is touched for it."""

import stat
from pathlib import Path

import pytest

from threadkeep.disk import OsDisk


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file that is to be written."""
    return tmp_path / "out.ndjson.manifest.json"


@pytest.fixture
def draft(path: Path) -> Path:
    """Where it is written first."""
    return path.with_name(path.name + ".draft")


def test_a_link_at_the_name_of_a_draft_is_not_followed(path: Path, draft: Path, tmp_path: Path) -> None:
    """Somebody's file that it leads to stays as it is, and so does its mode."""
    mine = tmp_path / "mine"
    mine.write_bytes(b"precious")
    mine.chmod(0o640)
    path.write_bytes(b"old")
    path.chmod(0o600)
    draft.symlink_to(mine)
    OsDisk().put(path, draft, iter([b"new"]))
    assert (mine.read_bytes(), stat.S_IMODE(mine.stat().st_mode)) == (b"precious", 0o640)
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"new", 0o600)
    assert not path.is_symlink()
    assert not draft.exists()


def test_what_a_killed_run_left_at_the_name_of_a_draft_gives_way(path: Path, draft: Path) -> None:
    """Nobody who could read that, or has it open, can read what is written now."""
    draft.write_bytes(b"half of it")
    draft.chmod(0o644)
    like = path.with_name("out.ndjson")
    like.write_bytes(b"")
    like.chmod(0o600)
    with draft.open("rb") as opened:
        OsDisk().put(path, draft, iter([b"new"]), like=like)
        assert opened.read() == b"half of it"
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"new", 0o600)


def test_a_link_that_comes_back_at_the_name_of_a_draft_is_refused(
    path: Path, draft: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What stands there when the draft is made is somebody else's."""
    draft.symlink_to(tmp_path / "mine")
    monkeypatch.setattr(Path, "unlink", lambda *_arguments, **_options: None)
    with pytest.raises(FileExistsError):
        OsDisk().put(path, draft, iter([b"new"]))
    assert not (tmp_path / "mine").exists()


def test_a_file_that_is_like_no_other_is_made_as_any_is(path: Path, draft: Path) -> None:
    """As the umask says."""
    other = path.with_name("other")
    other.touch()
    OsDisk().put(path, draft, iter([b"new"]))
    assert (path.read_bytes(), path.stat().st_mode) == (b"new", other.stat().st_mode)
