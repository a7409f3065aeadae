"""Laws of a conversation, with a client that answers what a test says: what is sent, what is stored, and when not."""

import asyncio
import contextlib
import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from converting import put_bare, text_message
from scripted_client import WAYS, ScriptedClient, calls, chunk, chunks, says, turn
from threadkeep.errors import RequestFailed
from threadkeep.history import completions, responses
from threadkeep.history.conversation import Conversation
from threadkeep.history.counting.tokens import count_tokens
from threadkeep.history.entrypoints import open_history
from threadkeep.history.repairing import Repaired, repair
from threadkeep.history.session import History

NUMBERS = itertools.count()

words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)


def empty() -> History:
    """A history of its own."""
    return open_history(f"memory://conversation-{next(NUMBERS)}")


class Broken(Exception):
    """What goes wrong in a test."""


class Breaking:
    """Raises at one of its steps: an answer, a call, or the writing.

    Attributes:
        history: whose items are added in the last step.
    """

    def __init__(self, answers: Sequence[Any], failing: int | None) -> None:
        self.history, self._stored = self, empty()
        self.sync = self
        self.session_id, self.session_settings = "", None
        self._answers, self._failing, self._steps = iter(answers), failing, itertools.count()
        self._stored.sync.add_items([{"role": "user", "content": "before"}])

    def _step(self) -> None:
        if next(self._steps) == self._failing:
            raise Broken

    def next_answer(self) -> Any:
        try:
            self._step()
        except Broken as error:
            return error
        return next(self._answers)

    def on_call(self, name: str, arguments: Any) -> Any:
        self._step()
        return {"called": name, "with": arguments}

    def get_items(self, limit: int | None = None) -> Any:
        return self._stored.sync.get_items(limit)

    def add_items(self, items: list[Any]) -> None:
        self._step()
        self._stored.sync.add_items(items)


class AsyncBreaking(Breaking):
    """The same as an async session."""

    async def get_items(self, limit: int | None = None) -> Any:
        return super().get_items(limit)

    async def add_items(self, items: list[Any]) -> None:  # type: ignore[override]
        super().add_items(items)


# --- laws


@given(
    rounds=st.lists(st.tuples(st.lists(words, min_size=1, max_size=2, unique=True), st.none() | words), max_size=3),
    text=words,
    failing=st.none() | st.integers(0, 12),
)
def test_a_turn_is_stored_complete_or_not_at_all_in_all_four_ways(
    rounds: list[tuple[list[str], str | None]], text: str, failing: int | None
) -> None:
    """Whichever request, call or writing fails, the history is as it was; else it has the message and all the rest."""
    answers = [*(calls(*names, text=said) for names, said in rounds), says(text)]
    steps = len(answers) + sum(len(names) for names, _ in rounds) + 1
    stored = []
    for is_async, stream in WAYS:
        breaking: Any = (AsyncBreaking if is_async else Breaking)(answers, failing)
        scripted = ScriptedClient(breaking.next_answer)
        client = scripted.client(is_async=is_async)
        conversation = Conversation(client, breaking, model="m", on_call=breaking.on_call)
        fails = failing is not None and failing < steps
        with pytest.raises(Broken) if fails else contextlib.nullcontext():
            pieces, reply = turn(conversation, "hi", is_async=is_async, stream=stream)
        stored.append(Breaking.get_items(breaking))
        assert scripted.closed == (len(scripted.requests) if stream else 0)
        assert len(stored[-1]) == (1 if fails else 1 + steps)
        if not fails:
            assert list(reply.items) == stored[-1][1:]
            assert reply.text == "\n".join([*(said for _, said in rounds if said), text])
            assert not stream or "".join(pieces) == reply.text
            assert reply.usage == {"prompt_tokens": 2 * len(answers), "completion_tokens": len(answers)}
    assert stored == [stored[0]] * len(WAYS)


