"""Items as they are sent: those of a conversion, with the target's ids of files, and Unicode throughout."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from converting import put_bare, text_message
from pushes import unicode
from strategies import messages, odd_messages
from threadkeep import from_message_json, read, to_response_items
from threadkeep.conversion.job import Options
from threadkeep.conversion.losses import Loss
from threadkeep.conversion.source import Source
from threadkeep.migration.conversations.items import FileAtTarget, SentItem, by_kind, items_of_thread

threads = st.lists(st.one_of(messages(long_texts=False), odd_messages()), min_size=1, max_size=4).map(
    lambda rows: [{**row, "thread_id": "thread_a", "id": f"msg_{place}"} for place, row in enumerate(rows)]
)


def sent(
    rows: Sequence[Mapping[str, Any]], files: Mapping[str, FileAtTarget] | None = None, **options: Any
) -> list[SentItem]:
    """The items of a thread of these messages."""
    with tempfile.TemporaryDirectory() as folder:
        out = put_bare(Path(folder, "out"), rows)
        with read(out) as export:
            (found,) = (
                [*items_of_thread(one, Options(**options), files)] for one in Source(export, None, lambda _event: None)
            )
    return found


def is_of_surrogates(loss: Loss) -> bool:
    """Whether a loss is of half of a pair."""
    return loss.lost == "text" and "surrogate pair" in loss.why


@given(threads)
def test_the_items_are_those_of_a_conversion(rows: list[dict[str, Any]]) -> None:
    """Each message has its time, its losses, and the files that it needs; each half of a pair is named."""
    found = sent(rows)
    assert len(found) == len(rows)
    for one, row in zip(found, rows, strict=True):
        items, losses = to_response_items([from_message_json(row, assistant_id=None)])
        created_at = row.get("created_at")
        assert one.time == (created_at if type(created_at) in (int, float) and created_at == one.time else None)
        assert [loss for loss in one.losses if not is_of_surrogates(loss)] == losses
        assert ([] if one.item is None else [one.item]) == unicode(items)
        assert any(map(is_of_surrogates, one.losses)) == (unicode(items) != items)
        assert [*one.files] == files_of(items)
        assert by_kind(one.files).keys() == {file_id for file_id, _ in one.files}


def files_of(items: Sequence[Mapping[str, Any]]) -> list[tuple[str, bool]]:
    """The files that items need; a citation needs none."""
    parts = (part for item in items for part in item["content"] if part["type"] in ("input_image", "input_file"))
    return [(part["file_id"], part["type"] == "input_image") for part in parts if part.get("file_id")]


@given(threads, st.data())
def test_files_have_the_ids_of_the_target_or_are_lost(rows: list[dict[str, Any]], data: st.DataObject) -> None:
    """Nothing else is changed, and an item of which nothing is left is none."""
    plain = sent(rows)
    names = sorted(by_kind(file for one in plain for file in one.files))
    here = data.draw(st.sets(st.sampled_from(names))) if names else set[str]()
    files = {name: FileAtTarget(f"at-target-{name}" if name in here else None, f"no {name}") for name in names}
    for one, before in zip(sent(rows, files), plain, strict=True):
        more = [loss for loss in one.losses if loss not in before.losses]
        assert [loss.why for loss in more] == [f"no {name}" for name, _ in before.files if name not in here]
        assert {loss.lost for loss in more} <= {"image_file", "attachments"}
        assert (one.time, one.files) == (before.time, before.files)
        expected = [mapped(part, here) for part in (before.item or {"content": []})["content"]]
        content = [part for part in expected if part is not None]
        assert one.item == ({**before.item, "content": content} if before.item is not None and content else None)


def mapped(part: dict[str, Any], here: set[str]) -> dict[str, Any] | None:
    """A part as the target takes it."""
    if part["type"] not in ("input_image", "input_file") or part.get("file_id") is None:
        return part
    return {**part, "file_id": f"at-target-{part['file_id']}"} if part["file_id"] in here else None


IMAGE = {"type": "image_file", "image_file": {"file_id": "file-1", "detail": "low"}}
TEXT = {"type": "text", "text": {"value": "See", "annotations": []}}


def test_a_file_has_another_id_at_the_target() -> None:
    """Of an image and of an attachment alike."""
    row = text_message(1, content=[IMAGE, TEXT], attachments=[{"file_id": "file-2"}])
    (one,) = sent([row], {"file-1": FileAtTarget("file-x"), "file-2": FileAtTarget("file-y")})
    assert one.item is not None
    assert one.item["content"] == [
        {"type": "input_image", "file_id": "file-x", "detail": "low"},
        {"type": "input_text", "text": "See"},
        {"type": "input_file", "file_id": "file-y"},
    ]
    assert (one.losses, one.files) == ((), (("file-1", True), ("file-2", False)))


def test_files_that_the_target_does_not_have_are_lost_by_the_words_of_the_api() -> None:
    """The others of the message are sent."""
    row = text_message(1, content=[IMAGE, TEXT], attachments=[{"file_id": "file-2"}])
    (one,) = sent([row], {"file-1": FileAtTarget(None, "no image"), "file-2": FileAtTarget(None, "no file")})
    assert one.item is not None
    assert one.item["content"] == [{"type": "input_text", "text": "See"}]
    assert [(loss.lost, loss.why) for loss in one.losses] == [("image_file", "no image"), ("attachments", "no file")]


def test_nothing_is_left_of_a_message_of_a_file_that_is_not_there() -> None:
    """Its time and its loss are."""
    (one,) = sent([text_message(1, content=[IMAGE])], {"file-1": FileAtTarget(None, "no image")})
    assert (one.item, one.time, len(one.losses)) == (None, 1_774_963_800, 1)


@pytest.mark.parametrize("files", [None, {}])
def test_a_file_whose_id_no_url_can_carry_is_lost(files: Mapping[str, FileAtTarget] | None) -> None:
    """It is asked for nowhere."""
    (one,) = sent([text_message(1, attachments=[{"file_id": "file-\ud83d"}, {"file_id": ""}])], files)
    assert one.item is not None
    assert one.item["content"] == [{"type": "input_text", "text": "text 1"}]
    assert [(loss.lost, loss.message_id) for loss in one.losses] == [("attachments", "msg_1")] * 2
    assert one.files == ()


@pytest.mark.parametrize(
    ("text", "as_sent"),
    [
        ("\ud83d", "\ufffd"),
        ("a\ud83d", "a\ufffd"),
        ("\ud83db", "\ufffdb"),
        ("\ude00\ud83d", "\ufffd\ufffd"),
        ("\ufeff\ud83d\U0001f600", "\ufeff\ufffd\U0001f600"),
    ],
    ids=ascii,
)
def test_half_of_a_surrogate_pair_is_replaced_and_named(text: str, as_sent: str) -> None:
    """JSON that is sent must be Unicode; each half is one sign, and whole pairs stay."""
    (one,) = sent([text_message(1, text=text)])
    assert one.item is not None
    assert one.item["content"] == [{"type": "input_text", "text": as_sent}]
    assert [(loss.lost, loss.message_id) for loss in one.losses] == [("text", "msg_1")]


def test_citations_keep_the_ids_of_the_source() -> None:
    """They name what was read then: the file need not be there."""
    cited = {
        "type": "file_citation",
        "text": "[1]",
        "start_index": 0,
        "end_index": 3,
        "file_citation": {"file_id": "f"},
    }
    row = text_message(1, "assistant", content=[{"type": "text", "text": {"value": "[1]", "annotations": [cited]}}])
    (one,) = sent([row], {})
    assert one.item is not None
    assert [annotation["file_id"] for annotation in one.item["content"][0]["annotations"]] == ["f"]
    assert one.files == ()


def test_an_image_that_is_longer_than_an_item_takes_is_lost() -> None:
    """The other parts are sent: the target would refuse the request with all of them."""
    url = "data:image/png;base64," + "A" * 20_971_520
    image = {"type": "image_url", "image_url": {"url": url}}
    row = text_message(1)
    (one,) = sent([{**row, "content": [*row["content"], image]}])
    assert one.item is not None
    assert [part["type"] for part in one.item["content"]] == ["input_text"]
    assert [(loss.lost, "20,971,520" in loss.why) for loss in one.losses] == [("image_file", True)]
