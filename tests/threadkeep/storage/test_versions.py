"""A thread that several exports have: what is written of it, whatever the order of the exports."""

import json
import os
from collections.abc import Iterable, Sequence
from itertools import permutations
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import threadkeep
from exporting import ASSISTANT, Export
from threadkeep.errors import OutputUnusable
from threadkeep.storage.index import IndexRow, Outcome
from threadkeep.storage.join import join_exports
from threadkeep.storage.paths import Paths
from written import known, messages_of, numbered, thread, write_part

SETTLED = (Outcome.MISSING, Outcome.FAILED, Outcome.UNFINISHED, Outcome.DROPPED)


@pytest.fixture(autouse=True, scope="module")
def _no_waiting_for_the_disk() -> Iterable[None]:
    """Nothing here is about power cuts."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, "fsync", lambda _number: None)
        yield


@attrs.frozen
class Known:
    """What one export has of thread_a: numbers of messages in OUT and in the partial file."""

    outcome: Outcome
    out: tuple[int, ...] = ()
    partial: tuple[int, ...] = ()

    def part(self, out: Path, hour: int) -> Paths:
        """That export."""
        rows, partial = numbered("thread_a", self.out), numbered("thread_a", self.partial)
        return write_part(out, thread("thread_a", self.outcome, rows, partial, reason=self.reason), hour=hour)

    @property
    def reason(self) -> str | None:
        """Why it is not complete."""
        return None if self.outcome is Outcome.COMPLETE else f"it is {self.outcome}"


NUMBERS = st.integers(0, 7)
ROWS = st.sets(NUMBERS, max_size=6).map(lambda numbers: tuple(sorted(numbers)))


@st.composite
def versions(draw: st.DrawFn) -> Known:
    """One that an exporter may leave."""
    outcome = draw(st.sampled_from(list(Outcome)))
    if outcome is Outcome.COMPLETE:
        out = draw(ROWS)
        return Known(outcome, out, tuple(one for one in draw(ROWS | st.just(())) if one not in out))
    partial = draw(ROWS) if outcome in (Outcome.MISSING, Outcome.DROPPED) else ()
    return Known(outcome, (), draw(ROWS.filter(bool)) if outcome is Outcome.PARTIAL else partial)


def merged(folder: Path, parts: Sequence[Paths], name: str = "merged") -> Export:
    """The merge of exports."""
    export = Export(folder)
    export.paths = Paths(folder / f"{name}.ndjson")
    join_exports(parts, export.paths)
    return export


def held(export: Export) -> tuple[list[int], list[int]]:
    """The numbers of the messages of thread_a in OUT and in the partial file."""
    found = (export.messages(), export.messages(export.paths.partial))
    out, partial = ([int(row["id"][-5:]) for row in one.get("thread_a", [])] for one in found)
    return out, partial


def in_hours(folder: Path, found: Iterable[Known]) -> list[Paths]:
    """Exports that were finished one hour after the other."""
    return [one.part(folder / f"part-{hour}.ndjson", hour) for hour, one in enumerate(found)]


@given(found=st.lists(versions(), min_size=1, max_size=4), data=st.data())
def test_nothing_is_lost(found: list[Known], data: st.DataObject) -> None:
    """Each message is there once, whatever the order of the parts; and what is merged twice is the same."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        parts = in_hours(folder, found)
        export = merged(folder, parts)
        out, partial = held(export)
        assert sorted([*out, *partial]) == sorted({row for one in found for row in (*one.out, *one.partial)})
        is_complete = any(one.outcome is Outcome.COMPLETE for one in found)
        assert (export.outcomes["thread_a"] is Outcome.COMPLETE) is is_complete
        assert set(out) == {row for one in found for row in one.out}
        assert threadkeep.validate(export.paths.out).counts.keys() <= {
            "only_in_partial",
            "empty_thread",
            "time_goes_back",
            *(f"thread_{outcome}" for outcome in Outcome),
        }
        again = merged(folder, [*data.draw(st.permutations(parts)), *parts, export.paths], "again")
        assert without_manifest(again) == without_manifest(export)


