"""What a push has to do, counted before anything is asked."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from converting import text_message
from exporting import threads_of
from pushes import Target, export_of
from threadkeep import from_message_json
from threadkeep.conversion.job import Options
from threadkeep.conversion.source import Source
from threadkeep.migration.conversations.planning import plan_of
from threadkeep.migration.planning import PushPlan
from threadkeep.storage.reader import read

OPTIONS = Options()


def plans(out: Path, pushed: Mapping[str, int] | None = None, options: Options = OPTIONS) -> dict[str, Any]:
    """The plan of each thread."""
    with read(out) as export:
        source = Source(export, None, lambda _event: None)
        return {one.thread_id: plan_of(one, options, (pushed or {}).get(one.thread_id, 0)) for one in source}


def test_a_thread_is_planned_with_its_items_and_what_they_lose(tmp_path: Path) -> None:
    """Files, metadata and losses are as they are sent, but for what the target alone knows."""
    image = {"type": "image_file", "image_file": {"file_id": "file-1"}}
    rows = [
        text_message(1, content=[image], attachments=[{"file_id": "file-2"}, {"file_id": "file-1"}]),
        text_message(2, content=[]),
        text_message(3, metadata={"a": "b"}),
        text_message(4, "assistant", created_at=None),
    ]
    files = {"file-1": b"picture", "file-2": b"text"}
    out = export_of(tmp_path, {"thread_a": rows}, metadata={"thread_a": {"user": "u", "long": "x" * 513}}, files=files)
    plan = plans(out)["thread_a"]
    assert plan.messages == 3
    assert plan.files == {"file-1": True, "file-2": False}
    assert {name: Path(path).read_bytes() for name, path in plan.paths.items()} == files
    assert [(loss.message_id, loss.lost) for loss in plan.losses] == [(None, "metadata"), ("msg_3", "metadata")]
    assert plan.metadata == {"thread_id": "thread_a", "user": "u", "times": "tcrmu0,0,"}
    assert plan.has_thread_object


def test_an_export_without_thread_objects_says_so(tmp_path: Path) -> None:
    """Its metadata is not known."""
    plan = plans(export_of(tmp_path, threads_of(a=1), include=()))["thread_a"]
    assert not plan.has_thread_object
    assert [*plan.metadata] == ["thread_id", "times"]


@given(st.lists(st.sampled_from("ab"), max_size=6), st.lists(st.sampled_from("ab"), max_size=6))
def test_digests_are_equal_if_and_only_if_the_items_are(one: Sequence[str], other: Sequence[str]) -> None:
    """Over all, and over as many as were pushed before."""
    mine, theirs = (plan_of(_thread(texts), OPTIONS, 0) for texts in (one, other))
    assert (mine.digest == theirs.digest) == (one == other)
    again = plan_of(_thread(other), OPTIONS, len(one))
    assert (again.pushed_digest == mine.digest) == ([*one] == other[: len(one)])
    assert (again.pushed_digest is None) == (len(other) < len(one))


def _thread(texts: Sequence[str]) -> Any:
    """A thread of these texts, as far as a plan needs it."""
    rows = [from_message_json(text_message(number, text=text), assistant_id=None) for number, text in enumerate(texts)]
    return SimpleNamespace(thread_id="thread_a", thread=None, files={}, turns=lambda: iter(rows))


def test_other_options_are_other_items(tmp_path: Path) -> None:
    """What was pushed with one is changed by another one."""
    cited = {
        "type": "file_citation",
        "text": "[1]",
        "start_index": 0,
        "end_index": 3,
        "file_citation": {"file_id": "f"},
    }
    row = text_message(1, "assistant", content=[{"type": "text", "text": {"value": "[1] x", "annotations": [cited]}}])
    out = export_of(tmp_path, {"thread_a": [row]})
    kept, stripped = (plans(out, options=Options(citations=one))["thread_a"] for one in ("keep", "strip"))
    assert kept.digest != stripped.digest


def counts(plan: PushPlan) -> dict[str, Any]:
    """The numbers that are not 0."""
    names = ("threads", "empty", "to_send", "changed", "conversations", "items", "requests", "files", "not_complete")
    return {name: getattr(plan, name) for name in names if getattr(plan, name)}


@pytest.mark.parametrize(
    ("sizes", "requests"),
    [({"a": 1}, 2), ({"a": 20}, 2), ({"a": 21}, 3), ({"a": 40, "b": 41}, 3 + 4), ({"a": 2000}, 101)],
    ids=str,
)
def test_a_thread_takes_one_request_and_one_for_each_twenty_items(
    sizes: dict[str, int], requests: int, tmp_path: Path
) -> None:
    """That write."""
    plan = Target().plan(export_of(tmp_path, threads_of(**sizes))).plan
    items = sum(sizes.values())
    number = len(sizes)
    expected = {"threads": number, "to_send": number, "conversations": number, "items": items, "requests": requests}
    assert counts(plan) == expected
    assert plan.minutes(30) == requests / 30


def test_all_threads_of_an_export_are_in_the_plan(tmp_path: Path) -> None:
    """Or are counted as what they are."""
    out = export_of(
        tmp_path, threads_of(a=45, b=1, c=0, d=0), more=["thread_x"], metadata={"thread_b": {"k" * 65: "v"}}
    )
    plan = Target().plan(out).plan
    assert counts(plan) == {
        "threads": 4,
        "empty": 2,
        "to_send": 2,
        "conversations": 2,
        "items": 46,
        "requests": 6,
        "not_complete": 1,
    }
    assert plan.losses == {"metadata": 1}
    assert (plan.is_flat, plan.has_thread_objects) == (False, True)


def test_a_plan_after_a_push_is_of_what_is_left(tmp_path: Path) -> None:
    """What was pushed needs nothing; what has grown needs its new items, and its times."""
    target = Target()
    out = export_of(tmp_path, threads_of(a=45, b=1, c=2))
    target.push(out, only=frozenset({"thread_a", "thread_c"}))
    assert counts(target.plan(out).plan) == {
        "threads": 3,
        "to_send": 1,
        "conversations": 1,
        "items": 1,
        "requests": 2,
    }
    target.push(out)
    assert counts(target.plan(out).plan) == {"threads": 3}
    export_of(tmp_path, threads_of(a=66, b=1, c=2), refresh=True)
    assert counts(target.plan(out).plan) == {"threads": 3, "to_send": 1, "items": 21, "requests": 3}
