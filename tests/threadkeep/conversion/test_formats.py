"""The law of every format that carries messages: each part is in the target, in order, or has a line in the report."""

import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from converting import converted, lost_words, meant, put_bare, text_message
from strategies import identifiers, odd_messages
from threadkeep import FormatName, MessageRecord, convert, from_message_json, to_chat_messages, to_response_items

IDS = st.lists(identifiers("msg_"), min_size=1, max_size=6, unique=True)


@st.composite
def odd_threads(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Messages of two threads, those of each together."""
    ids = draw(IDS)
    cut = draw(st.integers(0, len(ids)))
    return [
        {**draw(odd_messages()), "id": message_id, "thread_id": "thread_a" if place < cut else "thread_b"}
        for place, message_id in enumerate(ids)
    ]


def by_thread(messages: list[dict[str, Any]]) -> dict[str, list[MessageRecord]]:
    """The records of the messages."""
    found: dict[str, list[MessageRecord]] = {}
    for message in messages:
        found.setdefault(message["thread_id"], []).append(from_message_json(message, assistant_id=None))
    return found


def carried(role: str, said: tuple[str, Any], what: dict[str, set[str]]) -> bool:
    """Whether a role can carry a part."""
    word, value = said
    return value is not None and (word == "text" or word in what["assistant" if role == "assistant" else "user"])


def chat_said(message: dict[str, Any]) -> list[tuple[str, Any]]:
    """The parts of a message of Chat Completions."""
    content = message["content"]
    if isinstance(content, str):
        return [("text", content)]
    values = {"text": "text", "refusal": "refusal"}
    return [
        (part["type"], part["image_url"]["url"] if part["type"] == "image_url" else part[values[part["type"]]])
        for part in content
    ]


def item_said(item: dict[str, Any]) -> list[tuple[str, Any]]:
    """The parts of an input item; attached files are none."""
    assert item["type"] == "message"
    found: list[tuple[str, Any]] = []
    for part in item["content"]:
        match part:
            case {"type": "input_text" | "output_text" as kind, "text": text}:
                assert (kind == "output_text") == (item["role"] == "assistant")
                found.append(("text", text))
            case {"type": "input_image", "image_url": url}:
                found.append(("image_url", url))
            case {"type": "input_image", "file_id": file_id}:
                found.append(("image_file", file_id))
            case {"type": "refusal", "refusal": refusal}:
                found.append(("refusal", refusal))
            case {"type": "input_file"}:
                continue
            case _:
                raise AssertionError(part)
    return found


FORMATS: dict[str, tuple[str, Callable[[dict[str, Any]], list[tuple[str, Any]]], dict[str, set[str]]]] = {
    "chat": ("messages", chat_said, {"user": {"image_url"}, "assistant": {"refusal"}}),
    "items": ("items", item_said, {"user": {"image_url", "image_file"}, "assistant": {"refusal"}}),
}


@pytest.mark.parametrize("to", FORMATS)
@given(messages=odd_threads())
def test_every_part_is_carried_or_named(to: FormatName, messages: list[dict[str, Any]]) -> None:
    """In the order of the thread; what is missing is what the report names, message by message."""
    key, said, what = FORMATS[to]
    with tempfile.TemporaryDirectory() as folder:
        done, targets, rows = converted(Path(folder), to, messages)
    threads = by_thread(messages)
    assert [target["thread_id"] for target in targets] == [*threads]
    assert (done.threads, done.messages) == (len(threads), len(messages))
    for target, records in zip(targets, threads.values(), strict=True):
        items = iter(target[key])
        for record in records:
            wanted = [part for part in meant(record) if carried(record.role or "", part, what)]
            item = next(items) if wanted or _has_files(record, to) else None
            assert (said(item) if item is not None else []) == wanted
            lost = Counter(part[0] for part in meant(record) if not carried(record.role or "", part, what))
            assert lost_words(record, rows) == lost
            assert item is None or item["role"] == ("assistant" if record.role == "assistant" else "user")
        assert list(items) == []


def _has_files(record: MessageRecord, to: FormatName) -> bool:
    attached = record.raw.get("attachments")
    rows = attached if isinstance(attached, list) else [attached]
    named = any(isinstance(row, dict) and isinstance(row.get("file_id"), str) for row in rows)
    return named and to == "items" and record.role != "assistant"


@pytest.mark.parametrize("to", FORMATS)
@given(messages=odd_threads())
def test_what_belongs_to_a_message_is_named(to: FormatName, messages: list[dict[str, Any]]) -> None:
    """Roles that the format lacks, metadata that is not empty, and lists of attachments and annotations."""
    with tempfile.TemporaryDirectory() as folder:
        _, _, rows = converted(Path(folder), to, messages)
    found = {(row["message_id"], row["lost"]) for row in rows}
    for records in by_thread(messages).values():
        for record in records:
            has_role = record.role in ("user", "assistant")
            assert ((record.message_id, "role") in found) is not has_role
            if record.raw.get("metadata"):
                assert (record.message_id, "metadata") in found
            if record.raw.get("attachments") and (to == "chat" or record.role == "assistant"):
                assert (record.message_id, "attachments") in found
            if to == "chat" and any(getattr(part, "annotations", ()) for part in record.parts):
                assert (record.message_id, "annotations") in found


@pytest.mark.parametrize(("to", "single"), [("chat", to_chat_messages), ("items", to_response_items)])
@given(messages=odd_threads(), unsupported=st.sampled_from(["skip", "text"]))
def test_a_single_thread_is_converted_alike(
    to: FormatName, single: Callable[..., Any], messages: list[dict[str, Any]], unsupported: str
) -> None:
    """The call for one thread gives the items and the losses of the file."""
    with tempfile.TemporaryDirectory() as folder:
        _, targets, rows = converted(Path(folder), to, messages, unsupported=unsupported)
    alike, lost = [], []
    for records in by_thread(messages).values():
        items, losses = single(records, unsupported=unsupported)
        alike.append(items)
        lost += [(loss.thread_id, loss.message_id, loss.lost, loss.why) for loss in losses]
    assert alike == [target[FORMATS[to][0]] for target in targets]
    assert lost == [tuple(row.values()) for row in rows]


@pytest.mark.parametrize("to", FORMATS)
@given(messages=odd_threads())
def test_nothing_is_left_out_where_it_is_kept_as_text(to: FormatName, messages: list[dict[str, Any]]) -> None:
    """With ``unsupported="text"`` every part has a part in the target; the report is the same but for its words."""
    with tempfile.TemporaryDirectory() as folder:
        _, _, rows = converted(Path(folder), to, messages)
        _, targets, kept = converted(Path(folder), to, messages, unsupported="text")
    assert [(row["message_id"], row["lost"]) for row in kept] == [(row["message_id"], row["lost"]) for row in rows]
    counts = [len(FORMATS[to][1](item)) for target in targets for item in target[FORMATS[to][0]]]
    records = [record for records in by_thread(messages).values() for record in records]
    assert sum(counts) == sum(len(meant(record)) for record in records)


@given(messages=odd_threads())
def test_an_example_ends_with_the_assistant(messages: list[dict[str, Any]]) -> None:
    """Of each thread there is one, all of whose messages have content, or the thread is lost, with the reason."""
    with tempfile.TemporaryDirectory() as folder:
        _, targets, rows = converted(Path(folder), "finetune", messages)
    dropped = [row["thread_id"] for row in rows if row["lost"] == "thread"]
    assert all(row["message_id"] is None for row in rows if row["lost"] == "thread")
    left = [records for thread_id, records in by_thread(messages).items() if thread_id not in dropped]
    assert len(targets) == len(left)
    for target, records in zip(targets, left, strict=True):
        assert target["messages"][-1]["role"] == "assistant"
        assert all(message["content"] for message in target["messages"])
        texts = [part[1] for record in records for part in meant(record) if part[0] == "text" and part[1]]
        said = [part[1] for message in target["messages"] for part in chat_said(message) if part[0] == "text"]
        assert "\n".join(said).replace("\n", "") == "".join(texts).replace("\n", "")


@pytest.mark.parametrize(
    ("messages", "why"),
    [
        ([text_message(1)], "its last message with a text or image is not the assistant's"),
        ([text_message(1, content=[])], "no message of it has a text or image"),
        (
            [
                text_message(
                    1, content=[{"type": "image_url", "image_url": {"url": f"http://x/{n}"}} for n in range(65)]
                ),
                text_message(2, "assistant"),
            ],
            "it has 65 images, and 64 are accepted",
        ),
    ],
)
def test_a_thread_that_is_not_accepted(messages: list[dict[str, Any]], why: str, tmp_path: Path) -> None:
    """It is named, with the reason, and no line is left of it; the next one is written."""
    more = [text_message(8, thread_id="thread_b"), text_message(9, "assistant", thread_id="thread_b")]
    _, targets, rows = converted(tmp_path, "finetune", [*messages, *more])
    assert rows == [{"thread_id": "thread_a", "message_id": None, "lost": "thread", "why": why}]
    assert targets == [
        {"messages": [{"role": "user", "content": "text 8"}, {"role": "assistant", "content": "text 9"}]}
    ]


@pytest.mark.parametrize("to", ["chat", "items", "otlp", "html"])
def test_a_caption_is_a_text(to: FormatName, tmp_path: Path) -> None:
    """Servers like the API's have texts beside images and refusals, and they are in the text of the message too."""
    image = {"type": "image_file", "image_file": {"file_id": "file-1"}, "text": "the caption"}
    refusal = {"type": "refusal", "refusal": "no", "text": "the reason"}
    messages = [text_message(1, content=[image]), text_message(2, "assistant", content=[refusal])]
    done = convert(put_bare(tmp_path / "out.ndjson", messages), to=to, target=tmp_path / "t")
    pages = done.path.rglob("*.html") if done.path.is_dir() else [done.path]
    written = "".join(page.read_text() for page in pages)
    assert "the caption" in written
    assert "the reason" in written


def test_a_citation_outside_of_its_text_is_lost(tmp_path: Path) -> None:
    """An index that is no place of the text would be refused."""
    cited = {"type": "file_citation", "text": "x", "file_citation": {"file_id": "file-1"}}
    for start, is_kept in ((0, True), (4, True), (5, False), (-1, False), (10**30, False)):
        annotation = {**cited, "start_index": start, "end_index": start}
        content = [{"type": "text", "text": {"value": "text", "annotations": [annotation]}}]
        folder = tmp_path / str(start)
        folder.mkdir()
        _, (line,), rows = converted(folder, "items", [text_message(1, "assistant", content=content)])
        assert bool(line["items"][0]["content"][0]["annotations"]) is is_kept
        assert [row["lost"] for row in rows] == ([] if is_kept else ["annotations"])
