"""Cases: conversations, responses and chat completions, which replace threads and runs. No beta header is needed."""

from collections.abc import Mapping
from typing import Any

from fake_assistants.conformance.api import Api, Service
from fake_assistants.conformance.case import Case
from fake_assistants.conformance.expectations import Found
from fake_assistants.conformance.fixtures import served, worded
from fake_assistants.conformance.response import Answer

_PAGE = ("object", "data", "first_id", "has_more", "last_id")


def _new(api: Api, **body: Any) -> Found:
    return served(api.post("/conversations", body)).ok()


def _items_path(api: Api, *texts: str) -> str:
    """Create a conversation with a user's message for each text, and return the path of its items."""
    return f"/conversations/{_new(api, items=[_said(text) for text in texts])['id'].text()}/items"


def _said(text: str, role: str = "user") -> dict[str, Any]:
    return {"type": "message", "role": role, "content": text}


def create(api: Api) -> None:
    """A new conversation has the recorded keys in order; its items are not shown."""
    made = _new(api, metadata={"topic": "test"}, items=[_said("Hello")])
    made.keys(("id", "object", "created_at", "metadata"))
    made.has(object="conversation", metadata={"topic": "test"})
    made["id"].like("conv_[0-9a-f]{48}", "conv_ and 48 hexadecimal digits")
    made["created_at"].number()
    _new(api)["metadata"].same({})


def no_beta(api: Api) -> None:
    """No beta header is needed."""
    answer = served(api.ask("POST", "/conversations", b"{}", headers={"openai-beta": None}))
    made = answer.ok()
    api.owns(f"/conversations/{made['id'].text()}")
    made["object"].same("conversation")


def items_create(api: Api) -> None:
    """Adding items returns only those, as a page; an item has no created_at."""
    path = _items_path(api, "first")
    page = api.post(path, {"items": [_said("second")]}).ok()
    page.keys(_PAGE)
    item = page["data"].only()
    page.has(object="list", first_id=item["id"].value, last_id=item["id"].value, has_more=False)
    item.has(type="message", role="user", status="completed")
    item["content"].same([{"type": "input_text", "text": "second"}])
    item["id"].like("msg_[0-9a-f]{48,50}", "msg_ and 48 or 50 hexadecimal digits")
    if "created_at" in item.value:
        raise item.deviates("no created_at")


def items_list(api: Api) -> None:
    """Items are listed newest first in the order of insertion, with `after`."""
    path = _items_path(api, "one", "two", "three")
    rows = api.get(f"{path}?order=asc").ok()["data"].rows(3)
    for row, text in zip(rows, ("one", "two", "three"), strict=False):
        row["content"].same([{"type": "input_text", "text": text}])
    ids = [row["id"].text() for row in rows]
    page = api.get(path).ok()
    page.keys(_PAGE)
    page.ids(ids[::-1])
    api.get(f"{path}?limit=2").ok().has(has_more=True, last_id=ids[1])
    api.get(f"{path}?limit=2&after={ids[1]}").ok().ids(ids[:1])


def output_text(api: Api) -> None:
    """An assistant's text is stored as output_text, with empty annotations and logprobs."""
    item = _said("", "assistant") | {"content": [{"type": "output_text", "text": "Hi"}]}
    path = f"/conversations/{_new(api, items=[item])['id'].text()}/items"
    part = api.get(path).ok()["data"].only()["content"].only()
    part.same({"type": "output_text", "annotations": [], "logprobs": [], "text": "Hi"})


def many_items(api: Api) -> None:
    """400 for more than 20 items at once, in a new conversation and in one that exists."""
    text = (
        "Invalid 'items': array too long. Expected an array with maximum length 20, "
        "but got an array with length 21 instead."
    )
    path = _items_path(api, *["x"] * 20)
    for target in ("/conversations", path):
        answer = api.post(target, {"items": [_said("x")] * 21})
        answer.refused(400, text, param="items", code="array_above_max_length")
    api.post(path, {"items": [_said("y")] * 20}).ok()["data"].rows(20)


_BEYOND_METADATA: tuple[tuple[dict[str, str], str, str], ...] = (
    ({str(number): "x" for number in range(17)}, "metadata", "object_above_max_properties"),
    ({"k" * 65: "x"}, "metadata", "property_name_above_max_length"),
    ({"key": "v" * 513}, "metadata.key", "string_above_max_length"),
)


