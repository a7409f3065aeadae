"""The assistants' room."""

import fake_assistants.bodies as bodies
import fake_assistants.paging as paging
from fake_assistants.core import Call, Core
from fake_assistants.kinds import ASSISTANTS
from fake_assistants.lookup import found, found_text
from fake_assistants.resources import kept, tool
from fake_assistants.shelf import Obj

# What an assistant has when nobody says otherwise, in the recorded order of keys.
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


def create(core: Core, call: Call) -> Obj:
    """POST /assistants."""
    body = call.body(bodies.NEW_ASSISTANT)
    head = {"id": core.mint("asst_"), "object": "assistant", "created_at": core.clock.now()}
    made = _with_code_files(head | _UNSET | _settled(core, body))
    core.world.put(ASSISTANTS, made)
    return made


def retrieve(core: Core, call: Call) -> bytes:
    """GET /assistants/{assistant_id}."""
    return found_text(core, ASSISTANTS, call.ids["assistant_id"])


def modify(core: Core, call: Call) -> Obj:
    """POST /assistants/{assistant_id}: what is given replaces, what is not stays."""
    old = found(core, ASSISTANTS, call.ids["assistant_id"])
    new = _with_code_files(old | _settled(core, call.body(bodies.CHANGED_ASSISTANT)))
    core.world.put(ASSISTANTS, new)
    return new


def listing(core: Core, call: Call) -> bytes:
    """GET /assistants."""
    shelf = core.world.shelf(ASSISTANTS)
    return paging.page(shelf, paging.asked(call.request, shelf, ASSISTANTS))


def delete(core: Core, call: Call) -> Obj:
    """DELETE /assistants/{assistant_id}."""
    old = found(core, ASSISTANTS, call.ids["assistant_id"])
    core.world.delete(ASSISTANTS, old["id"])
    return {"id": old["id"], "object": "assistant.deleted", "deleted": True}


def _settled(core: Core, body: Obj) -> Obj:
    """The given fields as they are kept: null means unset, and sampling numbers are decimals."""
    given: Obj = {key: _UNSET[key] if value is None else value for key, value in body.items()}
    for key in ("top_p", "temperature"):
        if key in given:
            given[key] = float(given[key])
    if "tools" in given:
        given["tools"] = [tool(one) for one in given["tools"]]
    if "tool_resources" in given:
        given["tool_resources"] = kept(core, given["tool_resources"])
    return given


def _with_code_files(assistant: Obj) -> Obj:
    """Recorded: with the code interpreter on, its empty list of files is there.

    A state may have brought in any JSON for either field; what is not of the real type stays as it is.
    """
    tools, resources = assistant.get("tools"), assistant.get("tool_resources")
    is_on = isinstance(tools, list) and {"type": "code_interpreter"} in tools
    if not is_on or not isinstance(resources, dict | None):
        return assistant
    return assistant | {"tool_resources": {"code_interpreter": {"file_ids": []}} | (resources or {})}
