"""Responses as streams: the events in their order, and what is kept when nobody listens to the end."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fake_assistants import FakeAssistants, Reply, Request
from fake_assistants.http.message import Cut, Pause

Ask = Callable[..., Reply]

AUTH = {"Authorization": "Bearer sk-test"}
ENDS = ["response.completed", "response.incomplete", "response.failed"]


def stream(fake: FakeAssistants, **body: Any) -> Reply:
    content = json.dumps({"model": "m", "input": "Hello there", "stream": True, **body}).encode()
    reply = fake.handle(Request.of("POST", "/v1/responses", AUTH, content))
    assert reply.status == 200, reply.body
    return reply


def read(chunk: bytes) -> dict[str, Any]:
    """An event; its name is said twice, and its type comes first."""
    name, data, *rest = chunk.decode("utf-8", "surrogatepass").split("\n")
    event: dict[str, Any] = json.loads(data.removeprefix("data: "))
    assert (name, rest, next(iter(event))) == (f"event: {event['type']}", ["", ""], "type")
    assert list(event)[1:] == sorted(list(event)[1:])
    return event


def events(reply: Reply) -> list[dict[str, Any]]:
    assert reply.chunks is not None
    told = [read(chunk) for chunk in reply.chunks if isinstance(chunk, bytes)]
    assert [event["sequence_number"] for event in told] == list(range(len(told)))
    return told


def built(told: list[dict[str, Any]]) -> list[Any]:
    """The output that a client gathers from the items alone."""
    return [event["item"] for event in told if event["type"] == "response.output_item.done"]


texts = st.text(max_size=30)
steps = st.one_of(
    st.builds(lambda text: {"reply": text}, texts),
    st.builds(lambda text: {"refuse": text}, texts),
    st.builds(lambda text: {"call": [{"name": "f", "arguments": text}]}, texts),
    st.builds(lambda text: {"code": {"input": text, "outputs": [text]}}, texts),
    st.just({"search": {}}),
    st.just({"image": "file-1"}),
    st.just({"reply": [{"type": "hologram"}, {"type": "text", "text": "x"}]}),
    st.just({"fail": {"code": "server_error", "message": "x"}}),
    st.just({"incomplete": "max_output_tokens"}),
    st.just({"error": {"message": "x"}}),
)
paces = st.fixed_dictionaries({}, optional={"chunk": st.integers(1, 5), "pause": st.just(0.1)})


@given(st.lists(st.builds(lambda step, pace: {**step, **pace}, steps, paces), max_size=4), st.none() | st.just(16))
def test_a_stream_tells_what_is_kept(script: list[Any], limit: int | None) -> None:
    """Deltas joined are the text, items are the output, and the last event is the response as it is found later."""
    fake, other = FakeAssistants(), FakeAssistants()
    fake.script = other.script = {"default": script}
    told = events(stream(fake, max_output_tokens=limit))
    last = told[-1]
    assert [event["type"] for event in told[:2]] == ["response.created", "response.in_progress"]
    assert last["type"] in ENDS
    assert last["response"]["output"] == built(told)
    found = fake.handle(Request.of("GET", f"/v1/responses/{last['response']['id']}", AUTH)).json()
    assert found == {**last["response"], "billing": {"payer": "developer"}}
    plain = stream_off(other, max_output_tokens=limit)
    assert plain == found
    for item_id, joined in joined_deltas(told).items():
        [item] = [item for item in built(told) if item["id"] == item_id]
        assert joined == whole(item)


def stream_off(fake: FakeAssistants, **body: Any) -> Any:
    content = json.dumps({"model": "m", "input": "Hello there", **body}).encode()
    return fake.handle(Request.of("POST", "/v1/responses", AUTH, content)).json()


def joined_deltas(told: list[dict[str, Any]]) -> dict[str, str]:
    joined: dict[str, str] = {}
    for event in told:
        if event["type"].endswith(".delta"):
            joined[event["item_id"]] = joined.get(event["item_id"], "") + event["delta"]
    return joined


def whole(item: dict[str, Any]) -> Any:
    parts = item.get("content", [])
    text = "".join(part.get("text", "") + part.get("refusal", "") for part in parts)
    return text + item.get("arguments", "") + item.get("code", "")


def names(told: list[dict[str, Any]]) -> list[str]:
    return [event["type"].removeprefix("response.") for event in told]


def test_a_text_comes_in_the_recorded_order(fake: FakeAssistants) -> None:
    """With the content type of a stream, and without any word of billing."""
    reply = stream(fake, input="Hello, you!")
    told = events(reply)
    assert reply.header("content-type") == "text/event-stream; charset=utf-8"
    assert names(told) == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    assert "billing" not in told[0]["response"]
    assert (told[0]["response"]["status"], told[0]["response"]["service_tier"]) == ("in_progress", "auto")
    item = told[2]["item"]
    assert list(item.items())[1:] == [
        ("type", "message"),
        ("status", "in_progress"),
        ("content", []),
        ("role", "assistant"),
    ]
    assert told[4] == {
        "type": "response.output_text.delta",
        "content_index": 0,
        "delta": "Hello,",
        "item_id": item["id"],
        "logprobs": [],
        "obfuscation": told[4]["obfuscation"],
        "output_index": 0,
        "sequence_number": 4,
    }


@given(st.lists(steps, max_size=4))
def test_every_delta_is_padded_unless_the_request_says_no(script: list[Any]) -> None:
    """And nothing else is; with its padding a delta comes in blocks of 16 characters."""
    fake = FakeAssistants()
    fake.script = {"default": script}
    for options in ({}, {"stream_options": {"include_obfuscation": True}}, {"stream_options": None}):
        for event in events(stream(fake, **options)):
            assert ("obfuscation" in event) == event["type"].endswith(".delta")
            assert not (len(event.get("delta", "")) + len(event.get("obfuscation", ""))) % 16
    told = events(stream(fake, stream_options={"include_obfuscation": False}))
    assert not [event for event in told if "obfuscation" in event]


def test_a_call_comes_in_the_recorded_order(fake: FakeAssistants) -> None:
    """Without arguments first; they come in pieces."""
    fake.script = {"default": [{"call": [{"name": "f", "arguments": "{ }"}]}]}
    told = events(stream(fake))
    assert names(told)[2:] == [
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "completed",
    ]
    assert (told[2]["item"]["arguments"], told[2]["item"]["status"]) == ("", "in_progress")


def test_tools_annotations_and_refusals_have_events_of_their_own(fake: FakeAssistants) -> None:
    """By the SDK's names."""
    note = {"type": "url_citation", "text": "", "start_index": 0, "end_index": 0}
    text = {"type": "text", "text": {"value": "x", "annotations": [note]}}
    fake.script = {"default": [{"code": {"input": "1"}}, {"search": {}}, {"reply": [text]}, {"refuse": "No"}]}
    told = names(events(stream(fake)))
    for expected in (
        [
            "code_interpreter_call.in_progress",
            "code_interpreter_call_code.delta",
            "code_interpreter_call_code.done",
            "code_interpreter_call.interpreting",
            "code_interpreter_call.completed",
        ],
        ["file_search_call.in_progress", "file_search_call.searching", "file_search_call.completed"],
        ["output_text.delta", "output_text.annotation.added", "output_text.done"],
        ["content_part.added", "refusal.delta", "refusal.done", "content_part.done"],
    ):
        start = told.index(expected[0] if expected[0] != "content_part.added" else "refusal.delta")
        start -= expected[0] == "content_part.added"
        assert told[start : start + len(expected)] == expected


