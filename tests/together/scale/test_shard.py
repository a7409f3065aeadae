"""One shard, without an engine: what is put, what is resumed, and what two attempts make of each other."""

from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
from obstore.store import MemoryStore

from exports import ASSISTANT, exported, rows, served
from fake_assistants.demo import demo_world
from scaling import Limited, Run, load
from threadkeep.api.keys import Key
from threadkeep.errors import ApiGone, Interrupted, OutputUnusable, RunEnded
from threadkeep.exporter.events import Event, Notice, ThreadEnded
from threadkeep.scale.bucket import Bucket
from threadkeep.scale.collect import merge_parts
from threadkeep.scale.generations import newest_generation
from threadkeep.scale.object_store import ObjectStore
from threadkeep.scale.plan_objects import PlannedShard, encode_plan
from threadkeep.scale.progress import complete_ids
from threadkeep.scale.shard import Shard, Stop, export_shard, put_fetched
from threadkeep.scale.working_folders import remove_working_folders, working_folders
from threadkeep.serialization.lossless_json import dumps, loads
from threadkeep.storage.index import IndexHeader
from threadkeep.storage.lock import locked
from threadkeep.storage.paths import Paths

KEY = Key("sk-test")
EXPORT = "0123456789abcdef" * 2


@pytest.fixture
def store() -> Bucket:
    """An empty store."""
    return Bucket("memory:///", MemoryStore())


@pytest.fixture
def shard(fake: Limited, run: Run, base_url: str, store: Bucket) -> Shard:
    """A shard of six threads, which is planned."""
    names = tuple(load(fake, run, 6, 250))
    header = IndexHeader(source=base_url, assistant_id=ASSISTANT, flat=False, include=())
    (planned,) = plan(store, 1, header, names)
    return Shard(planned=planned, concurrency=1, max_retries=0)


def plan(store: ObjectStore, number: int, header: IndexHeader, *shards: tuple[str, ...]) -> list[PlannedShard]:
    """Put an object of a plan."""
    store.create(f"plan/{number:06}.ndjson", encode_plan(EXPORT, number, header, shards))
    return [PlannedShard(EXPORT, header, ids) for ids in shards]


def collected(store: Bucket, run: Run, name: str = "out.ndjson") -> Path:
    """The export of a prefix."""
    merge_parts([store], Paths(run.folder / name))
    return run.folder / name


def test_a_shard_is_exported_once(fake: Limited, run: Run, shard: Shard, store: Bucket) -> None:
    """The second time it is only looked at; the objects are named by their digests, and the working folder is gone."""
    seen: list[Event] = []
    result = export_shard(shard, KEY, store, work=run.folder / "work", on_event=seen.append)
    assert (result.outcomes or {})["complete"] == 6
    assert (result.messages, result.is_complete, result.requests) == (1500, True, len(fake.asked))
    assert sum(isinstance(event, ThreadEnded) for event in seen) == 6
    sent, names = len(fake.asked), sorted(store.names())
    again = export_shard(shard, KEY, store, work=run.folder / "work")
    assert (again.is_complete, again.requests, len(fake.asked)) == (True, 0, sent)
    assert sorted(store.names()) == names
    assert [path for path in (run.folder / "work").rglob("*") if path.is_file()] == []
    assert exported(collected(store, run)) == served(fake)


def test_what_is_not_complete_is_done_again(fake: Limited, run: Run, shard: Shard, store: Bucket) -> None:
    """As the next generation, which begins with what the one before has; a missing thread changes nothing."""
    names = shard.planned.ids
    store = Bucket(store.url, MemoryStore())
    (planned,) = plan(store, 1, shard.planned.header, (*names, "thread_missing"))
    wanted = attrs.evolve(shard, planned=planned)
    work = run.folder / "work"
    fake.before(lambda: fake.sunset.now(), nth=8)
    first = export_shard(wanted, KEY, store, work=work)
    assert isinstance(first.ended_by, ApiGone)
    assert 0 < (first.outcomes or {})["complete"] < 6
    fake.sunset.follow(None)
    second = export_shard(wanted, KEY, store, work=run.folder / "another machine")
    assert ((second.outcomes or {})["complete"], second.ended_by, second.is_complete) == (6, None, False)
    asked = [request.path.split("/")[3] for request in fake.asked if request.asked("after") is None]
    assert max(map(asked.count, names)) <= 2
    assert asked.count(names[0]) == 1
    third = export_shard(wanted, KEY, store, work=work)
    assert third.outcomes == second.outcomes
    newest = newest_generation(store, planned)
    assert newest is not None
    assert newest.number == 2
    assert exported(collected(store, run)) == served(fake)


