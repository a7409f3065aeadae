"""What an export has of a thread against what the API gives: two lists of messages, and how two messages differ."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategies import json_values, messages, odd_messages, raw_text
from threadkeep.records.ndjson import encode_message
from threadkeep.serialization.lossless_json import loads
from threadkeep.validation.live import sample
from threadkeep.validation.live_compare import Change, ExportedMessage, change, compare, read_line

ids = st.lists(st.text("abcdefgh", min_size=1, max_size=3), unique=True, max_size=12)


def _some_of(thread: list[str]) -> st.SearchStrategy[list[str]]:
    """Some, in their order."""
    return st.lists(st.booleans(), min_size=len(thread), max_size=len(thread)).map(
        lambda kept: [one for one, is_kept in zip(thread, kept, strict=True) if is_kept]
    )


@given(thread=ids, more=ids, data=st.data())
def test_two_lists_are_told_apart_as_a_plain_model_does(
    thread: list[str], more: list[str], data: st.DataObject
) -> None:
    """Each message that only one side has has one finding; what both have, only where it changed; the order, one."""
    exported = data.draw(_some_of(thread))
    live = data.draw(st.one_of(_some_of(thread), st.permutations(thread)))
    live += [one for one in more if one not in thread]
    both = [one for one in exported if one in live]
    changed = dict.fromkeys(data.draw(_some_of(both)), Change("changed_metadata", "$.message.metadata"))
    last_id = data.draw(st.sampled_from([None, *thread]))
    here = {message_id: ExportedMessage(line) for line, message_id in enumerate(exported, 10)}
    findings = list(compare("thread_a", here, live, changed, file="out.ndjson", last_id=last_id))
    # A last message that was deleted vouches for nothing.
    newest = max((live.index(one) for one in (*both, last_id) if one in live), default=-1)
    in_order = [one for one in live if one in both]
    assert [(one.code, one.message_id) for one in findings] == [
        *[("order_mismatch", one) for one, other in zip(both, in_order, strict=True) if one != other][:1],
        *[
            ("changed_metadata" if one in changed else "deleted_message", one)
            for one in exported
            if one in changed or one not in live
        ],
        *[("lost_message" if n <= newest else "new_message", one) for n, one in enumerate(live) if one not in exported],
    ]
    for one in findings:
        is_here = one.message_id in here
        line = here[str(one.message_id)].line if is_here else None
        assert (one.thread_id, one.file, one.line) == ("thread_a", "out.ndjson" if is_here else None, line)


# --- one message


def line_of(raw: Mapping[str, Any], *, flat: bool = False, assistant_id: str = "asst_a") -> Mapping[str, Any]:
    """A message as it is read from a line."""
    line = read_line(encode_message(raw, assistant_id=assistant_id, flat=flat))
    assert line is not None
    return line


def _turned(value: Any) -> Any:
    """The same with its keys in the other order."""
    if isinstance(value, dict):
        return {key: _turned(inner) for key, inner in reversed(value.items())}
    return [_turned(inner) for inner in value] if isinstance(value, list) else value


@given(raw=st.one_of(messages(), odd_messages()), flat=st.booleans())
def test_a_message_is_the_same_as_itself(raw: dict[str, Any], flat: bool) -> None:
    """Whatever it holds, in whatever order its keys come, whoever's assistant the export is for."""
    assert change(line_of(raw, flat=flat), raw) is None
    assert change(line_of(raw, flat=flat, assistant_id="asst_other"), _turned(raw)) is None


@given(raw=messages(long_texts=False), metadata=json_values)
def test_other_metadata_are_told_as_such(raw: dict[str, Any], metadata: Any) -> None:
    """Set, changed or taken away; a flat line does not show them."""
    expected = Change("changed_metadata", "$.message.metadata")
    without = {key: value for key, value in raw.items() if key != "metadata"}
    assert change(line_of(without), raw) == change(line_of(raw), without) == expected
    assert change(line_of(raw), {**raw, "metadata": {"before": raw["metadata"], "now": metadata}}) == expected
    assert change(line_of(raw, flat=True), without) is None


@given(raw=messages(long_texts=False), text=raw_text)
def test_another_text_is_told_with_its_path(raw: dict[str, Any], text: str) -> None:
    """Also where the metadata were changed too."""
    here = raw | {"content": [{"type": "text", "text": {"value": text, "annotations": []}}]}
    there = raw | {
        "content": [{"type": "text", "text": {"value": text + "!", "annotations": []}}],
        "metadata": {"x": 1},
    }
    assert change(line_of(here), there) == Change("changed_message", "$.message.content[0].text.value")
    assert change(line_of(here, flat=True), there) == Change("changed_message", "$.text")


