"""Merging exports: what is refused, what a kill or a full disk leaves, files, headers, and large numbers."""

import errno
import os
import shutil
import tracemalloc
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any
from unittest import mock

import msgspec
import pytest

import threadkeep
from exporting import Export
from full_disk import full_disk
from kills import after_kills
from small_world import IDS, OPTIONS, world
from threadkeep.errors import OutputUnusable
from threadkeep.storage.file_set import open_file_set
from threadkeep.storage.index import DownloadOutcome, DownloadRow, Outcome
from threadkeep.storage.join import join_exports
from threadkeep.storage.lock import locked
from threadkeep.storage.manifest import FileClaim, encode_manifest
from threadkeep.storage.paths import Paths
from threadkeep.storage.sharding import Shard
from threadkeep.storage.split import split_by_assistant
from written import at, known, numbered, thread, write_part

PARTS = 3


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kill loses nothing that was written."""
    monkeypatch.setattr(os, "fsync", lambda _number: None)


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with three shards of a small world, each of which has something, and an older export of one thread."""
    folder = tmp_path_factory.mktemp("ready")
    for number, one in enumerate(parts_in(folder)):
        export = Export(folder)
        export.paths = one
        export.run_alone(IDS, world(), shard=Shard(number, PARTS), **OPTIONS)
    old = Export(folder)
    old.paths = Paths(folder / "old.ndjson")
    old.run_alone(IDS[:1], world(), **OPTIONS)
    return folder


def parts_in(folder: Path) -> list[Paths]:
    """The shards in a folder."""
    return [Paths(folder / f"part-{number}.ndjson") for number in range(PARTS)]


@pytest.fixture
def folder(ready: Path, tmp_path: Path) -> Path:
    """A copy of the folder, to be changed."""
    return shutil.copytree(ready, tmp_path / "folder")