@st.composite
def chats(draw: st.DrawFn) -> list[dict[str, Any]]:
    """A history of Chat Completions, with calls that all have an output."""
    image = st.fixed_dictionaries({"url": words, "detail": st.sampled_from(["auto", "low"])})
    part = st.one_of(
        st.fixed_dictionaries({"type": st.just("text"), "text": words}),
        st.fixed_dictionaries({"type": st.just("image_url"), "image_url": image}),
        st.fixed_dictionaries({"type": st.just("file"), "file": st.fixed_dictionaries({"file_id": words})}),
    )
    found: list[dict[str, Any]] = []
    for number in range(draw(st.integers(0, 4))):
        found.append({"role": "user", "content": draw(words | st.lists(part, min_size=1, max_size=3))})
        if draw(st.booleans()):
            message = calls(*draw(st.lists(words, min_size=1, max_size=3)), text=draw(st.none() | words))
            for place, call in enumerate(message["tool_calls"]):
                call["id"] = f"call_{number}_{place}"
            found.append(message)
            found += [{"role": "tool", "tool_call_id": call["id"], "content": "x"} for call in message["tool_calls"]]
        found.append(says(draw(words)))
    return found


@given(history=chats())
def test_a_history_of_chat_completions_is_the_same_after_the_way_over_responses(history: list[dict[str, Any]]) -> None:
    """What is sent over the other API says the same: nothing is lost or moved."""
    assert completions.sendable(history) == history
    assert completions.sendable(responses.sendable(history)) == history


@given(message=st.builds(calls, words, words, arguments=words, text=st.none() | words) | st.builds(says, words))
def test_chunks_are_put_together_to_the_message_that_was_streamed(message: dict[str, Any]) -> None:
    """And the pieces of text are its content."""
    assembly = completions.Assembly()
    pieces = [assembly.take(one) for one in chunks(message)]
    assert assembly.finish()["choices"][0]["message"] == message
    assert "".join(pieces) == (message["content"] or "")


# --- what is sent


def asked(history: Sequence[Mapping[str, Any]] = (), **settings: Any) -> dict[str, Any]:
    """The request of a turn after some history."""
    scripted, before = ScriptedClient.of(says("yes")), empty()
    before.sync.add_items([dict(item) for item in history])
    Conversation(scripted.client(), before, model="m", **settings).say("hi")
    return scripted.requests[0]


def test_instructions_and_options_are_sent_and_not_stored() -> None:
    """Tools too, and nothing that was not asked for."""
    assert asked() == {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
    tools = [{"type": "function", "function": {"name": "f"}}]
    assert asked([says("before")], instructions="Be brief.", tools=tools, options={"temperature": 0}) == {
        "model": "m",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "assistant", "content": "before"},
            {"role": "user", "content": "hi"},
        ],
        "tools": tools,
        "temperature": 0,
    }


def test_fields_that_a_server_sends_and_refuses_to_take_are_not_sent() -> None:
    """Nulls and empty lists of messages; the null content of a message with calls stays."""
    odd = {**calls("f"), "refusal": None, "annotations": [], "audio": None}
    assert asked([odd, {"role": "tool", "tool_call_id": "call_f", "content": "x"}])["messages"][0] == calls("f")


@given(history=chats(), max_tokens=st.integers(1, 300), instructions=st.none() | words)
def test_a_request_stays_within_the_budget(
    history: list[dict[str, Any]], max_tokens: int, instructions: str | None
) -> None:
    """With instructions and message: what is sent of the history is its end. Without room for these it is refused."""
    system = [] if instructions is None else [{"role": "system", "content": instructions}]
    message = {"role": "user", "content": "hi"}
    if count_tokens([*system, message], model="m") > max_tokens:
        with pytest.raises(ValueError, match="max_tokens"):
            asked(history, instructions=instructions, max_tokens=max_tokens)
        return
    messages = asked(history, instructions=instructions, max_tokens=max_tokens)["messages"]
    assert count_tokens(messages, model="m") <= max_tokens
    assert messages[: len(system)] == system
    sent = messages[len(system) :]
    assert sent == [*history, message][-len(sent) :]


