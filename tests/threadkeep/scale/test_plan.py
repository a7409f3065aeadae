"""A plan: every listed id in one shard, in the order in which it was first wanted, whoever was first."""

from hashlib import sha256
from itertools import count
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from obstore.store import MemoryStore

from threadkeep.errors import OtherExport, OutputUnusable
from threadkeep.scale.bucket import Bucket
from threadkeep.scale.plan import MOST_THREADS, make_plan, planned_header, planned_ids, read_plan, shard_size
from threadkeep.scale.plan_objects import PlannedShard, decode_plan, encode_plan
from threadkeep.serialization.lossless_json import dumps, loads
from threadkeep.serialization.thread_ids import ListedId
from threadkeep.storage.index import IndexHeader
from threadkeep.storage.session import ThreadList
from threadkeep.storage.sharding import Shard

EXPORT = "0123456789abcdef" * 2
HEADER = IndexHeader(source="https://api.test/v1", assistant_id="asst_1", flat=False, include=())
IDS = st.lists(st.integers(0, 40).map("thread_{}".format), max_size=60)


def memory() -> Bucket:
    """An empty store."""
    return Bucket("memory:///", MemoryStore())


def planned(store: Bucket) -> list[str]:
    """The ids of a plan."""
    return [one for part in read_plan(store) for shard in part.shards for one in shard.ids]


def listed(*ids: str) -> ThreadList:
    """A list."""
    return ThreadList(ids=map(ListedId, count(1), ids))


@given(st.lists(IDS, min_size=1, max_size=4), st.integers(1, 5))
def test_every_id_is_in_one_shard(lists: list[list[str]], workers: int) -> None:
    """In the order in which it was first wanted, of all lists one after another; names differ."""
    store = memory()
    for ids in lists:
        make_plan(store, HEADER, listed(*ids), workers)
    assert planned(store) == list(dict.fromkeys(one for ids in lists for one in ids))
    assert planned(store) == [*planned_ids(store)]
    names = [shard.name for part in read_plan(store) for shard in part.shards]
    assert len(names) == len({*names})
    before = planned(store)
    again = make_plan(store, HEADER, listed(*(one for ids in lists for one in ids)), workers)
    assert (again.added, planned(store)) == (0, before)


@given(st.integers(1, 100_000), st.integers(1, 200))
def test_a_shard_is_small_enough_for_all_workers(threads: int, workers: int) -> None:
    """Each worker has four shards or more, where there are threads enough."""
    size = shard_size(threads, workers)
    assert 1 <= size <= MOST_THREADS
    assert size == 1 or size * 4 * workers <= threads


@given(st.lists(st.text(min_size=1), min_size=1, unique=True), st.integers(1, 3))
def test_a_plan_is_read_as_it_was_written(ids: list[str], size: int) -> None:
    """Whatever the ids are."""
    shards = [tuple(ids[at : at + size]) for at in range(0, len(ids), size)]
    found = decode_plan(encode_plan(EXPORT, 7, HEADER, shards), "a plan")
    assert (found.header.export_id, found.header.number, found.header.of) == (EXPORT, 7, HEADER)
    assert found.shards == tuple(PlannedShard(EXPORT, HEADER, one) for one in shards)


class Raced(Bucket):
    """A store in which another run is always first."""

    def _create(self, name: str, content: bytes | object) -> bool:
        if name == "plan/000001.ndjson":
            super()._create(name, encode_plan(EXPORT, 1, HEADER, [("thread_b", "thread_x")]))
        return super()._create(name, content)  # type: ignore[arg-type]


def test_who_comes_second_follows_the_plan_of_the_first() -> None:
    """And adds what that does not have."""
    store = Raced("memory:///", MemoryStore())
    make_plan(store, HEADER, listed("thread_a", "thread_b", "thread_c"), 1)
    assert planned(store) == ["thread_b", "thread_x", "thread_a", "thread_c"]


