"""The threads' room."""

import fake_assistants.bodies as bodies
import fake_assistants.messages as messages
import fake_assistants.paging as paging
from fake_assistants.core import Call, Core
from fake_assistants.kinds import THREADS
from fake_assistants.lookup import found
from fake_assistants.refusals.door import session_key_needed
from fake_assistants.resources import kept
from fake_assistants.shelf import Obj


def create(core: Core, call: Call) -> Obj:
    """POST /threads, with messages and vector stores on the way."""
    return made(core, call.body(bodies.NEW_THREAD))


def made(core: Core, body: Obj) -> Obj:
    """A new thread from a checked body, put into the world."""
    given = body.get("messages") or []
    thread_id = core.mint("thread_")
    messages.refuse_overflow(core, thread_id, len(given))
    thread: Obj = {
        "id": thread_id,
        "object": "thread",
        "created_at": core.clock.now(),
        "metadata": _metadata(core, body.get("metadata")),
        "tool_resources": kept(core, body.get("tool_resources")),
    }
    core.world.put(THREADS, thread)
    messages.add_all(core, thread_id, given)
    return thread


def retrieve(core: Core, call: Call) -> Obj:
    """GET /threads/{thread_id}. Recorded: empty tool resources are shown in their long form here only."""
    thread = found(core, THREADS, call.ids["thread_id"])
    if thread.get("tool_resources") == {}:
        return thread | {"tool_resources": {"code_interpreter": {"file_ids": []}}}
    return thread


def modify(core: Core, call: Call) -> Obj:
    """POST /threads/{thread_id}."""
    old = found(core, THREADS, call.ids["thread_id"])
    body = call.body(bodies.CHANGED_THREAD)
    new = old | {key: _KEPT[key](core, value) for key, value in body.items()}
    core.world.put(THREADS, new)
    return new


def delete(core: Core, call: Call) -> Obj:
    """DELETE /threads/{thread_id}: its messages go with it, and its runs with what is still to happen in them."""
    old = found(core, THREADS, call.ids["thread_id"])
    core.world.delete(THREADS, old["id"])
    for key in [key for key in core.plans if key[0] == old["id"]]:
        del core.plans[key]
    return {"id": old["id"], "object": "thread.deleted", "deleted": True}


def _metadata(_: Core, given: Obj | None) -> Obj:
    return given or {}


# The fields that can be changed, each with how it is kept.
_KEPT = {"metadata": _metadata, "tool_resources": kept}


def listing(core: Core, call: Call) -> bytes:
    """GET /threads was never open to API keys at OpenAI; other profiles list threads."""
    if not core.profile.lists_threads:
        raise session_key_needed(call.request.method, call.request.path)
    shelf = core.world.shelf(THREADS)
    return paging.page(shelf, paging.asked(call.request, shelf, THREADS))