def test_calls_belong_to_the_turn_that_must_fit() -> None:
    """Nothing is left out of a turn: it fails if its outputs grow beyond the budget, and nothing is stored."""
    scripted, history = ScriptedClient.of(calls("f"), says("never")), empty()
    conversation = Conversation(scripted.client(), history, model="m", max_tokens=60, on_call=lambda *_: "long " * 100)
    with pytest.raises(ValueError, match="does not fit into 60 tokens"):
        conversation.say("hi")
    assert len(scripted.requests) == 1
    assert history.sync.get_items() == []


def test_what_a_run_that_was_cut_off_left_is_not_sent() -> None:
    """A call without its output; it stays in the history."""
    assert asked([{"role": "user", "content": "x"}, calls("f")])["messages"] == [
        {"role": "user", "content": "x"},
        {"role": "user", "content": "hi"},
    ]


UNSENDABLE: list[tuple[Any, dict[str, Any]]] = [
    (completions, {"type": "web_search_call", "id": "ws_1"}),
    (completions, {"type": "message", "role": "user", "content": [{"type": "input_image", "file_id": "file-1"}]}),
    (completions, {"role": "user", "content": [{"type": "input_file", "file_url": "https://x"}]}),
    (responses, {"role": "function", "name": "f", "content": "x"}),
    (responses, {"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}),
    (responses, {"role": "assistant", "tool_calls": [{"id": "c", "type": "custom", "custom": {}}]}),
]


@pytest.mark.parametrize(("api", "item"), UNSENDABLE)
def test_what_the_other_api_cannot_hold_is_refused_by_its_place(api: Any, item: dict[str, Any]) -> None:
    """Before anything is sent."""
    with pytest.raises(ValueError, match=r"item 1 of the history is a .* do not take"):
        api.sendable([{"role": "user", "content": "x"}, item])


def test_items_of_responses_are_sent_without_what_only_a_server_that_keeps_them_knows() -> None:
    """Ids and statuses; reasoning without its encrypted content. Items of other tools need their ids."""
    text = {"type": "output_text", "text": "x", "annotations": []}
    search = {"type": "web_search_call", "id": "ws_1", "status": "completed"}
    sent = responses.sendable(
        [
            {"type": "reasoning", "id": "rs_1", "summary": []},
            {"type": "reasoning", "id": "rs_2", "summary": [], "encrypted_content": "e", "status": None},
            {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [text]},
            search,
        ]
    )
    assert sent == [
        {"type": "reasoning", "summary": [], "encrypted_content": "e"},
        {"type": "message", "role": "assistant", "content": [text]},
        search,
    ]


def test_items_of_responses_become_messages() -> None:
    """Reasoning is left out, calls join the message before them, and parts take the other names."""
    parts = [
        {"type": "input_text", "text": "a"},
        {"type": "input_image", "image_url": "https://x", "detail": "low", "file_id": None},
        {"type": "input_file", "file_id": "file-1", "filename": None},
    ]
    call = {"type": "function_call", "id": "fc", "call_id": "c", "name": "f", "arguments": "{}"}
    output = {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "o"}]}
    refusal = {"type": "refusal", "refusal": "no"}
    assert completions.sendable(
        [
            {"type": "message", "role": "user", "content": parts},
            {"type": "reasoning", "id": "rs", "summary": []},
            {"type": "message", "id": "m", "role": "assistant", "content": [{"type": "output_text", "text": "b"}]},
            call,
            {**call, "call_id": "d"},
            output,
            {**call, "call_id": "e"},
            {"type": "message", "role": "assistant", "content": [refusal]},
        ]
    ) == [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "a"},
                {"type": "image_url", "image_url": {"url": "https://x", "detail": "low"}},
                {"type": "file", "file": {"file_id": "file-1"}},
            ],
        },
        {
            "role": "assistant",
            "content": [{"type": "text", "text": "b"}],
            "tool_calls": [
                {"id": name, "type": "function", "function": {"name": "f", "arguments": "{}"}} for name in "cd"
            ],
        },
        {"role": "tool", "tool_call_id": "c", "content": [{"type": "text", "text": "o"}]},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "e", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
        },
        {"role": "assistant", "content": [refusal]},
    ]


