"""The official SDK beside the Assistants API: files, vector stores, chat, and where it has them conversations and
responses, mounted, by transport and over HTTP, at once and as streams."""

import io
from typing import Any, Required, get_args, get_origin, get_type_hints

import openai
import pytest

from fake_assistants import FakeAssistants
from fake_assistants.resources.items import PAIRS
from fake_assistants.schemas.chat import NEW_COMPLETION
from fake_assistants.schemas.items import ITEMS, NEEDS_ID
from fake_assistants.schemas.responses import NEW_RESPONSE
from sdkage import gained
from sdkways import MAJOR

HELLO: Any = [{"role": "user", "content": "Hello, world!"}]
CALLS: Any = {"default": [{"reply": "Let me look."}, {"call": [{"name": "weather", "arguments": {"city": "Rome"}}]}]}


def test_the_life_of_a_file(client: Any) -> None:
    """Uploaded under a name with a slash, listed, downloaded, deleted."""
    made = client.files.create(file=("dir/你好.txt", io.BytesIO(b"\r\n\x00\xff")), purpose="vision")
    assert (made.filename, made.bytes) == ("dir/你好.txt", 4)
    assert client.files.retrieve(made.id) == made
    assert [one.id for one in client.files.list(purpose="vision")] == [made.id]
    assert client.files.content(made.id).read() == b"\r\n\x00\xff"
    assert client.files.delete(made.id).deleted is True
    with pytest.raises(openai.NotFoundError, match="No such File object"):
        client.files.retrieve(made.id)


def test_the_life_of_a_vector_store(client: Any) -> None:
    """Below `beta` in the first major of the SDK."""
    stores = client.vector_stores if MAJOR >= 2 else client.beta.vector_stores
    made = stores.create(name="s")
    assert stores.files.create(made.id, file_id="file-1").status == "in_progress"
    assert stores.files.retrieve("file-1", vector_store_id=made.id).status == "completed"
    assert [one.id for one in stores.files.list(made.id)] == ["file-1"]
    assert stores.update(made.id, name="t").file_counts.completed == 1
    assert stores.files.delete("file-1", vector_store_id=made.id).deleted is True
    assert stores.delete(made.id).deleted is True


def test_a_chat_at_once_and_in_chunks(fake: FakeAssistants, client: Any) -> None:
    """Text and calls; the chunks joined are the completion."""
    fake.script = CALLS
    made = client.chat.completions.create(model="m", messages=HELLO)
    options = {"include_usage": True}
    told = list(client.chat.completions.create(model="m", messages=HELLO, stream=True, stream_options=options))
    deltas = [chunk.choices[0].delta for chunk in told if chunk.choices]
    calls = [delta.tool_calls[0].function for delta in deltas if delta.tool_calls]
    message = made.choices[0].message
    assert "".join(delta.content or "" for delta in deltas) == message.content == "Let me look."
    assert "".join(call.arguments for call in calls) == message.tool_calls[0].function.arguments
    assert (calls[0].name, made.choices[0].finish_reason) == ("weather", "tool_calls")
    assert told[-1].usage == made.usage


def test_a_failing_chat_raises(fake: FakeAssistants, client: Any) -> None:
    """At once, and in the middle of a stream."""
    fake.script = {"default": [{"reply": "So far"}, {"error": {"message": "Boom"}}]}
    with pytest.raises(openai.InternalServerError, match="Boom"):
        client.with_options(max_retries=0).chat.completions.create(model="m", messages=HELLO)
    with pytest.raises(openai.APIError, match="Boom"):
        list(client.chat.completions.create(model="m", messages=HELLO, stream=True))


@pytest.mark.anyio
async def test_an_async_chat_in_chunks(async_client: Any) -> None:
    """`async for` over the chunks."""
    stream = await async_client.chat.completions.create(model="m", messages=HELLO, stream=True)
    assert await gathered(stream) == "Hello, world!"


async def gathered(stream: Any) -> str:
    return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])


def hinted(params: Any) -> set[str]:
    """The keys that the SDK's own types list."""
    return {key for one in get_args(params) for key in get_type_hints(one)}


def test_every_parameter_of_the_sdk_is_known() -> None:
    """A key that its types list is never refused as unknown."""
    from openai.types.chat import completion_create_params

    assert gained(hinted(completion_create_params.CompletionCreateParams), set(NEW_COMPLETION.keys)) == set()