def metadata(api: Api) -> None:
    """Metadata has up to 16 pairs of 64 and 512 characters; more is refused, also when it is changed."""
    most = {f"{number:064}": "v" * 512 for number in range(16)}
    made = _new(api, metadata=most)
    made["metadata"].same(most)
    for target in ("/conversations", f"/conversations/{made['id'].text()}"):
        for beyond, param, code in _BEYOND_METADATA:
            answer = api.post(target, {"metadata": beyond})
            answer.refused(400, param=param, code=code)
    api.get(f"/conversations/{made['id'].text()}").ok()["metadata"].same(most)


def items_limit(api: Api) -> None:
    """A page has at most 100 items."""
    path = _items_path(api, "one", "two")
    api.get(f"{path}?limit=100").ok()["data"].rows(2)
    text = "Invalid 'limit': integer above maximum value. Expected a value <= 100, but got 1000 instead."
    api.get(f"{path}?limit=1000").refused(400, text, param="limit", code="integer_above_max_value")


def no_role(api: Api) -> None:
    """400 for an item without a role; the error lists the roles."""
    path = _items_path(api)
    text = "Invalid value: ''. Supported values are: 'assistant', 'system', 'developer', and 'user'."
    answer = api.post(path, {"items": [{"type": "message", "content": "x"}]})
    answer.refused(400, text, param="items[0]", code="invalid_value")


def parts_of_roles(api: Api) -> None:
    """400 for input_text in an assistant's item, and for output_text in a user's."""
    path = _items_path(api)
    for role, kind in (("assistant", "input_text"), ("user", "output_text")):
        item = {"type": "message", "role": role, "content": [{"type": kind, "text": "x"}]}
        answer = api.post(path, {"items": [_said("fine"), item]})
        answer.refused(400, param="items[1].content[0]", code="invalid_value")
    api.get(path).ok()["data"].same([])


def searches_need_ids(api: Api) -> None:
    """400 for a file search without its id."""
    search = {"type": "file_search_call", "queries": ["q"], "status": "completed"}
    answer = served(api.post("/conversations", {"items": [search]}))
    answer.refused(
        400, "Missing required parameter: 'items[0].id'.", param="items[0].id", code="missing_required_parameter"
    )


def unknown(api: Api) -> None:
    """404, with the text for conversations."""
    _new(api)
    unknown = f"conv_{'0' * 48}"
    text = f"Conversation with id '{unknown}' not found."
    api.get(f"/conversations/{unknown}").refused(404, text)
    api.get(f"/conversations/{unknown}/items").refused(404, text)
    api.post(f"/conversations/{unknown}/items", {"items": [_said("x")]}).refused(404, text)


def delete(api: Api) -> None:
    """Delete answers in the recorded shape; afterwards the conversation is unknown."""
    made = _new(api)["id"].text()
    gone = api.delete(f"/conversations/{made}").ok()
    gone.same({"id": made, "object": "conversation.deleted", "deleted": True})
    api.delete(f"/conversations/{made}").refused(404, f"Conversation with id '{made}' not found.")


def after_the_sunset(api: Api) -> None:
    """Conversations are served after the sunset of the Assistants API."""
    path = _items_path(api, "Hello")
    with api.staged("sunset", {"now": True, "style": "not-found"}):
        api.get(path).ok()["data"].only()


_LONGEST = 10_485_760


def long_texts(api: Api) -> None:
    """400 for a text of more than 10,485,760 characters."""
    path = _items_path(api)
    answer = api.post(path, {"items": [_said("x" * (_LONGEST + 1))]})
    text = (
        f"Invalid 'items[0].content': string too long. Expected a string with maximum length {_LONGEST}, "
        f"but got a string with length {_LONGEST + 1} instead."
    )
    answer.refused(400, text, param="items[0].content", code="string_above_max_length")