def test_an_error_is_told_before_the_end(fake: FakeAssistants) -> None:
    """In an object, as it was seen; then the response has failed."""
    fake.script = {"default": [{"error": {"message": "Boom", "type": "tokens", "code": "rate_limit_exceeded"}}]}
    told = events(stream(fake))
    assert told[-2] == {
        "type": "error",
        "error": {"message": "Boom", "type": "tokens", "param": None, "code": "rate_limit_exceeded"},
        "sequence_number": 2,
    }
    assert told[-1]["type"] == "response.failed"


@pytest.mark.parametrize("cut", [0, 1, 2])
def test_a_cut_breaks_the_stream_and_nothing_else(fake: FakeAssistants, ask: Ask, cut: int) -> None:
    """After so many deltas; the server goes on, and the conversation hears of it."""
    fake.script = {"default": [{"reply": "one two three", "cut": cut, "pause": 2}]}
    name = ask("POST", "/v1/conversations").json()["id"]
    reply = stream(fake, conversation=name)
    assert reply.chunks is not None
    chunks = list(reply.chunks)
    assert chunks[-1] == Cut()
    assert sum(b".delta" in chunk for chunk in chunks if isinstance(chunk, bytes)) == cut
    assert chunks.count(Pause(2.0)) == max(cut - 1, 0)
    response_id = read(chunks[0])["response"]["id"] if isinstance(chunks[0], bytes) else ""
    assert ask("GET", f"/v1/responses/{response_id}").json()["status"] == "completed"
    assert len(ask("GET", f"/v1/conversations/{name}/items").json()["data"]) == 2


def test_a_cut_beyond_the_last_delta_comes_after_it(fake: FakeAssistants) -> None:
    """When the item is done."""
    fake.script = {"default": [{"reply": "one", "cut": 5}, {"reply": "never heard"}]}
    chunks = list(stream(fake).chunks or ())
    assert chunks[-1] == Cut()
    assert isinstance(chunks[-2], bytes)
    assert read(chunks[-2])["type"] == "response.output_item.done"


def test_what_nobody_heard_begin_is_kept(fake: FakeAssistants) -> None:
    """A client may go away before the first byte."""
    chunks: Any = stream(fake).chunks
    chunks.close()
    assert [response["status"] for response in fake.state["responses"]] == ["completed"]


def test_what_nobody_heard_to_the_end_is_kept(fake: FakeAssistants) -> None:
    """A client that goes away does not stop the model; before its end a response is not there."""
    reply = stream(fake)
    chunks: Any = reply.chunks
    response_id = read(next(chunks))["response"]["id"]
    path = f"/v1/responses/{response_id}"
    assert fake.handle(Request.of("GET", path, AUTH)).status == 404
    chunks.close()
    assert fake.handle(Request.of("GET", path, AUTH)).json()["status"] == "completed"


def test_a_stream_of_a_world_that_is_gone_keeps_nothing(fake: FakeAssistants, ask: Ask) -> None:
    """A reset, or another state, is not disturbed by what was still being told."""
    streams = [stream(fake), stream(fake, conversation=ask("POST", "/v1/conversations").json()["id"])]
    told: list[Any] = [reply.chunks for reply in streams]
    for chunks in told:
        next(chunks)
    fake.reset()
    for chunks in told:
        list(chunks)
    assert not any(fake.state.values())


def test_a_conversation_that_was_deleted_meanwhile_stays_deleted(fake: FakeAssistants, ask: Ask) -> None:
    """The response is kept all the same."""
    name = ask("POST", "/v1/conversations").json()["id"]
    reply = stream(fake, conversation=name)
    ask("DELETE", f"/v1/conversations/{name}")
    events(reply)
    assert fake.state["conversation_items"] == []
    assert len(fake.state["responses"]) == 1
