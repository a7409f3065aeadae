"""Cases: messages."""

from typing import Any

import fake_assistants.conformance.fixtures as staging
from fake_assistants.conformance.api import Api
from fake_assistants.conformance.case import Case

KEYS = (
    *("id", "object", "created_at", "assistant_id", "thread_id", "run_id", "role", "content", "attachments"),
    "metadata",
)
_URL = "https://test.openai.com/image.png"


def create(api: Api) -> None:
    """A message has exactly the recorded keys, in order: no status, no completed_at."""
    path = staging.thread(api)
    made = staging.message(api, path)
    made.keys(KEYS)
    made.has(object="thread.message", thread_id=path.rpartition("/")[2], role="user", attachments=[], metadata={})
    made["created_at"].number()


def by_hand(api: Api) -> None:
    """A message that is created by a client has neither run nor assistant, also in the role assistant."""
    path = staging.thread(api)
    for role in ("user", "assistant"):
        staging.message(api, path, role=role).has(role=role, run_id=None, assistant_id=None)


def text(api: Api) -> None:
    """A string becomes one text part."""
    made = staging.message(api, staging.thread(api), content="Hello")
    part = made["content"].only()
    part.same({"type": "text", "text": {"value": "Hello", "annotations": []}})
    part.keys(("type", "text"))
    part["text"].keys(("value", "annotations"))


def parts(api: Api) -> None:
    """Parts keep their order, and an image that cannot be fetched is accepted."""
    given: list[dict[str, Any]] = [
        {"type": "text", "text": "one"},
        {"type": "image_url", "image_url": {"url": _URL, "detail": "low"}},
        {"type": "text", "text": "two"},
    ]
    made = staging.message(api, staging.thread(api), content=given)
    one, two = ({"type": "text", "text": {"value": value, "annotations": []}} for value in ("one", "two"))
    made["content"].same([one, given[1], two])


def image_detail(api: Api) -> None:
    """The detail of an image is "auto" by default."""
    image = {"type": "image_url", "image_url": {"url": _URL}}
    made = staging.message(api, staging.thread(api), content=[image])
    made["content"].same([{"type": "image_url", "image_url": {"url": _URL, "detail": "auto"}}])


def every_character(api: Api) -> None:
    """Text is returned as it was sent: line ends, separators, characters of every plane."""
    given = 'a\r\nb\u2028c\u0085d\te 🌮 【4:0†source】 \\ " é e\u0301 \U0010fffd'
    path = staging.thread(api)
    made = staging.message(api, path, content=given)
    made["content"].only()["text"]["value"].same(given)
    api.get(f"{path}/messages/{made['id'].text()}").ok()["content"].only()["text"]["value"].same(given)


def retrieve(api: Api) -> None:
    """Retrieve and list return the same object as create."""
    path = staging.thread(api)
    made = staging.message(api, path, metadata={"a": "1"})
    found = api.get(f"{path}/messages/{made['id'].text()}").ok()
    found.same(made.value)
    found.keys(KEYS)
    row = api.get(f"{path}/messages").ok()["data"].only()
    row.same(made.value)
    row.keys(KEYS)


def modify(api: Api) -> None:
    """Modify answers the old shape: `file_ids` in place of `attachments`."""
    path = staging.thread(api)
    made = staging.message(api, path)
    changed = api.post(f"{path}/messages/{made['id'].text()}", {"metadata": {"a": "1"}}).ok()
    changed.keys(tuple("file_ids" if key == "attachments" else key for key in KEYS))
    changed.has(id=made["id"].value, file_ids=[], metadata={"a": "1"}, content=made["content"].value)


def modified(api: Api) -> None:
    """A modified message is retrieved in the new shape again."""
    path = staging.thread(api)
    made = staging.message(api, path)
    target = f"{path}/messages/{made['id'].text()}"
    api.post(target, {"metadata": {"a": "1"}}).ok()
    found = api.get(target).ok()
    found.same(made.value | {"metadata": {"a": "1"}})
    found.keys(KEYS)


def delete(api: Api) -> None:
    """Delete answers in the recorded shape; the other messages remain."""
    path = staging.thread(api, "one", "two")
    rows = api.get(f"{path}/messages").ok()["data"].rows(2)
    first, other = rows[0]["id"].text(), rows[1]["id"].text()
    gone = api.delete(f"{path}/messages/{first}").ok()
    gone.same({"id": first, "object": "thread.message.deleted", "deleted": True})
    gone.keys(("id", "object", "deleted"))
    api.get(f"{path}/messages").ok().ids([other])


def elsewhere(api: Api) -> None:
    """A message is found in its own thread only."""
    made = staging.message(api, staging.thread(api))
    other, message_id = staging.thread(api), made["id"].text()
    api.get(f"{other}/messages/{message_id}").refused(404, f"No message found with id '{message_id}'.")


CASES = (
    Case("messages", "create", "recorded", create),
    Case("messages", "by-hand", "recorded", by_hand),
    Case("messages", "text", "recorded", text),
    Case("messages", "parts", "recorded", parts),
    Case("messages", "image-detail", "recorded", image_detail),
    Case("messages", "every-character", "recorded", every_character),
    Case("messages", "retrieve", "recorded", retrieve),
    Case("messages", "modify", "recorded", modify),
    Case("messages", "modified", "recorded", modified),
    Case("messages", "delete", "recorded", delete),
    Case("messages", "elsewhere", "inferred", elsewhere),
)
