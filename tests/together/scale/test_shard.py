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
from threadkeep.exporter.events import Event, ThreadEnded
from threadkeep.scale.collect import merge_parts
from threadkeep.scale.object_store import Bucket
from threadkeep.scale.plan import encode_plan
from threadkeep.scale.shard import Shard, Stop, export_shard, newest_generation, put_fetched, working_folders
from threadkeep.storage.index import IndexHeader
from threadkeep.storage.lock import locked
from threadkeep.storage.paths import Paths

KEY = Key("sk-test")


@pytest.fixture
def store() -> Bucket:
    """An empty store."""
    return Bucket("memory:///", MemoryStore())


@pytest.fixture
def shard(fake: Limited, run: Run, base_url: str, store: Bucket) -> Shard:
    """A shard of six threads, which is planned."""
    names = tuple(load(fake, run, 6, 250))
    header = IndexHeader(source=base_url, assistant_id=ASSISTANT, flat=False, include=())
    store.create("plan/000001.ndjson", encode_plan(1, header, [names]))
    return Shard(name="000001-0001", ids=names, header=header, concurrency=1, max_retries=0)


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
    wanted = attrs.evolve(shard, ids=(*shard.ids, "thread_missing"))
    work = run.folder / "work"
    fake.before(lambda: fake.sunset.now(), nth=8)
    first = export_shard(wanted, KEY, store, work=work)
    assert isinstance(first.ended_by, ApiGone)
    assert 0 < (first.outcomes or {})["complete"] < 6
    fake.sunset.follow(None)
    second = export_shard(wanted, KEY, store, work=run.folder / "another machine")
    assert ((second.outcomes or {})["complete"], second.ended_by, second.is_complete) == (6, None, False)
    asked = [request.path.split("/")[3] for request in fake.asked if request.asked("after") is None]
    assert max(map(asked.count, shard.ids)) <= 2
    assert asked.count(shard.ids[0]) == 1
    third = export_shard(wanted, KEY, store, work=work)
    assert third.outcomes == second.outcomes
    newest = newest_generation(store, shard.name)
    assert newest is not None
    assert newest.number == 2
    assert exported(collected(store, run)) == served(fake)


def test_nothing_is_put_of_a_shard_without_anything(fake: Limited, run: Run, shard: Shard, store: Bucket) -> None:
    """A refused key leaves no generation behind."""
    fake.refused = {KEY.secret}
    result = export_shard(shard, KEY, store, work=run.folder / "work")
    assert isinstance(result.ended_by, RunEnded)
    assert result.outcomes is None
    assert newest_generation(store, shard.name) is None


@pytest.mark.parametrize("is_gone", [False, True])
def test_a_stop(fake: Limited, run: Run, shard: Shard, store: Bucket, is_gone: bool) -> None:
    """What was fetched stays in the working folder; when the API is gone, it is put into the store."""
    stop, work = Stop(), run.folder / "work"
    fake.before(lambda: stop.set(is_gone=is_gone), nth=8)
    slow = attrs.evolve(shard, rpm=600)
    result = export_shard(slow, KEY, store, work=work, stop=stop)
    assert isinstance(result.ended_by, ApiGone if is_gone else Interrupted)
    assert (newest_generation(store, shard.name) is not None) is is_gone
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
    assert newest_generation(store, shard.name) is None
    sent, ((folder,),) = len(fake.asked), working_folders(store, work).values()
    with locked(folder.with_name(f"{folder.name}.lock")):
        assert put_fetched(shard, store, folder) is None
    put = put_fetched(shard, store, folder)
    assert put is not None
    assert (put.outcomes or {})["complete"] > 0
    assert (working_folders(store, work), put_fetched(shard, store, folder)) == ({}, None)
    assert len(fake.asked) == sent
    assert export_shard(shard, KEY, store, work=work).is_complete
    folder.mkdir()  # as one that another machine has finished
    put = put_fetched(shard, store, folder)
    assert put is not None
    assert put.is_complete
    assert working_folders(store, work) == {}
    folder.mkdir()
    nothing = put_fetched(attrs.evolve(shard, name="000002-0001"), store, folder)
    assert nothing is not None
    assert nothing.outcomes is None
    assert exported(collected(store, run)) == served(fake)


