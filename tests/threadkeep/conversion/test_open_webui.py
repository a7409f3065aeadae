"""Chats for Open WebUI: a tree of messages that leads from the first to the last, with their own times."""

from collections import Counter
from typing import Any

from hypothesis import given

from converting import meant, text_message
from odd_threads import by_thread, has_time, json_of, odd_threads, part_losses, target_of, texts
from threadkeep import MessageRecord

CHAT_KEYS = {"chat", "meta", "pinned", "archived", "folder_id", "created_at", "updated_at"}


def converted(messages: list[dict[str, Any]], **options: Any) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The chats, and the rows of the report."""
    files, rows = target_of("open-webui", messages, **options)
    return json_of(files[""]), rows


def branch(chat: dict[str, Any]) -> list[dict[str, Any]]:
    """The messages of a chat as its page shows them: from the current one up to the first, in order."""
    history = chat["chat"]["history"]
    found, current = [], history["currentId"]
    while current is not None:
        found.append(history["messages"][current])
        assert found[-1]["id"] == current
        assert found[-1]["childrenIds"] == [one["id"] for one in found[-2:-1]]
        current = found[-1]["parentId"]
    assert len(found) == len(history["messages"])
    return found[::-1]


def is_carried(record: MessageRecord) -> bool:
    """Whether a message has anything that the format carries."""
    return any(word in ("text", "image_url") and value is not None for word, value in meant(record))


@given(messages=odd_threads())
def test_every_text_and_image_is_shown_or_named(messages: list[dict[str, Any]]) -> None:
    """Message by message in the server's order, each with its own time, or a row that says it has none."""
    chats, rows = converted(messages)
    threads = by_thread(messages)
    assert [chat["meta"]["openai_thread"]["id"] for chat in chats] == [*threads]
    timeless = {row["message_id"] for row in rows if row["lost"] == "created_at"}
    for chat, records in zip(chats, threads.values(), strict=True):
        assert chat.keys() == CHAT_KEYS
        assert "\ud800" not in chat["chat"]["title"]
        shown = [record for record in records if is_carried(record)]
        for message, record in zip(branch(chat), shown, strict=True):
            assert message["id"] == record.message_id
            assert message["role"] == ("assistant" if record.role == "assistant" else "user")
            assert message["content"] == texts(record)
            images = [value for word, value in meant(record) if word == "image_url" and value is not None]
            assert [file["url"] for file in message.get("files", [])] == images
            assert (record.message_id in timeless) is not has_time(record)
            assert not has_time(record) or message["timestamp"] == record.created_at
        for record in records:
            lost = Counter(w for w, value in meant(record) if w not in ("text", "image_url") or value is None)
            assert part_losses(record, rows) == lost
            for name in ("metadata", "attachments"):
                is_named = any((row["message_id"], row["lost"]) == (record.message_id, name) for row in rows)
                assert is_named is bool(record.raw.get(name))


def test_a_chat() -> None:
    """As Open WebUI writes it: ids, links, seconds, the model of an answer."""
    image = {"type": "image_url", "image_url": {"url": "https://x/1.png"}}
    question = text_message(1, created_at=1_700_000_000)
    question["content"].append(image)
    answer = text_message(2, "assistant", created_at=1_700_000_005, assistant_id="asst_1")
    chats, rows = converted([question, answer])
    first = {"id": "msg_1", "parentId": None, "childrenIds": ["msg_2"], "role": "user", "content": "text 1"}
    second = {"id": "msg_2", "parentId": "msg_1", "childrenIds": [], "role": "assistant", "content": "text 2"}
    shown = {
        "msg_1": {**first, "timestamp": 1_700_000_000, "files": [{"type": "image", "url": "https://x/1.png"}]},
        "msg_2": {**second, "timestamp": 1_700_000_005, "model": "asst_1", "done": True},
    }
    history = {"messages": shown, "currentId": "msg_2"}
    assert rows == []
    assert chats == [
        {
            "chat": {"history": history, "models": ["asst_1"], "title": "text 1"},
            "meta": {"openai_thread": {"id": "thread_a", "assistant_id": None, "metadata": {}}},
            "pinned": False,
            "archived": False,
            "folder_id": None,
            "created_at": 1_700_000_000,
            "updated_at": 1_700_000_005,
        }
    ]


def test_a_repeated_id_loses_no_message() -> None:
    """A file that somebody put together may have an id twice; as keys of one object the second would hide the first."""
    chats, _ = converted([text_message(1, text="one"), text_message(1, text="two"), text_message(1, text="three")])
    assert [(one["id"], one["content"]) for one in branch(chats[0])] == [
        ("msg_1", "one"),
        ("msg_1-2", "two"),
        ("msg_1-3", "three"),
    ]


def test_nothing_to_show_is_an_empty_array_or_chat() -> None:
    """An export without threads, and a thread of which no message is left."""
    assert converted([]) == ([], [])
    chats, _ = converted([text_message(1, content=[])])
    assert (branch(chats[0]), chats[0]["chat"]["title"], chats[0]["created_at"]) == ([], "thread_a", None)


def test_a_title_is_the_first_words_on_one_line() -> None:
    """It must not break a list of chats, nor a database."""
    chats, _ = converted([text_message(1, text=" \n"), text_message(2, text="a\x00\n\tb \ud800" + "c" * 99)])
    assert chats[0]["chat"]["title"] == "a b ?" + "c" * 75


def test_a_repeated_id_gets_one_that_nobody_has() -> None:
    """Even where the next number is somebody's own: no message takes the place of another."""
    messages = [text_message(n, id=name, text=f"text {n}") for n, name in enumerate(("x-3", "x", "x", "x-3-4", "x-3"))]
    (chat,), _ = converted(messages)
    assert [message["content"] for message in branch(chat)] == [f"text {n}" for n in range(5)]
