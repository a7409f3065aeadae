"""A plan: every listed id in one shard, in the order in which it was first wanted, whoever was first."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from obstore.store import MemoryStore

from threadkeep.errors import OtherExport, OutputUnusable
from threadkeep.scale.object_store import Bucket
from threadkeep.scale.plan import (
    MOST_THREADS,
    PlannedShard,
    decode_plan,
    encode_plan,
    make_plan,
    planned_header,
    planned_ids,
    read_plan,
    shard_size,
)
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
    return ThreadList(ids=enumerate(ids, 1))


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
    wanted = ThreadList(ids=enumerate(["sk-secret", *ids, "a b"], 1), done=ids[:20], limit=5, shard=None)
    found = make_plan(store, HEADER, wanted, 1)
    assert (found.listed, found.added, found.invalid_count) == (5, 5, 2)
    assert [one.text for one in found.invalid] == ["sk-…, a key", "a b"]
    assert planned(store) == ids[20:25]
    make_plan(store, HEADER, ThreadList(ids=enumerate(ids, 1), shard=shard), 1)
    assert set(planned(store)) == {*ids[20:25], *filter(shard.has, ids)}


def test_another_export_is_refused() -> None:
    """Nothing of its plan is changed."""
    store = memory()
    make_plan(store, HEADER, listed("thread_a"), 1)
    other = IndexHeader(source=HEADER.source, assistant_id="asst_2", flat=False, include=())
    with pytest.raises(OtherExport, match="assistant_id 'asst_1'"):
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
