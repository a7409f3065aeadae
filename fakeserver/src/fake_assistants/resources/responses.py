"""Handlers for /responses: the answer of the model, complete or as a stream."""

from collections.abc import Callable, Iterator
from functools import partial

import attrs

import fake_assistants.errors.ids as id_errors
import fake_assistants.errors.responses as errors
import fake_assistants.http.sse as sse
import fake_assistants.resources.conversations as conversations
import fake_assistants.resources.file_checks as file_checks
import fake_assistants.resources.items as items
import fake_assistants.resources.response_output as outputs
import fake_assistants.resources.response_rendering as rendering
import fake_assistants.schemas.responses as bodies
from fake_assistants.engine.backend import Backend, Call, found
from fake_assistants.http.lossless_json import Obj
from fake_assistants.http.message import Chunk, Reply
from fake_assistants.simulation.script import Turn
from fake_assistants.store.database import Database
from fake_assistants.store.kinds import CONVERSATIONS, RESPONSE_INPUT_ITEMS, RESPONSES, Kind


@attrs.frozen(kw_only=True)
class _Exchange:
    """One request and its answer: the new items, and all items that the model has read."""

    conversation_id: str | None
    user: str  # to whom the conversation belongs
    given: list[Obj]
    context: list[Obj]
    answer: Obj
    is_stored: bool


def create(backend: Backend, call: Call) -> Obj | Reply:
    """POST /responses. The answer is stored when it is complete, or when its stream ends in any way."""
    body = call.body(bodies.NEW_RESPONSE)
    conversation_id, past = _past(backend, call, body)
    file_checks.refuse_items(backend, call, "input", _input(body))
    given = [_stored_item(backend, item) for item in _input(body)]
    items.refuse_duplicates({item["id"] for item in past}, given)
    items.refuse_lone_reasoning(given)
    context = [*past, *given]
    items.refuse_open_calls(context)
    output = _output(backend, body, context)
    opened = rendering.opened(backend, body, conversation_id)
    closed = rendering.closed(backend, opened, context, output)
    exchange = _Exchange(
        conversation_id=conversation_id,
        user=call.user,
        given=given,
        context=context,
        answer=closed,
        is_stored=body.get("store") is not False,
    )
    store = partial(_store, backend, backend.database, exchange)
    if body.get("stream"):
        return _stream(backend, rendering.chunks(opened, output, closed, pads=_pads(body)), store)
    store()
    return closed


def _pads(body: Obj) -> bool:
    """Return whether the deltas of a stream are padded. Documented: by default they are."""
    options = body.get("stream_options")
    return not isinstance(options, dict) or options.get("include_obfuscation") is not False


def retrieve(backend: Backend, call: Call) -> Obj:
    """GET /responses/{response_id}."""
    return found(backend, RESPONSES, call.ids["response_id"])


def delete(backend: Backend, call: Call) -> Obj:
    """DELETE /responses/{response_id}."""
    response_id = found(backend, RESPONSES, call.ids["response_id"])["id"]
    backend.database.delete(RESPONSES, response_id)
    return {"id": response_id, "object": "response.deleted", "deleted": True}


def input_items(backend: Backend, call: Call) -> Obj:
    """GET /responses/{response_id}/input_items: all that the model has read, the past included (inferred)."""
    response_id = found(backend, RESPONSES, call.ids["response_id"])["id"]
    collection = backend.database.collection(RESPONSE_INPUT_ITEMS, response_id)
    return items.page(call.request, collection, RESPONSE_INPUT_ITEMS)


# --- what the model reads -----------------------------------------------------------------------------


def _past(backend: Backend, call: Call, body: Obj) -> tuple[str | None, list[Obj]]:
    """Return the id of the conversation, if there is one, and the items before this request."""
    conversation, previous_id = body.get("conversation"), body.get("previous_response_id")
    if conversation is not None and previous_id is not None:
        raise errors.two_pasts()
    if conversation is not None:
        conversation_id = conversation if isinstance(conversation, str) else conversation["id"]
        _check_id(backend, "conversation", conversation_id, CONVERSATIONS, call.user)
        found_id = conversations.visible(backend, call, conversation_id)["id"]
        return conversation_id, conversations.all_items(backend, found_id)
    if previous_id is not None:
        return None, _before(backend, previous_id)
    if body.get("input") is None and body.get("prompt") is None:
        raise errors.nothing_to_answer()
    return None, []


def _before(backend: Backend, previous_id: str) -> list[Obj]:
    """Return the input items of a previous response, and its output."""
    _check_id(backend, "previous_response_id", previous_id, RESPONSES)
    previous = backend.database.find(RESPONSES, previous_id)
    if previous is None:
        raise id_errors.no_such_previous_response(previous_id)
    return [*items.all_items(backend, RESPONSE_INPUT_ITEMS, previous_id), *_output_items(previous)]


def _output_items(response: Obj) -> Iterator[Obj]:
    """Yield the output items of a response. A loaded state may have any JSON there."""
    output = response.get("output")
    for item in output if isinstance(output, list) else ():
        if isinstance(item, dict) and isinstance(item.get("id"), str):
            yield item


def _check_id(backend: Backend, param: str, value: str, kind: Kind, parent: str = "") -> None:
    if not value.startswith(kind.prefix) and backend.database.find(kind, value, parent) is None:
        raise id_errors.malformed_id(param, value, kind)


def _input(body: Obj) -> list[Obj]:
    given: str | list[Obj] = body.get("input") or []
    return [{"role": "user", "content": given}] if isinstance(given, str) else given


def _stored_item(backend: Backend, given: Obj) -> Obj:
    """Return an item as it is stored. A reference is replaced by the item of an earlier response."""
    if given.get("type") != "item_reference":
        return items.stored(backend, given)
    for _, response in backend.database.collection(RESPONSES).rows():
        for item in _output_items(response):
            if item["id"] == given.get("id"):
                return item
    raise id_errors.no_such_item(str(given.get("id")))


def _output(backend: Backend, body: Obj, context: list[Obj]) -> outputs.Output:
    words = items.last_words(context)
    steps = backend.script.steps(Turn(kind="response", request=body, text=words, messages=tuple(context)))
    return outputs.of(backend, steps, body, words)


# --- storing -------------------------------------------------------------------------------------


def _stream(backend: Backend, chunks: Iterator[Chunk], store: Callable[[], None]) -> Reply:
    stream = _store_at_end(chunks, store)
    next(stream)
    return Reply(200, backend.headers(sse.CONTENT_TYPE), chunks=stream)


def _store_at_end(chunks: Iterator[Chunk], store: Callable[[], None]) -> Iterator[Chunk]:
    """Yield the stream, and store the answer at its end, whether the client has read all of it or not."""
    try:
        yield b""  # `_stream` takes it: only a generator that was started runs its `finally` when it is closed
        yield from chunks
    finally:
        store()


def _store(backend: Backend, database: Database, exchange: _Exchange) -> None:
    """Store the response, and append its items to the conversation. Do nothing if the database was replaced."""
    if backend.database is not database:
        return
    if exchange.is_stored:
        database.put(RESPONSES, exchange.answer)
        for item in exchange.context:
            database.put(RESPONSE_INPUT_ITEMS, items.within(RESPONSE_INPUT_ITEMS, exchange.answer["id"], item))
    parent_id = exchange.conversation_id
    if parent_id is None or exchange.answer["status"] == "failed":
        return
    if database.find(CONVERSATIONS, parent_id, exchange.user):
        conversations.extend(backend, parent_id, [*exchange.given, *exchange.answer["output"]])
