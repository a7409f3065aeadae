"""Patterns for Engramia: every question with its answer is a line, and every other message is named."""

import json
import sys
from collections import Counter
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from converting import meant, text_message
from odd_threads import by_thread, odd_threads, part_losses, target_of, texts
from threadkeep import MessageRecord


def converted(messages: list[dict[str, Any]], **options: Any) -> tuple[list[Any], list[dict[str, Any]]]:
    """The lines of the target, and the rows of the report."""
    files, rows = target_of("engramia", messages, **options)
    return [json.loads(line) for line in files[""].split(b"\n")[:-1]], rows


def pairs(records: list[MessageRecord]) -> list[tuple[MessageRecord, MessageRecord]]:
    """The pairs that Engramia's guide forms, in the order of the records."""
    found, place = [], 0
    while place + 1 < len(records):
        question, answer = records[place], records[place + 1]
        is_pair = (question.role, answer.role) == ("user", "assistant")
        found += [(question, answer)] if is_pair else []
        place += 2 if is_pair else 1
    return found


@given(messages=odd_threads())
def test_every_pair_is_a_line_and_every_other_message_a_loss(messages: list[dict[str, Any]]) -> None:
    """In the order of the server; of a pair each part that is no text is named."""
    lines, rows = converted(messages)
    wanted, left = [], []
    for thread_id, records in by_thread(messages).items():
        kept = [pair for pair in pairs(records) if all(texts(record).strip() for record in pair)]
        wanted += [(texts(task), texts(code), f"openai-thread:{thread_id}") for task, code in kept]
        in_pairs = {record.message_id for pair in kept for record in pair}
        left += [record.message_id for record in records if record.message_id not in in_pairs]
        for record in records:
            if record.message_id in in_pairs:
                lost = Counter(word for word, value in meant(record) if word != "text" or value is None)
                assert part_losses(record, rows) == lost
    assert [(line["task"], line["code"], line["run_id"]) for line in lines] == wanted
    assert sorted(row["message_id"] for row in rows if row["lost"] == "message") == sorted(left)
    assert all((line["eval_score"], line["source"]) == (5.0, "import") for line in lines)


def test_a_line_has_the_arguments_of_learn() -> None:
    """A question and its answer, whatever their times are; a score that says nothing."""
    lines, rows = converted([text_message(1, created_at=9), text_message(2, "assistant", created_at=3)])
    assert (lines, rows) == (
        [
            {
                "task": "text 1",
                "code": "text 2",
                "eval_score": 5.0,
                "source": "import",
                "run_id": "openai-thread:thread_a",
            }
        ],
        [],
    )


@pytest.mark.parametrize(
    ("messages", "whys"),
    [
        ([text_message(1)], ["no answer of the assistant follows it"]),
        ([text_message(1, content=[])], ["no answer of the assistant follows it"]),
        ([text_message(1, "assistant")], ["no user's message is directly before it"]),
        ([{**text_message(1), "role": None}], ["the role is None, and a pair is of a user and an assistant"]),
        (
            [text_message(1), text_message(2, text=" \n"), text_message(3, "assistant"), text_message(4, "assistant")],
            [
                "no answer of the assistant follows it",
                "its text is blank, and a pair needs two texts",
                "the text of its question is blank, and a pair needs two texts",
                "no user's message is directly before it",
            ],
        ),
        (
            [text_message(1), text_message(2, "assistant", content=[])],
            [
                "the text of its answer is blank, and a pair needs two texts",
                "its text is blank, and a pair needs two texts",
            ],
        ),
    ],
)
def test_a_message_in_no_line_is_named(messages: list[dict[str, Any]], whys: list[str]) -> None:
    """With the reason: it is in no pair, or a side of its pair is blank."""
    lines, rows = converted(messages)
    assert lines == []
    assert rows == [
        {"thread_id": "thread_a", "message_id": f"msg_{number}", "lost": "message", "why": why}
        for number, why in enumerate(whys, 1)
    ]


def test_a_longer_text_than_engramia_takes_is_cut_and_named() -> None:
    """The limits are those of ``learn``, in code points."""
    long = [text_message(1, text="\U0001f32e" * 10_001), text_message(2, "assistant", "x" * 500_001)]
    lines, rows = converted([*long, text_message(3, text="t" * 10_000), text_message(4, "assistant", "c" * 500_000)])
    assert [(len(line["task"]), len(line["code"])) for line in lines] == [(10_000, 500_000)] * 2
    assert [(row["message_id"], row["lost"], row["why"]) for row in rows] == [
        ("msg_1", "text", "truncated: it has 10,001 code points, and Engramia takes 10,000 as task"),
        ("msg_2", "text", "truncated: it has 500,001 code points, and Engramia takes 500,000 as code"),
    ]


def test_what_is_kept_as_text_makes_a_pair() -> None:
    """An image that is the whole question."""
    image = {"type": "image_file", "image_file": {"file_id": "file-1"}}
    messages = [text_message(1, content=[image]), text_message(2, "assistant")]
    lines, rows = converted(messages, unsupported="text")
    assert [line["task"] for line in lines] == ["[image_file file-1]"]
    assert [(row["message_id"], row["lost"]) for row in rows] == [("msg_1", "image_file")]
    assert [row["lost"] for row in converted(messages)[1]] == ["message", "message"]


if sys.version_info >= (3, 12):  # what Engramia needs

    def test_engramia_learns_the_lines(tmp_path: Path) -> None:
        """Its package takes every line as it is, the longest ones too, and recalls the answer."""
        memory_of: Any = import_module("engramia").Memory
        storage: Any = import_module("engramia.providers.json_storage").JSONStorage
        request: Any = import_module("engramia.api.schemas").LearnRequest
        texts = ["How?\u2028 \x00", "So.", "x" * 20_000, "y" * 600_000]
        roles = ["user", "assistant"] * 2
        messages = [text_message(n, role, text) for n, (role, text) in enumerate(zip(roles, texts, strict=True))]
        lines, _ = converted(messages)
        memory = memory_of(embeddings=None, storage=storage(path=tmp_path))
        for line in lines:
            assert request.model_validate(line).task == line["task"]
            assert memory.learn(**line).stored
        assert memory.metrics.pattern_count == len(lines) == 2
        assert [record["data"]["design"]["code"] for record in memory.export()] == [line["code"] for line in lines]
