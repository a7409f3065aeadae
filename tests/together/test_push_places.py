"""The files of a push next to OUT: what is damaged or somebody else's is named and left alone, and nothing is sent."""

import contextlib
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from canned_threads import message
from command import Run
from exporting import threads_of
from exports import beside
from pushes import Target, export_of, rows_of_map
from threadkeep import OutputUnusable, ThreadkeepError
from threadkeep.api.client import PacingOptions

THREADS = threads_of(a=3, b=45, c=1)
IS_DAMAGED = "is damaged, and it alone says which conversations were created"
IS_OTHER = "is no store of a push of this version"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """An export of three threads."""
    return export_of(tmp_path, THREADS)


def contents(folder: Path) -> dict[Path, bytes | None]:
    """All that is in a folder; None for what is no file."""
    return {path: path.read_bytes() if path.is_file() and not path.is_symlink() else None for path in folder.rglob("*")}


def refused(target: Target, out: Path, **options: Any) -> str:
    """The words with which a push and its dry run are refused, which change nothing and send nothing."""
    before, asked = contents(out.parent), len(target.fake.requests)
    with pytest.raises(OutputUnusable) as push:
        target.push(out, **options)
    with pytest.raises(OutputUnusable) as plan:
        target.plan(out, **options)
    assert str(plan.value) == str(push.value)
    assert (contents(out.parent), len(target.fake.requests)) == (before, asked)
    return str(push.value)


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "garbage": lambda _content: b"no database\n" * 1_000,
    "nothing": lambda _content: b"",
    "a head that is cut": lambda content: content[:50],
    "a head alone": lambda content: content[:100],
    "a page": lambda content: content[:4096],
    "half": lambda content: content[: len(content) // 2],
    "all but a page": lambda content: content[:-4096],
    "zeroes in the middle": lambda content: content[:4096] + bytes(4096) + content[8192:],
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_store_is_named(damage: str, out: Path) -> None:
    """It alone says what was sent, so that nothing is sent without it."""
    target, path = Target(), beside(out, ".push")
    target.push(out)
    path.write_bytes(DAMAGE[damage](path.read_bytes()))
    assert IS_DAMAGED in refused(target, out)


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_a_database_of_somebody_else_is_left_as_it_is(mode: str, out: Path) -> None:
    """To the byte, of which SQLite changes some where the journal has another mode."""
    with contextlib.closing(sqlite3.connect(beside(out, ".push"))) as db:
        db.execute(f"PRAGMA journal_mode={mode}")
        db.execute("CREATE TABLE cats(name)")
    assert IS_OTHER in refused(Target(), out)


def test_a_store_of_a_later_version_is_left_as_it_is(out: Path) -> None:
    """What it says is not known here."""
    target = Target()
    target.push(out)
    with contextlib.closing(sqlite3.connect(beside(out, ".push"))) as db:
        db.execute("PRAGMA user_version=2")
    assert IS_OTHER in refused(target, out)


def push_half(target: Target, out: Path) -> None:
    """Push a part: of some threads all was sent, of others a part, perhaps something, and nothing."""
    fails = {"method": "POST", "path": "conversations$"}
    target.fake.faults = [
        {"match": {"method": "POST", "path": "items$", "nth": [*range(4, 99)]}, "do": {"status": 400}},
        {"match": fails | {"nth": 4}, "do": {"status": 500}},
        {"match": fails | {"nth": [*range(5, 99)]}, "do": {"status": 400}},
    ]
    target.push(out, concurrency=1, pace=PacingOptions(max_retries=0))
    target.fake.faults = []


@attrs.frozen(repr=False)
class Half:
    """A push that is half done.

    Attributes:
        store: the content of its store.
        state: what the target has.
    """

    target: Target
    out: Path
    store: bytes
    state: Any


@pytest.fixture(scope="module")
def half(tmp_path_factory: pytest.TempPathFactory) -> Half:
    """One of five threads."""
    target = Target()
    out = export_of(tmp_path_factory.mktemp("half"), threads_of(a=3, b=45, c=1, d=2, e=1))
    push_half(target, out)
    return Half(target, out, beside(out, ".push").read_bytes(), target.fake.state)


@given(place=st.integers(0, 2**16), bit=st.integers(0, 7))
def test_a_bit_that_has_flipped_ends_in_words(half: Half, place: int, bit: int) -> None:
    """SQLite finds some of them; with the others no thread is sent twice."""
    target, out, store = half.target, half.out, bytearray(half.store)
    target.fake.state = half.state
    used = [number for number, byte in enumerate(store) if byte]
    store[used[place % len(used)]] ^= 1 << bit
    for path in [*out.parent.glob("out.ndjson.conversations*"), *out.parent.glob("out.ndjson.push*")]:
        path.unlink()
    beside(out, ".push").write_bytes(store)
    with contextlib.suppress(ThreadkeepError):
        target.push(out)
    assert all(len(items) <= 45 for items in target.items.values())


def a_folder(path: Path) -> None:
    path.mkdir()


def a_pipe(path: Path) -> None:
    os.mkfifo(path)


def a_link(path: Path) -> None:
    path.symlink_to("precious")


def a_link_to_nothing(path: Path) -> None:
    path.symlink_to("nothing")


def a_link_to_itself(path: Path) -> None:
    path.symlink_to(path)


def a_hard_link(path: Path) -> None:
    path.hardlink_to(path.with_name("precious"))


KINDS = (a_folder, a_pipe, a_link, a_link_to_nothing, a_link_to_itself)


@pytest.mark.parametrize("make", [*KINDS, a_hard_link])
@pytest.mark.parametrize("suffix", [".push", ".push.lock"])
def test_what_is_no_file_of_its_own_is_not_written_to(
    make: Callable[[Path], None], suffix: str, out: Path, base_url: str, threadkeep: Run
) -> None:
    """Exit 5, and what a link leads to stays as it is."""
    del base_url
    out.with_name("precious").write_bytes(b"precious")
    make(beside(out, suffix))
    before = contents(out.parent)
    done = threadkeep("push", out, "--to", "conversations", "--target", "openai")
    assert (done.code, f"{beside(out, suffix)} " in done.err, "Traceback" in done.err) == (5, True, False)
    assert contents(out.parent) == before


class TestMap:
    """The map, and the report of losses next to it."""

    @pytest.mark.parametrize(
        "suffix",
        ["", ".index", ".manifest.json", ".threads", ".store", ".lock", ".push", ".push.lock", ".push.new"],
    )
    def test_it_is_no_file_of_the_export(self, suffix: str, out: Path) -> None:
        """Nor one of the push."""
        assert "a file of the export or of its push" in refused(Target(), out, map=beside(out, suffix))

    @pytest.mark.parametrize("ending", [".losses.ndjson", ".new", ".losses.ndjson.new"])
    def test_nothing_that_is_written_with_it_is_the_export(self, ending: str, tmp_path: Path) -> None:
        """Whatever OUT is called."""
        found = export_of(tmp_path, THREADS)
        out = tmp_path / f"map{ending}"
        for path in tmp_path.glob("out.ndjson*"):
            path.rename(tmp_path / path.name.replace("out.ndjson", out.name))
        assert not found.exists()
        assert "a file of the export or of its push" in refused(Target(), out, map=tmp_path / "map")

    @pytest.mark.parametrize("name", ["map", "map.losses.ndjson"])
    @pytest.mark.parametrize("content", [b"my thesis\n", b"{}\n", b"[]", b'{"thread_id": "thread_a"}\n', b"\xff\n"])
    def test_a_file_of_somebody_is_left_as_it_is(self, content: bytes, name: str, out: Path) -> None:
        """What is neither a map nor a report, whatever it is."""
        out.with_name(name).write_bytes(content)
        assert "is there already" in refused(Target(), out, map=out.with_name("map"))

    @pytest.mark.parametrize("name", ["map", "map.losses.ndjson"])
    @pytest.mark.parametrize("make", KINDS)
    def test_nothing_but_a_file_is_replaced(self, make: Callable[[Path], None], name: str, out: Path) -> None:
        """It is named."""
        out.with_name("precious").write_bytes(b"")
        make(out.with_name(name))
        assert name in refused(Target(), out, map=out.with_name("map"))

    @pytest.mark.parametrize("name", ["nowhere/map", "out.ndjson/map", "x" * 300, "out.files/map", ".", "\0"])
    def test_it_must_be_possible(self, name: str, out: Path) -> None:
        """In a folder that is there, under a name that a file can have."""
        refused(Target(), out, map=out.with_name("x").parent / name)

    def test_the_map_of_another_push_is_left_as_it_is(self, out: Path, tmp_path: Path) -> None:
        """Also where the store was moved away: nothing else says then which conversations there are."""
        target = Target()
        target.push(out)
        folder = tmp_path / "other"
        folder.mkdir()
        assert "is the map of another push" in refused(
            target, export_of(folder, THREADS), map=beside(out, ".conversations.ndjson")
        )
        beside(out, ".push").unlink()
        before = beside(out, ".conversations.ndjson").read_bytes()
        with pytest.raises(OutputUnusable, match="is the map of another push"):
            target.push(out)
        assert beside(out, ".conversations.ndjson").read_bytes() == before
        assert not beside(out, ".push").exists()

    def test_a_map_without_rows_and_one_of_an_earlier_run_are_replaced(self, out: Path) -> None:
        """They say nothing that the store does not."""
        target = Target()
        beside(out, ".conversations.ndjson").touch()
        push_half(target, out)
        assert 0 < len(rows_of_map(out)) < 3
        assert target.push(out).is_complete
        assert len(rows_of_map(out)) == 3

    def test_a_map_that_begins_with_a_long_thread_is_replaced(self, tmp_path: Path) -> None:
        """Its first row has the times of all messages."""
        out = export_of(tmp_path, {"thread_long": [message("thread_long", number) for number in range(7_000)]})
        target = Target()
        assert target.push(out).is_complete
        assert beside(out, ".conversations.ndjson").stat().st_size > 70_000
        assert target.push(out).is_complete