def without_manifest(export: Export) -> dict[str, bytes]:
    """The bytes of the other files."""
    return {name: path.read_bytes() for name, path in export.paths.written.items() if path.exists()}


@given(found=st.lists(versions(), min_size=3, max_size=3))
def test_merging_step_by_step_keeps_the_same_messages(found: list[Known]) -> None:
    """Whichever two are merged first, if they follow each other in time."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        first, second, third = in_hours(folder, found)
        at_once = merged(folder, [first, second, third], "at_once")
        left = merged(folder, [merged(folder, [first, second], "ab").paths, third], "left")
        right = merged(folder, [first, merged(folder, [second, third], "bc").paths], "right")
        assert without_manifest(left) == without_manifest(at_once)
        assert [sorted(one) for one in held(right)] == [sorted(one) for one in held(at_once)]
        if not any(one.outcome is Outcome.DROPPED for one in found):
            assert right.outcomes == at_once.outcomes


@given(data=st.data())
def test_merging_is_associative_where_a_server_only_forgets_and_grows(data: st.DataObject) -> None:
    """To the byte: messages come at the end, and what was deleted does not come back."""
    gone: set[int] = set()
    length, found = 0, []
    for _ in range(3):
        length = data.draw(st.integers(length, 8))
        gone |= data.draw(st.sets(NUMBERS, max_size=3))
        found.append(Known(Outcome.COMPLETE, tuple(number for number in range(length) if number not in gone)))
    with TemporaryDirectory() as name:
        folder = Path(name)
        first, second, third = in_hours(folder, found)
        at_once = merged(folder, [first, second, third], "at_once")
        left = merged(folder, [merged(folder, [first, second], "ab").paths, third], "left")
        right = merged(folder, [first, merged(folder, [second, third], "bc").paths], "right")
        assert without_manifest(left) == without_manifest(right) == without_manifest(at_once)
        assert held(at_once)[0] == sorted({row for one in found for row in one.out})


C, P = Outcome.COMPLETE, Outcome.PARTIAL


@pytest.mark.parametrize(
    ("found", "outcome", "out", "partial"),
    [
        # equal
        ([Known(C, (1, 2)), Known(C, (1, 2))], C, [1, 2], []),
        # the later one, and what only the earlier one has, behind what came before it there
        ([Known(C, (1, 2, 4)), Known(C, (1, 3, 4, 5))], C, [1, 2, 3, 4, 5], []),
        ([Known(C, (1, 2, 3)), Known(C, ())], C, [1, 2, 3], []),
        # three
        ([Known(C, (1, 2)), Known(C, (2, 3)), Known(C, (3, 4))], C, [1, 2, 3, 4], []),
        # a complete one stays, whatever comes later
        *(([Known(C, (1, 2)), Known(one)], C, [1, 2], []) for one in SETTLED),
        *(([Known(one), Known(C, (1, 2))], C, [1, 2], []) for one in SETTLED),
        # what only a partial file has stays in the partial file
        ([Known(P, (), (1, 2)), Known(C, (2, 3))], C, [2, 3], [1]),
        ([Known(C, (2, 3)), Known(P, (), (2, 3, 4))], C, [2, 3], [4]),
        ([Known(C, (1,), (2,)), Known(C, (1, 3))], C, [1, 3], [2]),
        ([Known(C, (1,), (2,)), Known(C, (2,))], C, [1, 2], []),
        ([Known(C, (1,)), Known(P, (), (1, 2)), Known(P, (), (1, 2, 3))], C, [1], [2, 3]),
        # none is complete
        ([Known(P, (), (1, 2)), Known(P, (), (2, 3))], P, [], [1, 2, 3]),
        ([Known(P, (), (1, 2)), Known(Outcome.MISSING)], Outcome.MISSING, [], [1, 2]),
        ([Known(P, (), (1, 2)), Known(Outcome.DROPPED)], Outcome.DROPPED, [], [1, 2]),
        ([Known(P, (), (1, 2)), Known(Outcome.FAILED)], P, [], [1, 2]),
        ([Known(P, (), (1, 2)), Known(Outcome.UNFINISHED)], P, [], [1, 2]),
        ([Known(Outcome.DROPPED, (), (1, 2)), Known(Outcome.UNFINISHED)], P, [], [1, 2]),
        ([Known(Outcome.MISSING), Known(Outcome.UNFINISHED)], Outcome.MISSING, [], []),
        ([Known(Outcome.FAILED), Known(Outcome.MISSING)], Outcome.MISSING, [], []),
        ([Known(Outcome.MISSING), Known(Outcome.FAILED)], Outcome.FAILED, [], []),
        ([Known(Outcome.MISSING), Known(P, (), (1,))], P, [], [1]),
        ([Known(Outcome.DROPPED), Known(Outcome.UNFINISHED)], Outcome.UNFINISHED, [], []),
        ([Known(Outcome.UNFINISHED), Known(Outcome.DROPPED)], Outcome.DROPPED, [], []),
    ],
)
def test_a_thread_in_several_parts(
    found: list[Known], outcome: Outcome, out: list[int], partial: list[int], tmp_path: Path
) -> None:
    """As one export would have it, whose runs came to these versions one after the other; in any order of parts."""
    parts = in_hours(tmp_path, found)
    seen = []
    for number, order in enumerate(permutations(parts)):
        export = merged(tmp_path, order, f"merged-{number}")
        assert (export.outcomes, held(export)) == ({"thread_a": outcome}, (out, partial))
        seen.append(without_manifest(export))
    assert all(one == seen[0] for one in seen)


def row_of(export: Export) -> IndexRow:
    """The row of thread_a."""
    return export.rows["thread_a"]


def test_parts_of_the_same_second(tmp_path: Path) -> None:
    """Which of two differing versions is the later one is not known: it is the same one in any order."""
    texts = [numbered("thread_a", [1], metadata={"n": name}) for name in "abc"]
    parts = [write_part(tmp_path / f"{n}.ndjson", thread("thread_a", rows=rows)) for n, rows in enumerate(texts)]
    seen = {merged(tmp_path, order, f"m{n}").paths.out.read_bytes() for n, order in enumerate(permutations(parts))}
    assert len(seen) == 1


def blank(number: int) -> dict[str, Any]:
    """A message whose content was emptied."""
    return numbered("thread_a", [number], content=[])[0]


def test_a_message_that_has_lost_its_content(tmp_path: Path) -> None:
    """Stays what it was; one that was changed is as it was last."""
    old = numbered("thread_a", [1, 2], metadata={"was": 1})
    new = [blank(1), *numbered("thread_a", [2], metadata={"is": 1})]
    parts = [
        write_part(tmp_path / "1.ndjson", thread("thread_a", rows=old), hour=1),
        write_part(tmp_path / "2.ndjson", thread("thread_a", rows=new), hour=2),
    ]
    assert merged(tmp_path, parts).messages()["thread_a"] == [old[0], new[1]]


def test_sidecars_and_files(tmp_path: Path) -> None:
    """The later thread object; runs and steps of both; the files of both; a part without sidecars takes none away."""
    first = thread(
        "thread_a",
        rows=numbered("thread_a", [1], attachments=[{"file_id": "file-1", "tools": []}]),
        sidecars={
            "threads": known("", "thread_a", {"thread": {"id": "thread_a", "metadata": {"n": "1"}}}),
            "runs": known(
                "run_id",
                "thread_a",
                {"run_id": "run_1", "run": {"id": "run_1"}, "steps": [{"id": "step_1"}, {"id": "step_2"}]},
                {"run_id": "run_2", "run": {"id": "run_2"}, "steps": []},
            ),
        },
    )
    second = thread(
        "thread_a",
        rows=numbered("thread_a", [1, 2], attachments=[{"file_id": "file-2", "tools": []}]),
        sidecars={
            "threads": known("", "thread_a", {"thread": {"id": "thread_a", "metadata": {"n": "2"}}}),
            "runs": known(
                "run_id", "thread_a", {"run_id": "run_1", "run": {"id": "run_1"}, "steps": [{"id": "step_2"}]}
            ),
        },
    )
    third = thread("thread_a", rows=numbered("thread_a", [2]))
    both = ("threads", "runs")
    parts = [
        write_part(tmp_path / "1.ndjson", first, hour=1, include=both),
        write_part(tmp_path / "2.ndjson", second, hour=2, include=both),
        write_part(tmp_path / "3.ndjson", third, hour=3),
    ]
    export = merged(tmp_path, parts)
    (row,) = export.sidecar("threads")
    assert row["thread"]["metadata"] == {"n": "2"}
    runs = {row["run_id"]: [step["id"] for step in row["steps"]] for row in export.sidecar("runs")}
    assert runs == {"run_1": ["step_1", "step_2"], "run_2": []}
    assert row_of(export).files == ("file-1", "file-2")
    assert held(export)[0] == [1, 2]
    assert threadkeep.validate(export.paths.out).is_complete


def test_the_assistant_of_the_later_version(tmp_path: Path) -> None:
    """Is on all lines, and in the row: those of the earlier one are written again."""
    old = thread("thread_a", rows=numbered("thread_a", [1, 2]), assistant_id="asst_old")
    new = thread("thread_a", rows=numbered("thread_a", [2, 3]), assistant_id="asst_new")
    parts = [
        write_part(tmp_path / "1.ndjson", old, hour=1, assistant_id="asst_old"),
        write_part(tmp_path / "2.ndjson", new, hour=2, assistant_id="asst_new"),
    ]
    export = merged(tmp_path, parts)
    assert [json.loads(line)["assistant_id"] for line in export.lines] == ["asst_new"] * 3
    assert row_of(export).assistant_id == "asst_new"
    assert held(export)[0] == [1, 2, 3]
    assert threadkeep.validate(export.paths.out).is_complete


def test_flat_exports(tmp_path: Path) -> None:
    """The lines of OUT are flat, those of a partial file are full."""
    parts = [
        write_part(tmp_path / "1.ndjson", thread("thread_a", P, None, numbered("thread_a", [1])), hour=1, flat=True),
        write_part(
            tmp_path / "2.ndjson", thread("thread_a", rows=numbered("thread_a", [2]), flat=True), hour=2, flat=True
        ),
    ]
    export = merged(tmp_path, parts)
    assert b"".join(messages_of(numbered("thread_a", [2]), flat=True)) == export.paths.out.read_bytes()
    assert b"".join(messages_of(numbered("thread_a", [1]))) == export.paths.partial.read_bytes()
    assert threadkeep.validate(export.paths.out).is_complete


@pytest.mark.parametrize("assistant_id", ["asst_1", None])
def test_an_assistant_that_a_later_version_does_not_know(assistant_id: str | None, tmp_path: Path) -> None:
    """Of a thread that is not complete, it is what the earlier one says."""
    parts = [
        write_part(
            tmp_path / "1.ndjson",
            thread("thread_a", P, None, (), assistant_id=assistant_id, reason="x"),
            hour=1,
            assistant_id="auto",
        ),
        write_part(
            tmp_path / "2.ndjson", thread("thread_a", Outcome.FAILED, assistant_id=None), hour=2, assistant_id="auto"
        ),
    ]
    assert row_of(merged(tmp_path, parts)).assistant_id == assistant_id


def test_two_threads_with_one_id_at_two_servers(tmp_path: Path) -> None:
    """They are not mixed; at one server a thread may have lost all that it had."""

    def parts(**header: Any) -> list[Paths]:
        return [
            write_part(tmp_path / "1.ndjson", thread("thread_1", rows=numbered("thread_1", [1])), hour=1),
            write_part(tmp_path / "2.ndjson", thread("thread_1", rows=numbered("thread_1", [2])), hour=2, **header),
        ]

    with pytest.raises(OutputUnusable, match=r"thread_1 is one thread at https://\S+ and another one at http://other"):
        merged(tmp_path, parts(source="http://other/v1"))
    assert not (tmp_path / "merged.ndjson").exists()
    assert len(merged(tmp_path, parts()).lines) == 2
    assert row_of_first(merged(tmp_path, parts()[:1], "one")) == ASSISTANT


def row_of_first(export: Export) -> str | None:
    """The assistant of the first row."""
    return next(iter(export.rows.values())).assistant_id
