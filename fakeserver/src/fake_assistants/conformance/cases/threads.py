"""Cases: threads."""

from typing import Any

import fake_assistants.conformance.fixtures as staging
from fake_assistants.conformance.api import Api
from fake_assistants.conformance.case import Case

KEYS = ("id", "object", "created_at", "metadata", "tool_resources")
LONG_FORM: dict[str, Any] = {"code_interpreter": {"file_ids": []}}


def create(api: Api) -> None:
    """A new thread has the recorded keys in the recorded order; its tool resources are `{}`."""
    for answer in (api.post("/threads", {}), api.post("/threads")):
        made = answer.ok()
        made.keys(KEYS)
        made.has(object="thread", metadata={}, tool_resources={})
        made["created_at"].number()


def long_form(api: Api) -> None:
    """Retrieve shows empty tool resources in their long form."""
    made = api.post("/threads", {"metadata": {"a": "1"}}).ok()
    api.get(f"/threads/{made['id'].text()}").ok().same(made.value | {"tool_resources": LONG_FORM})


def modify(api: Api) -> None:
    """Modify returns the short form again, with the new metadata in place of the old."""
    made = api.post("/threads", {"metadata": {"a": "1"}}).ok()
    changed = api.post(f"/threads/{made['id'].text()}", {"metadata": {"b": "2"}}).ok()
    changed.same(made.value | {"metadata": {"b": "2"}})
    changed.keys(KEYS)


def with_messages(api: Api) -> None:
    """A thread can be created with messages, which are in it in their order."""
    messages: list[dict[str, Any]] = [
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": [{"type": "text", "text": "two"}], "metadata": {"n": "2"}},
        {"role": "user", "content": "three"},
    ]
    made = api.post("/threads", {"messages": messages}).ok()
    made.keys(KEYS)
    rows = api.get(f"/threads/{made['id'].text()}/messages?order=asc").ok()["data"].rows(3)
    for row, given, text in zip(rows, messages, ("one", "two", "three"), strict=False):
        row["content"].only()["text"]["value"].same(text)
        row["role"].same(given["role"])
    rows[1]["metadata"].same({"n": "2"})


def code_files(api: Api) -> None:
    """Tool resources that are given are returned, and retrieved unchanged."""
    expected = LONG_FORM
    made = api.post("/threads", {"tool_resources": expected}).ok()
    made["tool_resources"].same(expected)
    api.get(f"/threads/{made['id'].text()}").ok()["tool_resources"].same(expected)


def vector_stores(api: Api) -> None:
    """A vector store defined in the request is created, and named by its id."""
    expected: dict[str, Any] = {"file_search": {"vector_stores": [{"file_ids": []}]}}
    made = api.post("/threads", {"tool_resources": expected}).ok()
    store = made["tool_resources"]["file_search"]["vector_store_ids"].only()
    api.owns(f"/vector_stores/{store.text()}")
    store.like("vs_[0-9a-f]{32}", "vs_ and 32 hexadecimal digits")
    made["tool_resources"].same({"file_search": {"vector_store_ids": [store.value]}})


def empty_code_files(api: Api) -> None:
    """Retrieve has the empty list of code files next to other tool resources; create and modify omit it."""
    search: dict[str, Any] = {"file_search": {"vector_store_ids": []}}
    made = api.post("/threads", {"tool_resources": search}).ok()
    path = f"/threads/{made['id'].text()}"
    shown = api.get(path).ok()["tool_resources"]
    shown.keys(("file_search", "code_interpreter"))
    shown["code_interpreter"].same({"file_ids": []})
    for answer in (made, api.post(path, {"metadata": {"a": "1"}}).ok()):
        answer["tool_resources"].keys(("file_search",))


def delete(api: Api) -> None:
    """Delete answers in the recorded shape; afterwards the thread and its messages are unknown."""
    path = staging.thread(api, "Hello")
    thread_id = path.rpartition("/")[2]
    gone = api.delete(path).ok()
    gone.same({"id": thread_id, "object": "thread.deleted", "deleted": True})
    gone.keys(("id", "object", "deleted"))
    unknown = f"No thread found with id '{thread_id}'."
    for answer in (api.get(path), api.get(f"{path}/messages"), api.delete(path)):
        answer.refused(404, unknown)


CASES = (
    Case("threads", "create", "recorded", create),
    Case("threads", "long-form", "recorded", long_form),
    Case("threads", "modify", "recorded", modify),
    Case("threads", "with-messages", "recorded", with_messages),
    Case("threads", "code-files", "spec", code_files),
    Case("threads", "vector-stores", "recorded", vector_stores),
    Case("threads", "code-files-beside", "recorded", empty_code_files),
    Case("threads", "delete", "quoted", delete),
)