def function_call(name: str) -> dict[str, Any]:
    return {"type": "function_call", "call_id": name, "name": "f", "arguments": "{}"}


def function_output(name: str) -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": name, "output": name}


@given(st.permutations("abc"), st.permutations("abc"), st.data())
def test_outputs_follow_their_calls_in_chat_completions(
    called: list[str], answered: list[str], data: st.DataObject
) -> None:
    """Responses take any item between a call and its output, and Chat Completions none: no output is left behind."""
    history = [*map(function_call, called), *map(function_output, answered)]
    for role in ("assistant", "user", "assistant"):
        message = {"type": "message", "role": role, "content": "x"}
        history.insert(data.draw(st.integers(0, len(history))), message)
    sent = completions.sendable(history)
    assert repair(sent) == Repaired(sent, [])
    assert sorted(message["content"] for message in sent if message["role"] == "tool") == sorted(called)


def test_a_history_that_a_failed_run_left_is_sent_repaired() -> None:
    """With and without a budget; the history is as before."""
    left: list[dict[str, Any]] = [
        {"role": "user", "content": "hi"},
        {"type": "reasoning", "summary": [], "encrypted_content": "e"},
        function_call("c"),
    ]
    for max_tokens in (None, 1000):
        scripted, history = ScriptedClient.of(says("ok")), empty()
        history.sync.add_items(left)
        Conversation(scripted.client(), history, model="m", max_tokens=max_tokens).say("x")
        assert [item["content"] for item in scripted.requests[-1]["messages"]] == ["hi", "x"]
        assert history.sync.get_items()[:3] == left


def test_a_lone_surrogate_is_sent_as_a_replacement_character() -> None:
    """The history keeps it, and the SDK cannot send it: without this, every later turn would fail."""
    scripted, history = ScriptedClient.of(says("b\udc00"), says("c")), empty()
    history.sync.add_items([{"role": "user", "content": "a\ud83d"}])
    conversation = Conversation(scripted.client(), history, model="m", instructions="\ud800")
    conversation.say("x\udcff😀")
    conversation.say("y")
    sent = [item["content"] for item in scripted.requests[-1]["messages"]]
    assert sent == ["\ufffd", "a\ufffd", "x\ufffd😀", "b\ufffd", "y"]
    stored = [item["content"] for item in history.sync.get_items()]
    assert stored == ["a\ud83d", "x\udcff😀", "b\udc00", "y", "c"]


def test_a_refusal_of_chat_completions_is_a_part_of_an_item() -> None:
    """Behind the text, where there is one."""
    refusal = {"type": "refusal", "refusal": "no"}
    assert responses.sendable([{"role": "assistant", "content": None, "refusal": "no"}]) == [
        {"role": "assistant", "content": [refusal]}
    ]
    assert responses.sendable([{"role": "assistant", "content": "Well.", "refusal": "no"}]) == [
        {"role": "assistant", "content": [{"type": "output_text", "text": "Well."}, refusal]}
    ]


@pytest.mark.parametrize("api", [completions, responses])
def test_parts_of_an_unknown_type_are_sent_as_they_are(api: Any) -> None:
    """The server decides about them."""
    history = [{"role": "user", "content": [{"type": "hologram"}, "x"]}]
    assert api.sendable(history) == history


# --- calls of functions


@pytest.mark.parametrize("is_async", [False, True])
def test_arguments_that_are_not_an_object_are_answered_and_not_passed_on(is_async: bool) -> None:
    """The model learns what is wrong with them, and can call again. No arguments are an empty object."""
    scripted = ScriptedClient.of(
        calls("a", arguments="{oops"), calls("b", arguments="[1]"), calls("c", arguments=""), says("k")
    )
    heard: list[Any] = []
    history = empty()
    client = scripted.client(is_async=is_async)
    conversation = Conversation(client, history, model="m", on_call=lambda *call: heard.append(call))
    turn(conversation, "x", is_async=is_async, stream=False)
    outputs = [item["content"] for item in history.sync.get_items() if item["role"] == "tool"]
    assert heard == [("c", {})]
    assert "the arguments are not JSON" in outputs[0]
    assert "the arguments are not a JSON object" in outputs[1]
    assert outputs[2] == "null"


