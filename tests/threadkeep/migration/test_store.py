"""The store of a push: what becomes of a thread from plan to plan, and what is known when it is opened again."""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategies import raw_text
from threadkeep.conversion.losses import Loss
from threadkeep.errors import OutputUnusable
from threadkeep.migration.conversations.items import FileAtTarget
from threadkeep.migration.store import PushStore, State, StoredFile, ThreadPlan

TARGET = {"to": "conversations", "address": "https://api.test/v1"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the store is."""
    return tmp_path / "out.ndjson.push"


@pytest.fixture
def store(path: Path) -> Iterator[PushStore]:
    """A new one."""
    opened = PushStore.open(path, TARGET)
    yield opened
    opened.close()


def plan_of(name: str = "thread_a", items: Sequence[str] = ("one",), pushed: int = 0, **more: Any) -> ThreadPlan:
    """The plan of a thread of these items, of which so many were pushed."""
    usual: dict[str, Any] = {"losses": (), "files": {}, "paths": {}, "has_thread_object": True}
    return ThreadPlan(
        thread_id=name,
        messages=len(items),
        digest="|".join(items).encode(),
        pushed_digest="|".join(items[:pushed]).encode() if pushed <= len(items) else None,
        **usual | {"metadata": {"thread_id": name}} | more,
    )


def planned(store: PushStore, items: Sequence[str] = ("one",), **more: Any) -> State:
    """The state of a thread after a new plan that has these items of it."""
    store.begin_plan()
    store.plan([(0, plan_of(items=items, pushed=store.pushed_of("thread_a"), **more))])
    return store.thread("thread_a").state


def creating(store: PushStore, metadata: str = '{"thread_id":"thread_a"}') -> None:
    """The conversation of the thread is about to be created."""
    store.creating("thread_a", metadata, ())


def not_created(store: PushStore) -> None:
    """It was refused."""
    creating(store)
    store.not_created("thread_a")


def created(store: PushStore) -> None:
    """It was created."""
    creating(store)
    store.created("thread_a", "conv_1")


def done(store: PushStore, items: int = 1) -> None:
    """All items of the thread are there."""
    created(store)
    store.done("thread_a", items, "z", has_times=True, verified=False)


STEPS: dict[str, tuple[Callable[[PushStore], object], State]] = {
    "planned": (lambda _: None, State.PLANNED),
    "failed before": (lambda store: store.failed("thread_a", "no"), State.PLANNED),
    "creating": (creating, State.CREATING),
    "not created": (not_created, State.PLANNED),
    "created": (created, State.SENDING),
    "done": (done, State.DONE),
    "empty": (lambda store: store.empty("thread_a", ()), State.PLANNED),
}


@pytest.mark.parametrize(("step", "state"), STEPS.values(), ids=STEPS)
def test_the_next_plan_begins_where_the_last_run_came_to(
    step: Callable[[PushStore], object], state: State, path: Path
) -> None:
    """Also when it was cut off there: nothing is kept but what is in the store."""
    store = PushStore.open(path, TARGET)
    assert planned(store) is State.PLANNED
    step(store)
    before = store.thread("thread_a")
    store._db.close()  # as a killed process leaves it
    again = PushStore.open(path, TARGET)
    assert planned(again) is state
    row = again.thread("thread_a")
    assert (row.conversation_id, row.metadata, row.items) == (before.conversation_id, before.metadata, before.items)
    assert row.reason is None
    again.close()


@pytest.mark.parametrize(
    ("items", "state"),
    [
        (["one", "two"], State.DONE),
        (["one", "two", "three"], State.SENDING),
        (["one"], State.CHANGED),
        ([], State.CHANGED),
        (["one", "other"], State.CHANGED),
        (["two", "one"], State.CHANGED),
        (["one", "other", "three"], State.CHANGED),
        (["zero", "one", "two"], State.CHANGED),
    ],
    ids=str,
)
def test_what_becomes_of_a_thread_that_was_done(items: list[str], state: State, store: PushStore) -> None:
    """It is as it was, has grown, or was changed otherwise; and what was changed back is done again."""
    planned(store, ["one", "two"])
    done(store, 2)
    assert planned(store, items) is state
    assert store.pending("thread_a") is (state is State.SENDING)
    assert planned(store, ["one", "two"]) is (State.SENDING if state is State.SENDING else State.DONE)


@pytest.mark.parametrize(
    ("sent", "metadata", "has_thread_object", "state"),
    [
        ('{"thread_id":"thread_a","times":"z"}', {"thread_id": "thread_a", "times": "z"}, True, State.DONE),
        ('{"thread_id":"thread_a","times":"z"}', {"thread_id": "thread_a", "times": "y"}, True, State.DONE),
        ('{"thread_id":"thread_a"}', {"thread_id": "thread_a", "user": "1"}, True, State.SENDING),
        ('{"thread_id":"thread_a","user":"1"}', {"thread_id": "thread_a"}, True, State.SENDING),
        ('{"thread_id":"thread_a","user":"1"}', {"thread_id": "thread_a", "user": "2"}, True, State.SENDING),
        ('{"thread_id":"thread_a","user":"1"}', {"thread_id": "thread_a"}, False, State.DONE),
    ],
)
def test_other_pairs_of_the_thread_are_to_be_sent(
    sent: str, metadata: dict[str, str], has_thread_object: bool, state: State, store: PushStore
) -> None:
    """If the export has them. The times alone depend on what the target took, and are no reason."""
    planned(store)
    store.creating("thread_a", sent, ())
    store.created("thread_a", "conv_1")
    store.done("thread_a", 1, "z", has_times=True, verified=False)
    assert planned(store, metadata=metadata, has_thread_object=has_thread_object) is state
    assert store.count_new_metadata() == (state is State.SENDING)


def test_a_thread_without_items_is_empty_until_it_has_some(store: PushStore) -> None:
    """From plan to plan."""
    assert planned(store, []) is State.EMPTY
    assert not store.pending("thread_a")
    assert planned(store, ["one"]) is State.PLANNED
    assert store.pending("thread_a")
    assert planned(store, []) is State.EMPTY


def test_threads_that_a_plan_does_not_have_are_not_counted_and_stay_in_the_map(store: PushStore) -> None:
    """Each count is of this plan."""
    planned(store)
    done(store)
    store.begin_plan()
    store.plan([(0, plan_of("thread_b", ["x", "y"], losses=[Loss("thread_b", "m", "metadata", "no")]))])
    assert store.count() == {State.PLANNED: 1}
    assert not any(store.totals().values())
    assert store.to_send() == [(False, 2)]
    assert store.losses() == {"metadata": 1}
    assert [row.thread_id for row in store.each_done()] == ["thread_a"]
    assert [row.thread_id for row in store.problems(9)] == ["thread_b"]


def test_done_and_changed_threads_keep_their_losses_and_others_get_those_of_the_plan(store: PushStore) -> None:
    """What was lost of a conversation is as it was."""

    def loss(why: str) -> Loss:
        return Loss("thread_a", None, "metadata", why)

    planned(store, losses=[loss("planned")])
    assert [one.why for one in store.each_loss()] == ["planned"]
    store.creating("thread_a", '{"thread_id":"thread_a"}', [loss("planned"), loss("found when it was sent")])
    store.created("thread_a", "conv_1")
    store.done("thread_a", 1, "", has_times=True, verified=True)
    assert planned(store, losses=[loss("planned")]) is State.DONE
    assert [one.why for one in store.each_loss()] == ["planned", "found when it was sent"]
    assert planned(store, ["changed"], losses=[loss("another")]) is State.CHANGED
    assert [one.why for one in store.each_loss()] == ["planned", "found when it was sent"]


def test_a_thread_that_loses_more_than_is_recorded_is_looked_at_again(store: PushStore) -> None:
    """A new message of which nothing is left is no item, and has a loss all the same."""
    loss = Loss("thread_a", "msg_1", "refusal", "no \ud83d place")
    planned(store)
    done(store)
    assert planned(store, losses=[loss]) is State.SENDING
    assert store.to_send() == [(True, 0)]
    store.extending("thread_a", '{"thread_id":"thread_a"}', [loss])
    store.done("thread_a", 1, "", has_times=True, verified=False)
    assert planned(store, losses=[loss]) is State.DONE
    assert planned(store, losses=[loss, loss]) is State.SENDING


@given(st.lists(st.tuples(st.one_of(st.none(), raw_text), raw_text, raw_text), max_size=5))
def test_losses_come_back_in_their_order(rows: list[tuple[str | None, str, str]]) -> None:
    """In Unicode, which is all that SQLite takes."""
    store = PushStore.in_memory(Path("nowhere", "store"), TARGET)
    planned(store, losses=[Loss("thread_a", *row) for row in rows])
    unicode = [tuple(word and word.encode("utf-8", "replace").decode() for word in row) for row in rows]
    assert [(one.message_id, one.lost, one.why) for one in store.each_loss()] == unicode
    store.close()


def test_the_map_is_in_the_order_of_the_export(store: PushStore) -> None:
    """By the places of the threads in it."""
    store.begin_plan()
    names = ["thread_c", "thread_a", "thread_b"]
    store.plan([(place, plan_of(name)) for place, name in enumerate(names)])
    for name in sorted(names):
        store.creating(name, "{}", ())
        store.created(name, f"conv_{name}")
        store.done(name, 1, "", has_times=True, verified=False)
    assert [row.thread_id for row in store.each_done()] == names


def test_what_failed_and_what_is_not_as_it_was_sent_are_problems(store: PushStore) -> None:
    """With the reason. What a verification has found stays until the next one."""
    planned(store)
    store.failed("thread_a", "half \ud83d of a pair")
    assert [row.reason for row in store.problems(9)] == ["half ? of a pair"]
    done(store)
    assert store.count_problems() == 0
    store.verified("thread_a", "item 1 is gone")
    assert (store.totals()["items"], store.totals()["verified"], store.count_problems()) == (1, 0, 1)
    assert (store.count_broken(), store.count_unverified()) == (1, 1)
    store.verified("thread_a", None)
    assert (store.totals()["items"], store.totals()["verified"], store.count_problems()) == (1, 1, 0)
    assert (store.count_broken(), store.count_unverified()) == (0, 0)
    store.verified("thread_a", "item 1 is gone")
    planned(store)
    assert (store.count_problems(), store.thread("thread_a").state) == (1, State.DONE)


def test_creations_without_an_answer_are_those_of_this_plan(store: PushStore) -> None:
    """Their leftovers stay, once for each."""
    planned(store)
    store.creating("thread_a", "{}", ())
    assert [row.thread_id for row in store.unanswered()] == ["thread_a"]
    assert not store.is_blank()
    store.not_created("thread_a", leftover=True)
    assert store.unanswered() == []
    store.creating("thread_a", "{}", ())
    store.begin_plan()
    assert store.unanswered() == []
    planned(store)
    store.not_created("thread_a", leftover=True)
    assert store.leftovers() == ["thread_a", "thread_a"]
    assert not store.is_blank()


def test_a_conversation_is_known_by_its_id(store: PushStore) -> None:
    """So that it is not taken for another thread's."""
    planned(store)
    assert (store.is_blank(), store.is_known("conv_1")) == (True, False)
    done(store)
    assert (store.is_blank(), store.is_known("conv_1")) == (False, True)


# --- files


def test_what_becomes_of_a_file(store: PushStore) -> None:
    """Wanted, sending, settled: from plan to plan."""
    files: dict[str, Any] = {"files": {"file-1": False, "file-2": True}, "paths": {"file-1": "/x/file-1.txt"}}
    planned(store, **files)
    assert store.count_files() == (2, 1)
    assert store.file("file-1") == StoredFile(
        file_id="file-1", path="/x/file-1.txt", is_image=False, state="wanted", target_id=None
    )
    store.sending_file("file-1")
    assert not store.is_blank()
    planned(store, files={"file-1": True}, paths={})
    row = store.file("file-1")
    assert (row.path, row.is_image, row.state) == ("/x/file-1.txt", True, "sending")
    store.settle_file("file-1", "file-new")
    store.settle_file("file-2", None)
    planned(store, **files)
    assert [(store.file(name).state, store.file(name).target_id) for name in ("file-1", "file-2")] == [
        ("settled", "file-new"),
        ("settled", None),
    ]
    assert store.count_files() == (1, 0)


def test_the_files_that_a_thread_is_sent_without_are_its_own(store: PushStore) -> None:
    """And are replaced together."""
    assert store.lost_files("thread_a") == {}
    lost = {"file-1": FileAtTarget(None, "no 1"), "file-2": FileAtTarget(None, "no 2")}
    store.lose_files("thread_a", lost)
    assert store.lost_files("thread_a") == lost
    assert store.lost_files("thread_b") == {}
    store.lose_files("thread_a", {"file-2": FileAtTarget(None, "no 3")})
    assert store.lost_files("thread_a") == {"file-2": FileAtTarget(None, "no 3")}
    store.lose_files("thread_a", {})
    assert store.lost_files("thread_a") == {}


# --- the file of the store


def test_a_store_is_private_and_leaves_nothing_next_to_it(path: Path) -> None:
    """Its names of threads and files are nobody else's."""
    store = PushStore.open(path, TARGET)
    planned(store)
    store.close()
    assert path.stat().st_mode & 0o077 == 0
    assert [*path.parent.iterdir()] == [path]


def test_a_store_of_another_target_is_refused(path: Path) -> None:
    """And both are named."""
    PushStore.open(path, TARGET).close()
    with pytest.raises(OutputUnusable, match=r"https://api\.test/v1, and not to conversations at https://other"):
        PushStore.open(path, {**TARGET, "address": "https://other"})
    PushStore.open(path, TARGET).close()


@pytest.mark.parametrize(
    "content", [b"", b"no database", b"SQLite format 3\0" + b"x" * 100], ids=["empty", "text", "torn"]
)
def test_a_file_that_is_no_store_is_refused(content: bytes, path: Path) -> None:
    """It is left as it is."""
    path.write_bytes(content)
    with pytest.raises(OutputUnusable, match=path.name):
        PushStore.open(path, TARGET)
    with pytest.raises(OutputUnusable, match=path.name):
        PushStore.in_memory(path, TARGET)
    assert path.read_bytes() == content


def test_a_store_of_a_later_version_is_refused(path: Path) -> None:
    """Rather than read as it is not meant."""
    PushStore.open(path, TARGET).close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version=99")
    db.close()
    with pytest.raises(OutputUnusable, match=path.name):
        PushStore.open(path, TARGET)


def test_a_damaged_store_is_refused_with_what_to_do(path: Path) -> None:
    """It alone says which conversations there are."""
    store = PushStore.open(path, TARGET)
    store.begin_plan()
    store.plan([(place, plan_of(f"thread_{place}")) for place in range(500)])
    store.close()
    content = bytearray(path.read_bytes())
    content[8192:20480] = b"\xff" * 12288
    path.write_bytes(content)
    with pytest.raises(OutputUnusable, match="it alone says which conversations were created"):
        PushStore.open(path, TARGET)


def test_a_copy_in_memory_changes_nothing_on_the_disk(path: Path) -> None:
    """And begins with what is there."""
    store = PushStore.open(path, TARGET)
    planned(store)
    done(store)
    store.close()
    content = path.read_bytes()
    copy = PushStore.in_memory(path, TARGET)
    assert planned(copy, ["one", "two"]) is State.SENDING
    copy.done("thread_a", 2, "", has_times=True, verified=True)
    copy.close()
    assert path.read_bytes() == content
    assert [*path.parent.iterdir()] == [path]


def test_a_new_store_in_memory_is_on_no_disk(path: Path) -> None:
    """As for the plan of a first push."""
    store = PushStore.in_memory(path, TARGET)
    assert planned(store) is State.PLANNED
    store.close()
    assert [*path.parent.iterdir()] == []