def test_what_narrows_a_list() -> None:
    """--done, --limit and --shard; what cannot be an id is named."""
    store = memory()
    ids = [f"thread_{number}" for number in range(50)]
    shard = Shard(0, 2)
    wanted = ThreadList(ids=map(ListedId, count(1), ["sk-secret", *ids, "a b"]), done=ids[:20], limit=5, shard=None)
    found = make_plan(store, HEADER, wanted, 1)
    assert (found.listed, found.added, found.invalid_count) == (5, 5, 2)
    assert [one.text for one in found.invalid] == ["sk-…", "a b"]
    assert planned(store) == ids[20:25]
    make_plan(store, HEADER, ThreadList(ids=map(ListedId, count(1), ids), shard=shard), 1)
    assert set(planned(store)) == {*ids[20:25], *filter(shard.has, ids)}


def test_assistants_of_the_list_are_planned_for_an_export_of_several() -> None:
    """In an export for one assistant they do not count."""
    wanted = [ListedId(1, "thread_a", "asst_1"), ListedId(2, "thread_b")]
    for assistant_id, named in (("auto", {"thread_a": "asst_1"}), ("asst_x", {})):
        store = memory()
        make_plan(store, msgspec.structs.replace(HEADER, assistant_id=assistant_id), ThreadList(ids=wanted), 1)
        shards = [shard for part in read_plan(store) for shard in part.shards]
        assert {name: one for shard in shards for name, one in shard.assistants.items()} == named


def test_another_export_is_refused() -> None:
    """Nothing of its plan is changed."""
    store = memory()
    make_plan(store, HEADER, listed("thread_a"), 1)
    other = IndexHeader(source=HEADER.source, assistant_id="asst_2", flat=False, include=())
    with pytest.raises(OtherExport, match="with ASSISTANT_ID asst_1, and not"):
        make_plan(store, other, listed("thread_b"), 1)
    assert planned(store) == ["thread_a"]
    assert planned_header(store).of == HEADER


def test_what_is_no_export() -> None:
    """A place with other objects, an empty one, and a damaged plan."""
    store = memory()
    with pytest.raises(OutputUnusable, match="has no plan"):
        planned_header(store)
    store.create("photo.jpg", b"")
    with pytest.raises(OutputUnusable, match="not empty"):
        make_plan(store, HEADER, listed("thread_a"), 1)
    store.create("plan/000001.ndjson", b'{"format":"something-else"}\n')
    with pytest.raises(OutputUnusable, match="no plan of threadkeep"):
        planned_header(store)


def lines_of(content: bytes) -> list[bytes]:
    """The lines of an object, and what is behind the last of them."""
    return content.splitlines(keepends=True)


PLAN = encode_plan(EXPORT, 1, HEADER, [("thread_a", "thread_b"), ("thread_c",), ("thread_d",)])


@given(st.data())
def test_a_plan_that_was_changed_is_refused(data: st.DataObject) -> None:
    """Cut anywhere, with a line less, a line twice, or lines in another order."""
    lines, place = lines_of(PLAN), data.draw(st.integers(0, 3))
    others = data.draw(st.permutations(lines).filter(lambda some: some != lines))
    cut = PLAN[: data.draw(st.integers(0, len(PLAN) - 1))]
    for changed in (cut, b"".join(lines[:place] + lines[place + 1 :]), PLAN + lines[place], b"".join(others)):
        with pytest.raises(OutputUnusable, match=r"a plan is no plan of threadkeep.* Restore the object"):
            decode_plan(changed, "a plan")


def plan_of(rows: list[object], **header: object) -> bytes:
    """An object of a plan that somebody else has written, with the right digest."""
    lines = b"".join(dumps(row) + b"\n" for row in rows)
    first = loads(PLAN.partition(b"\n")[0]) | {"shards": len(rows), "ids": 1, "sha256": sha256(lines).hexdigest()}
    return dumps(first | header) + b"\n" + lines


