"""The push of an export to conversations: what is read back there, and the map, the metadata and the losses of it."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import strategies
from converting import losses as rows_of_report
from pushes import Target, export_of, rows_of_losses, rows_of_map, unicode
from threadkeep import convert, read, to_response_items
from threadkeep.migration.conversations.metadata import THREAD_ID, decode_times

KINDS = ("openai", "foundry")

own_metadata = st.one_of(
    st.dictionaries(st.text(max_size=8), st.text(max_size=12), max_size=3),
    st.just({f"key-{number:02}": "v" * 512 for number in range(16)}),
    st.just({"times": "mine", THREAD_ID: "mine"}),
    st.dictionaries(strategies.raw_text, strategies.json_values, max_size=3),
)


@st.composite
def worlds(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    """Threads, and the metadata of each."""
    threads = draw(strategies.threads(max_messages=45))
    return threads, {name: draw(own_metadata) for name in threads}


@pytest.mark.parametrize("kind", KINDS)
@given(world=worlds(), data=st.data())
@settings(max_examples=40)
def test_what_is_read_back_is_what_was_exported_but_for_the_losses(
    kind: str, world: tuple[dict[str, Any], dict[str, Any]], data: st.DataObject
) -> None:
    """Items, metadata and times: what a conversation cannot carry is in the report, and in the report is nothing else.

    Some of the files are at the target, and are not uploaded.
    """
    threads, metadata = world
    target = Target(kind)
    names = sorted(files_in(threads))
    here = data.draw(st.sets(st.sampled_from(names))) if names else set[str]()
    target.fake.load({"files": [{"id": name, "object": "file"} for name in here]})
    with tempfile.TemporaryDirectory() as folder:
        out = export_of(Path(folder), threads, metadata=metadata)
        expected = {thread_id: (items, times) for thread_id, items, times in items_of(out, here) if items}
        plan = target.plan(out).plan
        assert target.fake.requests == []
        result = target.push(out, verify=True)
        assert_carried(target, out, expected)
        assert_lost(out, Path(folder, "converted"), {name for name in names if name not in here})
        for thread_id, conversation in target.conversations.items():
            assert_metadata(conversation["metadata"], thread_id, metadata[thread_id], expected[thread_id][1], out)
    assert (result.is_complete, result.problems) == (True, ())
    assert result.pushed == result.verified == len(expected)
    assert result.items == result.sent == sum(len(items) for items, _ in expected.values())
    assert sorted(target.written) == sorted(requests_for([len(expected[name][0]) for name in target.conversations]))
    if here == {*names}:  # the plan does not know which ones are there
        assert (plan.conversations, plan.items, plan.requests) == (len(expected), result.items, len(target.written))


def files_in(threads: Mapping[str, Sequence[Mapping[str, Any]]]) -> set[str]:
    """The files that messages need."""
    found = set[str]()
    for message in (row for rows in threads.values() for row in rows):
        found |= {row["file_id"] for row in message["attachments"] or ()}
        found |= {part["image_file"]["file_id"] for part in message["content"] if part["type"] == "image_file"}
    return found


def items_of(out: Path, here: set[str]) -> list[tuple[str, list[Any], list[int | None]]]:
    """Each thread with the items that conversations can carry, and their times."""
    found = []
    with read(out) as export:
        for thread in export.threads():
            rows = [(carried(to_response_items([one])[0], here), one.created_at) for one in thread.messages]
            kept = [(items[0], time) for items, time in rows if items]
            found.append((thread.thread_id, [item for item, _ in kept], [time for _, time in kept]))
    return found


def carried(items: list[dict[str, Any]], here: set[str]) -> list[dict[str, Any]]:
    """Items without the files that are not at the target, in Unicode."""
    found = []
    for item in items:
        content = [part for part in item["content"] if part.get("file_id") is None or part["file_id"] in here]
        if content:
            found.append(unicode({**item, "content": content}))
    return found


def assert_carried(target: Target, out: Path, expected: Mapping[str, tuple[list[Any], list[int | None]]]) -> None:
    """The items are there, once and in order, and the map leads to them."""
    assert target.items == {thread_id: items for thread_id, (items, _) in expected.items()}
    rows = rows_of_map(out)
    assert [*rows] == [*expected]
    for thread_id, row in rows.items():
        items, times = expected[thread_id]
        assert row == {
            "thread_id": thread_id,
            "conversation_id": target.conversations[thread_id]["id"],
            "items": len(items),
            "verified": True,
            "times": times,
        }


def assert_metadata(pairs: Mapping[str, str], thread_id: str, own: Any, times: Sequence[int | None], out: Path) -> None:
    """The id of the thread comes first, then its own pairs, then the times, if all of them fit."""
    lost = [why for name, _, lost, why in rows_of_losses(out) if (name, lost) == (thread_id, "metadata")]
    kept = {key: value for key, value in own.items() if not any(why.startswith(f"{key!r}: ") for why in lost)}
    assert pairs[THREAD_ID] == thread_id
    assert {key: pairs[key] for key in kept} == kept
    more = [value for key, value in pairs.items() if key not in kept and key != THREAD_ID]
    if more:
        assert decode_times(",".join(more)) == times
    else:
        assert len(pairs) == 16 or "times" in own


def assert_lost(out: Path, converted: Path, missing: set[str]) -> None:
    """The report is that of a conversion, and what only a push knows: files, metadata that has no place, and halves."""
    found = rows_of_losses(out)
    done = convert(out, to="items", target=converted)
    rows = [tuple(row.values()) for row in rows_of_report(done)]
    of_conversion = [row for row in rows if row[1] is not None]  # a conversation carries metadata of a thread
    more = [row for row in found if row not in of_conversion]
    assert [row for row in found if row in of_conversion] == of_conversion
    for _, _, lost, why in more:
        assert lost in ("image_file", "attachments", "metadata", "text")
        assert lost in ("metadata", "text") or any(name in why for name in missing)


def requests_for(sizes: Sequence[int]) -> list[str]:
    """The requests that write: a creation for each conversation, and one for each twenty items."""
    found = []
    for number, size in enumerate(sizes, 1):
        found += ["POST /conversations", *[f"POST /conversations/{{{number}}}/items"] * -(-size // 20)]
    return found