def test_nothing_is_put_of_a_shard_without_anything(fake: Limited, run: Run, shard: Shard, store: Bucket) -> None:
    """A refused key leaves no generation behind."""
    fake.refused = {KEY.secret}
    result = export_shard(shard, KEY, store, work=run.folder / "work")
    assert isinstance(result.ended_by, RunEnded)
    assert result.outcomes is None
    assert newest_generation(store, shard.planned) is None


@pytest.mark.parametrize("is_gone", [False, True])
def test_a_stop(fake: Limited, run: Run, shard: Shard, store: Bucket, is_gone: bool) -> None:
    """What was fetched stays in the working folder; when the API is gone, it is put into the store."""
    stop, work = Stop(), run.folder / "work"
    fake.before(lambda: stop.set(is_gone=is_gone), nth=8)
    slow = attrs.evolve(shard, rpm=600)
    result = export_shard(slow, KEY, store, work=work, stop=stop)
    assert isinstance(result.ended_by, ApiGone if is_gone else Interrupted)
    assert (newest_generation(store, shard.planned) is not None) is is_gone
    stopped = Stop()
    stopped.set()
    assert isinstance(export_shard(shard, KEY, store, work=work, stop=stopped).ended_by, Interrupted)
    sent = len(fake.asked)
    assert export_shard(shard, KEY, store, work=work).is_complete
    assert len(fake.asked) - sent <= 18 - 4
    assert exported(collected(store, run)) == served(fake)


def test_what_was_fetched_is_put_without_a_request(fake: Limited, run: Run, shard: Shard, store: Bucket) -> None:
    """By whoever finds the folder, once; a folder in which somebody is at work stays as it is."""
    work, stop = run.folder / "work", Stop()
    fake.before(stop.set, nth=8)
    export_shard(attrs.evolve(shard, rpm=600), KEY, store, work=work, stop=stop)
    assert newest_generation(store, shard.planned) is None
    sent, ((folder,),) = len(fake.asked), working_folders(work).values()
    with locked(folder.with_name(f"{folder.name}.lock")):
        assert put_fetched(shard, store, folder) is None
    put = put_fetched(shard, store, folder)
    assert put is not None
    assert (put.outcomes or {})["complete"] > 0
    assert (working_folders(work), put_fetched(shard, store, folder)) == ({}, None)
    assert len(fake.asked) == sent
    assert export_shard(shard, KEY, store, work=work).is_complete
    folder.mkdir()  # as one that another machine has finished
    put = put_fetched(shard, store, folder)
    assert put is not None
    assert put.is_complete
    assert working_folders(work) == {}
    folder.mkdir()
    nothing = put_fetched(
        attrs.evolve(shard, planned=PlannedShard("f" * 32, shard.planned.header, shard.planned.ids)), store, folder
    )
    assert nothing is not None
    assert nothing.outcomes is None
    assert exported(collected(store, run)) == served(fake)


class Late(Bucket):
    """A store that shows no manifest of another attempt, until it has refused to create one of the same name."""

    seen = False

    def sizes(self, below: str = "") -> Iterator[tuple[str, int]]:
        """Hide them."""
        return (one for one in super().sizes(below) if self.seen or "manifest-" not in one[0])

    def _create(self, name: str, content: bytes | Path) -> bool:
        is_created = super()._create(name, content)
        Late.seen = self.seen or not is_created
        return is_created


