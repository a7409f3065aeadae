"""A push after the export has changed, of a part of it, and of exports of every form."""

import asyncio
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import strategies
from converting import put_bare, text_message
from exporting import threads_of
from exports import beside
from pushes import Target, export_of, rows_of_losses, rows_of_map
from threadkeep import MalformedLine, OutputUnusable, convert
from threadkeep.conversion.source import UnknownThread
from threadkeep.migration.conversations.metadata import decode_times
from threadkeep.migration.events import PushBegun
from threadkeep.migration.run import plan_only
from threadkeep.migration.store import State


@pytest.fixture(params=["openai", "foundry"])
def target(request: pytest.FixtureRequest) -> Target:
    """A server of each kind."""
    return Target(request.param)


def texts(items: list[dict[str, Any]]) -> list[str]:
    """Those of items of one text each."""
    return [item["content"][0]["text"] for item in items]


def numbers(count: int) -> list[str]:
    """The texts of an ordinary thread."""
    return [f"number {number}" for number in range(count)]


# --- growth


@given(threads=strategies.threads(max_messages=45), data=st.data())
@settings(max_examples=30)
def test_a_thread_that_was_pushed_while_it_grew_is_as_one_that_was_pushed_at_once(
    threads: dict[str, list[dict[str, Any]]], data: st.DataObject
) -> None:
    """Items, metadata, map and losses are the same, and nothing is sent twice."""
    cuts = {name: sorted(data.draw(st.integers(0, len(rows))) for _ in range(2)) for name, rows in threads.items()}
    grown, at_once = Target(), Target()
    with tempfile.TemporaryDirectory() as folder:
        out, whole = Path(folder, "grown"), Path(folder, "whole")
        sent = 0
        for step in range(3):
            now = {name: rows[: [*cuts[name], len(rows)][step]] for name, rows in threads.items()}
            result = grown.push(put_bare(out, [row for rows in now.values() for row in rows]), verify=True)
            assert (result.is_complete, result.problems) == (True, ())
            sent += result.sent
        put_bare(whole, [row for rows in threads.values() for row in rows])
        assert at_once.push(whole).sent == sent
        assert grown.items == at_once.items
        assert {name: row["metadata"] for name, row in grown.conversations.items()} == {
            name: row["metadata"] for name, row in at_once.conversations.items()
        }
        one, other = rows_of_map(out), rows_of_map(whole)
        assert [{**row, "conversation_id": "", "verified": True} for row in one.values()] == [
            {**row, "conversation_id": "", "verified": True} for row in other.values()
        ]
        assert rows_of_losses(out) == rows_of_losses(whole)


def test_new_messages_at_the_end_are_appended_and_the_times_follow(target: Target, tmp_path: Path) -> None:
    """Nothing else is sent, and the conversation is the same."""
    own = {"thread_a": {"user": "u-1"}, "thread_b": {}}
    out = export_of(tmp_path, threads_of(a=25, b=2), metadata=own)
    assert target.push(out).is_complete
    before, conversations = len(target.written), {name: row["id"] for name, row in target.conversations.items()}
    export_of(tmp_path, threads_of(a=50, b=2), metadata=own, refresh=True)
    planned = target.plan(out).plan
    result = target.push(out, verify=True)
    assert (result.is_complete, result.sent, result.items, result.verified) == (True, 25, 52, 2)
    assert texts(target.items["thread_a"]) == numbers(50)
    assert {name: row["id"] for name, row in target.conversations.items()} == conversations
    more = [path for path in target.written[before:] if "conversations" in path]
    assert [path.rpartition("/")[2] for path in more] == ["items", "items", more[-1].rpartition("/")[2]]
    assert (planned.to_send, planned.conversations, planned.items, planned.requests) == (1, 0, 25, len(more))
    metadata, row = target.conversations["thread_a"]["metadata"], rows_of_map(out)["thread_a"]
    assert [*metadata] == ["thread_id", "user", "times"]
    assert decode_times(metadata["times"]) == row["times"]
    assert (row["items"], len(row["times"])) == (50, 50)
    assert target.push(out).sent == 0
    assert len(target.written) == before + len(more)


