"""An export by shards, each on a machine of its own, and its merge: what one export of the complete list would be."""

import os
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import threadkeep
from canned_threads import ThreadServer
from exporting import Answering, Export, threads_of
from fake_assistants import FakeAssistants
from small_world import IDS, OPTIONS, world
from threadkeep.storage.index import Outcome
from threadkeep.storage.join import join_exports
from threadkeep.storage.paths import Paths
from threadkeep.storage.sharding import Shard

NAMES = [f"thread_{number}" for number in range(12)]


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here is about power cuts."""
    monkeypatch.setattr(os, "fsync", lambda _number: None)


def many() -> ThreadServer:
    """A server of twelve threads."""
    return ThreadServer(threads_of(**{str(number): number % 4 for number in range(12)}))


def by_shards(folder: Path, ids: Sequence[str], count: int, server: Any, **options: Any) -> list[Export]:
    """An export of each shard, in a folder of its own."""
    found = []
    for number in range(count):
        one = folder / f"shard-{number}"
        one.mkdir(parents=True)
        found.append(Export(one).run_alone(ids, server, shard=Shard(number, count), **options))
    return found


def merged(folder: Path, parts: Sequence[Export], ids: Sequence[str]) -> Export:
    """The merge of exports, in a folder of its own."""
    folder.mkdir()
    export = Export(folder)
    join_exports([part.paths for part in parts], export.paths, ids)
    return export


def without_manifest(export: Export) -> dict[str, bytes]:
    """All other files."""
    return {name: content for name, content in export.contents().items() if not name.endswith(".manifest.json")}


LISTS = st.lists(st.sampled_from([*IDS, "thread_gone", "asst_wrong", "not an id"]), min_size=1, max_size=8)


@settings(max_examples=15)
@given(ids=LISTS, count=st.integers(1, 4), data=st.data())
def test_shards_merged_are_the_export_of_the_list(ids: list[str], count: int, data: st.DataObject) -> None:
    """Byte for byte: OUT, index, sidecars, list of downloads and files; whatever the order of the parts."""
    with TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, "fsync", lambda _number: None)
        folder = Path(name)
        (folder / "one").mkdir()
        one = Export(folder / "one").run_alone(ids, world(), **OPTIONS)
        parts = by_shards(folder, ids, count, world(), **OPTIONS)
        together = merged(folder / "merged", data.draw(st.permutations(parts)), ids)
        assert without_manifest(together) == without_manifest(one)
        manifest = join_exports([part.paths for part in parts], together.paths, ids, force=True)
        assert one.result.manifest is not None
        for field in ("digest", "totals", "outcomes", "downloads", "files", "source", "assistant_id", "include"):
            assert getattr(manifest, field) == getattr(one.result.manifest, field)


@pytest.mark.parametrize("options", [{"flat": True}, {"assistant_id": "auto"}, {"include": ("runs",)}])
def test_exports_of_another_form(options: dict[str, Any], tmp_path: Path) -> None:
    """Flat, each thread with its own assistant, with runs only."""
    (tmp_path / "one").mkdir()
    one = Export(tmp_path / "one").run_alone(IDS, world(), **options)
    together = merged(tmp_path / "merged", by_shards(tmp_path, IDS, 3, world(), **options), IDS)
    assert without_manifest(together) == without_manifest(one)


def test_an_invalid_id_is_named_by_one_shard(tmp_path: Path) -> None:
    """With its place in the complete list."""
    ids = ["thread_a", "asst_1", "not an id", "thread_b", *(f"run_{number}" for number in range(20))]
    parts = by_shards(tmp_path, ids, 3, world())
    named = sorted((one.place, one.text) for part in parts for one in part.result.invalid)
    assert named == [(2, "asst_1"), (3, "not an id"), *((number + 5, f"run_{number}") for number in range(20))]
    assert [part.result.is_complete for part in parts] == [not part.result.invalid_count for part in parts]


def test_a_shard_without_ids_is_an_empty_export(tmp_path: Path) -> None:
    """It is complete, asks nothing, and can be merged."""
    server = many()
    empty = [number for number in range(8) if not any(Shard(number, 8).has(one) for one in NAMES[:2])]
    part = Export(tmp_path).run_alone(NAMES[:2], server, shard=Shard(empty[0], 8))
    assert (part.result.is_complete, part.rows, server.asked, part.lines) == (True, {}, [], [])
    assert threadkeep.validate(part.paths.out).is_complete
    assert merged(tmp_path / "merged", [part], ()).rows == {}


def test_a_limit_is_of_each_shard(tmp_path: Path) -> None:
    """The first of those that it has."""
    for part, number in zip(by_shards(tmp_path, NAMES, 3, many(), limit=2), range(3), strict=True):
        assert list(part.rows) == list(islice(filter(Shard(number, 3).has, NAMES), 2))


def test_lists_of_done_and_dropped_ids_are_shared(tmp_path: Path) -> None:
    """Every shard takes its own of them: nothing is left out twice, and nothing is added."""
    parts = by_shards(tmp_path, NAMES, 3, many(), done=NAMES[:3], drop=[*NAMES[3:5], "thread_other"])
    rows = {name: outcome for part in parts for name, outcome in part.outcomes.items()}
    assert rows.keys() == set(NAMES[3:])
    assert {name for name, outcome in rows.items() if outcome is Outcome.DROPPED} == set(NAMES[3:5])
    assert all(part.result.is_complete for part in parts)
    together = merged(tmp_path / "merged", parts, NAMES[3:])
    assert list(together.outcomes.items()) == [(name, rows[name]) for name in NAMES[3:]]


def test_a_refresh_of_a_shard(tmp_path: Path) -> None:
    """Asks for the complete threads of the shard again, and for no others."""
    (part, *_) = by_shards(tmp_path, NAMES, 3, many())
    server = many()
    part.run_alone(NAMES, server, shard=Shard(0, 3), refresh=True)
    asked = {path.split("/threads/")[1].split("/")[0] for path in server.asked}
    assert asked == set(filter(Shard(0, 3).has, NAMES))


def test_another_shard_into_the_same_export(tmp_path: Path) -> None:
    """It grows: shards may also follow each other on one machine."""
    export = Export(tmp_path)
    for number in range(3):
        export.run_alone(NAMES, many(), shard=Shard(number, 3))
    assert set(export.rows) == set(NAMES)
    assert export.result.is_complete


def test_a_merged_export_is_resumed(tmp_path: Path) -> None:
    """As any other: what no shard has is asked for, and nothing else."""
    parts = by_shards(tmp_path, NAMES, 3, many())
    export = merged(tmp_path / "merged", parts[:2], NAMES)
    missing = [one for one in NAMES if Shard(2, 3).has(one)]
    assert [one for one in NAMES if export.outcomes[one] is Outcome.UNFINISHED] == missing
    server = many()
    export.run_alone(NAMES, server)
    assert {path.split("/threads/")[1].split("/")[0] for path in server.asked} == set(missing)
    (tmp_path / "one").mkdir()
    one = Export(tmp_path / "one").run_alone(NAMES, many())
    assert without_manifest(export) == without_manifest(one)


def test_what_a_merged_export_was_begun_with(tmp_path: Path) -> None:
    """It is resumed with the assistant "auto" where the parts had several, and refused otherwise."""
    fake = FakeAssistants()
    fake.load({"threads": [{"id": "thread_1"}, {"id": "thread_2"}, {"id": "thread_3"}]})
    parts = []
    for number in (1, 2):
        folder = tmp_path / str(number)
        folder.mkdir()
        parts.append(Export(folder).run_alone([f"thread_{number}"], fake, assistant_id=f"asst_{number}"))
    export = merged(tmp_path / "merged", parts, ())
    assert {name: row.assistant_id for name, row in export.rows.items()} == {
        "thread_1": "asst_1",
        "thread_2": "asst_2",
    }
    with pytest.raises(
        threadkeep.OtherExport, match="was begun with ASSISTANT_ID auto, and not with ASSISTANT_ID asst_1"
    ):
        export.run_alone(["thread_3"], fake, assistant_id="asst_1")
    export.run_alone(["thread_3"], fake, assistant_id="auto")
    assert export.result.is_complete
    assert len(export.rows) == 3


def test_what_threads_lack_after_a_merge_is_fetched(tmp_path: Path) -> None:
    """Where parts were exported with other sidecars: the next export that lists them completes it."""
    parts = []
    for number, kind in enumerate(("threads", "runs")):
        folder = tmp_path / kind
        folder.mkdir()
        parts.append(Export(folder).run_alone([IDS[number]], world(), include=(kind,)))
    export = merged(tmp_path / "merged", parts, IDS[:2])
    assert threadkeep.validate(export.paths.out).counts == {"lost_thread": 2}
    export.run_alone(IDS[:2], world(), include=("threads", "runs"))
    (tmp_path / "one").mkdir()
    one = Export(tmp_path / "one").run_alone(IDS[:2], world(), include=("threads", "runs"))
    assert {name: content for name, content in without_manifest(export).items() if ".old-" not in name} == (
        without_manifest(one)
    )


def test_what_came_from_several_addresses(tmp_path: Path) -> None:
    """Is not resumed from one of them: they may not know the threads of the others."""
    parts = []
    for number, source in enumerate(("http://one/v1", "http://two/v1")):
        folder = tmp_path / str(number)
        folder.mkdir()
        parts.append(Export(folder).run_alone([NAMES[number]], many(), source=source))
    export = merged(tmp_path / "merged", parts, ())
    assert threadkeep.validate(export.paths.out).is_complete
    with pytest.raises(threadkeep.OtherExport, match="was begun with --base-url several addresses, and not with"):
        export.run_alone([NAMES[2]], many(), source="http://one/v1")


def test_shards_from_python(tmp_path: Path) -> None:
    """The same shards as those of the command; what is none is refused before anything is written."""
    with world().mount():
        for number in range(2):
            threadkeep.export(
                list(IDS[:3]),
                "auto",
                tmp_path / f"{number}.ndjson",
                api_key="sk-test",
                base_url="https://api.openai.com/v1",
                shard=(number, 2),
            )
        for wrong in ((2, 2), (-1, 2), (0, 0)):
            with pytest.raises(ValueError, match="shards are numbered from 0"):
                threadkeep.export([], "auto", tmp_path / "wrong", api_key="sk-test", shard=wrong)
        bad: Any
        for bad in ((0,), (0, 1, 2), (0.0, 2), ("0", "2"), "0/2", [0, 2], 1):
            with pytest.raises(TypeError, match="shard"):
                threadkeep.export([], "auto", tmp_path / "wrong", api_key="sk-test", shard=bad)
    found = []
    for number in range(2):
        with threadkeep.read(tmp_path / f"{number}.ndjson") as export:
            found.append({thread.thread_id for thread in export.threads()})
    assert found == [set(filter(Shard(number, 2).has, IDS[:3])) for number in range(2)]
    assert not list(tmp_path.glob("wrong*"))


def test_a_part_that_is_being_exported(tmp_path: Path) -> None:
    """A merge in the middle of it is refused, and the export goes on."""
    refused = []

    def answer(_request: Any, _times: int) -> None:
        with pytest.raises(
            threadkeep.OutputUnusable, match=r"out\.ndjson is being written by process \d+\. Merge when"
        ):
            join_exports([Paths(tmp_path / "out.ndjson")], Paths(tmp_path / "merged.ndjson"))
        refused.append(1)

    export = Export(tmp_path).run_alone(NAMES[:2], Answering(threads_of(**{"0": 1, "1": 1}), answer))
    assert refused
    assert export.result.is_complete
    assert not list(tmp_path.glob("merged*"))


def test_more_parts_than_a_process_may_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only some are open at a time."""
    parts = by_shards(tmp_path, NAMES, 20, many())
    monkeypatch.setattr("resource.getrlimit", lambda _which: (30, 30))
    together = merged(tmp_path / "merged", parts, NAMES)
    (tmp_path / "one").mkdir()
    assert without_manifest(together) == without_manifest(Export(tmp_path / "one").run_alone(NAMES, many()))


def test_a_part_that_is_replaced_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is mixed of what it was and what it is."""
    parts = by_shards(tmp_path, NAMES, 20, many())
    part = next(part for part in parts if part.rows)
    monkeypatch.setattr("resource.getrlimit", lambda _which: (30, 30))

    def ids() -> Any:
        yield from NAMES
        part.run_alone(["thread_more"], many())

    with pytest.raises(threadkeep.OutputUnusable, match="was changed by another program while it was read"):
        join_exports([one.paths for one in parts], Paths(tmp_path / "merged.ndjson"), ids())
    assert not list(tmp_path.glob("merged*"))