def test_a_turn_takes_no_more_rounds_than_it_may() -> None:
    """Then it fails, and names what is still called; nothing is stored."""
    scripted, history = ScriptedClient(lambda: calls("again")), empty()
    conversation = Conversation(scripted.client(), history, model="m", on_call=lambda *_: "x", max_rounds=3)
    with pytest.raises(RequestFailed, match="still calls again after 3 rounds"):
        conversation.say("hi")
    assert len(scripted.requests) == 3
    assert history.sync.get_items() == []


def test_a_call_without_anybody_to_answer_it_ends_the_turn() -> None:
    """Nothing is stored."""
    history = empty()
    with pytest.raises(RequestFailed, match="calls 'f', and there is no on_call"):
        Conversation(ScriptedClient.of(calls("f")).client(), history, model="m").say("hi")
    assert history.sync.get_items() == []


@pytest.mark.parametrize(("is_async", "stream"), WAYS)
def test_what_a_function_returns_has_to_be_json(is_async: bool, stream: bool) -> None:
    """The error names the function; nothing is stored."""
    scripted, history = ScriptedClient.of(calls("f")), empty()
    conversation = Conversation(scripted.client(is_async=is_async), history, model="m", on_call=lambda *_: {1})
    with pytest.raises(TypeError, match="on_call returned neither a str nor JSON for 'f'"):
        turn(conversation, "hi", is_async=is_async, stream=stream)
    assert history.sync.get_items() == []


def test_calls_of_a_reply_that_is_cut_off_are_not_made() -> None:
    """They have an output all the same, so that the next request is accepted."""
    scripted, history = ScriptedClient.of(calls("f", arguments='{"a', text="Well", finish="length")), empty()
    reply = Conversation(scripted.client(), history, model="m").say("hi")
    assert (reply.incomplete, reply.text) == ("length", "Well")
    assert history.sync.get_items()[-1]["content"] == "not called: the reply was cut off (length)"


def test_an_async_callable_is_awaited() -> None:
    """Without await it is refused."""

    async def on_call(name: str, arguments: Any) -> Any:
        return [name, arguments]

    for is_async in (True, False):
        history, scripted = empty(), ScriptedClient.of(calls("f"), says("done"))
        conversation = Conversation(scripted.client(is_async=is_async), history, model="m", on_call=on_call)
        with contextlib.nullcontext() if is_async else pytest.raises(TypeError, match="on_call is async"):
            turn(conversation, "x", is_async=is_async, stream=False)
        assert [item["content"] for item in history.sync.get_items()][2:] == (['["f",{}]', "done"] if is_async else [])


def test_any_awaitable_is_refused_without_await() -> None:
    """Not only a coroutine."""

    class Later:
        def __await__(self) -> Any:
            raise AssertionError

    conversation = Conversation(ScriptedClient.of(calls("f")).client(), empty(), model="m", on_call=lambda *_: Later())
    with pytest.raises(TypeError, match="on_call is async"):
        conversation.say("x")


# --- replies


def test_what_is_odd_about_a_reply_is_visible() -> None:
    """A refusal, a filter; both are stored as they are."""
    history = empty()
    refusing = {"role": "assistant", "content": None, "refusal": "I cannot."}
    scripted = ScriptedClient.of(refusing, says("So", finish="content_filter"))
    conversation = Conversation(scripted.client(), history, model="m")
    assert (conversation.say("a").refusal, conversation.say("b").incomplete) == ("I cannot.", "content_filter")
    assert history.sync.get_items()[1::2] == [refusing, says("So")]


