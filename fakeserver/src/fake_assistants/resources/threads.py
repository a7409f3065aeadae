"""Handlers for /threads."""

import fake_assistants.engine.pagination as paging
import fake_assistants.resources.messages as messages
import fake_assistants.schemas.assistants as bodies
from fake_assistants.engine.backend import Backend, Call, found
from fake_assistants.engine.run_shapes import in_long_form
from fake_assistants.errors.requests import session_key_needed
from fake_assistants.http.lossless_json import Obj
from fake_assistants.resources.file_checks import refuse_bodies
from fake_assistants.resources.vector_stores import stored_resources
from fake_assistants.store.kinds import THREADS


def create(backend: Backend, call: Call) -> Obj:
    """POST /threads, with its first messages and vector stores."""
    body = call.body(bodies.NEW_THREAD)
    refuse_bodies(backend, messages=body.get("messages") or [], tool_resources=[body.get("tool_resources")])
    return create_from(backend, body)


def create_from(backend: Backend, body: Obj) -> Obj:
    """Create a thread from a checked body."""
    given = body.get("messages") or []
    thread_id = backend.new_id("thread_")
    messages.refuse_overflow(backend, thread_id, len(given))
    thread: Obj = {
        "id": thread_id,
        "object": "thread",
        "created_at": backend.clock.now(),
        "metadata": _metadata(backend, body.get("metadata")),
        "tool_resources": stored_resources(backend, body.get("tool_resources")),
    }
    backend.database.put(THREADS, thread)
    messages.add_all(backend, thread_id, given)
    return thread


def retrieve(backend: Backend, call: Call) -> Obj:
    """GET /threads/{thread_id}. Recorded: the empty list of code files is shown here and in streams only."""
    return in_long_form(found(backend, THREADS, call.ids["thread_id"]))


def modify(backend: Backend, call: Call) -> Obj:
    """POST /threads/{thread_id}."""
    old = found(backend, THREADS, call.ids["thread_id"])
    body = call.body(bodies.CHANGED_THREAD)
    new = old | {key: _CHANGES[key](backend, value) for key, value in body.items()}
    backend.database.put(THREADS, new)
    return new


def delete(backend: Backend, call: Call) -> Obj:
    """DELETE /threads/{thread_id}, with its messages and its runs, whatever their status."""
    old = found(backend, THREADS, call.ids["thread_id"])
    backend.database.delete(THREADS, old["id"])
    for key in [key for key in backend.plans if key[0] == old["id"]]:
        del backend.plans[key]
    return {"id": old["id"], "object": "thread.deleted", "deleted": True}


def _metadata(_: Backend, given: Obj | None) -> Obj:
    return given or {}


# The fields that can be changed, each with the function that gives the value to store.
_CHANGES = {"metadata": _metadata, "tool_resources": stored_resources}


def listing(backend: Backend, call: Call) -> bytes:
    """GET /threads, which Foundry supports. OpenAI does not accept an API key here."""
    if not (call.base.lists_threads or backend.list_threads):
        raise session_key_needed(call.request.method, call.request.path)
    collection = backend.database.collection(THREADS)
    return paging.page(collection, paging.asked(call.request, collection, THREADS))
