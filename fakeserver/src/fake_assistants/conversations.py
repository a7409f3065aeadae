"""The conversations' room. An item carries no time, and no word of the conversation that it stands in."""

import fake_assistants.bodies_items as bodies
import fake_assistants.items as items
from fake_assistants.core import Call, Core
from fake_assistants.kinds import CONVERSATION_ITEMS, CONVERSATIONS
from fake_assistants.lookup import found
from fake_assistants.shelf import Obj


def create(core: Core, call: Call) -> Obj:
    """POST /conversations, with up to 20 items. Recorded: the answer does not show them."""
    body = call.body(bodies.NEW_CONVERSATION)
    given = [items.kept(core, item) for item in body.get("items") or []]
    items.refuse_twins((), given)
    conversation: Obj = {
        "id": core.mint("conv_"),
        "object": "conversation",
        "created_at": core.clock.now(),
        "metadata": body.get("metadata") or {},
    }
    core.world.put(CONVERSATIONS, conversation)
    extend(core, conversation["id"], given)
    return conversation


def retrieve(core: Core, call: Call) -> Obj:
    """GET /conversations/{conversation_id}."""
    return _conversation(core, call)


def modify(core: Core, call: Call) -> Obj:
    """POST /conversations/{conversation_id}: its metadata."""
    new = _conversation(core, call) | {"metadata": call.body(bodies.CHANGED_CONVERSATION)["metadata"] or {}}
    core.world.put(CONVERSATIONS, new)
    return new


def delete(core: Core, call: Call) -> Obj:
    """DELETE /conversations/{conversation_id}: its items go with it."""
    conversation_id = _conversation(core, call)["id"]
    core.world.delete(CONVERSATIONS, conversation_id)
    return {"id": conversation_id, "object": "conversation.deleted", "deleted": True}


def create_items(core: Core, call: Call) -> Obj:
    """POST /conversations/{conversation_id}/items. Recorded: the answer lists the new ones."""
    conversation_id = _conversation(core, call)["id"]
    given = [items.kept(core, item) for item in call.body(bodies.NEW_ITEMS)["items"]]
    items.refuse_twins(core.world.shelf(CONVERSATION_ITEMS, conversation_id).ids, given)
    extend(core, conversation_id, given)
    return items.listed(given)


def list_items(core: Core, call: Call) -> Obj:
    """GET /conversations/{conversation_id}/items. `include` is taken and changes nothing."""
    shelf = core.world.shelf(CONVERSATION_ITEMS, _conversation(core, call)["id"])
    return items.page(call.request, shelf, CONVERSATION_ITEMS)


def retrieve_item(core: Core, call: Call) -> Obj:
    """GET /conversations/{conversation_id}/items/{item_id}."""
    return items.shown(CONVERSATION_ITEMS, _item(core, call))


def delete_item(core: Core, call: Call) -> Obj:
    """DELETE /conversations/{conversation_id}/items/{item_id}: the answer is the conversation."""
    conversation = _conversation(core, call)
    core.world.delete(CONVERSATION_ITEMS, _item(core, call)["id"], conversation["id"])
    return conversation


def standing(core: Core, conversation_id: str) -> list[Obj]:
    """All items of a conversation, oldest first, as the API shows them."""
    return items.standing(core, CONVERSATION_ITEMS, conversation_id)


def extend(core: Core, conversation_id: str, given: list[Obj]) -> None:
    """Put items at the end of a conversation."""
    for item in given:
        core.world.put(CONVERSATION_ITEMS, items.within(CONVERSATION_ITEMS, conversation_id, item))


def _conversation(core: Core, call: Call) -> Obj:
    return found(core, CONVERSATIONS, call.ids["conversation_id"])


def _item(core: Core, call: Call) -> Obj:
    return found(core, CONVERSATION_ITEMS, call.ids["item_id"], _conversation(core, call)["id"])