WRONG: list[tuple[Any, Any, str]] = [
    (completions, {"choices": []}, "not one of Chat Completions"),
    (completions, {"choices": [{"message": {"tool_calls": [{"id": "c"}]}}]}, "not one of Chat Completions"),
    (
        completions,
        {"choices": [{"message": {"tool_calls": [{"type": "custom", "custom": {"name": "t"}}]}}]},
        "the custom tool 't'",
    ),
    (responses, {"status": "completed"}, "not one of Responses"),
    (responses, {"status": "failed", "error": {"code": "c", "message": "m"}}, "status 'failed': c: m"),
    (responses, {"status": "queued", "output": []}, "status 'queued'$"),
    (responses, {"status": "completed", "output": [{"type": "computer_call"}]}, "sent a computer_call"),
    (responses, {"status": "completed", "output": [{"type": "function_call"}]}, "not one of Responses"),
]


@pytest.mark.parametrize(("api", "answer", "words"), WRONG)
def test_an_answer_that_is_none_is_an_error(api: Any, answer: Any, words: str) -> None:
    """Of either API."""
    with pytest.raises(RequestFailed, match=words):
        api.read_answer(answer)


@pytest.mark.parametrize("api", [completions, responses])
def test_a_stream_that_ends_too_early_is_an_error(api: Any) -> None:
    """A server that closes the connection in order is understood as one that breaks it."""
    assembly = api.Assembly()
    assembly.take({"type": "response.output_text.delta", "choices": [{"delta": {"content": "half"}}]})
    with pytest.raises(RequestFailed, match="broke off"):
        assembly.finish()


def test_deltas_of_any_shape_are_merged() -> None:
    """Fields that are not known are put together as text is; a call without an index is one of its own."""
    assembly = completions.Assembly()
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    for delta in (
        {"reasoning_content": "a", "list": [1], "flag": None, "role": "assistant"},
        {"reasoning_content": "b", "list": [2], "flag": True, "tool_calls": [call]},
        {"tool_calls": [{**call, "id": "d"}], "role": ""},
    ):
        assembly.take(chunk(delta))
    assembly.take(chunk({}, "tool_calls"))
    message = assembly.finish()["choices"][0]["message"]
    assert message["tool_calls"] == [call, {**call, "id": "d"}]
    assert (message["reasoning_content"], message["list"], message["flag"]) == ("ab", [1, 2], True)
    assert message["role"] == "assistant"


# --- streams


def test_a_stream_that_is_left_early_is_closed_and_stores_nothing() -> None:
    """As soon as the loop is left, even while somebody holds the stream."""
    scripted, history = ScriptedClient.of(says("a long reply")), empty()
    stream = Conversation(scripted.client(), history, model="m").say("hi", stream=True)
    for _ in stream:
        break
    assert scripted.closed == 1
    assert history.sync.get_items() == []
    with pytest.raises(RuntimeError, match="not been read to its end"):
        _ = stream.reply
    with pytest.raises(RuntimeError, match="can be read once"):
        iter(stream)


def test_an_async_stream_that_is_left_early_is_closed_and_stores_nothing() -> None:
    """The event loop closes it."""
    scripted, history = ScriptedClient.of(says("a long reply")), empty()

    async def leave() -> Any:
        stream = await Conversation(scripted.client(is_async=True), history, model="m").asay("hi", stream=True)
        async for _ in stream:
            break
        return stream

    stream = asyncio.run(leave())
    assert scripted.closed == 1
    assert history.sync.get_items() == []
    with pytest.raises(RuntimeError, match="not been read to its end"):
        _ = stream.reply


# --- how it is made


def test_a_client_of_the_other_kind_is_refused() -> None:
    """Before anything is sent."""
    scripted = ScriptedClient.of()
    with pytest.raises(TypeError, match="Use asay"):
        Conversation(scripted.client(is_async=True), empty(), model="m").say("x")
    with pytest.raises(TypeError, match="Use say"):
        asyncio.run(Conversation(scripted.client(), empty(), model="m").asay("x"))


