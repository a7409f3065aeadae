"""Whatever becomes of an object of a prefix: nothing of the merged export is ever lost or doubled without a word."""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import attrs
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from obstore.store import MemoryStore

from exports import ASSISTANT, rows
from scaling import Limited
from threadkeep.api.keys import Key
from threadkeep.errors import OutputUnusable
from threadkeep.scale.bucket import Bucket
from threadkeep.scale.collect import merge_parts
from threadkeep.scale.generations import newest_generations
from threadkeep.scale.plan import make_plan
from threadkeep.scale.progress import prefix_state
from threadkeep.scale.shard import Shard, export_shard
from threadkeep.scale.validation import validated_prefix
from threadkeep.serialization.thread_ids import ListedId
from threadkeep.storage.index import IndexHeader
from threadkeep.storage.paths import Paths
from threadkeep.storage.session import ThreadList
from threadkeep.validation.findings import Severity
from threadkeep.validation.report import ValidationReport

NAMES = [f"thread_{number}" for number in range(6)]
KEY = Key("sk-test")
Objects = dict[str, bytes]


@attrs.frozen
class Merged:
    """A merged export: its files, whether it is complete, and the outcomes of all threads."""

    out: bytes
    index: bytes
    is_complete: bool
    outcomes: dict[str, str]


@attrs.frozen
class World:
    """An API, the objects of two exports of the same threads, of which the foreign one is older, and the merged one."""

    url: str
    objects: Objects
    foreign: Objects
    merged: Merged

    def export(self, store: Bucket, work: Path, names: Sequence[str] = NAMES) -> None:
        """Plan what is not planned, and export what is not done."""
        header = IndexHeader(source=self.url, assistant_id=ASSISTANT, flat=False, include=("threads",))
        make_plan(store, header, ThreadList(ids=map(ListedId, count(1), names)), 1)
        for planned, found in list(newest_generations(store)):
            if found is None or not found.is_done(files=False):
                export_shard(Shard(planned=planned, max_retries=0), KEY, store, work=work)


def stored(objects: Objects) -> Bucket:
    """A store with these objects."""
    store = Bucket("memory:///", MemoryStore())
    for name, content in objects.items():
        store.create(name, content)
    return store


