"""Chat completions: answers, and the same answers in chunks."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fake_assistants import FakeAssistants, Reply, Request
from fake_assistants.http.message import Cut, Pause
from fake_assistants.simulation.clock import EPOCH

Ask = Callable[..., Reply]

AUTH = {"Authorization": "Bearer sk-test"}
CHAT = "/v1/chat/completions"
CALL = {"name": "weather", "arguments": {"city": "Rome"}, "id": "call_1"}


def sent(fake: FakeAssistants, **body: Any) -> Reply:
    messages = [{"role": "user", "content": "Hello, world!"}]
    content = json.dumps({"model": "gpt-4o-mini", "messages": messages, **body}).encode()
    return fake.handle(Request.of("POST", CHAT, AUTH, content))


def complete(fake: FakeAssistants, **body: Any) -> dict[str, Any]:
    reply = sent(fake, **body)
    assert reply.status == 200, reply.body
    completion: dict[str, Any] = reply.json()
    return completion


def choice(fake: FakeAssistants, **body: Any) -> dict[str, Any]:
    one: dict[str, Any] = complete(fake, **body)["choices"][0]
    return one


def chunks(fake: FakeAssistants, **body: Any) -> list[Any]:
    """Every chunk, in order; the stream ends as it should."""
    told: list[Any] = list(sent(fake, stream=True, **body).chunks or ())
    assert told.pop() == b"data: [DONE]\n\n"
    return [json.loads(chunk.removeprefix(b"data: ")) for chunk in told if isinstance(chunk, bytes)]


def test_a_completion_in_full(fake: FakeAssistants) -> None:
    """Recorded key order, down to the usage."""
    made = complete(fake)
    assert list(made.items()) == [
        ("id", made["id"]),
        ("object", "chat.completion"),
        ("created", EPOCH),
        ("model", "gpt-4o-mini"),
        ("choices", made["choices"]),
        ("usage", made["usage"]),
        ("service_tier", "default"),
        ("system_fingerprint", None),
    ]
    assert len(made["id"].removeprefix("chatcmpl-")) == 29
    [one] = made["choices"]
    message: dict[str, Any] = {"role": "assistant", "content": "Hello, world!", "refusal": None, "annotations": []}
    assert list(one.items()) == [
        ("index", 0),
        ("message", message),
        ("logprobs", None),
        ("finish_reason", "stop"),
    ]
    assert list(one["message"]) == list(message)
    assert [made["usage"][key] for key in ("prompt_tokens", "completion_tokens", "total_tokens")] == [4, 4, 8]


def test_calls_refusals_and_what_has_no_place(fake: FakeAssistants) -> None:
    """Code, searches and images are left out; texts are joined line by line."""
    fake.script = {
        "responses": [
            [{"call": [CALL, {"name": "time"}]}],
            [{"refuse": "No."}],
            [{"code": {"input": "1"}}, {"search": {}}, {"image": "file-1"}, {"reply": "a"}, {"reply": "b"}],
            [],
        ]
    }
    called = choice(fake)
    assert called["finish_reason"] == "tool_calls"
    assert list(called["message"]) == ["role", "content", "tool_calls", "refusal", "annotations"]
    first, second = called["message"]["tool_calls"]
    assert first == {
        "id": "call_1",
        "type": "function",
        "function": {"name": "weather", "arguments": '{"city":"Rome"}'},
    }
    assert second["id"].startswith("call_")
    assert called["message"]["content"] is None
    assert choice(fake)["message"]["refusal"] == "No."
    assert choice(fake)["message"]["content"] == "a\nb"
    assert choice(fake)["message"]["content"] is None


def test_tool_outputs_come_with_the_next_request(fake: FakeAssistants) -> None:
    """Every kind of message is taken."""
    function = {"name": "weather", "arguments": "{}"}
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "developer", "content": [{"type": "text", "text": "Be kind."}]},
        {"role": "user", "content": [{"type": "text", "text": "Rain"}, {"type": "text", "text": "today?"}]},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "c", "type": "function", "function": function}]},
        {"role": "tool", "tool_call_id": "c", "content": "sunny"},
        {"role": "function", "name": "old", "content": "x"},
    ]
    assert choice(fake, messages=messages)["message"]["content"] == "Rain\ntoday?"


def test_a_limit_of_tokens_cuts_off_what_is_beyond(fake: FakeAssistants) -> None:
    """By either name; what fits exactly is complete."""
    fake.script = {"default": [{"reply": "12345678"}, {"reply": "more"}, {"call": [CALL]}]}
    cut = choice(fake, max_tokens=1)
    assert (cut["message"]["content"], cut["finish_reason"]) == ("1234", "length")
    assert "tool_calls" not in cut["message"]
    fake.script = {"default": [{"reply": "12345678"}]}
    assert choice(fake, max_completion_tokens=2)["finish_reason"] == "stop"


@pytest.mark.parametrize(
    ("steps", "finish", "content"),
    [
        ([{"reply": "12345678"}, {"incomplete": "max_tokens"}, {"reply": "never"}], "length", "12345678"),
        ([{"incomplete": "content_filter"}], "content_filter", None),
    ],
)
def test_a_completion_may_end_early(fake: FakeAssistants, steps: Any, finish: str, content: str | None) -> None:
    """What was said until then is there."""
    fake.script = {"default": steps}
    made = choice(fake)
    assert (made["finish_reason"], made["message"]["content"]) == (finish, content)


@pytest.mark.parametrize(
    ("step", "status", "kind"),
    [
        ({"fail": {"code": "rate_limit_exceeded", "message": "x"}}, 429, "requests"),
        ({"fail": {"code": "invalid_prompt", "message": "x"}}, 400, "invalid_request_error"),
        ({"fail": {"code": "server_error", "message": "x"}}, 500, "server_error"),
        ({"error": {"message": "x", "type": "tokens"}}, 500, "tokens"),
    ],
)
def test_a_failure_is_an_error_answer(fake: FakeAssistants, step: Any, status: int, kind: str) -> None:
    """In the envelope; in a stream it is the last thing that is told."""
    fake.script = {"default": [{"reply": "So far"}, step]}
    reply = sent(fake)
    assert (reply.status, reply.json()["error"]["message"], reply.json()["error"]["type"]) == (status, "x", kind)
    told: list[Any] = list(sent(fake, stream=True).chunks or ())
    assert json.loads(told[-1].removeprefix(b"data: ")) == reply.json()


def test_chunks_come_in_the_recorded_order(fake: FakeAssistants) -> None:
    """The role, the pieces, the reason; the usage when it is asked for, with null in every chunk before."""
    told = chunks(fake, stream_options={"include_usage": True})
    assert [chunk["choices"][0]["delta"] for chunk in told[:-1]] == [
        {"role": "assistant", "content": "", "refusal": None},
        {"content": "Hello,"},
        {"content": " world!"},
        {},
    ]
    assert [chunk["choices"][0]["finish_reason"] for chunk in told[:-1]] == [None, None, None, "stop"]
    assert list(told[0]) == [
        *("id", "object", "created", "model", "service_tier", "system_fingerprint", "choices", "usage"),
        "obfuscation",
    ]
    assert list(told[0]["choices"][0]) == ["index", "delta", "logprobs", "finish_reason"]
    assert [chunk["usage"] for chunk in told] == [None] * 4 + [complete(fake)["usage"]]
    assert told[-1]["choices"] == []
    assert "usage" not in chunks(fake)[0]


def test_chunks_are_padded_unless_the_request_says_no(fake: FakeAssistants) -> None:
    """All but the usage; with their padding, texts come in blocks of 16 characters."""
    told = chunks(fake, stream_options={"include_usage": True})
    sizes = [len(chunk["choices"][0]["delta"].get("content") or "") + len(chunk["obfuscation"]) for chunk in told[:-1]]
    assert sizes == [16] * 4
    assert "obfuscation" not in told[-1]
    assert not [
        chunk for chunk in chunks(fake, stream_options={"include_obfuscation": False}) if "obfuscation" in chunk
    ]


USER = {"role": "user", "content": "x"}
TOLD = {"role": "tool", "tool_call_id": "c", "content": "sunny"}


def calling(*ids: str) -> dict[str, Any]:
    calls = [{"id": name, "type": "function", "function": {"name": "f", "arguments": "{}"}} for name in ids]
    return {"role": "assistant", "content": None, "tool_calls": calls}


UNCALLED = "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'."
UNANSWERED = (
    "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. "
    "The following tool_call_ids did not have response messages: "
)


@pytest.mark.parametrize(
    ("messages", "param", "text"),
    [
        ([USER, TOLD], "messages.[1].role", UNCALLED),
        ([calling("d"), TOLD], "messages.[1].role", UNCALLED),
        ([calling("c"), TOLD, USER, TOLD], "messages.[3].role", UNCALLED),
        ([USER, calling("c"), USER], "messages.[2].role", f"{UNANSWERED}c"),
        ([calling("c", "d", "e"), TOLD], "messages.[1].role", f"{UNANSWERED}d, e"),
        ([calling("c"), USER, TOLD], "messages.[1].role", f"{UNANSWERED}c"),
    ],
)
def test_calls_and_their_outputs_belong_together(fake: FakeAssistants, messages: Any, param: str, text: str) -> None:
    """The outputs come right after the message that calls, in any order, and all of them."""
    reply = sent(fake, messages=messages)
    error = reply.json()["error"]
    assert (reply.status, error["param"], error["message"]) == (400, param, text)


@given(st.lists(st.permutations(["a", "b", "c"]), max_size=3))
def test_calls_that_are_all_answered_are_taken(rounds: list[list[str]]) -> None:
    """In whatever order."""
    messages: list[dict[str, Any]] = [USER]
    for ids in rounds:
        messages += [calling("a", "b", "c"), *({**TOLD, "tool_call_id": name} for name in ids)]
    assert sent(FakeAssistants(), messages=messages).status == 200


def test_calls_come_in_pieces(fake: FakeAssistants) -> None:
    """The name first, then the arguments; each by its index."""
    fake.script = {"default": [{"call": [CALL, {"name": "time", "arguments": ""}], "chunk": 8}]}
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks(fake)]
    function = {"name": "weather", "arguments": ""}
    assert deltas[0]["content"] is None
    assert deltas[1:4] == [
        {"tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": function}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"city":'}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '"Rome"}'}}]},
    ]
    assert deltas[4]["tool_calls"][0]["index"] == 1


@pytest.mark.parametrize("cut", [0, 1, 2, 7])
def test_a_cut_breaks_the_stream(fake: FakeAssistants, cut: int) -> None:
    """After so many deltas, with the pauses between them."""
    fake.script = {"default": [{"reply": "one two", "cut": cut, "pause": 2}]}
    told: list[Any] = list(sent(fake, stream=True).chunks or ())
    assert told[-1] == Cut()
    heard = min(cut, 2)
    assert (len(told) - 2, told.count(Pause(2.0))) == (heard + max(heard - 1, 0), max(heard - 1, 0))


@given(st.lists(st.text(max_size=20), max_size=3), st.integers(1, 3))
def test_chunks_joined_are_the_completion(texts: list[str], count: int) -> None:
    """For each of the choices."""
    fake = FakeAssistants()
    fake.script = {"default": [{"reply": text} for text in texts] + [{"refuse": text} for text in texts]}
    made = complete(fake, n=count)["choices"]
    joined: dict[int, dict[str, str]] = {index: {"content": "", "refusal": ""} for index in range(count)}
    for chunk in chunks(fake, n=count):
        [one] = chunk["choices"]
        for key in ("content", "refusal"):
            joined[one["index"]][key] += one["delta"].get(key) or ""
    for one in made:
        assert joined[one["index"]] == {key: one["message"][key] or "" for key in ("content", "refusal")}


BAD: list[tuple[dict[str, Any], str]] = [
    ({"colour": "red"}, "colour"),
    ({"messages": []}, "messages"),
    ({"messages": ["hello"]}, "messages[0]"),
    ({"messages": [{"content": "x"}]}, "messages[0].role"),
    ({"messages": [{"role": "human", "content": "x"}]}, "messages[0].role"),
    ({"messages": [{"role": "user"}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "content": [5]}]}, "messages[0].content[0]"),
    ({"messages": [{"role": "user", "content": [{}]}]}, "messages[0].content[0].type"),
    ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].tool_call_id"),
    ({"tools": [{"type": "function"}]}, "tools[0].function"),
    ({"n": 0}, "n"),
    ({"stream_options": {"usage": True}}, "stream_options.usage"),
]


@pytest.mark.parametrize(("body", "param"), BAD)
def test_a_bad_body(fake: FakeAssistants, body: dict[str, Any], param: str) -> None:
    """400 with the place."""
    reply = sent(fake, **body)
    assert (reply.status, reply.json()["error"]["param"]) == (400, param)


def test_an_answer_of_odd_parts(fake: FakeAssistants) -> None:
    """What is no text is left out."""
    fake.script = {"default": [{"reply": [{"type": "hologram"}]}]}
    assert choice(fake)["message"]["content"] is None
