"""What is not as it was sent is named, with its kind and its place; what a server adds is no difference."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from threadkeep.migration.conversations.comparison import Difference, differences, fingerprint, missing_pairs

few = st.integers(0, 5).map(lambda number: bytes([number]))
items = st.lists(few, min_size=1, max_size=40)
NEW = b"new"


@given(items, st.data())
def test_a_removed_item_is_named(sent: list[bytes], data: st.DataObject) -> None:
    """Of equal ones in a row it does not matter which: without the one that is named, it is what was found."""
    place = data.draw(st.integers(0, len(sent) - 1))
    found = [*sent[:place], *sent[place + 1 :]]
    (difference,) = differences(sent, found)
    assert difference.kind == "gone"
    assert [*sent[: difference.place - 1], *sent[difference.place :]] == found


@given(items, st.data())
def test_a_changed_item_is_named(sent: list[bytes], data: st.DataObject) -> None:
    """Whatever it was."""
    place = data.draw(st.integers(0, len(sent) - 1))
    found = [*sent[:place], NEW, *sent[place + 1 :]]
    assert differences(sent, found) == (Difference("changed", place + 1),)


@given(items, st.data())
def test_a_doubled_item_is_named(sent: list[bytes], data: st.DataObject) -> None:
    """Wherever its double is."""
    one, place = data.draw(st.sampled_from(sent)), data.draw(st.integers(0, len(sent)))
    found = [*sent[:place], one, *sent[place:]]
    (difference,) = differences(sent, found)
    assert difference.kind == "doubled"
    assert [*found[: difference.place - 1], *found[difference.place :]] == sent


@given(items, st.data())
def test_swapped_neighbours_are_named(sent: list[bytes], data: st.DataObject) -> None:
    """By the first of them."""
    assume(len(sent) > 1)
    place = data.draw(st.integers(0, len(sent) - 2))
    assume(sent[place] != sent[place + 1])
    found = [*sent[:place], sent[place + 1], sent[place], *sent[place + 2 :]]
    assert differences(sent, found) == (Difference("swapped", place + 1),)


@given(items, st.data())
def test_an_item_of_others_is_named(sent: list[bytes], data: st.DataObject) -> None:
    """By its place in the conversation."""
    place = data.draw(st.integers(0, len(sent)))
    found = [*sent[:place], NEW, *sent[place:]]
    assert differences(sent, found) == (Difference("foreign", place + 1),)


@given(st.lists(few, max_size=8), st.lists(few, max_size=8))
def test_there_are_no_differences_if_and_only_if_all_is_equal(sent: list[bytes], found: list[bytes]) -> None:
    """Whatever was found; and each place is one of what was sent or found."""
    rows = differences(sent, found)
    assert (rows == ()) == (sent == found)
    assert [row.place for row in rows] == sorted(row.place for row in rows)
    for row in rows:
        assert 1 <= row.place <= len(found if row.kind in ("doubled", "foreign") else sent)


@given(st.lists(few, max_size=8), st.lists(few, max_size=8))
def test_the_numbers_of_items_add_up(sent: list[bytes], found: list[bytes]) -> None:
    """What is gone is less, what is doubled or foreign more, and the others are as many."""
    kinds = [row.kind for row in differences(sent, found)]
    assert len(found) == len(sent) - kinds.count("gone") + kinds.count("doubled") + kinds.count("foreign")
    assert kinds.count("swapped") <= 1


class Counted(bytes):
    """A fingerprint that counts how often it is compared."""

    compared = 0

    def __eq__(self, other: object) -> bool:
        Counted.compared += 1
        return super().__eq__(other)

    def __ne__(self, other: object) -> bool:
        Counted.compared += 1
        return super().__ne__(other)

    def __hash__(self) -> int:
        return super().__hash__()


@pytest.mark.parametrize("found", [99_999, 100_000, 100_001])
def test_the_work_grows_with_the_number_of_items_only(found: int) -> None:
    """Also where all items are equal."""
    Counted.compared = 0
    rows = differences([Counted(b"same") for _ in range(100_000)], [Counted(b"same") for _ in range(found)])
    assert [row.kind for row in rows] == {99_999: ["gone"], 100_000: [], 100_001: ["doubled"]}[found]
    assert Counted.compared < 10 * 100_000


def test_all_kinds_in_words() -> None:
    """For people."""
    words = [str(Difference(kind, 3)) for kind in ("gone", "changed", "doubled", "swapped", "foreign")]
    assert words == [
        "item 3 is gone",
        "item 3 is changed",
        "item 3 is there twice",
        "item 3 is in another place",
        "item 3 was not sent by this push",
    ]


# --- fingerprints


def said(*parts: dict[str, Any], role: str = "user", **more: Any) -> dict[str, Any]:
    """An item."""
    return {"type": "message", "role": role, "content": [*parts], **more}


CITATION = {"type": "file_citation", "file_id": "file-1", "filename": "a.txt", "index": 3}
PATH = {"type": "file_path", "file_id": "file-2", "index": 4}
SENT = [
    said({"type": "input_text", "text": "Hi"}),
    said({"type": "input_image", "file_id": "file-1", "detail": "low"}, {"type": "input_file", "file_id": "file-2"}),
    said({"type": "input_image", "image_url": "https://x/y.png", "detail": "auto"}),
    said({"type": "output_text", "text": "Yes", "annotations": [CITATION, PATH]}, role="assistant"),
    said({"type": "refusal", "refusal": "No"}, role="assistant"),
]


def as_listed(item: dict[str, Any]) -> dict[str, Any]:
    """The item as servers list it (recorded): with an id, a status and what was not given, in their order of keys."""
    more: dict[str, Any] = {"output_text": {"logprobs": []}, "input_image": {"file_id": None, "image_url": None}}
    parts = [{**more.get(part["type"], {}), **part} for part in reversed(item["content"])]
    for part in parts:
        if "annotations" in part:
            part["annotations"] = [{"x_more": 1, **one} for one in part["annotations"]]
    return {"id": "msg_1", "status": "completed", "role": item["role"], "content": parts[::-1], "type": "message"}


@pytest.mark.parametrize("item", SENT, ids=lambda item: item["content"][0]["type"])
def test_what_a_server_adds_is_no_difference(item: dict[str, Any]) -> None:
    """The fields that were sent are compared."""
    assert fingerprint(as_listed(item)) == fingerprint(item)


def changes(value: Any) -> list[Any]:
    """A value with each single thing in it changed, removed or doubled."""
    found = list[Any]()
    if isinstance(value, dict):
        found += ({**value, name: one} for name, inner in value.items() for one in changes(inner))
        found += ({name: one for name, one in value.items() if name != left} for left in value if left != "type")
        return found
    if isinstance(value, list):
        found += ([*value[:at], one, *value[at + 1 :]] for at, inner in enumerate(value) for one in changes(inner))
        return [*found, value[:-1], [*value, *value[-1:]], *([value[::-1]] if value != value[::-1] else [])]
    return [f"{value}x"] if isinstance(value, str) else [value + 1]


@pytest.mark.parametrize("item", SENT, ids=lambda item: item["content"][0]["type"])
def test_each_single_change_of_what_was_sent_is_a_difference(item: dict[str, Any]) -> None:
    """Of any field at any depth."""
    altered = changes(item)
    assert len(altered) > 5
    assert all(fingerprint(one) != fingerprint(item) for one in altered)


@given(st.lists(st.sampled_from(SENT), min_size=2, max_size=2, unique_by=str))
def test_different_items_have_different_fingerprints(pair: Sequence[dict[str, Any]]) -> None:
    """Or they could take each other's place."""
    one, other = pair
    assert fingerprint(one) != fingerprint(other)


# --- metadata


@pytest.mark.parametrize(
    ("found", "missing"),
    [
        ({"a": "1", "b": "2"}, ()),
        ({"b": "2", "a": "1", "more": "3"}, ()),
        ({"a": "1"}, ("b",)),
        ({"a": "2", "b": "2"}, ("a",)),
        ({}, ("a", "b")),
        (None, ("a", "b")),
        (["a", "b"], ("a", "b")),
    ],
    ids=str,
)
def test_pairs_that_are_gone_or_changed_are_named(found: object, missing: tuple[str, ...]) -> None:
    """Those that others have added are not."""
    assert missing_pairs({"a": "1", "b": "2"}, found) == missing