def objects_in(store: Bucket) -> Objects:
    """All objects of a store."""
    return {name: store.get(name) or b"" for name in sorted(store.names())}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Two objects of a plan, each with shards; one of these is of the second generation."""
    fake, work = Limited(), tmp_path_factory.mktemp("work")
    fake.load({"threads": [{"id": name} for name in NAMES]})
    for name in NAMES:
        messages = [{"id": f"msg_{name}_{number}", "thread_id": name, "role": "user"} for number in range(2)]
        fake.load({"messages": [one | {"content": []} for one in messages]})
    with fake.serve() as server:
        world, made = World(server.base_url, {}, {}, Merged(b"", b"", False, {})), list[Objects]()
        for _ in range(2):
            store = stored({})
            fake.hidden = {NAMES[1]}
            world.export(store, work, NAMES[:4])
            fake.hidden = set()
            world.export(store, work)
            made.append(objects_in(store))
            fake.load({"messages": [{"id": "msg_late", "thread_id": NAMES[0], "role": "user", "content": []}]})
        foreign, objects = made
        yield World(server.base_url, objects, foreign, merged(stored(objects)))


def merged(store: Bucket) -> Merged:
    """The export of a store."""
    with TemporaryDirectory() as folder:
        out = Paths(Path(folder) / "out.ndjson")
        manifest = merge_parts([store], out)
        outcomes = {name: row["outcome"] for name, row in rows(out.out).items()}
        return Merged(out.out.read_bytes(), out.index.read_bytes(), manifest.is_complete, outcomes)


def lines_changed(content: bytes, kind: str, first: int, second: int) -> bytes:
    """One line is removed, doubled or changed for another."""
    lines = content.splitlines(keepends=True)
    if lines:
        first, second = first % len(lines), second % len(lines)
        if kind == "swapped":
            lines[first], lines[second] = lines[second], lines[first]
        else:
            lines[first : first + 1] = [lines[first]] * (0 if kind == "removed" else 2)
    return b"".join(lines)


def shards_of(objects: Objects) -> list[str]:
    """The folders of shards."""
    return sorted({name.rpartition("/")[0] for name in objects if name.startswith("shards/")})


@st.composite
def changes(draw: st.DrawFn, world: World) -> Objects:
    """The objects of a prefix, of which one is changed, or two are swapped, or something takes the place of another."""
    objects, places = dict(world.objects), st.integers(0, 30)
    everything = {**world.foreign, **world.objects}
    name = draw(st.sampled_from([*objects]))
    match draw(st.sampled_from(["cut", "removed", "doubled", "swapped", "gone", "swap", "copy", "folder"])):
        case "cut":
            objects[name] = objects[name][: draw(st.integers(0, max(0, len(objects[name]) - 1)))]
        case "removed" | "doubled" | "swapped" as kind:
            objects[name] = lines_changed(objects[name], kind, draw(places), draw(places))
        case "gone":
            del objects[name]
        case "swap":
            other = draw(st.sampled_from([*objects]))
            objects[name], objects[other] = objects[other], objects[name]
        case "copy":
            later = name.replace("0002.", "0003.").replace("0001.", "0002.")
            objects[draw(st.sampled_from([name, later]))] = everything[draw(st.sampled_from([*everything]))]
        case "folder":
            source, target = draw(st.sampled_from(shards_of(everything))), draw(st.sampled_from(shards_of(objects)))
            moved = {name: content for name, content in everything.items() if name.startswith(f"{source}/")}
            objects = {name: content for name, content in objects.items() if not name.startswith(f"{target}/")}
            objects |= {f"{target}{name.removeprefix(source)}": content for name, content in moved.items()}
    return objects


@given(st.data())
def test_a_merge_is_the_same_or_says_what_is_missing(world: World, data: st.DataObject) -> None:
    """Or it is refused. No thread is lost or there twice, and none has the lines of another export."""
    store = stored(data.draw(changes(world)))
    try:
        found = merged(store)
    except OutputUnusable:
        event("refused")
        return
    event(f"complete: {found.is_complete}")
    assert [*found.outcomes] == NAMES
    if found.is_complete:
        assert found == world.merged
    else:
        assert {*found.out.splitlines()} < {*world.merged.out.splitlines()}
        state = prefix_state(store)
        assert not state.is_complete
        assert state.outcomes["complete"] == [*found.outcomes.values()].count("complete")


def validated(store: Bucket) -> ValidationReport:
    """The report of a store."""
    with TemporaryDirectory() as folder:
        return validated_prefix(store, Path(folder) / "out.ndjson", most=100).report


@given(st.data())
def test_validate_names_what_is_wrong(world: World, data: st.DataObject) -> None:
    """Of every change that a merge refuses, or misses something for, there is a finding, and never an error."""
    objects = data.draw(changes(world))
    store = stored(objects)
    report = validated(store)
    event(f"complete: {report.is_complete}")
    assert sum(report.severities.values()) == sum(report.counts.values())
    places = {one.file for one in report if one.file is not None and one.file.startswith(("plan/", "shards/"))}
    for one in report:
        if one.code in ("file_mismatch", "lost_file", "unreadable_manifest") and one.file in objects:
            assert objects[one.file] != world.objects.get(one.file)
    try:
        found = merged(store)
    except OutputUnusable:
        assert not report.is_complete
        assert places
    else:
        assert report.is_complete == found.is_complete
        assert report.outcomes == {**dict.fromkeys(report.outcomes or {}, 0), **Counter(found.outcomes.values())}


@settings(max_examples=40)
@given(st.data())
def test_what_validate_says_repairs_what_was_changed(world: World, data: st.DataObject) -> None:
    """Damaged objects are removed, and the same is exported again. Only the plan has to be restored from a backup."""
    objects = data.draw(changes(world))
    report = validated(stored(objects))
    remedies = {one.message.partition(". ")[2] for one in report if one.severity is Severity.ERROR}
    if any("Restore the object" in remedy for remedy in remedies):
        event("restored")
        changed = [name for name in objects if name.startswith("plan/")]
        objects = {name: one for name, one in objects.items() if name not in changed}
        objects |= {name: one for name, one in world.objects.items() if name.startswith("plan/")}
        objects = {
            name: one for name, one in objects.items() if not name.startswith("shards/") or name in world.objects
        }
        report = validated(stored(objects))
    for one in report:
        if one.code == "file_mismatch" and one.file is not None:
            del objects[one.file]
    store = stored(objects)
    with TemporaryDirectory() as work:
        world.export(store, Path(work))
    assert merged(store) == world.merged
    assert validated(store).is_complete