@pytest.mark.parametrize(
    ("here", "there", "path"),
    [
        (1, 1.0, "$.message.x"),
        (0, False, "$.message.x"),
        (0.0, -0.0, "$.message.x"),
        (2**64, float(2**64), "$.message.x"),
        (None, {}, "$.message.x"),
        ([], {}, "$.message.x"),
        ([1, [2]], [1, [2, 3]], "$.message.x[1][1]"),
        ([1, 2], [1], "$.message.x[1]"),
        ({"a b": {"ß": 1}}, {"a b": {"ß": 2}}, '$.message.x["a b"].ß'),
        ({"a": 1}, {"a": 1, "b": None}, "$.message.x.b"),
        ({"b": None, "a": 1}, {"a": 2}, "$.message.x.b"),
    ],
)
def test_where_two_messages_differ_first(here: Any, there: Any, path: str) -> None:
    """Numbers of another type are other numbers; an absent key is not null."""
    raw = {"id": "msg_a", "thread_id": "thread_a"}
    assert change(line_of(raw | {"x": here}), raw | {"x": there}) == Change("changed_message", path)


@given(json_values, json_values)
def test_values_are_the_same_when_their_text_is(here: Any, there: Any) -> None:
    """But for the order of keys, which a turn and a turn back leave."""
    raw = {"id": "msg_a", "thread_id": "thread_a"}
    here, there = loads(_text(here)), loads(_text(there))
    is_same = change(line_of(raw | {"x": here}), raw | {"x": there}) is None
    assert is_same is (_text(_sorted(here)) == _text(_sorted(there)))


def _text(value: Any) -> bytes:
    return encode_message({"id": "m", "thread_id": "t", "x": value}, assistant_id="a").split(b'"x":', 1)[1][:-2]


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(inner) for inner in value] if isinstance(value, list) else value


def test_depth_is_no_trouble() -> None:
    """However deep JSON could be read."""

    def deep(value: object) -> object:
        for _ in range(5000):
            value = [value]
        return value

    raw = {"id": "msg_a", "thread_id": "thread_a"}
    found = change({"message": raw | {"x": deep(1)}}, raw | {"x": deep(2)})
    assert found == Change("changed_message", "$.message.x" + "[0]" * 5000)


def test_lines_that_say_of_no_message_are_passed_over() -> None:
    """They have findings without the API; a byte order mark is none of the message's business."""
    assert [read_line(line) for line in (b"", b"{", b"[]", b"\xff", b'{"message_id":1}')] == [None] * 5
    assert read_line(b'\xef\xbb\xbf{"message_id":"a"}\r') == {"message_id": "a"}
    assert change({"message_id": "a", "message": None}, {"id": "a"}) == Change("changed_message", "$.message")
    assert change({"message_id": "a"}, {"id": "a", "thread_id": "t"}) == Change("changed_message", "$.thread_id")


# --- a sample


@given(thread_ids=ids, fewer=st.integers(0, 12), more=st.integers(0, 12), seed=st.integers(), data=st.data())
def test_a_sample_depends_on_the_seed_alone(
    thread_ids: list[str], fewer: int, more: int, seed: int, data: st.DataObject
) -> None:
    """In the order given, whatever that is; a larger one holds the smaller one."""
    chosen = sample(thread_ids, fewer, seed)
    assert len(chosen) == min(fewer, len(thread_ids))
    assert chosen == tuple(one for one in thread_ids if one in chosen)
    assert set(sample(data.draw(st.permutations(thread_ids)), fewer, seed)) == set(chosen)
    assert set(chosen) <= set(sample(thread_ids, fewer + more, seed))


def test_another_seed_is_another_sample() -> None:
    """And the choice is fixed: a report of years ago can be checked with the same threads. An odd id is an id."""
    thread_ids = [f"thread_{number}" for number in range(50)]
    assert sample(thread_ids, 3, 7) == ("thread_30", "thread_34", "thread_40")
    assert len({sample(thread_ids, 5, seed) for seed in range(20)}) > 15
    assert sample(["thread_\ud800"], 1, 0) == ("thread_\ud800",)


@pytest.mark.parametrize(
    ("text", "code"), [("", "deleted_message"), (" ", "deleted_message"), ("b", "changed_message")]
)
@pytest.mark.parametrize("flat", [True, False])
def test_a_message_that_was_emptied_is_no_other_message(flat: bool, text: str, code: str) -> None:
    """The export has more of it, and a refresh would keep that."""
    was, now = (
        {
            "id": "msg_1",
            "thread_id": "thread_a",
            "content": [{"type": "text", "text": {"value": value, "annotations": []}}],
        }
        for value in ("a", text)
    )
    before = read_line(encode_message(was, assistant_id="asst_1", flat=flat))
    assert before is not None
    found = change(before, now)
    assert found is not None
    assert found.code == code