def test_pairs_that_an_application_has_added_survive_growth(target: Target, tmp_path: Path) -> None:
    """A change of metadata replaces all of it, so theirs are sent along."""
    out = export_of(tmp_path, threads_of(a=2), metadata={"thread_a": {"user": "u-1"}})
    target.push(out)
    state = target.fake.state
    state["conversations"][0]["metadata"]["topic"] = "invoices"
    target.fake.state = state
    export_of(tmp_path, threads_of(a=3), metadata={"thread_a": {"user": "u-1"}}, refresh=True)
    assert target.push(out, verify=True).is_complete
    metadata = target.conversations["thread_a"]["metadata"]
    assert {key: value for key, value in metadata.items() if key != "times"} == {
        "thread_id": "thread_a",
        "user": "u-1",
        "topic": "invoices",
    }
    assert len(decode_times(metadata["times"])) == 3


@pytest.mark.parametrize("own", [{"user": "u-2"}, {"user": "u-1", "plan": "pro"}, {}], ids=str)
def test_metadata_of_a_thread_that_has_changed_follows(own: dict[str, str], target: Target, tmp_path: Path) -> None:
    """Also where there are no new messages."""
    out = export_of(tmp_path, threads_of(a=3, b=2), metadata={"thread_a": {"user": "u-1"}})
    target.push(out)
    before = len(target.written)
    export_of(tmp_path, threads_of(a=3, b=2), metadata={"thread_a": own}, refresh=True)
    planned = target.plan(out).plan
    assert (planned.to_send, planned.items, planned.requests) == (1, 0, 1)
    assert target.push(out, verify=True).is_complete
    metadata = target.conversations["thread_a"]["metadata"]
    assert {**metadata, "times": ""} == {"thread_id": "thread_a", **own, "times": ""}
    assert len(target.written) == before + 1
    assert target.push(out).requests == 0


def test_growth_that_the_target_does_not_take_is_resumed(target: Target, tmp_path: Path) -> None:
    """Behind what arrived of it."""
    out = export_of(tmp_path, threads_of(a=5))
    target.push(out)
    export_of(tmp_path, threads_of(a=50), refresh=True)
    target.fake.faults = [{"match": {"method": "POST", "path": "/items$", "nth": 2, "times": 9}, "do": {"status": 500}}]
    result = target.push(out)
    assert (result.is_complete, result.problem_count) == (False, 1)
    assert len(target.items["thread_a"]) == 25
    target.fake.faults = []
    result = target.push(out, verify=True)
    assert (result.is_complete, result.sent) == (True, 25)
    assert texts(target.items["thread_a"]) == numbers(50)


Change = Callable[[list[dict[str, Any]]], object]