def row(*ids: object, **more: object) -> dict[str, object]:
    """A line of a shard."""
    return {"name": PlannedShard(EXPORT, HEADER, ids).name, "ids": ids, **more}  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (plan_of([row(1)]), "Expected `str`"),
        (plan_of([row("a", ids="a")]), "Expected `array`"),
        (plan_of([row()]), "length >= 1"),
        (plan_of([row("a", name="../../elsewhere")]), "not those that their names say"),
        (plan_of([row("a"), row("b")]), "as many ids as it says"),
        (plan_of([row("a", "a")], ids=2), "one of them twice"),
        (plan_of([row("a"), row("a")], ids=2), "one of them twice"),
        (plan_of([row("a")], source="https://other.test/v1"), "not those that their names say"),
        (plan_of([row("a")], export_id="../x"), "export_id"),
        (plan_of([row("a")], format="threadkeep-plan/9"), "Invalid enum value"),
        (plan_of([]), ">= 1"),
    ],
)
def test_a_plan_of_somebody_else(content: bytes, words: str) -> None:
    """Types, names and counts are checked, whatever the digest says."""
    assert decode_plan(plan_of([row("a")]), "a plan").shards[0].ids == ("a",)
    with pytest.raises(OutputUnusable, match=words):
        decode_plan(content, "a plan")


def test_a_plan_that_has_lost_an_object() -> None:
    """A gap, an object at another place or of another export, and an id that is planned twice are refused."""
    second, third = (encode_plan(EXPORT, number, HEADER, [(f"thread_{number}",)]) for number in (2, 3))
    other = encode_plan("f" * 32, 2, HEADER, [("thread_x",)])
    twice = encode_plan(EXPORT, 2, HEADER, [("thread_c", "thread_x")])
    for objects, words in (
        ({1: PLAN, 3: third}, r"plan/000002.ndjson is missing, and later ones are there"),
        ({2: second}, r"plan/000001.ndjson is missing"),
        ({1: PLAN, 2: third}, "of another place"),
        ({1: PLAN, 2: other}, "of another export"),
        ({1: PLAN, 2: twice}, "000002.ndjson .*planned twice"),
    ):
        store = memory()
        for number, content in objects.items():
            store.create(f"plan/{number:06}.ndjson", content)
        with pytest.raises(OutputUnusable, match=words):
            [*planned_ids(store)]
        with pytest.raises(OutputUnusable, match=words):
            make_plan(store, HEADER, listed("thread_new"), 1)
        assert len([*store.names()]) == len(objects)


def test_shards_without_a_plan() -> None:
    """Nothing is planned in the place of what was lost; what is no shard does not matter."""
    store = memory()
    make_plan(store, HEADER, listed("thread_a"), 1)
    store.create(f"shards/{'0' * 32}/manifest-0001.json", b"")
    store.create("shards/zzz/manifest-0001.json", b"")
    assert make_plan(store, HEADER, listed("thread_a"), 1).added == 0
    with pytest.raises(OutputUnusable, match=rf"1 shards are in no plan, such as shards/{'0' * 32}. Restore the obj"):
        make_plan(store, HEADER, listed("thread_b"), 1)
    assert planned(store) == ["thread_a"]


class Overwriting(Bucket):
    """A store that does not know of objects that are to be created only once."""

    def _create(self, name: str, content: bytes | Path) -> bool:
        self._store.put(name, content)
        return True


def test_a_store_that_writes_over_objects() -> None:
    """It is refused before anything is planned there; also when it has got the objects of another one."""
    store = Overwriting("memory:///", MemoryStore())
    with pytest.raises(OutputUnusable, match="If-None-Match"):
        make_plan(store, HEADER, listed("thread_a"), 1)
    assert [*read_plan(store)] == []
    store.create("plan/000001.ndjson", PLAN)
    with pytest.raises(OutputUnusable, match="If-None-Match"):
        make_plan(store, HEADER, listed("thread_new"), 1)
    assert make_plan(store, HEADER, listed("thread_a"), 1).added == 0


class Forgetful(Bucket):
    """A store that takes an object and does not have it."""

    def _create(self, name: str, content: bytes | Path) -> bool:
        return name.startswith("plan/0") or super()._create(name, content)


def test_a_plan_is_read_back() -> None:
    """Nothing is exported by a plan that nobody else would find."""
    with pytest.raises(OutputUnusable, match="was put and is not there"):
        make_plan(Forgetful("memory:///", MemoryStore()), HEADER, listed("thread_a"), 1)
