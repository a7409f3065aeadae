"""Handlers for /conversations. An item has no timestamp and no id of its conversation.

The new Foundry differs: conversations can be listed, lists begin with the oldest, and ids, pages and items have other
formats (recorded).
"""

import attrs

import fake_assistants.engine.pagination as paging
import fake_assistants.resources.file_checks as file_checks
import fake_assistants.resources.items as items
import fake_assistants.schemas.items as bodies
from fake_assistants.engine.backend import Backend, Call, found
from fake_assistants.http.lossless_json import Obj, loads
from fake_assistants.http.message import Request
from fake_assistants.store.ids import FOUNDRY_CONVERSATION
from fake_assistants.store.kinds import CONVERSATION_ITEMS, CONVERSATIONS


def create(backend: Backend, call: Call) -> Obj:
    """POST /conversations, with up to 20 items. Recorded: the answer does not show them."""
    body = call.body(bodies.NEW_CONVERSATION)
    asked = body.get("items") or []
    file_checks.refuse_items(backend, call, "items", asked)
    given = [items.stored(backend, item) for item in asked]
    items.refuse_duplicates((), given)
    conversation: Obj = {
        "id": backend.new_id("conv_", FOUNDRY_CONVERSATION if call.base.is_new_foundry else ""),
        "object": "conversation",
        "created_at": backend.clock.now(),
        "metadata": body.get("metadata") or {},
    }
    _put(backend, call, conversation)
    extend(backend, conversation["id"], given)
    return conversation


def retrieve(backend: Backend, call: Call) -> Obj:
    """GET /conversations/{conversation_id}."""
    return _conversation(backend, call)


def modify(backend: Backend, call: Call) -> Obj:
    """POST /conversations/{conversation_id}: its metadata."""
    new = _conversation(backend, call) | {"metadata": call.body(bodies.CHANGED_CONVERSATION)["metadata"] or {}}
    _put(backend, call, new)
    return new


def delete(backend: Backend, call: Call) -> Obj:
    """DELETE /conversations/{conversation_id}: also deletes its items."""
    conversation_id = _conversation(backend, call)["id"]
    backend.database.delete(CONVERSATIONS, conversation_id, call.user)
    return {"id": conversation_id, "object": "conversation.deleted", "deleted": True}


def create_items(backend: Backend, call: Call) -> Obj:
    """POST /conversations/{conversation_id}/items. Recorded: the answer lists the new ones."""
    conversation_id = _conversation(backend, call)["id"]
    asked = call.body(bodies.NEW_ITEMS)["items"]
    file_checks.refuse_items(backend, call, "items", asked)
    given = [items.stored(backend, item) for item in asked]
    items.refuse_duplicates(backend.database.collection(CONVERSATION_ITEMS, conversation_id).ids, given)
    extend(backend, conversation_id, given)
    return _page(call, items.listed(given))


def listing(backend: Backend, call: Call) -> Obj:
    """GET /conversations, in the new Foundry only. `agent_name` and `agent_id` are accepted and ignored."""
    collection = backend.database.collection(CONVERSATIONS, call.user)
    ask = paging.asked(_oldest_first(call), collection, CONVERSATIONS, **_limits(call))
    page: Obj = loads(paging.page(collection, ask))
    page["data"] = [items.shown(CONVERSATIONS, conversation) for conversation in page["data"]]
    return _ordered(page, _FOUNDRY_PAGE)


def list_items(backend: Backend, call: Call) -> Obj:
    """GET /conversations/{conversation_id}/items. `include` is accepted and ignored."""
    collection = backend.database.collection(CONVERSATION_ITEMS, _conversation(backend, call)["id"])
    return _page(call, items.page(_oldest_first(call), collection, CONVERSATION_ITEMS, **_limits(call)))


def retrieve_item(backend: Backend, call: Call) -> Obj:
    """GET /conversations/{conversation_id}/items/{item_id}."""
    item = items.shown(CONVERSATION_ITEMS, _item(backend, call))
    return _foundry_item(item) if call.base.is_new_foundry else item


def delete_item(backend: Backend, call: Call) -> Obj:
    """DELETE /conversations/{conversation_id}/items/{item_id}: the answer is the conversation."""
    conversation = _conversation(backend, call)
    backend.database.delete(CONVERSATION_ITEMS, _item(backend, call)["id"], conversation["id"])
    return conversation


def all_items(backend: Backend, conversation_id: str) -> list[Obj]:
    """Return all items of a conversation, oldest first, as the API shows them."""
    return items.all_items(backend, CONVERSATION_ITEMS, conversation_id)


def extend(backend: Backend, conversation_id: str, given: list[Obj]) -> None:
    """Append items to a conversation."""
    for item in given:
        backend.database.put(CONVERSATION_ITEMS, items.within(CONVERSATION_ITEMS, conversation_id, item))


# The new Foundry's order of keys.
_FOUNDRY_PAGE = ("data", "last_id", "has_more", "object", "first_id")
_FOUNDRY_ITEM = ("type", "id", "status", "role", "content")


def _ordered(value: Obj, keys: tuple[str, ...]) -> Obj:
    """Return the object with these keys first."""
    return {key: value[key] for key in keys if key in value} | value


def _oldest_first(call: Call) -> Request:
    """Return the request, with the default order of the new Foundry if it is addressed."""
    if not call.base.is_new_foundry or call.request.asked("order") is not None:
        return call.request
    return attrs.evolve(call.request, query=(*call.request.query, ("order", "asc")))


def _limits(call: Call) -> dict[str, int]:
    """Return the bounds of the limit. In the new Foundry a page has at least one row (documented)."""
    return {"least": 1} if call.base.is_new_foundry else {}


def _foundry_item(item: Obj) -> Obj:
    return _ordered(item, _FOUNDRY_ITEM)


def _page(call: Call, page: Obj) -> Obj:
    """Return a page of items in the format of the service that is addressed."""
    if not call.base.is_new_foundry:
        return page
    return _ordered(page | {"data": [_foundry_item(item) for item in page["data"]]}, _FOUNDRY_PAGE)


def visible(backend: Backend, call: Call, conversation_id: str) -> Obj:
    """Return the conversation as the API shows it. Raises ApiProblem if the user of the request has none with this id.

    Inferred: without a user, a request sees the conversations that belong to none.
    """
    return items.shown(CONVERSATIONS, found(backend, CONVERSATIONS, conversation_id, call.user))


def _conversation(backend: Backend, call: Call) -> Obj:
    return visible(backend, call, call.ids["conversation_id"])


def _put(backend: Backend, call: Call, conversation: Obj) -> None:
    backend.database.put(
        CONVERSATIONS, items.within(CONVERSATIONS, call.user, conversation) if call.user else conversation
    )


def _item(backend: Backend, call: Call) -> Obj:
    return found(backend, CONVERSATION_ITEMS, call.ids["item_id"], _conversation(backend, call)["id"])
