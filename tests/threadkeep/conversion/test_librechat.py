"""Conversations for LibreChat: read as its importer reads them, each thread from a file of its own."""

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

from hypothesis import given

from converting import meant, text_message
from odd_threads import by_thread, has_time, json_of, odd_threads, part_losses, target_of, texts

NO_PARENT = "00000000-0000-0000-0000-000000000000"


def converted(messages: list[dict[str, Any]], **options: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The conversations by the names of their files, and the rows of the report."""
    files, rows = target_of("librechat", messages, **options)
    return {name: json_of(content) for name, content in files.items()}, rows


def imported(conversation: dict[str, Any]) -> list[tuple[str | None, str, datetime]]:
    """What LibreChat has after the import: for each message the text of its parent, its own text and its time.

    The importer takes an object with ``conversationId`` and ``messages``, looks for each parent among the messages
    before, and moves a message that is not later than its parent to a millisecond behind it.
    """
    assert conversation["conversationId"]
    assert not conversation["recursive"]
    found: dict[str, tuple[str | None, str, datetime]] = {}
    for message in conversation["messages"]:
        time = datetime.fromisoformat(message["createdAt"])
        parent = message["parentMessageId"]
        before = None if parent == NO_PARENT else found[parent]
        if before is not None and time <= before[2]:
            time = before[2] + timedelta(milliseconds=1)
        assert message["messageId"] not in found
        found[message["messageId"]] = (None if before is None else before[1], message["text"], time)
    return [*found.values()]


@given(messages=odd_threads())
def test_every_text_is_imported_and_all_else_is_named(messages: list[dict[str, Any]]) -> None:
    """Message by message in the server's order, each with its own time, or a row that says it has none."""
    conversations, rows = converted(messages)
    threads = by_thread(messages)
    assert [*conversations] == [f"{number:06}-{thread_id}.json" for number, thread_id in enumerate(threads, 1)]
    timeless = {row["message_id"] for row in rows if row["lost"] == "created_at"}
    for conversation, records in zip(conversations.values(), threads.values(), strict=True):
        shown = [r for r in records if any(word == "text" and value is not None for word, value in meant(r))]
        wanted = [texts(record) for record in shown]
        assert [(parent, text) for parent, text, _ in imported(conversation)] == list(
            zip([None, *wanted], wanted, strict=False)
        )
        for message, record in zip(conversation["messages"], shown, strict=True):
            assert message["isCreatedByUser"] is (record.role != "assistant")
            assert (record.message_id in timeless) is not has_time(record)
            seconds = datetime.fromisoformat(message["createdAt"]).timestamp()
            assert not has_time(record) or seconds == record.created_at
        for record in records:
            lost = Counter(word for word, value in meant(record) if word != "text" or value is None)
            assert part_losses(record, rows) == lost
            for name in ("metadata", "attachments"):
                is_named = any((row["message_id"], row["lost"]) == (record.message_id, name) for row in rows)
                assert is_named is bool(record.raw.get(name))


def test_a_conversation() -> None:
    """As LibreChat writes it, without the fields that its import makes anew."""
    answer = text_message(2, "assistant", created_at=1_700_000_000, assistant_id="asst_1")
    conversations, rows = converted([text_message(1, created_at=1_700_000_000), answer])
    time = "2023-11-14T22:13:20.000Z"
    shared = {"conversationId": "thread_a", "createdAt": time, "updatedAt": time}
    first = {"messageId": "msg_1", "parentMessageId": NO_PARENT, "sender": "User", "isCreatedByUser": True}
    second = {"messageId": "msg_2", "parentMessageId": "msg_1", "sender": "asst_1", "isCreatedByUser": False}
    assert rows == []
    assert conversations == {
        "000001-thread_a.json": {
            "conversationId": "thread_a",
            "endpoint": "openAI",
            "recursive": False,
            "options": {},
            "messages": [
                {**shared, **first, "text": "text 1"},
                {**shared, **second, "text": "text 2", "model": "asst_1"},
            ],
            "title": "text 1",
        }
    }
    parents = [(parent, text) for parent, text, _ in imported(conversations["000001-thread_a.json"])]
    assert parents == [(None, "text 1"), ("text 1", "text 2")]


def test_an_id_is_no_path() -> None:
    """Ids that would lead elsewhere, and ids that a file system takes for one name, have files of their own."""
    ids = ["../../x", "Thread", "thread", "/", "t" * 500, "\ud800"]
    conversations, _ = converted([text_message(n, thread_id=thread_id) for n, thread_id in enumerate(ids)])
    assert [one["conversationId"] for one in conversations.values()] == ids
    assert [*conversations][:4] == [
        "000001-______x.json",
        "000002-Thread.json",
        "000003-thread.json",
        "000004-_.json",
    ]
    assert all(len(name) < 120 for name in conversations)


def test_a_message_without_a_time_has_that_of_the_one_before() -> None:
    """Else the import would give it today's, and move all later ones behind it."""
    messages = [text_message(1, created_at=100), text_message(2, created_at=None), text_message(3, created_at=10**30)]
    conversations, rows = converted([*messages, text_message(4, created_at=200)])
    times = [time.timestamp() for _, _, time in imported(conversations["000001-thread_a.json"])]
    assert times == [100, 100.001, 100.002, 200]
    assert [(row["message_id"], row["lost"]) for row in rows] == [("msg_2", "created_at"), ("msg_3", "created_at")]