def test_two_attempts_that_know_nothing_of_each_other(
    fake: Limited, run: Run, shard: Shard, store: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each finds other threads. What either has is in the generation that counts."""
    monkeypatch.setattr(Late, "seen", False)
    fake.hidden = {*shard.planned.ids[2:]}
    assert not export_shard(shard, KEY, store, work=run.folder / "work").is_complete
    fake.hidden = {*shard.planned.ids} - {*shard.planned.ids[2:4]}
    late = Late(store.url, store._store)
    result = export_shard(shard, KEY, late, work=run.folder / "another machine")
    assert (result.outcomes or {})["complete"] == 4
    newest = newest_generation(store, shard.planned)
    assert newest is not None
    assert newest.sound is not None
    assert (newest.number, newest.sound.outcomes["complete"]) == (2, 4)
    complete = [name for name, row in rows(collected(store, run)).items() if row["outcome"] == "complete"]
    assert complete == [*shard.planned.ids[:4]]


def test_downloads_and_sidecars(fake: Limited, run: Run, base_url: str, store: Bucket) -> None:
    """They are objects too, and files may be asked for later."""
    fake.load(demo_world(3, 4))
    names = tuple(thread["id"] for thread in fake.snapshot()["threads"])
    header = IndexHeader(source=base_url, assistant_id="auto", flat=False, include=("threads", "runs"))
    (planned,) = plan(store, 1, header, names)
    shard = Shard(planned=planned)
    work = run.folder / "work"
    assert export_shard(shard, KEY, store, work=work).is_complete
    sent = len(fake.asked)
    export_shard(attrs.evolve(shard, files=True), KEY, store, work=work)
    assert {request.path.split("/")[2] for request in fake.asked[sent:]} <= {"files"}
    out = collected(store, run)
    assert exported(out) == served(fake)
    assert (run.folder / "out.ndjson.runs").exists()
    assert (run.folder / "out.ndjson.downloads").exists()


def test_damaged_objects_are_named(fake: Limited, run: Run, shard: Shard, store: Bucket) -> None:
    """All that there are, in all shards: changed ones of the same size, and missing ones. Nothing is left."""
    fake.load({"threads": [{"id": "thread_more"}]})
    (planned,) = plan(store, 2, shard.planned.header, ("thread_more",))
    more = attrs.evolve(shard, planned=planned)
    for one in (shard, more):
        assert export_shard(one, KEY, store, work=run.folder / "work").is_complete
    changed = next(name for name in store.names() if name.startswith(f"shards/{shard.name}/") and name.endswith(".out"))
    store._store.put(changed, (store.get(changed) or b"").swapcase())
    with pytest.raises(OutputUnusable, match=rf"memory:///: {changed} is damaged\. Remove"):
        collected(store, run)
    gone = next(name for name in store.names() if name.startswith(f"shards/{more.name}/") and name.endswith(".index"))
    store._store.delete(gone)
    with pytest.raises(OutputUnusable, match=rf"{changed} is damaged, {gone} is missing\. Remove"):
        collected(store, run)
    assert [*run.folder.glob("out.ndjson*"), *run.folder.glob(".threadkeep-*")] == []


def test_a_shard_that_was_not_put_counts_as_not_asked_for(run: Run, shard: Shard, store: Bucket) -> None:
    """Without any shard there is nothing to merge; the place of its threads is that in the list."""
    with pytest.raises(OutputUnusable, match="no finished shard yet"):
        collected(store, run)
    _, last = plan(store, 2, shard.planned.header, ("thread_late",), ("thread_last",))
    for one in (shard, attrs.evolve(shard, planned=last)):
        export_shard(one, KEY, store, work=run.folder / "work")
    found = rows(collected(store, run))
    assert [*found] == [*shard.planned.ids, "thread_late", "thread_last"]
    assert (found["thread_late"]["outcome"], found["thread_last"]["outcome"]) == ("unfinished", "missing")


def objects(store: Bucket, shard: Shard, ending: str) -> list[str]:
    """The objects of a shard with this ending."""
    return sorted(name for name in store.names(f"shards/{shard.name}") if name.endswith(ending))


@pytest.mark.parametrize("ending", [".out", ".index", "manifest-0001.json"])
@pytest.mark.parametrize("length", [None, 0, 10])
def test_a_damaged_generation_is_fetched_again(
    fake: Limited, run: Run, shard: Shard, store: Bucket, ending: str, length: int | None
) -> None:
    """An object that is gone or cut is seen without reading it; what comes of the next attempt is complete."""
    assert export_shard(shard, KEY, store, work=run.folder / "work").is_complete
    (name,) = objects(store, shard, ending)
    content = store.get(name) or b""
    store._store.delete(name)
    if length is not None:
        store._store.put(name, content[:length])
    found = newest_generation(store, shard.planned)
    assert found is None or not found.is_done(files=False)
    if found is not None:
        with pytest.raises(OutputUnusable, match=f"{name} is .*Remove what is damaged"):
            collected(store, run)
    seen: list[Event] = []
    assert export_shard(shard, KEY, store, work=run.folder / "work", on_event=seen.append).is_complete
    notices = [one.text for one in seen if isinstance(one, Notice)]
    assert [name in text and "are fetched again" in text for text in notices] == [True] * (found is not None)
    assert exported(collected(store, run)) == served(fake)


def test_damage_that_only_a_digest_shows(fake: Limited, run: Run, shard: Shard, store: Bucket) -> None:
    """An incomplete generation of which an object was changed is not resumed."""
    fake.hidden = {shard.planned.ids[-1]}
    assert not export_shard(shard, KEY, store, work=run.folder / "work").is_complete
    (name,) = objects(store, shard, ".out")
    store._store.put(name, (store.get(name) or b"").swapcase())
    assert not export_shard(shard, KEY, store, work=run.folder / "work").is_complete
    assert sorted(rows(collected(store, run))) == sorted(shard.planned.ids)
    fake.hidden = set()
    assert export_shard(shard, KEY, store, work=run.folder / "work").is_complete
    assert exported(collected(store, run, "again.ndjson")) == served(fake)


def test_a_marker_of_another_shard(fake: Limited, run: Run, shard: Shard, store: Bucket) -> None:
    """The objects of a shard that are put in the place of another count for nothing, nor do foreign markers."""
    fake.load({"threads": [{"id": "thread_more"}]})
    (planned,) = plan(store, 2, shard.planned.header, ("thread_more",))
    more = attrs.evolve(shard, planned=planned)
    for one in (shard, more):
        assert export_shard(one, KEY, store, work=run.folder / "work").is_complete
    for name in ("shards/zzz/manifest-0001.json", f"shards/{more.name}/manifest-00002.json"):
        store.create(name, b"{}")
    assert exported(collected(store, run)) == served(fake)
    for name in [*store.names(f"shards/{shard.name}")]:
        target = name.replace(shard.name, more.name)
        store._store.put(target, store.get(name) or b"")
    with pytest.raises(OutputUnusable, match=f"shards/{more.name}/manifest-0001.json is damaged: it is of another"):
        collected(store, run)
    with pytest.raises(OutputUnusable, match="it is of another shard"):
        list(complete_ids(store))
    assert export_shard(more, KEY, store, work=run.folder / "work").is_complete
    assert sorted(rows(collected(store, run, "again.ndjson"))) == sorted([*shard.planned.ids, "thread_more"])


def test_a_manifest_of_another_export(run: Run, shard: Shard, store: Bucket) -> None:
    """A marker that names this shard, and a manifest for another assistant or without an object, is damaged."""
    assert export_shard(shard, KEY, store, work=run.folder / "work").is_complete
    (name,) = objects(store, shard, "manifest-0001.json")
    marker = loads(store.get(name) or b"")
    some = next(iter(marker["objects"]))
    for changed in (
        {"manifest": marker["manifest"] | {"assistant_id": "asst_other"}},
        {"manifest": marker["manifest"] | {"totals": {"threads": 5, "messages": 0, "partial_messages": 0}}},
        {"objects": {one: size for one, size in marker["objects"].items() if one != some}},
        {"objects": marker["objects"] | {"../../x": 0}},
        {"manifest": marker["manifest"] | {"files": {}}},
    ):
        store._store.put(name, dumps(marker | changed))
        found = newest_generation(store, shard.planned)
        assert found is not None
        assert found.sound is None, changed


def test_an_index_of_other_threads(run: Run, shard: Shard, store: Bucket) -> None:
    """A merge compares the threads with those that are planned, though all digests are right."""
    ids = (*shard.planned.ids[:-1], "thread_other")
    other = Bucket(store.url, MemoryStore())
    (planned,) = plan(other, 1, shard.planned.header, ids)
    export_shard(Shard(planned=planned), KEY, other, work=run.folder / "work")
    for name in [*other.names("shards")]:
        content = (other.get(name) or b"").replace(planned.name.encode(), shard.name.encode())
        store.create(name.replace(planned.name, shard.name), content)
    with pytest.raises(OutputUnusable, match="is damaged: its shard has other threads than are"):
        collected(store, run)
    with pytest.raises(OutputUnusable, match="has other threads than are planned"):
        list(complete_ids(store))


def test_a_store_that_is_not_that_of_the_plan(fake: Limited, run: Run, shard: Shard, store: Bucket) -> None:
    """A folder of this machine that has the same path is refused, without a request."""
    elsewhere = Bucket(store.url, MemoryStore())
    with pytest.raises(OutputUnusable, match="on this machine has another plan, or none"):
        export_shard(shard, KEY, elsewhere, work=run.folder / "work")
    elsewhere.create("plan/000001.ndjson", encode_plan("f" * 32, 1, shard.planned.header, [shard.planned.ids]))
    with pytest.raises(OutputUnusable, match="Every worker must reach the folder in which the export was planned"):
        export_shard(shard, KEY, elsewhere, work=run.folder / "work")
    assert not fake.asked


def test_an_export_that_is_begun_anew(fake: Limited, run: Run, shard: Shard, store: Bucket) -> None:
    """The working folder of the earlier one is not taken: threads may have grown."""
    stop = Stop()
    fake.before(stop.set, nth=10)
    assert export_shard(attrs.evolve(shard, rpm=600), KEY, store, work=run.folder / "work", stop=stop).outcomes is None
    assert [*working_folders(run.folder / "work")] == [shard.name]
    fake.load({"messages": [{"id": "msg_late", "thread_id": shard.planned.ids[0], "role": "user", "content": []}]})
    anew = Bucket(store.url, MemoryStore())
    anew.create("plan/000001.ndjson", encode_plan("f" * 32, 1, shard.planned.header, [shard.planned.ids]))
    planned = PlannedShard("f" * 32, shard.planned.header, shard.planned.ids)
    assert export_shard(Shard(planned=planned), KEY, anew, work=run.folder / "work").is_complete
    assert exported(collected(anew, run)) == served(fake)


def test_what_is_left_in_working_folders(fake: Limited, run: Run, shard: Shard, store: Bucket) -> None:
    """It can be put without a request; of shards that are complete it is removed, but where an attempt is at work."""
    work, stop = run.folder / "work", Stop()
    assert working_folders(work) == {}
    fake.before(stop.set, nth=10)
    assert export_shard(attrs.evolve(shard, rpm=600), KEY, store, work=work, stop=stop).outcomes is None
    (folder,) = working_folders(work)[shard.name]
    sent = len(fake.asked)
    with locked(folder.with_name(f"{folder.name}.lock")):
        assert put_fetched(shard, store, folder) is None
        remove_working_folders([shard.name], work)
    assert folder.exists()
    result = put_fetched(shard, store, folder)
    assert result is not None
    assert 0 < (result.outcomes or {})["complete"] < 6
    assert (len(fake.asked), folder.exists(), put_fetched(shard, store, folder)) == (sent, False, None)
    for name in (shard.name, f"{shard.name}.2", f"{shard.name}.2.fetched", "0" * 32):
        (work / name).mkdir()
    empty = put_fetched(shard, store, work / shard.name)
    assert empty is not None
    assert empty.outcomes is None
    assert export_shard(shard, KEY, store, work=run.folder / "another machine").is_complete
    (work / shard.name).mkdir(exist_ok=True)
    complete = put_fetched(shard, store, work / shard.name)
    assert complete is not None
    assert complete.is_complete
    remove_working_folders([shard.name], work)
    assert sorted(path.name for path in work.iterdir()) == ["0" * 32]
