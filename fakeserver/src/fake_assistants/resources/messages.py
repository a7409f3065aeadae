"""Handlers for /threads/{thread_id}/messages."""

from collections.abc import Iterable

import fake_assistants.engine.pagination as paging
import fake_assistants.schemas.assistants as bodies
from fake_assistants.engine.backend import Backend, Call, found, found_text
from fake_assistants.engine.run_status import ACTIVE
from fake_assistants.errors.ids import malformed_id
from fake_assistants.errors.runs import thread_full, thread_locked
from fake_assistants.http.lossless_json import Obj, loads
from fake_assistants.resources.file_checks import refuse_bodies
from fake_assistants.store.collection import Field, OneOf
from fake_assistants.store.kinds import MESSAGES, RUNS, THREADS

_ACTIVE = OneOf("status", ACTIVE)


def create(backend: Backend, call: Call) -> Obj:
    """POST /threads/{thread_id}/messages."""
    thread = found(backend, THREADS, call.ids["thread_id"])
    body = call.body(bodies.NEW_MESSAGE)
    active = active_run(backend, thread["id"])
    if active is not None:
        raise thread_locked(thread["id"], active["id"])
    refuse_bodies(backend, messages=[body])
    refuse_overflow(backend, thread["id"], 1)
    return add(backend, thread["id"], body)


def add(backend: Backend, thread_id: str, body: Obj) -> Obj:
    """Append a checked new message to a thread. Key order and nulls as recorded over REST."""
    message: Obj = {
        "id": backend.new_id("msg_"),
        "object": "thread.message",
        "created_at": backend.clock.now(),
        "assistant_id": None,
        "thread_id": thread_id,
        "run_id": None,
        "role": body["role"],
        "content": _content(body["content"]),
        "attachments": body.get("attachments") or [],
        "metadata": body.get("metadata") or {},
    }
    backend.database.put(MESSAGES, message)
    return message


def add_all(backend: Backend, thread_id: str, given: Iterable[Obj]) -> None:
    """Append checked new messages to a thread."""
    for message in given:
        add(backend, thread_id, message)


def active_run(backend: Backend, thread_id: str) -> Obj | None:
    """Return the run that locks a thread, or None."""
    runs = backend.database.collection(RUNS, thread_id).texts()
    return next((loads(text) for _, text in runs if _ACTIVE.is_in(text)), None)


def has_user_message(backend: Backend, thread_id: str) -> bool:
    """Return whether a thread has a user message. The newest messages are read first."""
    collection = backend.database.collection(MESSAGES, thread_id)
    return any(collection.at(place).get("role") == "user" for place in reversed(collection.places))


def refuse_overflow(backend: Backend, thread_id: str, added: int) -> None:
    """Raise ApiProblem for messages beyond the limit of a thread."""
    count = len(backend.database.collection(MESSAGES, thread_id))
    if count + added > backend.messages_per_thread:
        raise thread_full(thread_id, backend.messages_per_thread)


def retrieve(backend: Backend, call: Call) -> bytes:
    """GET /threads/{thread_id}/messages/{message_id}."""
    return _text_of(backend, call)


def modify(backend: Backend, call: Call) -> Obj:
    """POST /threads/{thread_id}/messages/{message_id}.

    Recorded: only this reply has the old shape, with `"file_ids": []` in place of `attachments`.
    """
    old: Obj = loads(_text_of(backend, call))
    body = call.body(bodies.CHANGED_MESSAGE)
    new = old | {key: value or {} for key, value in body.items()}
    backend.database.put(MESSAGES, new)
    return dict(("file_ids", []) if key == "attachments" else (key, value) for key, value in new.items())


def listing(backend: Backend, call: Call) -> bytes:
    """GET /threads/{thread_id}/messages."""
    found_text(backend, THREADS, call.ids["thread_id"])
    collection = backend.database.collection(MESSAGES, call.ids["thread_id"])
    ask = paging.asked(call.request, collection, MESSAGES)
    run_id = call.request.asked("run_id")
    if run_id is None:
        return paging.page(collection, ask)
    of_run = Field("run_id", run_id)
    _check_run(backend, call.ids["thread_id"], of_run)
    return paging.page(collection, ask, keep=of_run)


def _check_run(backend: Backend, thread_id: str, of_run: Field) -> None:
    """Refuse a run id without its prefix, unless a loaded state has it: as a run, or in a message of the thread."""
    run_id = of_run.value
    if (
        run_id.startswith(RUNS.prefix)
        or backend.database.text(RUNS, run_id, thread_id)
        or backend.database.text(RUNS, run_id)
    ):
        return
    if not any(of_run.is_in(text) for _, text in backend.database.collection(MESSAGES, thread_id).texts()):
        raise malformed_id("run_id", run_id, RUNS)


def delete(backend: Backend, call: Call) -> Obj:
    """DELETE /threads/{thread_id}/messages/{message_id}."""
    message_id = call.ids["message_id"]
    _text_of(backend, call)
    backend.database.delete(MESSAGES, message_id, call.ids["thread_id"])
    return {"id": message_id, "object": "thread.message.deleted", "deleted": True}


def _text_of(backend: Backend, call: Call) -> bytes:
    """Return the JSON text of the message. Raises ApiProblem; the thread is checked first."""
    found_text(backend, THREADS, call.ids["thread_id"])
    return found_text(backend, MESSAGES, call.ids["message_id"], call.ids["thread_id"])


def _content(given: str | list[Obj]) -> list[Obj]:
    """Return content as it is stored. Recorded: a string becomes one text part, and images get a `detail`."""
    parts = [{"type": "text", "text": given}] if isinstance(given, str) else given
    return [_STORED_PARTS[part["type"]](part) for part in parts]


def _text(part: Obj) -> Obj:
    return {"type": "text", "text": {"value": part["text"], "annotations": []}}


def _image_file(part: Obj) -> Obj:
    image = part["image_file"]
    detail = image.get("detail", "auto")
    return {"type": "image_file", "image_file": {"file_id": image["file_id"], "detail": detail}}


def _image_url(part: Obj) -> Obj:
    image = part["image_url"]
    return {"type": "image_url", "image_url": {"url": image["url"], "detail": image.get("detail", "auto")}}


_STORED_PARTS = {"text": _text, "image_file": _image_file, "image_url": _image_url}