class Late(Bucket):
    """A store that shows no manifest of another attempt, until it has refused to create one of the same name."""

    seen = False

    def names(self, below: str = "") -> Iterator[str]:
        """Hide them."""
        return (name for name in super().names(below) if self.seen or "manifest-" not in name)

    def _create(self, name: str, content: bytes | Path) -> bool:
        is_created = super()._create(name, content)
        Late.seen = self.seen or not is_created
        return is_created


def test_two_attempts_that_know_nothing_of_each_other(
    fake: Limited, run: Run, shard: Shard, store: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each finds other threads. What either has is in the generation that counts."""
    monkeypatch.setattr(Late, "seen", False)
    fake.hidden = {*shard.ids[2:]}
    assert not export_shard(shard, KEY, store, work=run.folder / "work").is_complete
    fake.hidden = {*shard.ids} - {*shard.ids[2:4]}
    late = Late(store.url, store._store)
    result = export_shard(shard, KEY, late, work=run.folder / "another machine")
    assert (result.outcomes or {})["complete"] == 4
    newest = newest_generation(store, shard.name)
    assert newest is not None
    assert (newest.number, newest.manifest.outcomes["complete"]) == (2, 4)
    complete = [name for name, row in rows(collected(store, run)).items() if row["outcome"] == "complete"]
    assert complete == [*shard.ids[:4]]


def test_downloads_and_sidecars(fake: Limited, run: Run, base_url: str, store: Bucket) -> None:
    """They are objects too, and files may be asked for later."""
    fake.load(demo_world(3, 4))
    names = tuple(thread["id"] for thread in fake.snapshot()["threads"])
    header = IndexHeader(source=base_url, assistant_id="auto", flat=False, include=("threads", "runs"))
    store.create("plan/000001.ndjson", encode_plan(1, header, [names]))
    shard = Shard(name="000001-0001", ids=names, header=header)
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
    more = attrs.evolve(shard, name="000002-0001", ids=("thread_more",))
    store.create("plan/000002.ndjson", encode_plan(2, shard.header, [more.ids]))
    for one in (shard, more):
        assert export_shard(one, KEY, store, work=run.folder / "work").is_complete
    changed = next(name for name in store.names() if name.startswith("shards/000001-0001/") and name.endswith(".out"))
    store._store.put(changed, (store.get(changed) or b"").swapcase())
    with pytest.raises(OutputUnusable, match=rf"memory:///: objects are damaged or missing: {changed}\. Remove"):
        collected(store, run)
    gone = next(name for name in store.names() if name.startswith("shards/000002-0001/") and name.endswith(".index"))
    store._store.delete(gone)
    with pytest.raises(OutputUnusable, match=rf"damaged or missing: {changed}, {gone}\. Remove"):
        collected(store, run)
    assert [*run.folder.glob("out.ndjson*"), *run.folder.glob(".threadkeep-*")] == []


def test_a_shard_that_was_not_put_counts_as_not_asked_for(run: Run, shard: Shard, store: Bucket) -> None:
    """Without any shard there is nothing to merge; the place of its threads is that in the list."""
    with pytest.raises(OutputUnusable, match="no finished shard yet"):
        collected(store, run)
    late = attrs.evolve(shard, name="000002-0001", ids=("thread_late",))
    store.create("plan/000002.ndjson", encode_plan(2, shard.header, [late.ids, shard.ids[:0], ("thread_last",)]))
    last = attrs.evolve(shard, name="000002-0003", ids=("thread_last",))
    for one in (shard, last):
        export_shard(one, KEY, store, work=run.folder / "work")
    found = rows(collected(store, run))
    assert [*found] == [*shard.ids, "thread_late", "thread_last"]
    assert (found["thread_late"]["outcome"], found["thread_last"]["outcome"]) == ("unfinished", "missing")
