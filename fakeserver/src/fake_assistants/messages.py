"""The messages' room."""

from collections.abc import Iterable

import fake_assistants.bodies as bodies
import fake_assistants.paging as paging
from fake_assistants.core import Call, Core
from fake_assistants.kinds import MESSAGES, RUNS, THREADS
from fake_assistants.lifecycle import is_active
from fake_assistants.lookup import found
from fake_assistants.refusals import malformed_id, thread_full, thread_locked
from fake_assistants.shelf import Obj


def create(core: Core, call: Call) -> Obj:
    """POST /threads/{thread_id}/messages."""
    thread = found(core, THREADS, call.ids["thread_id"])
    body = call.body(bodies.NEW_MESSAGE)
    active = active_run(core, thread["id"])
    if active is not None:
        raise thread_locked(thread["id"], active["id"])
    refuse_overflow(core, thread["id"], 1)
    return add(core, thread["id"], body)


def add(core: Core, thread_id: str, body: Obj) -> Obj:
    """Put a checked new message at the end of a thread. Key order and nulls as recorded over REST."""
    message: Obj = {
        "id": core.mint("msg_"),
        "object": "thread.message",
        "created_at": core.clock.now(),
        "assistant_id": None,
        "thread_id": thread_id,
        "run_id": None,
        "role": body["role"],
        "content": _content(body["content"]),
        "attachments": body.get("attachments") or [],
        "metadata": body.get("metadata") or {},
    }
    core.world.put(MESSAGES, message)
    return message


def add_all(core: Core, thread_id: str, given: Iterable[Obj]) -> None:
    """Put checked new messages at the end of a thread."""
    for message in given:
        add(core, thread_id, message)


def active_run(core: Core, thread_id: str) -> Obj | None:
    """The run that locks a thread, if there is one."""
    runs = (run for _, run in core.world.shelf(RUNS, thread_id).rows())
    return next((run for run in runs if is_active(run)), None)


def has_user_message(core: Core, thread_id: str) -> bool:
    """Whether a user has said anything in a thread. The newest messages are looked at first."""
    shelf = core.world.shelf(MESSAGES, thread_id)
    return any(shelf.at(place).get("role") == "user" for place in reversed(shelf.places))


def refuse_overflow(core: Core, thread_id: str, coming: int) -> None:
    """Refuse messages beyond what a thread holds."""
    standing = len(core.world.shelf(MESSAGES, thread_id))
    if standing + coming > core.messages_per_thread:
        raise thread_full(thread_id, core.messages_per_thread)


def retrieve(core: Core, call: Call) -> Obj:
    """GET /threads/{thread_id}/messages/{message_id}."""
    return _message(core, call)


def modify(core: Core, call: Call) -> Obj:
    """POST /threads/{thread_id}/messages/{message_id}.

    Recorded: this answer alone has the old shape, `"file_ids": []` in place of `attachments`.
    """
    old = _message(core, call)
    body = call.body(bodies.CHANGED_MESSAGE)
    new = old | {key: value or {} for key, value in body.items()}
    core.world.put(MESSAGES, new)
    return dict(("file_ids", []) if key == "attachments" else (key, value) for key, value in new.items())


def listing(core: Core, call: Call) -> Obj:
    """GET /threads/{thread_id}/messages."""
    thread = found(core, THREADS, call.ids["thread_id"])
    shelf = core.world.shelf(MESSAGES, thread["id"])
    ask = paging.asked(call.request, shelf, MESSAGES)
    run_id = call.request.asked("run_id")
    if run_id is None:
        return paging.page(shelf, ask)
    _check_run(core, thread["id"], run_id)
    return paging.page(shelf, ask, keep=lambda message: message.get("run_id") == run_id)


def _check_run(core: Core, thread_id: str, run_id: str) -> None:
    """Refuse an id without its prefix, except one that a loaded state brought in, with a thread or without."""
    if run_id.startswith(RUNS.prefix) or core.world.find(RUNS, run_id, thread_id) or core.world.find(RUNS, run_id):
        return
    messages = (message for _, message in core.world.shelf(MESSAGES, thread_id).rows())
    if not any(message.get("run_id") == run_id for message in messages):
        raise malformed_id("run_id", run_id, RUNS)


def delete(core: Core, call: Call) -> Obj:
    """DELETE /threads/{thread_id}/messages/{message_id}."""
    old = _message(core, call)
    core.world.delete(MESSAGES, old["id"], call.ids["thread_id"])
    return {"id": old["id"], "object": "thread.message.deleted", "deleted": True}


def _message(core: Core, call: Call) -> Obj:
    thread = found(core, THREADS, call.ids["thread_id"])
    return found(core, MESSAGES, call.ids["message_id"], thread["id"])


def _content(given: str | list[Obj]) -> list[Obj]:
    """Recorded: a string becomes one text part, parts keep their order, images get a `detail`."""
    parts = [{"type": "text", "text": given}] if isinstance(given, str) else given
    return [_ECHOES[part["type"]](part) for part in parts]


def _text(part: Obj) -> Obj:
    return {"type": "text", "text": {"value": part["text"], "annotations": []}}


def _image_file(part: Obj) -> Obj:
    image = part["image_file"]
    detail = image.get("detail", "auto")
    return {"type": "image_file", "image_file": {"file_id": image["file_id"], "detail": detail}}


def _image_url(part: Obj) -> Obj:
    image = part["image_url"]
    return {"type": "image_url", "image_url": {"url": image["url"], "detail": image.get("detail", "auto")}}


_ECHOES = {"text": _text, "image_file": _image_file, "image_url": _image_url}
