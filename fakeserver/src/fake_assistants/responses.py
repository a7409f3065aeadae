"""The responses' room: the model answers what it is given, at once or as a stream."""

from collections.abc import Callable, Iterator
from functools import partial

import attrs

import fake_assistants.bodies_responses as bodies
import fake_assistants.conversations as conversations
import fake_assistants.items as items
import fake_assistants.outputs as outputs
import fake_assistants.refusals.ids as unknown
import fake_assistants.refusals.responses as refusals
import fake_assistants.response_events as response_events
import fake_assistants.response_shape as response_shape
import fake_assistants.sse as sse
from fake_assistants.core import Call, Core
from fake_assistants.exchange import Chunk, Reply
from fake_assistants.kinds import CONVERSATIONS, RESPONSE_INPUT_ITEMS, RESPONSES, Kind
from fake_assistants.lookup import found
from fake_assistants.script import Turn
from fake_assistants.shelf import Obj
from fake_assistants.world import World


@attrs.frozen(kw_only=True)
class _Exchange:
    """One request and its answer: what is new in it, and all that the model has read."""

    conversation_id: str | None
    given: list[Obj]
    context: list[Obj]
    answer: Obj
    is_stored: bool


def create(core: Core, call: Call) -> Obj | Reply:
    """POST /responses. What is answered is kept when it has been told to the end, or the telling has broken off."""
    body = call.body(bodies.NEW_RESPONSE)
    conversation_id, past = _past(core, body)
    given = [_kept(core, item) for item in _input(body)]
    items.refuse_twins({item["id"] for item in past}, given)
    context = [*past, *given]
    items.refuse_open_calls(context)
    output = _output(core, body, context)
    opened = response_shape.opened(core, body, conversation_id)
    closed = response_shape.closed(core, opened, context, output)
    exchange = _Exchange(
        conversation_id=conversation_id,
        given=given,
        context=context,
        answer=closed,
        is_stored=body.get("store") is not False,
    )
    settle = partial(_settle, core, core.world, exchange)
    if body.get("stream"):
        return _stream(core, response_events.chunks(opened, output, closed), settle)
    settle()
    return closed


def retrieve(core: Core, call: Call) -> Obj:
    """GET /responses/{response_id}."""
    return found(core, RESPONSES, call.ids["response_id"])


def delete(core: Core, call: Call) -> Obj:
    """DELETE /responses/{response_id}."""
    response_id = found(core, RESPONSES, call.ids["response_id"])["id"]
    core.world.delete(RESPONSES, response_id)
    return {"id": response_id, "object": "response.deleted", "deleted": True}


def input_items(core: Core, call: Call) -> Obj:
    """GET /responses/{response_id}/input_items: all that the model has read, the past included (inferred)."""
    response_id = found(core, RESPONSES, call.ids["response_id"])["id"]
    shelf = core.world.shelf(RESPONSE_INPUT_ITEMS, response_id)
    return items.page(call.request, shelf, RESPONSE_INPUT_ITEMS)


# --- what the model reads -----------------------------------------------------------------------------


def _past(core: Core, body: Obj) -> tuple[str | None, list[Obj]]:
    """The id of the conversation, if there is one, and what was said before."""
    conversation, previous_id = body.get("conversation"), body.get("previous_response_id")
    if conversation is not None and previous_id is not None:
        raise refusals.two_pasts()
    if conversation is not None:
        conversation_id = conversation if isinstance(conversation, str) else conversation["id"]
        _check_id(core, "conversation", conversation_id, CONVERSATIONS)
        return conversation_id, conversations.standing(core, found(core, CONVERSATIONS, conversation_id)["id"])
    if previous_id is not None:
        return None, _before(core, previous_id)
    if body.get("input") is None and body.get("prompt") is None:
        raise refusals.nothing_to_answer()
    return None, []


def _before(core: Core, previous_id: str) -> list[Obj]:
    """What a previous response had read, and what it said."""
    _check_id(core, "previous_response_id", previous_id, RESPONSES)
    previous = core.world.find(RESPONSES, previous_id)
    if previous is None:
        raise unknown.no_such_previous_response(previous_id)
    return [*items.standing(core, RESPONSE_INPUT_ITEMS, previous_id), *_said(previous)]


def _said(response: Obj) -> Iterator[Obj]:
    """The output of a response; a state may have brought in any JSON for it."""
    output = response.get("output")
    for item in output if isinstance(output, list) else ():
        if isinstance(item, dict) and isinstance(item.get("id"), str):
            yield item


def _check_id(core: Core, param: str, value: str, kind: Kind) -> None:
    if not value.startswith(kind.prefix) and core.world.find(kind, value) is None:
        raise unknown.malformed_id(param, value, kind)


def _input(body: Obj) -> list[Obj]:
    given: str | list[Obj] = body.get("input") or []
    return [{"role": "user", "content": given}] if isinstance(given, str) else given


def _kept(core: Core, given: Obj) -> Obj:
    """An item as it is kept; a reference stands for what an earlier response said."""
    if given.get("type") != "item_reference":
        return items.kept(core, given)
    for _, response in core.world.shelf(RESPONSES).rows():
        for item in _said(response):
            if item["id"] == given.get("id"):
                return item
    raise unknown.no_such_item(str(given.get("id")))


def _output(core: Core, body: Obj, context: list[Obj]) -> outputs.Output:
    words = items.last_words(context)
    steps = core.script.steps(Turn(kind="response", request=body, text=words, messages=tuple(context)))
    return outputs.of(core, steps, body, words)


# --- what is kept -------------------------------------------------------------------------------------


def _stream(core: Core, chunks: Iterator[Chunk], settle: Callable[[], None]) -> Reply:
    telling = _telling(chunks, settle)
    next(telling)
    return Reply(200, core.headers(sse.CONTENT_TYPE), chunks=telling)


def _telling(chunks: Iterator[Chunk], settle: Callable[[], None]) -> Iterator[Chunk]:
    """The stream. Whether it is heard to its end or not, the model has answered."""
    try:
        yield b""  # taken at once: only what has begun comes to its end also when its client never takes anything
        yield from chunks
    finally:
        settle()


def _settle(core: Core, world: World, exchange: _Exchange) -> None:
    """Keep the response, and put what was said into the conversation. A world that is gone stays as it was left."""
    if core.world is not world:
        return
    if exchange.is_stored:
        world.put(RESPONSES, exchange.answer)
        for item in exchange.context:
            world.put(RESPONSE_INPUT_ITEMS, items.within(RESPONSE_INPUT_ITEMS, exchange.answer["id"], item))
    place = exchange.conversation_id
    if place is not None and exchange.answer["status"] != "failed" and world.find(CONVERSATIONS, place):
        conversations.extend(core, place, [*exchange.given, *exchange.answer["output"]])