if MAJOR >= 2:

    def literals(hint: Any) -> set[str]:
        if isinstance(hint, str):
            return {hint}
        return {literal for inner in get_args(hint) for literal in literals(inner)}

    def test_every_parameter_and_item_of_responses_is_known() -> None:
        """By the SDK's own unions."""
        from openai.types.responses import response_create_params, response_input_param

        assert gained(hinted(response_create_params.ResponseCreateParams), set(NEW_RESPONSE.keys)) == set()
        union = get_args(response_input_param.ResponseInputItemParam)
        kinds = {literal for one in union for literal in literals(get_type_hints(one)["type"])}
        assert gained(kinds, set(ITEMS)) == set()

    def requiring(key: str) -> set[str]:
        """The types of input items that require a key."""
        from openai.types.responses import response_input_param

        hints = [
            get_type_hints(one, include_extras=True) for one in get_args(response_input_param.ResponseInputItemParam)
        ]
        return {name for one in hints if get_origin(one.get(key)) is Required for name in literals(one["type"])}

    def test_an_item_needs_its_id_where_the_sdk_requires_it() -> None:
        """But for messages, which have other forms too, and for reasoning, which the Agents SDK sends without."""
        assert gained(requiring("id"), {*NEEDS_ID, "message", "reasoning"}) == set()
        assert set(ITEMS) >= NEEDS_ID

    def test_a_call_and_its_output_are_a_pair_where_both_have_a_call_id() -> None:
        """The output of a local shell has none."""
        calls = {kind for kind in requiring("call_id") if f"{kind}_output" in ITEMS} - {"local_shell_call"}
        assert gained(calls, set(PAIRS)) == set()
        assert {call: f"{call}_output" for call in PAIRS} == PAIRS
        assert {*PAIRS, *PAIRS.values()} <= set(ITEMS)

    def test_the_life_of_a_conversation(client: Any) -> None:
        """With more items than one page, walked by the SDK's own pager."""
        conversation = client.conversations.create(items=HELLO, metadata={"topic": "test"})
        for first in range(0, 60, 20):
            batch: Any = [{"role": "user", "content": str(number)} for number in range(first, first + 20)]
            assert len(client.conversations.items.create(conversation.id, items=batch).data) == 20
        walked = list(client.conversations.items.list(conversation.id, order="asc"))
        assert [item.content[0].text for item in walked] == ["Hello, world!", *map(str, range(60))]
        item = client.conversations.items.retrieve(walked[0].id, conversation_id=conversation.id)
        assert item == walked[0]
        assert client.conversations.items.delete(item.id, conversation_id=conversation.id) == conversation
        changed = client.conversations.update(conversation.id, metadata={"a": "b"})
        assert client.conversations.retrieve(conversation.id) == changed
        assert client.conversations.delete(conversation.id).deleted is True
        with pytest.raises(openai.NotFoundError, match="Conversation with id"):
            client.conversations.retrieve(conversation.id)

    def test_the_life_of_a_response(fake: FakeAssistants, client: Any) -> None:
        """A call, its output, what was read, and the end of it."""
        fake.script = {"responses": [CALLS["default"]], "default": [{"reply": "Sunny."}]}
        asked = client.responses.create(model="m", input="What is the weather?")
        assert (asked.output_text, asked.output[1].name) == ("Let me look.", "weather")
        result: Any = [{"type": "function_call_output", "call_id": asked.output[1].call_id, "output": "sun"}]
        made = client.responses.create(model="m", input=result, previous_response_id=asked.id)
        assert client.responses.retrieve(made.id) == made
        read = list(client.responses.input_items.list(made.id, order="asc"))
        assert [item.type for item in read] == ["message", "message", "function_call", "function_call_output"]
        by_hand = client.responses.create(model="m", input=[*asked.output, *result])
        assert by_hand.output_text == made.output_text == "Sunny."
        client.responses.delete(made.id)
        with pytest.raises(openai.NotFoundError, match="Response with id"):
            client.responses.retrieve(made.id)

    EVERYTHING: Any = {
        "default": [
            {"code": {"input": "1 + 1"}},
            {"search": {}},
            *CALLS["default"],
            {"refuse": "But no more."},
        ]
    }

    def test_a_response_streamed_by_hand(fake: FakeAssistants, client: Any) -> None:
        """The last event is the response as it is found later."""
        fake.script = EVERYTHING
        told = list(client.responses.create(model="m", input="Hello", stream=True))
        assert told[-1].type == "response.completed"
        assert [event.sequence_number for event in told] == list(range(len(told)))
        kept = client.responses.retrieve(told[-1].response.id)
        assert kept.output == told[-1].response.output

    def test_a_response_streamed_by_the_helper(fake: FakeAssistants, client: Any) -> None:
        """`responses.stream()` gathers the same."""
        fake.script = EVERYTHING
        with client.responses.stream(model="m", input="Hello") as stream:
            names = [event.type for event in stream]
            final = stream.get_final_response()
        assert names[-1] == "response.completed"
        assert final.output_text == "Let me look."
        assert final.output[3].arguments == '{"city":"Rome"}'

    def test_a_failing_stream_raises(fake: FakeAssistants, client: Any) -> None:
        """Where the error stands in it."""
        fake.script = {"default": [{"reply": "So far"}, {"error": {"message": "Boom"}}]}
        heard = []
        with pytest.raises(openai.APIError, match="Boom"):
            heard.extend(client.responses.create(model="m", input="Hello", stream=True))

    @pytest.mark.anyio
    async def test_async_responses(fake: FakeAssistants, async_client: Any) -> None:
        """At once, as a stream, and by the helper."""
        made = await async_client.responses.create(model="m", input="Hello, world!")
        stream = await async_client.responses.create(model="m", input="Hello, world!", stream=True)
        assert await spoken(stream) == made.output_text == "Hello, world!"
        async with async_client.responses.stream(model="m", input="Hello, world!") as helper:
            final = await helper.get_final_response()
        assert final.output_text == made.output_text
        assert len(fake.state["responses"]) == 3

    async def spoken(stream: Any) -> str:
        return "".join([event.delta async for event in stream if event.type == "response.output_text.delta"])
