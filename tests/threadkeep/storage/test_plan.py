"""What a run is to do, against a plain model of it; and lists are read as streams."""

import tempfile
import tracemalloc
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporting import Export
from threadkeep.serialization.id_lists import IdList
from threadkeep.storage.index import IndexHeader, Outcome
from threadkeep.storage.paths import Paths
from threadkeep.storage.store import Plan, PlannedThread, Settled, Store, StoreFacts

HEADER = IndexHeader(source="https://api.test/v1", assistant_id="asst_1", flat=False, include=())
NAMES = st.sampled_from("abcdefg")
OLD = st.sampled_from([*map(str, Outcome), "damaged", "lacking"])


@attrs.frozen
class Run:
    """What a run is given."""

    listed: Sequence[str]
    done: Sequence[str]
    drop: Sequence[str]
    limit: int | None
    refresh: bool
    fetched: Mapping[str, Outcome]


RUNS = st.builds(
    Run,
    listed=st.lists(NAMES, max_size=8),
    done=st.lists(NAMES, max_size=2),
    drop=st.lists(NAMES, max_size=2),
    limit=st.one_of(st.none(), st.integers(0, 4)),
    refresh=st.booleans(),
    fetched=st.dictionaries(NAMES, st.sampled_from([Outcome.COMPLETE, Outcome.MISSING, Outcome.FAILED]), max_size=3),
)


class Model:
    """The same in plain Python."""

    def __init__(self, index: Mapping[str, str]) -> None:
        self.index = index
        self.order = list(index)
        self.dropped = {name for name, old in index.items() if old == "dropped"}
        self.fetched: dict[str, Outcome] = {}
        self.asked: list[str] = []

    def plan(self, run: Run) -> Plan:
        """Work out what is to be done."""
        left = [name for name in run.listed if name not in run.done]
        listed = list(dict.fromkeys(left))[: run.limit]
        self.order = list(dict.fromkeys([*self.order, *listed]))
        complete = {name for name, old in self.index.items() if old == "complete"}
        dropped_now = {name for name in run.drop if name in self.order} - complete
        self.dropped = (self.dropped - {*listed}) | dropped_now
        wanted = [name for name in self.order if name in listed and name not in self.dropped]
        self.asked = [name for name in wanted if run.refresh or name not in complete]
        over = {name for name, outcome in self.fetched.items() if outcome in (Outcome.COMPLETE, Outcome.MISSING)}
        to_ask = [name for name in self.asked if name not in over]
        others = {*self.order} - {*listed} - self.dropped - complete
        return Plan(
            listed=len(wanted),
            ask=len(to_ask),
            already_complete=len(wanted) - len(self.asked),
            left_over=len([name for name in others if self.fetched.get(name) is not Outcome.COMPLETE]),
            complete_dropped=len({*run.drop} & complete),
        )

    def to_ask(self) -> list[str]:
        """Those that are not over yet, in order."""
        over = {name for name, outcome in self.fetched.items() if outcome in (Outcome.COMPLETE, Outcome.MISSING)}
        return [name for name in self.asked if name not in over]


def asked(store: Store) -> list[str]:
    """The threads that are to be asked for, two at a time."""
    found, reached = list[str](), 0
    while rows := store.to_ask(reached, 2):
        reached = rows[-1][0]
        found += [name for _, name in rows]
    return found


@given(index=st.dictionaries(NAMES, OLD, max_size=5), twice=st.booleans(), runs=st.lists(RUNS, min_size=1, max_size=3))
def test_the_plan_is_that_of_a_plain_model(index: dict[str, str], twice: bool, runs: list[Run]) -> None:
    """Run after run on the same store: what is wanted, in which order, what is asked for, and every count."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store.create(Paths(Path(folder, "out.ndjson")), StoreFacts(header=HEADER, started_at="2026-01-01"))
        model, rows = Model(index), [PlannedThread(name, old, None) for name, old in index.items()]
        rows += rows[:2] * twice  # of rows with the same id the first one counts
        for run in runs:
            plan = store.plan(
                iter(rows),
                ((name, None) for name in run.listed),
                done=run.done,
                drop=run.drop,
                limit=run.limit,
                refresh=run.refresh,
            )
            assert plan == model.plan(run)
            assert asked(store) == model.to_ask()
            store.apply(Settled(thread_id=name, outcome=outcome) for name, outcome in run.fetched.items())
            model.fetched |= run.fetched
            threads = list(store.threads())
            assert [thread.thread_id for thread in threads] == model.order
            assert {thread.thread_id for thread in threads if thread.dropped} == model.dropped
            assert {thread.thread_id: thread.old for thread in threads if thread.row} == model.index
            assert all(rows[thread.row - 1].thread_id == thread.thread_id for thread in threads if thread.row)
            assert sum(store.outcomes().values()) == len(model.order)
        store.close()


def test_a_failed_thread_is_asked_for_once_more(tmp_path: Path) -> None:
    """And is among those that are to be asked for, by the next run."""
    store = Store.create(Paths(tmp_path / "out.ndjson"), StoreFacts(header=HEADER, started_at="2026-01-01"))
    store.plan((), ((name, None) for name in "abc"))
    store.apply([Settled(thread_id="b", outcome=Outcome.FAILED, reason="no")])
    assert [name for _, name in store.failed(0, 10)] == ["b"]
    assert asked(store) == ["a", "b", "c"]
    store.close()


def test_a_list_is_never_held(tmp_path: Path) -> None:
    """It may have millions of ids, and so may the index: none is kept as an object of its own."""
    store = Store.create(Paths(tmp_path / "out.ndjson"), StoreFacts(header=HEADER, started_at="2026-01-01"))
    ids = ((f"thread_{number:040}", None) for number in range(50_000))
    rows = (PlannedThread(f"thread_{number:040}", "complete", None) for number in range(25_000, 75_000))
    tracemalloc.start()
    try:
        plan = store.plan(rows, ids)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (plan.listed, plan.ask, plan.already_complete) == (50_000, 25_000, 25_000)
    assert peak < 1_000_000
    store.close()


def test_ids_are_taken_from_a_file_one_by_one(tmp_path: Path) -> None:
    """No more than decide in which form the list is, and what one read of the file brings."""
    path = tmp_path / "ids.txt"
    path.write_text("".join(f"thread_{number}\n" for number in range(100_000)))
    with path.open("rb") as file:
        assert [tuple(one) for one in islice(IdList(file, "ids.txt"), 2)] == [
            (1, "thread_0", None),
            (2, "thread_1", None),
        ]
        assert file.tell() < 2000


def test_a_list_is_read_once(tmp_path: Path) -> None:
    """A generator will do, for every list."""
    export = Export(tmp_path).run_alone(
        (name for name in ["thread_a", "thread_a"]),
        lambda _request: pytest.fail("nothing is to be asked for"),
        done=(name for name in ["thread_a"]),
        drop=(name for name in ["thread_b"]),
    )
    assert export.result.already_complete == 0