def contents(folder: Path) -> dict[str, bytes]:
    """Every file in a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def of_out(folder: Path) -> dict[str, bytes]:
    """The files of the merged export, and its lock, if it is there."""
    return {name: content for name, content in contents(folder).items() if name.startswith("out.")}


def merge(folder: Path, **options: Any) -> Paths:
    """Merge the shards in a folder."""
    out = Paths(folder / "out.ndjson")
    join_exports(parts_in(folder), out, IDS, **options)
    return out


# --- what is there before and afterwards


def test_a_merge_can_be_repeated(folder: Path) -> None:
    """It writes the same again; the parts stay as they are."""
    before = contents(folder)
    merge(folder)
    after = contents(folder)
    merge(folder)
    assert contents(folder) == after
    assert {name: content for name, content in after.items() if name in before} == before
    assert {"out.ndjson", "out.ndjson.manifest.json", "out.files/file-1.png"} < of_out(folder).keys()


@pytest.mark.parametrize("name", ["out.ndjson", "out.ndjson.index", "out.ndjson.manifest.json", "out.ndjson.runs"])
def test_a_name_that_is_taken(name: str, folder: Path) -> None:
    """Nothing is replaced without --force, and everything with it."""
    (folder / name).write_bytes(b"mine")
    before = contents(folder)
    with pytest.raises(OutputUnusable, match=f"{name} exists already. Choose another OUT, or replace it with --force"):
        merge(folder)
    assert contents(folder) == before
    merge(folder, force=True)
    assert of_out(folder) == of_out(merged_elsewhere(folder))


def merged_elsewhere(folder: Path) -> Path:
    """The same parts, merged in another folder."""
    other = folder.with_name("elsewhere")
    shutil.copytree(folder, other, ignore=shutil.ignore_patterns("out.*"))
    merge(other)
    return other


def test_an_export_that_is_there(folder: Path) -> None:
    """Another one is refused before anything is read of the threads; --force replaces it, sidecars and all."""
    write_part(folder / "out.ndjson", thread("thread_x", Outcome.PARTIAL, None, numbered("thread_x", [1])))
    before = contents(folder)
    with (
        mock.patch("threadkeep.storage.join.write_new_set", side_effect=AssertionError),
        pytest.raises(OutputUnusable, match="exists already"),
    ):
        merge(folder)
    assert contents(folder) == before
    merge(folder, force=True)
    assert of_out(folder) == of_out(merged_elsewhere(folder))


@pytest.mark.parametrize("force", [False, True])
def test_what_a_run_has_fetched_is_not_deleted(force: bool, folder: Path) -> None:
    """A working store at OUT is refused, with --force too."""
    (folder / "out.ndjson.store").write_bytes(b"fetched")
    with pytest.raises(OutputUnusable, match=r"out\.ndjson\.store has what a run .* it would be lost"):
        merge(folder, force=force)
    assert of_out(folder) == {"out.ndjson.store": b"fetched"}


@pytest.mark.parametrize("name", ["part-1.ndjson", "./part-1.ndjson", "part-1.ndjson.index", "link.ndjson"])
def test_out_may_not_be_a_part(name: str, folder: Path) -> None:
    """Or one of its files, by whatever name."""
    (folder / "link.ndjson").symlink_to("part-1.ndjson")
    before = contents(folder)
    words = r"would take the place of \S+part-1|is the name of a file of the export \S+part-1|is a symbolic link"
    for force in (False, True):
        with pytest.raises(OutputUnusable, match=words):
            join_exports(parts_in(folder), Paths(folder / name), force=force)
    assert contents(folder) == before


def test_out_in_a_folder_that_is_a_link(folder: Path) -> None:
    """It is still the part."""
    (folder.parent / "way").symlink_to(folder)
    with pytest.raises(OutputUnusable, match="would take the place of"):
        join_exports(parts_in(folder), Paths(folder.parent / "way/part-0.ndjson"), force=True)


@pytest.mark.parametrize(
    ("name", "words"), [("out.ndjson.index", "is a symbolic link"), ("out.files", "is a symbolic link")]
)
def test_no_link_is_followed(name: str, words: str, folder: Path) -> None:
    """At a name of OUT."""
    (folder / name).symlink_to("part-0.ndjson")
    for force in (False, True):
        with pytest.raises(OutputUnusable, match=words):
            merge(folder, force=force)


def test_there_is_nothing_to_merge(tmp_path: Path) -> None:
    """No part, no folder, no such part."""
    with pytest.raises(OutputUnusable, match="name the exports"):
        join_exports([], Paths(tmp_path / "out"))
    with pytest.raises(OutputUnusable, match="no is not a folder"):
        join_exports([Paths(tmp_path / "a")], Paths(tmp_path / "no/out"))
    with pytest.raises(OutputUnusable, match="a is no export: there is nothing of that name"):
        join_exports([Paths(tmp_path / "a")], Paths(tmp_path / "out"))
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "a").write_text("{}\n", encoding="utf-8")
    with pytest.raises(OutputUnusable, match="a is JSON of another kind, and no export"):
        join_exports([Paths(tmp_path / "a")], Paths(tmp_path / "out"))


def test_the_same_part_twice(folder: Path) -> None:
    """Is it once."""
    parts, out = parts_in(folder), Paths(folder / "out.ndjson")
    join_exports([*parts, *parts, parts[0]], out, IDS)
    assert of_out(folder) == of_out(merged_elsewhere(folder))


def test_ids_that_no_part_has(folder: Path) -> None:
    """They are in the index, as not asked for, in the order of the list; threads that it does not name come behind."""
    ids = ["thread_more", "thread_c", "asst_wrong", "thread_c", "not one", "thread_a", "thread_last"]
    manifest = join_exports(parts_in(folder), Paths(folder / "out.ndjson"), ids)
    export = Export(folder)
    assert list(export.rows)[:4] == ["thread_more", "thread_c", "thread_a", "thread_last"]
    assert set(export.rows) == {*IDS, "thread_more", "thread_last"}
    row = export.rows["thread_more"]
    assert (row.outcome, row.reason) == (Outcome.UNFINISHED, "it is in none of the exports that were merged")
    assert manifest.outcomes["unfinished"] == 2
    assert threadkeep.validate(export.paths.out).counts == {"thread_unfinished": 2, "thread_missing": 1}


def test_without_a_list_the_order_is_that_of_the_parts(folder: Path) -> None:
    """Part by part, each in its own order."""
    one, two, three = parts_in(folder)
    expected = []
    for paths in (three, one, two):
        with threadkeep.read(paths.out) as export:
            expected += [row.thread_id for row in export.threads()]
    join_exports([three, one, two], Paths(folder / "out.ndjson"))
    assert list(Export(folder).rows) == expected


# --- headers


def two(folder: Path, first: dict[str, Any], second: dict[str, Any]) -> list[Paths]:
    """Two exports of a thread each."""
    return [
        write_part(
            folder / f"{number}.ndjson",
            thread(
                f"thread_{number}",
                rows=numbered(f"thread_{number}", [1]),
                flat=header.get("flat", False),
                assistant_id=header.get("assistant_id", "asst_abc123"),
                sidecars={
                    kind: known("run_id", f"thread_{number}", {"run_id": "r"}) for kind in header.get("include", ())
                },
            ),
            hour=number,
            **header,
        )
        for number, header in enumerate((first, second), 1)
    ]


@pytest.mark.parametrize(
    ("first", "second", "field", "value"),
    [
        ({}, {}, "assistant_id", "asst_abc123"),
        ({"assistant_id": "asst_1"}, {"assistant_id": "asst_2"}, "assistant_id", "auto"),
        ({"assistant_id": "auto"}, {"assistant_id": "asst_2"}, "assistant_id", "auto"),
        ({"source": "http://one"}, {"source": "http://two"}, "source", "several addresses"),
        ({"include": ("runs",)}, {"include": ("threads",)}, "include", ("threads", "runs")),
        ({"include": ("runs",)}, {}, "include", ("runs",)),
        ({"flat": True}, {"flat": True}, "flat", True),
    ],
)
def test_headers_are_joined(first: Any, second: Any, field: str, value: object, tmp_path: Path) -> None:
    """In whatever order the parts are; what a thread lacks is counted."""
    parts = two(tmp_path, first, second)
    for number, order in enumerate((parts, parts[::-1])):
        out = Paths(tmp_path / f"out-{number}.ndjson")
        manifest = join_exports(order, out)
        with open_file_set(out) as files:
            assert files.manifest == manifest
        assert getattr(manifest, field) == value
        is_lacking = first.get("include") != second.get("include")
        assert bool(manifest.lacking) is is_lacking
        assert (manifest.started_at, manifest.finished_at) == (at(0), at(2))
        assert threadkeep.validate(out.out).is_complete is not is_lacking


def test_a_flat_export_and_another_one(tmp_path: Path) -> None:
    """Cannot be one."""
    parts = two(tmp_path, {"flat": True}, {})
    for order in (parts, parts[::-1]):
        with pytest.raises(OutputUnusable, match=r"\.ndjson cannot be one export: one of them is flat"):
            join_exports(order, Paths(tmp_path / "out"))
    assert not list(tmp_path.glob("out*"))


def test_what_ended_a_part_ends_the_merge_unless_all_is_complete(tmp_path: Path) -> None:
    """The last of the words that there are."""
    first = thread("thread_a", Outcome.UNFINISHED)
    complete = thread("thread_a", rows=numbered("thread_a", [1]))
    parts = [
        write_part(tmp_path / "1", first, hour=1, ended_by="the sunset"),
        write_part(tmp_path / "2", first, hour=2, ended_by="a refused key"),
        write_part(tmp_path / "3", first, hour=3),
    ]
    assert join_exports(parts, Paths(tmp_path / "out")).ended_by == "a refused key"
    parts.append(write_part(tmp_path / "4", complete, hour=0))
    assert join_exports(parts, Paths(tmp_path / "out"), force=True).ended_by is None


# --- parts that are not in order


@pytest.mark.parametrize("suffix", ["", ".index", ".threads", ".runs", ".downloads"])
def test_a_flipped_byte_anywhere_in_a_part(suffix: str, folder: Path) -> None:
    """Is found: the part is named, and nothing is written."""
    path = folder / f"part-0.ndjson{suffix}"
    content = path.read_bytes()
    for place in range(0, len(content), max(1, len(content) // 40)):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        before = contents(folder)
        with pytest.raises(OutputUnusable, match=r"part-0\.ndjson.* it repairs the export"):
            merge(folder)
        assert contents(folder) == before
    path.write_bytes(content)
    merge(folder)


@pytest.mark.parametrize(
    ("suffix", "harm", "words"),
    [
        ("", None, r"part-0\.ndjson does not exist, and the manifest says that it does"),
        ("", lambda content: content[:-1], r"has [\d,]+ bytes, and the manifest says"),
        ("", lambda content: content + b"{}\n", r"has [\d,]+ bytes, and the manifest says"),
        (".runs", None, r"runs does not exist"),
        (".downloads", None, r"downloads is not the one that"),
        (".index", None, r"index does not exist"),
        (".index", lambda content: content.rpartition(b"\n{")[0] + b"\n", "index is not the one that"),
        (".manifest.json", None, r"manifest\.json does not exist"),
        (".manifest.json", lambda _content: b"{", r"manifest\.json cannot be read"),
        (".store", lambda _content: b"x", r"store has what a run that was cut off .* `threadkeep write`, before"),
    ],
)
def test_a_damaged_part(suffix: str, harm: Callable[[bytes], bytes] | None, words: str, folder: Path) -> None:
    """It is named, with what to do, and nothing is written."""
    path = folder / f"part-0.ndjson{suffix}"
    if harm is None:
        path.unlink()
    else:
        path.write_bytes(harm(path.read_bytes() if path.exists() else b""))
    before = contents(folder)
    with pytest.raises(OutputUnusable, match=words):
        merge(folder)
    assert contents(folder) == before


def test_an_index_that_agrees_with_its_manifest_and_is_none(folder: Path) -> None:
    """Somebody has changed both."""
    part = parts_in(folder)[0]
    with open_file_set(part) as files:
        assert files.manifest is not None
        manifest = files.manifest
    content = part.index.read_bytes().replace(b'"outcome":"', b'"outcome":"in')
    part.index.write_bytes(content)
    claims = {**manifest.files, "index": FileClaim(len(content), sha256(content).hexdigest())}
    part.manifest.write_bytes(encode_manifest(msgspec.structs.replace(manifest, files=claims)))
    with pytest.raises(OutputUnusable, match=r"part-0\.ndjson\.index: byte \d+ begins no row: .*it repairs the export"):
        merge(folder)
    assert of_out(folder) == {}


def test_a_part_that_is_being_written(folder: Path) -> None:
    """What it fetches would not be in OUT: it is waited for by whoever merges."""
    part = parts_in(folder)[0]
    with locked(part.lock), pytest.raises(OutputUnusable, match=r"part-0\.ndjson is being written by process \d+\."):
        merge(folder)
    part.lock.write_bytes(b'{"host":"another","pid":7}\n')
    with pytest.raises(OutputUnusable, match=r"by process 7 on another, as part-0\.ndjson\.lock says\. .*killed there"):
        merge(folder)
    assert of_out(folder) == {}
    part.lock.unlink()
    merge(folder)


def test_a_lock_that_a_kill_has_left_on_this_machine(folder: Path) -> None:
    """Holds nothing."""
    with locked(parts_in(folder)[0].lock):
        content = parts_in(folder)[0].lock.read_bytes()
    parts_in(folder)[0].lock.write_bytes(content)
    merge(folder)


def test_another_merge_into_the_same_file(folder: Path) -> None:
    """Is refused, as any other writer is."""
    out = Paths(folder / "out.ndjson")
    with locked(out.lock), pytest.raises(OutputUnusable, match="is being written by another"):
        merge(folder)


# --- files


def test_files_of_several_parts(folder: Path) -> None:
    """They are linked, not copied; what is missing to all stays missing."""
    out = merge(folder)
    with threadkeep.read(out.out) as export:
        (path,) = export["thread_a"].files.values()
    source = next(folder.glob("part-*.files/file-1.png"))
    assert path.parent == out.files
    assert path.samefile(source)
    assert threadkeep.validate(out.out).counts.keys() == {"thread_missing"}


def part_with_file(
    out: Path, content: bytes | None, *, hour: int = 1, outcome: DownloadOutcome = DownloadOutcome.SAVED, **more: Any
) -> Paths:
    """An export of a thread that refers to a file."""
    name = more.get("name", "file-1.png")
    row = DownloadRow(
        file_id="file-1",
        outcome=outcome,
        name=name if content is not None else None,
        bytes=None if content is None else len(content),
        sha256=None if content is None else sha256(content).hexdigest(),
    )
    rows = numbered("thread_a", [1], attachments=[{"file_id": "file-1", "tools": []}])
    paths = write_part(out, thread("thread_a", rows=rows), hour=hour, downloads={"file-1": row})
    if content is not None:
        paths.files.mkdir(exist_ok=True)
        (paths.files / name).write_bytes(content)
    return paths


def test_a_file_that_one_part_has(tmp_path: Path) -> None:
    """Saved is saved, whichever part is the later one."""
    for number, hours in enumerate(((1, 2), (2, 1))):
        parts = [
            part_with_file(tmp_path / f"a-{number}.ndjson", b"file", hour=hours[0]),
            part_with_file(tmp_path / f"b-{number}.ndjson", None, hour=hours[1], outcome=DownloadOutcome.MISSING),
        ]
        out = Paths(tmp_path / f"out-{number}.ndjson")
        assert join_exports(parts, out).downloads == {**dict.fromkeys(map(str, DownloadOutcome), 0), "saved": 1}
        assert (out.files / "file-1.png").read_bytes() == b"file"
        assert threadkeep.validate(out.out).is_complete


@pytest.mark.parametrize(
    ("first", "second", "outcome"),
    [
        (DownloadOutcome.FAILED, DownloadOutcome.MISSING, "missing"),
        (DownloadOutcome.MISSING, DownloadOutcome.FAILED, "failed"),
        (DownloadOutcome.MISSING, DownloadOutcome.UNFINISHED, "missing"),
        (DownloadOutcome.UNFINISHED, DownloadOutcome.UNFINISHED, "unfinished"),
    ],
)
def test_a_file_that_no_part_has(first: DownloadOutcome, second: DownloadOutcome, outcome: str, tmp_path: Path) -> None:
    """The later answer counts, where there is one."""
    parts = [
        part_with_file(tmp_path / "1.ndjson", None, hour=1, outcome=first),
        part_with_file(tmp_path / "2.ndjson", None, hour=2, outcome=second),
    ]
    manifest = join_exports(parts[::-1], Paths(tmp_path / "out.ndjson"))
    assert manifest.downloads == {**dict.fromkeys(map(str, DownloadOutcome), 0), outcome: 1}
    assert not (tmp_path / "out.files").exists()


def test_two_files_with_one_id(tmp_path: Path) -> None:
    """They are not mixed: the merge is refused, with both folders, and leaves nothing."""
    parts = [part_with_file(tmp_path / f"{one}.ndjson", one.encode()) for one in "ab"]
    with pytest.raises(OutputUnusable, match=r"The file file-1 has other bytes in \S+b\.files than in \S+a\.files"):
        join_exports(parts, Paths(tmp_path / "out.ndjson"))
    assert not list(tmp_path.glob("out*"))


def test_two_files_with_one_name(tmp_path: Path) -> None:
    """Nor are those that would have the same name."""
    first = part_with_file(tmp_path / "1.ndjson", b"1")
    row = DownloadRow(file_id="file-2", outcome=DownloadOutcome.SAVED, name="file-1.png", bytes=1, sha256="0" * 64)
    second = write_part(tmp_path / "2.ndjson", downloads={"file-2": row})
    with pytest.raises(OutputUnusable, match=r"the files file-1 and file-2 have the same name"):
        join_exports([first, second], Paths(tmp_path / "out.ndjson"))
    assert not list(tmp_path.glob("out*"))


@pytest.mark.parametrize("content", [b"fila", b"", b"longer", None])
def test_a_damaged_file(content: bytes | None, tmp_path: Path) -> None:
    """Is found, and nothing is left of OUT; another part that has it does not hide that."""
    part = part_with_file(tmp_path / "1.ndjson", b"file")
    path = part.files / "file-1.png"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(OutputUnusable, match=r"1\.files/file-1\.png( is damaged|: No such file)"):
        join_exports([part], Paths(tmp_path / "out.ndjson"))
    assert not list(tmp_path.glob("out*"))


@pytest.mark.parametrize("force", [False, True])
def test_another_file_in_the_folder_of_out(force: bool, tmp_path: Path) -> None:
    """It is not taken for the one of the part, and not replaced; the same one is fine."""
    part, out = part_with_file(tmp_path / "1.ndjson", b"file"), Paths(tmp_path / "out.ndjson")
    out.files.mkdir()
    (out.files / "file-1.png").write_bytes(b"mine")
    (out.files / "other.png").write_bytes(b"other")
    with pytest.raises(OutputUnusable, match=r"out\.files/file-1\.png exists already, and is another file"):
        join_exports([part], out, force=force)
    assert {path.name: path.read_bytes() for path in out.files.iterdir()} == {
        "file-1.png": b"mine",
        "other.png": b"other",
    }
    (out.files / "file-1.png").write_bytes(b"file")
    join_exports([part], out, force=force)


# --- kills and full disks


def seen(paths: Paths) -> dict[str, bytes]:
    """What a reader sees of an export."""
    with open_file_set(paths) as files:
        return {name: file.read() for name, file in files.files.items()}


@pytest.mark.parametrize("has_old", [False, True])
def test_a_kill_at_any_change_of_the_disk(has_old: bool, ready: Path, tmp_path: Path) -> None:
    """A reader sees what was there or what was merged; the same command ends it, and nothing is left over."""
    target = tmp_path / "target"

    def prepared(_nth: int) -> Callable[[], object]:
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(ready, target)
        if has_old:
            join_exports([Paths(target / "old.ndjson")], Paths(target / "out.ndjson"))
        return lambda: merge(target, force=has_old)

    work = prepared(0)
    before = seen(Paths(target / "out.ndjson"))
    work()
    complete, after, kills, views = contents(target), seen(Paths(target / "out.ndjson")), 0, list[bool]()
    for _ in after_kills(prepared):
        kills += 1
        view = seen(Paths(target / "out.ndjson"))
        assert view in (before, after)
        views.append(view == after)
        if view == after:  # what is being put in place can be a part already
            join_exports([Paths(target / "out.ndjson")], Paths(target / "other.ndjson"), IDS)
            assert seen(Paths(target / "other.ndjson")) == after
            for path in target.glob("other.*"):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        merge(target, force=has_old)
        assert contents(target) == complete
    assert kills > 10
    assert views == sorted(views)
    assert views[0] < views[-1]


def test_a_disk_that_refuses(folder: Path) -> None:
    """Nothing of OUT is left; when it is complete but for its names, the same command ends it."""
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    before = contents(folder)
    refused = mock.patch("threadkeep.storage.rewriting.link_or_copy", side_effect=full)
    with refused, pytest.raises(OutputUnusable, match="No space left"):
        merge(folder)
    assert contents(folder) == before
    refused = mock.patch("threadkeep.storage.writer.sync_folder", side_effect=full)
    with refused, pytest.raises(OutputUnusable, match="No space left"):
        merge(folder)
    assert seen(Paths(folder / "out.ndjson")) == {}
    merge(folder)
    assert of_out(folder) == of_out(merged_elsewhere(folder))


def test_a_full_disk(folder: Path) -> None:
    """As the operating system says it, while OUT is written."""
    before = contents(folder)
    with full_disk(20_000), pytest.raises(OutputUnusable, match="File too large"):
        merge(folder)
    assert contents(folder) == before


def test_no_room_for_the_temporary_file(folder: Path) -> None:
    """It is named, and nothing of OUT is left."""
    before = contents(folder)
    ids = (f"thread_{number:040}" for number in range(100_000))
    spilled = mock.patch("threadkeep.storage.join._CACHE_KIB", 64)
    with spilled, full_disk(50_000), pytest.raises(OutputUnusable, match=r"The temporary file of the merge: .*TMPDIR"):
        join_exports(parts_in(folder), Paths(folder / "out.ndjson"), ids)
    assert contents(folder) == before


def test_a_list_that_cannot_be_read_to_its_end(folder: Path) -> None:
    """The error comes out, and nothing is left."""

    def ids() -> Iterator[str]:
        yield "thread_a"
        raise threadkeep.UnreadableIds("line 2 is no text")

    before = contents(folder)
    with pytest.raises(threadkeep.UnreadableIds):
        join_exports(parts_in(folder), Paths(folder / "out.ndjson"), ids())
    assert contents(folder) == before


# --- afterwards


def test_a_merge_is_split_and_merged_again(tmp_path: Path) -> None:
    """To the same export."""
    threads = [
        thread(f"thread_{number}", rows=numbered(f"thread_{number}", range(number)), assistant_id=f"asst_{number % 3}")
        for number in range(9)
    ]
    ids = [one.thread_id for one in threads]
    part = write_part(tmp_path / "part.ndjson", *threads, assistant_id="auto")
    out = Paths(tmp_path / "out.ndjson")
    join_exports([part], out, ids)
    names = [one.paths for one in split_by_assistant(out)]
    again = Paths(tmp_path / "again.ndjson")
    join_exports(names[::-1], again, ids)
    for suffix in ("", ".index"):
        assert (
            again.out.with_name(f"again.ndjson{suffix}").read_bytes()
            == part.out.with_name(f"part.ndjson{suffix}").read_bytes()
        )


def peak(folder: Path, threads: int) -> int:
    """The most memory that merging so many threads takes, in bytes."""
    folder.mkdir()
    names = [f"thread_{number:06}" for number in range(threads)]
    parts = [
        write_part(
            folder / f"{number}.ndjson",
            *(thread(name, rows=numbered(name, [1])) for name in names if Shard(number, 2).has(name)),
        )
        for number in range(2)
    ]
    tracemalloc.start()
    try:
        join_exports(parts, Paths(folder / "out.ndjson"), iter(names))
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_threads(tmp_path: Path) -> None:
    """Neither rows nor ids are held."""
    few, many = peak(tmp_path / "few", 500), peak(tmp_path / "many", 10_000)
    assert many < few + 4 * 1024 * 1024
    assert many < 32 * 1024 * 1024
