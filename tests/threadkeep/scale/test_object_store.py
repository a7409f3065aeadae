"""The two kinds of stores agree: an object is created once, and is what it was."""

import stat
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from obstore.store import MemoryStore

from threadkeep.errors import OutputUnusable
from threadkeep.scale.bucket import Bucket
from threadkeep.scale.folder import Folder
from threadkeep.scale.object_store import ObjectStore
from threadkeep.scale.open_store import open_store


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


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("s3://bucket/a#1", r"s3://bucket/a: the URL of a prefix cannot have \? or # or %"),
        ("s3://bucket/a?versionId=1", "cannot have"),
        ("s3://bucket/a%41", "cannot have"),
        ("s3://key:a-secret@bucket/a", "s3://bucket/a was given with a password"),
        ("file:///folder/a#b", r"file:///folder/a: the URL of a prefix cannot have \? or #"),
        ("file://folder/a", "is on another host"),
        ("file:///folder/a?b", "cannot have"),
    ],
)
def test_what_would_be_passed_over_of_a_url(url: str, words: str) -> None:
    """It is refused: the objects would be somewhere else than it says."""
    with pytest.raises(OutputUnusable, match=words) as refused:
        open_store(url)
    assert "a-secret" not in str(refused.value)


def test_what_is_no_part_of_a_url(tmp_path: Path) -> None:
    """A path may have any name, and a URL of a file any that is quoted."""
    assert open_store(tmp_path / "a#b?c%d") == open_store(f"file://localhost{tmp_path}/a%23b%3Fc%25d")


def test_how_long_a_bucket_is_asked() -> None:
    """As long as obstore does by itself, or shorter."""
    assert Bucket.at("s3://bucket/a")._store.retry_config is None
    short: Any = open_store("s3://bucket/a", seconds=20)
    assert short._store.retry_config["retry_timeout"] == timedelta(seconds=20)


def test_an_object_with_a_wrong_name_is_written_again(store: ObjectStore, tmp_path: Path) -> None:
    """One that is right is left as it is; no draft is left."""
    path = tmp_path / "content"
    path.write_bytes(b"right")
    store.create("a/digest", b"wrong")
    for _ in range(2):
        store.put_named("a/digest", path)
        assert {*store.sizes()} == {("a/digest", 5)}
        assert store.get("a/digest") == b"right"
    if isinstance(store, Folder):
        assert [one.name for one in (store.path / "a").iterdir()] == ["digest"]
