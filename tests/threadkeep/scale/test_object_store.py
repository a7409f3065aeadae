"""The two kinds of stores agree: an object is created once, and is what it was."""

import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from obstore.store import MemoryStore

from threadkeep.errors import OutputUnusable
from threadkeep.scale.object_store import Bucket, Folder, ObjectStore, open_store


@pytest.fixture(params=["folder", "bucket"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    """An empty store of each kind."""
    return Folder(tmp_path / "prefix") if request.param == "folder" else Bucket("memory:///", MemoryStore())


def test_an_object_is_created_once(store: ObjectStore, tmp_path: Path) -> None:
    """Who comes later learns whether it is the same; what is there stays."""
    path = tmp_path / "content"
    path.write_bytes(b"one")
    assert store.get("a/b.c") is None
    assert store.create("a/b.c", path)
    assert store.create("a/b.c", b"one")
    assert not store.create("a/b.c", b"two")
    assert store.get("a/b.c") == b"one"


def test_names_are_listed_by_their_parts(store: ObjectStore) -> None:
    """A part of a name is no name of a folder."""
    names = {"plan/1", "shards/a/x", "shards/a/files/y", "shards/ab/z"}
    for name in names:
        store.create(name, name.encode())
    assert {*store.names()} == names
    assert {*store.names("shards/a")} == {"shards/a/x", "shards/a/files/y"}
    assert [*store.names("nothing")] == []


def test_a_digest_is_checked(store: ObjectStore, tmp_path: Path) -> None:
    """An object that is not what its manifest says, and one that is not there, are refused."""
    store.create("a", b"one")
    with pytest.raises(OutputUnusable, match="damaged"):
        store.fetch("a", tmp_path / "copy", "0" * 64)
    with pytest.raises(OutputUnusable, match="does not exist"):
        store.fetch("b", tmp_path / "copy", "0" * 64)


@given(st.binary(max_size=100))
def test_both_kinds_hold_any_bytes(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    """Empty objects too."""
    folder = Folder(tmp_path_factory.mktemp("store"))
    for store in (folder, Bucket("memory:///", MemoryStore())):
        assert store.create("a", content)
        assert store.get("a") == content


def test_files_are_private(tmp_path: Path) -> None:
    """Whatever the umask is; drafts of a run that was killed are no objects."""
    store = Folder(tmp_path / "prefix")
    store.create("a/b", b"")
    (tmp_path / "prefix" / "a" / ".new-1").touch()
    assert [*store.names()] == ["a/b"]
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "prefix" / "a" / "b", tmp_path / "prefix" / "a")]
    assert modes == [0o600, 0o700]


def test_places(tmp_path: Path) -> None:
    """Paths and URLs; what obstore does not know is refused in its words."""
    assert open_store(tmp_path / "a") == open_store(f"file://{tmp_path}/a") == Folder(tmp_path / "a")
    assert open_store("s3://bucket/a/").url == "s3://bucket/a"
    with pytest.raises(OutputUnusable, match="gopher://hole"):
        open_store("gopher://hole")
