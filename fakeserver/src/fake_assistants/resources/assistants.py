"""Handlers for /assistants."""

import fake_assistants.engine.pagination as paging
import fake_assistants.schemas.assistants as bodies
from fake_assistants.engine.backend import Backend, Call, found, found_text
from fake_assistants.errors.values import unsupported_model
from fake_assistants.http.lossless_json import Obj
from fake_assistants.resources.file_checks import refuse_bodies
from fake_assistants.resources.vector_stores import stored_resources, tool
from fake_assistants.store.kinds import ASSISTANTS

# The defaults of an assistant, in the recorded order of keys.
_UNSET: Obj = {
    "name": None,
    "description": None,
    "model": None,
    "instructions": None,
    "tools": [],
    "top_p": 1.0,
    "temperature": 1.0,
    "reasoning_effort": None,
    "tool_resources": {},
    "metadata": {},
    "response_format": "auto",
}


def create(backend: Backend, call: Call) -> Obj:
    """POST /assistants."""
    body = call.body(bodies.NEW_ASSISTANT)
    head = {"id": backend.new_id("asst_"), "object": "assistant", "created_at": backend.clock.now()}
    assistant = _with_code_files(head | _UNSET | _stored_fields(backend, body))
    backend.database.put(ASSISTANTS, assistant)
    return assistant


def retrieve(backend: Backend, call: Call) -> bytes:
    """GET /assistants/{assistant_id}."""
    return found_text(backend, ASSISTANTS, call.ids["assistant_id"])


def modify(backend: Backend, call: Call) -> Obj:
    """POST /assistants/{assistant_id}: replace the fields that are given."""
    old = found(backend, ASSISTANTS, call.ids["assistant_id"])
    new = _with_code_files(old | _stored_fields(backend, call.body(bodies.CHANGED_ASSISTANT)))
    backend.database.put(ASSISTANTS, new)
    return new


def listing(backend: Backend, call: Call) -> bytes:
    """GET /assistants."""
    collection = backend.database.collection(ASSISTANTS)
    return paging.page(collection, paging.asked(call.request, collection, ASSISTANTS))


def delete(backend: Backend, call: Call) -> Obj:
    """DELETE /assistants/{assistant_id}."""
    old = found(backend, ASSISTANTS, call.ids["assistant_id"])
    backend.database.delete(ASSISTANTS, old["id"])
    return {"id": old["id"], "object": "assistant.deleted", "deleted": True}


def refuse_model(backend: Backend, model: str | None) -> None:
    """Raise ApiProblem for a model that is not among the fake's `models`. If that is empty, every model is accepted."""
    if model is not None and backend.models and model not in backend.models:
        raise unsupported_model(model)


def _stored_fields(backend: Backend, body: Obj) -> Obj:
    """Return the given fields as they are stored: null means unset, and sampling numbers are decimals."""
    refuse_model(backend, body.get("model"))
    refuse_bodies(backend, tool_resources=[body.get("tool_resources")])
    given: Obj = {key: _UNSET[key] if value is None else value for key, value in body.items()}
    for key in ("top_p", "temperature"):
        if key in given:
            given[key] = float(given[key])
    if "tools" in given:
        given["tools"] = [tool(one) for one in given["tools"]]
    if "tool_resources" in given:
        given["tool_resources"] = stored_resources(backend, given["tool_resources"])
    return given


def _with_code_files(assistant: Obj) -> Obj:
    """Add the empty list of code files if the code interpreter is on (recorded).

    A loaded state may have any JSON in either field; values of another type are left unchanged.
    """
    tools, resources = assistant.get("tools"), assistant.get("tool_resources")
    is_on = isinstance(tools, list) and {"type": "code_interpreter"} in tools
    if not is_on or not isinstance(resources, dict | None):
        return assistant
    return assistant | {"tool_resources": {"code_interpreter": {"file_ids": []}} | (resources or {})}