def test_what_makes_no_conversation_is_refused() -> None:
    """An API that there is not, no rounds, a history that is none, content that is none, an SDK without Responses."""
    client: Any = ScriptedClient.of().client()
    unknown: Any = "assistants"
    raw: Any = [{"type": b""}]
    with pytest.raises(ValueError, match="'assistants' is not known"):
        Conversation(client, empty(), model="m", api=unknown)
    with pytest.raises(ValueError, match="at least 1"):
        Conversation(client, empty(), model="m", max_rounds=0)
    with pytest.raises(ValueError, match="names no kind of history"):
        Conversation(client, "history.txt", model="m")
    with pytest.raises(TypeError, match="is a bytes, which is not JSON"):
        Conversation(client, empty(), model="m").say(raw)
    with pytest.raises(TypeError, match="api='chat'"):
        Conversation(client, empty(), model="m", api="responses")


def test_an_answer_of_no_known_kind_is_an_error() -> None:
    """Such as the text of a page."""
    page = SimpleNamespace(create=lambda **_: "<html>")
    client = SimpleNamespace(chat=SimpleNamespace(completions=page))
    with pytest.raises(RequestFailed, match="no JSON object: <html>"):
        Conversation(client, empty(), model="m").say("x")


def test_a_history_may_be_a_path_and_parts_are_sent_as_they_are(tmp_path: Path) -> None:
    """Parts are sent and stored as the caller has them."""
    scripted = ScriptedClient.of(says("a cat"))
    parts: list[dict[str, Any]] = [
        {"type": "text", "text": "What is it?"},
        {"type": "image_url", "image_url": {"url": "https://x"}},
    ]
    Conversation(scripted.client(), tmp_path / "chat.json", model="m").say(parts)
    assert scripted.requests[0]["messages"] == [{"role": "user", "content": parts}]
    assert json.loads((tmp_path / "chat.json").read_text())[0] == {"role": "user", "content": parts}


# --- an exported thread


def image(file_id: str) -> dict[str, Any]:
    return {"type": "image_file", "image_file": {"file_id": file_id, "detail": "auto"}}


def test_an_empty_history_begins_with_the_thread_and_another_goes_on(tmp_path: Path) -> None:
    """The messages are added once; what they cannot carry is on the conversation. Both sync and async."""
    rows = [text_message(1), text_message(2, "assistant", "fine"), text_message(3, content=[image("file-1")])]
    out = put_bare(tmp_path / "out.ndjson", rows)
    thread = [{"role": "user", "content": "text 1"}, {"role": "assistant", "content": "fine"}]
    for is_async, begin in ((False, Conversation.from_export), (True, Conversation.afrom_export)):
        history = tmp_path / f"{is_async}.jsonl"
        for number in (1, 2):
            made: Any = begin(
                out, "thread_a", ScriptedClient.of(says("yes")).client(is_async=is_async), history, model="m"
            )
            conversation: Conversation = asyncio.run(made) if is_async else made
            turn(conversation, "hi", is_async=is_async, stream=False)
            assert [loss.lost for loss in conversation.losses] == (["image_file"] if number == 1 else [])
        found = open_history(history, "thread_a").sync.get_items()
        assert found == [*thread, *[{"role": "user", "content": "hi"}, says("yes")] * 2]


def test_items_of_an_exported_thread_are_those_of_the_api(tmp_path: Path) -> None:
    """Responses carry an image by its file."""
    out = put_bare(tmp_path / "out.ndjson", [text_message(1, content=[image("file-1")])])
    history = empty()
    client = SimpleNamespace(responses=SimpleNamespace(create=None))
    Conversation.from_export(out, "thread_a", client, history, model="m", api="responses")
    part = {"type": "input_image", "file_id": "file-1", "detail": "auto"}
    assert history.sync.get_items() == [{"type": "message", "role": "user", "content": [part]}]


def test_a_thread_that_the_export_does_not_have_is_refused(tmp_path: Path) -> None:
    """By its id; nothing is stored."""
    out = put_bare(tmp_path / "out.ndjson", [text_message(1)])
    history = empty()
    with pytest.raises(ValueError, match=r"thread_b is not a thread of .*out\.ndjson"):
        Conversation.from_export(out, "thread_b", ScriptedClient.of().client(), history, model="m")
    assert history.sync.get_items() == []