CHANGES: dict[str, Change] = {
    "edited": lambda rows: rows[1]["content"][0]["text"].update(value="edited"),
    "removed": lambda rows: rows.pop(1),
    "cut off": lambda rows: rows.pop(),
    "inserted": lambda rows: rows.insert(1, text_message(9)),
    "swapped": lambda rows: rows.reverse(),
    "of another role": lambda rows: rows[0].update(role="assistant"),
    "edited and more": lambda rows: rows.__setitem__(slice(1, 2), [text_message(8), text_message(9)]),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_thread_that_was_changed_otherwise_is_named_and_stays(change: Change, target: Target, tmp_path: Path) -> None:
    """Nothing is sent of it, in this run and in later ones; others are."""
    rows, others = [text_message(number) for number in range(3)], [text_message(5, thread_id="thread_b")]
    out = put_bare(tmp_path / "out.ndjson", rows)
    assert target.push(out).is_complete
    before = target.items
    change(rows)
    put_bare(out, [*rows, *others])
    for sent in (1, 0):
        result = target.push(out, verify=True)
        assert (result.is_complete, result.problem_count, result.sent, result.plan.changed) == (False, 1, sent, 1)
        ((name, reason),) = result.problems
        assert name == "thread_a"
        assert f"than were pushed to {target.conversations['thread_a']['id']} before" in reason
        assert target.items == {**before, "thread_b": target.items["thread_b"]}
    assert [*rows_of_map(out)] == ["thread_a", "thread_b"]
    assert rows_of_map(out)["thread_a"]["items"] == 3


def test_what_was_changed_back_is_pushed_again(target: Target, tmp_path: Path) -> None:
    """It was never anything else."""
    rows = [text_message(number) for number in range(3)]
    out = put_bare(tmp_path / "out.ndjson", rows)
    target.push(out)
    put_bare(out, rows[:2])
    assert target.push(out).states == {State.CHANGED: 1}
    put_bare(out, [*rows, text_message(3)])
    result = target.push(out, verify=True)
    assert (result.is_complete, result.sent, len(target.items["thread_a"])) == (True, 1, 4)


def test_a_thread_that_is_not_in_the_export_any_more_stays_in_the_map(target: Target, tmp_path: Path) -> None:
    """Its conversation is there; it is not counted, and not read back."""
    rows = [text_message(0), text_message(1, thread_id="thread_b"), text_message(2, thread_id="thread_c")]
    out = put_bare(tmp_path / "out.ndjson", rows)
    target.push(out)
    asked = len(target.fake.requests)
    put_bare(out, rows[1:2])
    result = target.push(out)
    assert (result.is_complete, result.pushed, result.items, result.plan.threads) == (True, 1, 1, 1)
    assert {*rows_of_map(out)} == {"thread_a", "thread_b", "thread_c"}
    assert len(target.fake.requests) == asked


def test_a_conversation_that_others_have_written_to_is_named_when_its_thread_has_grown(
    target: Target, tmp_path: Path
) -> None:
    """Nothing is appended behind what is not known."""
    out = put_bare(tmp_path / "out.ndjson", [text_message(0)])
    target.push(out)
    row = {"id": "msg_own", "type": "message", "role": "user", "content": [{"type": "input_text", "text": "mine"}]}
    of = {"conversation_id": target.conversations["thread_a"]["id"]}
    target.change_items(lambda rows: rows.append(row | of), of="thread_a")
    put_bare(out, [text_message(0), text_message(1)])
    result = target.push(out)
    assert not result.is_complete
    assert "was continued behind item 1, so what the export has since is not sent" in result.problems[0][1]
    assert [row["items"] for row in rows_of_map(out).values()] == [1]
    assert texts(target.items["thread_a"]) == ["text 0", "mine"]


# --- a part of an export


def test_only_the_threads_that_were_chosen_are_pushed(target: Target, tmp_path: Path) -> None:
    """The next push sends the others, and the map has the order of the export."""
    out = export_of(tmp_path, threads_of(a=2, b=3, c=1))
    result = target.push(out, only=frozenset({"thread_b"}))
    assert (result.is_complete, result.plan.threads, result.items) == (True, 1, 3)
    assert [*target.items] == [*rows_of_map(out)] == ["thread_b"]
    target.push(out, only=frozenset({"thread_c"}))
    assert [*rows_of_map(out)] == ["thread_b", "thread_c"]
    result = target.push(out)
    assert (result.is_complete, result.sent, result.items) == (True, 2, 6)
    assert [*rows_of_map(out)] == ["thread_a", "thread_b", "thread_c"]
    target.push(out, only=frozenset({"thread_c"}))
    assert [*rows_of_map(out)] == ["thread_a", "thread_b", "thread_c"]


@pytest.mark.parametrize("name", ["thread_none", "thread_gone"])
def test_a_chosen_thread_that_is_not_complete_in_the_export_is_refused(
    name: str, target: Target, tmp_path: Path
) -> None:
    """Before anything is sent or written."""
    out = export_of(tmp_path, threads_of(a=2), more=["thread_gone"])
    files = {*tmp_path.iterdir()}
    with pytest.raises(UnknownThread, match=f"{name} is not a complete thread"):
        target.push(out, only=frozenset({"thread_a", name}))
    assert target.written == []
    assert {*tmp_path.iterdir()} == files


def test_threads_that_are_not_complete_are_not_pushed(target: Target, tmp_path: Path) -> None:
    """The others are, and the push is not complete; it is when the export is."""
    out = export_of(tmp_path, threads_of(a=2, b=1), more=["thread_c", "thread_d"])
    result = target.push(out, verify=True)
    assert (result.is_complete, result.plan.not_complete, result.pushed, result.verified) == (False, 2, 2, 2)
    assert (result.problem_count, result.ended_by) == (0, None)
    assert [*rows_of_map(out)] == ["thread_a", "thread_b"]
    export_of(tmp_path, threads_of(a=2, b=1, c=1, d=1))
    assert target.push(out).is_complete
    assert [*rows_of_map(out)] == ["thread_a", "thread_b", "thread_c", "thread_d"]


def test_threads_of_which_nothing_is_left_have_no_conversation(target: Target, tmp_path: Path) -> None:
    """Without messages, or with messages that a conversation cannot carry: those are lost by name."""
    image = [{"type": "image_file", "image_file": {"file_id": "file-1"}}]
    threads = threads_of(none=0) | {
        "thread_blank": [text_message(1, thread_id="thread_blank", content=[])],
        "thread_image": [text_message(2, thread_id="thread_image", content=image)],
        "thread_a": [text_message(3)],
    }
    out = export_of(tmp_path, threads)
    for _ in range(2):
        result = target.push(out, verify=True)
        assert (result.is_complete, result.pushed, result.states[State.EMPTY]) == (True, 1, 3)
        assert [*target.items] == [*rows_of_map(out)] == ["thread_a"]
        assert [row[:3] for row in rows_of_losses(out)] == [("thread_image", "msg_2", "image_file")]


def test_an_export_without_threads_is_pushed_at_once(target: Target, tmp_path: Path) -> None:
    """The map has no line."""
    out = export_of(tmp_path, threads_of(a=0))
    assert target.push(out).is_complete
    assert rows_of_map(out) == {}
    assert len(target.fake.requests) == 0


# --- exports of every form


def test_a_flat_export_has_texts_only(target: Target, tmp_path: Path) -> None:
    """They are pushed, and the summary says what it was."""
    out = export_of(tmp_path, threads_of(a=3), flat=True, include=())
    result = target.push(out, verify=True)
    assert (result.is_complete, result.plan.is_flat, result.plan.has_thread_objects) == (True, True, False)
    assert texts(target.items["thread_a"]) == numbers(3)
    assert len(rows_of_map(out)["thread_a"]["times"]) == 3


@pytest.mark.parametrize("flat", [False, True])
def test_a_bare_file_of_lines_is_pushed(flat: bool, target: Target, tmp_path: Path) -> None:
    """Its threads are runs of lines."""
    rows = [text_message(0), text_message(1, "assistant"), text_message(2, thread_id="thread_b")]
    out = put_bare(tmp_path / "bare.ndjson", rows, flat=flat)
    result = target.push(out, verify=True)
    assert (result.is_complete, result.pushed, result.plan.is_flat) == (True, 2, flat)
    assert [[item["role"] for item in items] for items in target.items.values()] == [["user", "assistant"], ["user"]]


def test_a_folder_of_markdown_pages_is_pushed(target: Target, tmp_path: Path) -> None:
    """As a conversion writes it; the store, the map and the losses are next to the folder."""
    out = export_of(tmp_path, threads_of(a=3, b=1))
    pages = tmp_path / "pages"
    convert(out, to="markdown", target=pages)
    inside = {*pages.rglob("*")}
    result = target.push(pages, verify=True)
    assert (result.is_complete, result.pushed) == (True, 2)
    assert texts(target.items["thread_a"]) == numbers(3)
    assert {*rows_of_map(pages)} == {"thread_a", "thread_b"}
    assert {*pages.rglob("*")} == inside
    assert target.push(pages).sent == 0


def test_a_line_that_is_no_message_ends_it_before_anything_is_sent(target: Target, tmp_path: Path) -> None:
    """It is named, and no store is left."""
    out = put_bare(tmp_path / "out.ndjson", [text_message(0)])
    out.write_bytes(out.read_bytes() + b'{"thread_id": "thread_b"}\n')
    with pytest.raises(MalformedLine, match=r"line 2 of out\.ndjson"):
        target.push(out)
    assert (target.written, beside(out, ".push").exists()) == ([], False)


def test_a_damaged_export_is_not_pushed(target: Target, tmp_path: Path) -> None:
    """Messages would be left out, and nobody would know."""
    out = export_of(tmp_path, threads_of(a=3))
    out.write_bytes(b"".join(out.read_bytes().splitlines(keepends=True)[1:]))
    with pytest.raises(OutputUnusable, match="the export is damaged, and messages would be left out"):
        target.push(out)
    assert (target.written, beside(out, ".push").exists()) == ([], False)


def test_a_thread_whose_id_no_metadata_can_carry_is_named(target: Target, tmp_path: Path) -> None:
    """Half of a surrogate pair is no character. The others can be chosen."""
    out = put_bare(tmp_path / "out.ndjson", [text_message(0, thread_id="thread_\ud83d"), text_message(1)])
    with pytest.raises(OutputUnusable, match=r"'thread_\\ud83d'.*--only"):
        target.push(out)
    assert beside(out, ".push").exists() is False
    assert target.push(out, only=frozenset({"thread_a"})).is_complete


def test_losses_may_have_any_words(target: Target, tmp_path: Path) -> None:
    """The type of a part is what the API gave."""
    rows = [text_message(0, content=[{"type": "odd\ud83d", "x": 1}]), text_message(1)]
    out = put_bare(tmp_path / "out.ndjson", [{**row, "id": f"{row['id']}\ud83d"} for row in rows])
    assert target.push(out).is_complete
    assert [row[0] for row in rows_of_losses(out)] == ["thread_a"]


# --- large ones


def test_a_message_as_long_as_the_api_took_is_sent(target: Target, tmp_path: Path) -> None:
    """250,000 characters, of four bytes each."""
    long = "\U0001f32e" * 250_000
    out = put_bare(tmp_path / "out.ndjson", [text_message(0), text_message(1, text=long), text_message(2)])
    assert target.push(out, verify=True).is_complete
    assert texts(target.items["thread_a"]) == ["text 0", long, "text 2"]


def test_items_are_sent_in_requests_of_bounded_size(target: Target, tmp_path: Path) -> None:
    """Twenty of the longest in one request would be more than servers take."""
    long = "\U0001f32e" * 250_000  # a megabyte
    out = put_bare(tmp_path / "out.ndjson", [text_message(number, text=long) for number in range(20)])
    assert target.push(out).is_complete
    assert [path.rpartition("/")[2] for path in target.written] == ["conversations", "items", "items"]


def test_times_that_do_not_fit_are_in_the_map_only(target: Target, tmp_path: Path) -> None:
    """And that is counted."""
    rows = [text_message(number, created_at=(number % 2) * 2**40 + number) for number in range(1000)]
    out = put_bare(tmp_path / "out.ndjson", [*rows, text_message(0, thread_id="thread_b")])
    result = target.push(out, verify=True)
    assert (result.is_complete, result.in_map_only) == (True, 1)
    assert target.conversations["thread_a"]["metadata"] == {"thread_id": "thread_a"}
    assert rows_of_map(out)["thread_a"]["times"] == [row["created_at"] for row in rows]
    assert len(target.written) == 2 + 1000 // 20 + 1


def test_times_of_a_long_ordinary_thread_fit(target: Target, tmp_path: Path) -> None:
    """In as many pairs as they need."""
    out = put_bare(tmp_path / "out.ndjson", threads_of(a=1000)["thread_a"])
    result = target.push(out)
    metadata = target.conversations["thread_a"]["metadata"]
    assert result.in_map_only == 0
    assert [*metadata] == ["thread_id", *(f"times_{number}" for number in range(1, len(metadata)))]
    joined = ",".join(metadata[key] for key in [*metadata][1:])
    assert decode_times(joined) == rows_of_map(out)["thread_a"]["times"]


def test_a_thread_with_sixteen_pairs_loses_one_and_its_times_are_in_the_map_only(
    target: Target, tmp_path: Path
) -> None:
    """The first pair has the id of the thread."""
    own = {f"key-{number:02}": "v" * 512 for number in range(16)}
    out = export_of(tmp_path, threads_of(a=2), metadata={"thread_a": own})
    result = target.push(out, verify=True)
    assert (result.is_complete, result.in_map_only, result.losses) == (True, 1, {"metadata": 1})
    assert [*target.conversations["thread_a"]["metadata"]] == ["thread_id", *own][:16]
    why = "'key-15': a conversation has at most 16 pairs"
    assert rows_of_losses(out) == [("thread_a", None, "metadata", why)]


def test_times_that_are_not_known_are_in_no_row(target: Target, tmp_path: Path) -> None:
    """Neither in the map nor in the metadata; among others they are null."""
    out = put_bare(
        tmp_path / "out.ndjson",
        [
            text_message(0, created_at=None),
            text_message(1, thread_id="thread_b", created_at=None),
            text_message(2, thread_id="thread_b"),
        ],
    )
    target.push(out)
    rows = rows_of_map(out)
    assert "times" not in rows["thread_a"]
    assert target.conversations["thread_a"]["metadata"] == {"thread_id": "thread_a"}
    assert rows["thread_b"]["times"] == [None, 1_774_963_800]


# --- what there was to do


def test_the_first_event_says_what_there_is_to_do(target: Target, tmp_path: Path) -> None:
    """How many threads have something to send, and how many of them were sent before."""
    out = export_of(tmp_path, threads_of(a=2, b=1, none=0))
    target.push(out, only=frozenset({"thread_a"}))
    target.push(out)
    begun = target.events[0]
    assert isinstance(begun, PushBegun)
    assert (begun.total, begun.before) == (2, 1)


# --- what was exported


def test_lines_that_are_not_those_of_the_index_are_not_sent(target: Target, tmp_path: Path) -> None:
    """Not even where the size is the same: nothing would be proved then."""
    out = export_of(tmp_path, threads_of(a=3, b=2))
    out.write_bytes(out.read_bytes().replace(b"number 1", b"number 7"))
    for attempt in (target.plan, target.push):
        with pytest.raises(OutputUnusable, match="are not those that were exported"):
            attempt(out)
    assert target.written == []
    assert not [*tmp_path.glob("out.ndjson.push*")]


def test_the_choices_of_the_first_push_count(target: Target, tmp_path: Path) -> None:
    """Also where they are not given again; others are refused once anything was sent."""
    row = text_message(1, text="see 【1†a.txt】")
    citation = {"type": "file_citation", "text": "【1†a.txt】", "start_index": 4, "end_index": 13}
    row["content"][0]["text"]["annotations"] = [{**citation, "file_citation": {"file_id": "file-1"}}]
    out = put_bare(tmp_path / "out.ndjson", [row])
    target.push(out, citations="strip")
    assert target.push(out, verify=True).verified == 1
    assert target.push(out, citations="strip", upload_files=True).is_complete
    for attempt in (target.plan, target.push):
        with pytest.raises(OutputUnusable, match="was pushed with --citations strip and without --inline-images"):
            attempt(out, citations="keep", inline_images=True)


def test_a_plan_that_is_cancelled_ends_in_order(target: Target, tmp_path: Path) -> None:
    """The store is not closed while it is used."""
    out = export_of(tmp_path, threads_of(a=300, b=300, c=300))

    async def cancelled() -> None:
        task = asyncio.ensure_future(plan_only(target.job(out)))
        await asyncio.sleep(0)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(cancelled())