def file_ids(api: Api) -> None:
    """400 for a file id of another prefix, with other characters, or of more than 64."""
    path = _items_path(api)
    prefix = "file" if api.setting.service == "openai" else "assistant"
    for kind in ("input_image", "input_file"):
        for file_id, code in (
            ("other-1", "invalid_value"),
            (f"{prefix}-a/b.png", "invalid_value"),
            (f"{prefix}-{'a' * 60}", "string_above_max_length"),
        ):
            item = {"type": "message", "role": "user", "content": [{"type": kind, "file_id": file_id}]}
            answer = api.post(path, {"items": [item]})
            answer.refused(400, param="items[0].content[0].file_id", code=code)


# --- responses -------------------------------------------------------------------------------------------


def _response(api: Api, **body: Any) -> Answer:
    return served(api.post("/responses", {"model": api.model, **body}))


def response(api: Api) -> None:
    """A response is completed, with a message of output_text, and is retrieved the same."""
    made = _response(api, input="Say hello.").ok()
    made.has(object="response", status="completed", error=None, incomplete_details=None)
    made["id"].like("resp_[0-9a-f]{48,50}", "resp_ and 48 or 50 hexadecimal digits")
    message = made["output"].rows(1)[-1]
    message.has(type="message", role="assistant", status="completed")
    message["content"].rows(1)[0].has(type="output_text", annotations=[])
    api.get(f"/responses/{made['id'].text()}").ok().has(id=made["id"].value, output=made["output"].value)


def response_in_conversation(api: Api) -> None:
    """A response in a conversation adds its input and its output to the items."""
    path = _items_path(api, "My name is Ada.")
    conversation = path.split("/")[2]
    made = _response(api, input="Say hello.", conversation=conversation).ok()
    rows = api.get(f"{path}?order=asc").ok()["data"].rows(3)
    rows[1]["content"].same([{"type": "input_text", "text": "Say hello."}])
    rows[-1]["id"].same(made["output"].rows(1)[-1]["id"].value)


def both_pasts(api: Api) -> None:
    """400 for a conversation together with a previous response."""
    conversation = _new(api)["id"].text()
    previous = _response(api, input="Hello").ok()["id"].text()
    answer = _response(api, input="x", conversation=conversation, previous_response_id=previous)
    if answer.status != 400:
        raise answer.deviates("status 400")
    answer.json()["error"]["message"].text()


def assistants_input(api: Api) -> None:
    """400 for input_text in an assistant's message."""
    item: Mapping[str, Any] = {"role": "assistant", "content": [{"type": "input_text", "text": "x"}]}
    answer = _response(api, input=[_said("Hello"), item])
    text = "Invalid value: 'input_text'. Supported values are: 'output_text' and 'refusal'."
    answer.refused(400, text, param="input[1].content[0]", code="invalid_value")


def lone_reasoning(api: Api) -> None:
    """400 for reasoning without the item that followed it."""
    reasoning: Mapping[str, Any] = {"type": "reasoning", "id": "rs_1", "summary": []}
    answer = _response(api, input=[reasoning, _said("Hello")])
    text = "Item 'rs_1' of type 'reasoning' was provided without its required following item."
    answer.refused(400, text, param="input")


def padding(api: Api) -> None:
    """Every delta of a text has a random string, unless the request turns it off."""
    body = {"model": api.model, "input": "Say hello."}
    served(api.post("/responses", body)).ok()
    for options, expected in ({}, True), ({"stream_options": {"include_obfuscation": False}}, False):
        read = api.stream("/responses", {**body, **options})
        api.owns(f"/responses/{read[-1].data['response']['id'].text()}")
        for event in read:
            if event.name == "response.output_text.delta" and ("obfuscation" in event.data.value) is not expected:
                raise event.data.deviates("an obfuscation" if expected else "no obfuscation")


def response_stream(api: Api) -> None:
    """Streamed, the events are numbered, and begin and end as documented."""
    _response(api, input="Hello").ok()
    read = api.stream("/responses", {"model": api.model, "input": "Say hello."})
    names = [event.name for event in read]
    for at, event in enumerate(read):
        event.data.has(type=event.name, sequence_number=at)
    Found(names[:2], "POST /responses", "the first events").same(["response.created", "response.in_progress"])
    last = read[-1].data
    last["type"].same("response.completed")
    api.owns(f"/responses/{last['response']['id'].text()}")
    text = "".join(event.data["delta"].text() for event in read if event.name == "response.output_text.delta")
    last["response"]["output"].rows(1)[-1]["content"].rows(1)[0]["text"].same(text)


# --- chat completions ------------------------------------------------------------------------------------


def chat(api: Api) -> None:
    """A chat completion has one choice, an assistant's message, and usage that adds up."""
    body = {"model": api.model, "messages": [{"role": "user", "content": "Say hello."}]}
    made = served(api.post("/chat/completions", body)).ok()
    made["object"].same("chat.completion")
    choice = made["choices"].only()
    choice.has(index=0, finish_reason="stop")
    choice["message"]["role"].same("assistant")
    choice["message"]["content"].text()
    usage = made["usage"]
    usage["total_tokens"].same(usage["prompt_tokens"].number() + usage["completion_tokens"].number())


def chat_stream(api: Api) -> None:
    """Streamed, the chunks have no event names, and [DONE] ends them."""
    body = {"model": api.model, "messages": [{"role": "user", "content": "Say hello."}]}
    served(api.post("/chat/completions", body)).ok()
    read = api.stream("/chat/completions", body)
    ends = Found([[event.name, event.text] for event in read[1:][-1:]], "POST /chat/completions", "the last event")
    ends.same([["", "[DONE]"]])
    for event in read[:-1]:
        event.data["object"].same("chat.completion.chunk")
    read[0].data["choices"].rows(1)[0]["delta"]["role"].same("assistant")


_CALLS = {
    "role": "assistant",
    "content": None,
    "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
}


def tool_without_call(api: Api) -> None:
    """400 for a tool message without its call; the error names its index."""
    messages = [_HELLO, {"role": "tool", "tool_call_id": "call_1", "content": "x"}]
    answer = served(api.post("/chat/completions", {"model": api.model, "messages": messages}))
    answer.refused(400, param="messages.[1].role")


def calls_without_outputs(api: Api) -> None:
    """400 for calls that no tool message answers."""
    answer = served(api.post("/chat/completions", {"model": api.model, "messages": [_HELLO, _CALLS, _HELLO]}))
    worded(answer, ".*did not have response messages: call_1", "... did not have response messages: call_1")


_HELLO = {"role": "user", "content": "Say hello."}

# The new Foundry's have other shapes.
_WITH_OPENAIS_PAGES: tuple[Service, ...] = ("openai", "azure")

CASES = (
    Case("conversations", "create", "recorded", create, services=_WITH_OPENAIS_PAGES),
    Case("conversations", "no-beta", "recorded", no_beta),
    Case("conversations", "items-create", "recorded", items_create, services=_WITH_OPENAIS_PAGES),
    Case("conversations", "items-list", "recorded", items_list, services=_WITH_OPENAIS_PAGES),
    Case("conversations", "output-text", "recorded", output_text),
    Case("conversations", "many-items", "inferred", many_items),
    Case("conversations", "metadata", "spec", metadata),
    Case("conversations", "items-limit", "recorded", items_limit),
    Case("conversations", "no-role", "recorded", no_role),
    Case("conversations", "parts-of-roles", "inferred", parts_of_roles),
    Case("conversations", "long-texts", "inferred", long_texts),
    Case("conversations", "file-ids", "inferred", file_ids),
    Case("conversations", "searches-need-ids", "quoted", searches_need_ids),
    Case("conversations", "unknown", "recorded", unknown),
    Case("conversations", "delete", "recorded", delete),
    Case("conversations", "after-the-sunset", "recorded", after_the_sunset, needs=("control",)),
    Case("responses", "create", "recorded", response),
    Case("responses", "in-conversation", "recorded", response_in_conversation),
    Case("responses", "both-pasts", "SDK", both_pasts),
    Case("responses", "assistants-input", "quoted", assistants_input),
    Case("responses", "lone-reasoning", "quoted", lone_reasoning),
    Case("responses", "stream", "SDK", response_stream),
    Case("responses", "padding", "recorded", padding),
    Case("chat", "create", "spec", chat),
    Case("chat", "tool-without-call", "quoted", tool_without_call),
    Case("chat", "calls-without-outputs", "quoted", calls_without_outputs),
    Case("chat", "stream", "spec", chat_stream),
)
