"""The SDK's own event handlers at a run's stream, sync and async, on every way to the fake."""

from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fake_assistants import FakeAssistants
from scripts import annotated, words
from sdkways import BROKEN, DEPRECATIONS, LIBRARY, NAMES, WAYS, Seat, calls, got, last, noting, opened, seated

pytestmark = [pytest.mark.filterwarnings(said) for said in DEPRECATIONS]

MARK = "【4:0†a.txt】"
NOTE = {"type": "file_citation", "text": MARK, "start_index": 5, "end_index": 5 + len(MARK)}
CITED = {
    "type": "text",
    "text": {"value": f"It is{MARK}.", "annotations": [{**NOTE, "file_citation": {"file_id": "f"}}]},
}
LOOK = [{"type": "text", "text": "Look"}, {"type": "image_file", "image_file": {"file_id": "file-2"}}, CITED]
CODE = {"code": {"input": "print(1)", "outputs": ["1", {"type": "image", "image": {"file_id": "file-9"}}]}}
FOUND = {"file_id": "file-1", "file_name": "a.txt", "score": 0.5, "content": [{"type": "text", "text": "x"}]}
CALL = {"call": [{"name": "add", "arguments": {"x": 1}}, {"name": "ask"}]}

STEP = "run_step_created"
TEXT = "message_created text_created text_delta message_delta text_done message_done run_step_done"
TOOL = "tool_call_created run_step_delta tool_call_delta tool_call_done"
# When a message's step or the run ends, the SDK tells the end of the last tool call once more.
AFTER = TEXT.replace("run_step_done", "tool_call_done run_step_done tool_call_done end")

# What is scripted, the hooks in the order in which they are called, and the event that ends the run.
HOOKS: dict[str, tuple[list[Any], str, str]] = {
    "text": ([{"reply": "One two."}], f"{STEP} {TEXT} end", "completed"),
    "annotations": ([{"reply": [CITED]}], f"{STEP} {TEXT} end", "completed"),
    "image": (
        [{"image": "file-2"}],
        f"{STEP} message_created message_delta image_file_done message_done run_step_done end",
        "completed",
    ),
    "parts": (
        [{"reply": LOOK}],
        f"{STEP} message_created text_created text_delta message_delta text_done message_delta "
        "text_created text_delta image_file_done message_delta text_delta text_done message_done run_step_done end",
        "completed",
    ),
    "code": ([CODE, {"reply": "One."}], f"{STEP} {TOOL} run_step_done {STEP} {AFTER}", "completed"),
    "search": (
        [{"search": {"results": [FOUND]}}, {"reply": "Found."}],
        f"{STEP} tool_call_created run_step_delta tool_call_done run_step_done {STEP} {AFTER}",
        "completed",
    ),
    "call": ([CALL], f"{STEP} {TOOL} {TOOL} end", "requires_action"),
    "refusal": (
        [{"refuse": "I will not."}],
        f"{STEP} message_created message_delta message_done run_step_done end",
        "completed",
    ),
    "incomplete": ([{"reply": "One"}, {"incomplete": "max_prompt_tokens"}], f"{STEP} {TEXT} end", "incomplete"),
    "failed": (
        [{"reply": "One"}, {"fail": {"code": "server_error", "message": "No."}}],
        f"{STEP} {TEXT} end",
        "failed",
    ),
}


@pytest.fixture(params=WAYS, ids=NAMES)
async def seat(request: pytest.FixtureRequest, fake: FakeAssistants) -> AsyncIterator[Seat]:
    """A seat with an assistant and a thread, by every way to the fake."""
    way, is_async = request.param
    async with seated(fake, way, is_async=is_async) as seat:
        yield await seat.furnish()


async def heard(seat: Seat, steps: list[Any], **own: Any) -> tuple[Any, Any]:
    """A handler that has heard a run of these steps in a thread of its own, and the stream that the SDK gave."""
    await seat.furnish()
    seat.fake.script.set({"default": steps})
    handler = noting(is_async=seat.is_async, **own)
    async with opened(seat.stream(handler)) as stream:
        await got(stream.until_done())
    return handler, stream


@pytest.mark.anyio
async def test_every_hook_is_called_in_order(seat: Seat) -> None:
    """And the run that the SDK ends with is the world's."""
    for steps, hooks, end in HOOKS.values():
        handler, stream = await heard(seat, steps)
        run = await got(stream.get_final_run())
        assert calls(handler) == hooks.split()
        assert events(handler)[-1] == f"thread.run.{end}"
        assert run.status == end == (await got(seat.runs.retrieve(run_id=run.id, thread_id=seat.thread))).status


def events(handler: Any) -> list[str]:
    """The names of the events that were heard."""
    return [given[0].event for name, *given in handler.told if name == "event"]


@pytest.mark.anyio
async def test_the_final_messages_and_steps_are_the_worlds(seat: Seat) -> None:
    """As another client reads them, but for what only streams show."""
    for steps, _, _ in HOOKS.values():
        handler, stream = await heard(seat, steps)
        run = await got(stream.get_final_run())
        if "message_created" in calls(handler):
            written = [one for one in await seat.messages() if one.run_id == run.id]
            assert [one.content for one in await got(stream.get_final_messages())] == [one.content for one in written]
        final = await got(stream.get_final_run_steps())
        read = await seat.steps(run)
        assert [(one.id, one.type, bare(one)) for one in final] == [(one.id, one.type, bare(one)) for one in read]


def bare(step: Any) -> Any:
    """The calls of a step or its message, without what only deltas have, and without what was found (recorded: no
    delta tells it).
    """
    return without(step.step_details.to_dict(), "index", "results")


def without(value: Any, *keys: str) -> Any:
    """JSON without these keys, and without what is null, at any depth."""
    if isinstance(value, dict):
        return {key: without(one, *keys) for key, one in value.items() if key not in keys and one is not None}
    return [without(one, *keys) for one in value] if isinstance(value, list) else value


@pytest.mark.anyio
async def test_text_deltas_are_the_text(seat: Seat) -> None:
    """Iterated in place of the events."""
    seat.fake.script.set({"default": [{"reply": LOOK}]})
    async with opened(seat.stream()) as stream:
        texts = [one async for one in stream.text_deltas] if seat.is_async else list(stream.text_deltas)
        message = (await got(stream.get_final_messages()))[0]
    assert "".join(texts) == message.content[0].text.value + message.content[2].text.value == f"LookIt is{MARK}."


# --- snapshots ----------------------------------------------------------------------------------------

parts = st.lists(annotated() | words.map(lambda text: {"type": "text", "text": text}), min_size=1, max_size=3)
codes = st.fixed_dictionaries({"input": words, "outputs": st.lists(words, max_size=3)})


def test_snapshots_grow_to_what_is_final(fake: FakeAssistants) -> None:
    """Of a message, of its texts, and of the calls of a step; whatever is said, in pieces of any size."""

    @given(parts, codes, st.integers(1, 8))
    def grow(told: list[Any], code: Any, chunk: int) -> None:
        fake.reset()
        fake.script.set({"default": [{"code": code, "chunk": chunk}, {"reply": told, "chunk": chunk}]})
        made = client.beta.assistants.create(model="gpt-4o", instructions="Speak.")
        handler = noting(is_async=False)
        with client.beta.threads.create_and_run_stream(assistant_id=made.id, event_handler=handler) as stream:
            message, steps = stream.get_final_messages()[0], stream.get_final_run_steps()
        assert plain(last(handler, "message_delta").content) == plain(message.content)
        assert plain([last(handler, "text_done")]) == plain([message.content[-1].text])
        assert bare(last(handler, "run_step_delta")) == bare(steps[0])

    with (
        LIBRARY.Client(transport=fake.transport()) as http,
        openai.OpenAI(api_key="sk-test", http_client=http) as client,
    ):
        grow()


def plain(rows: Any) -> Any:
    """Without what only deltas have: indices, and the quotes of citations."""
    return [without(row.to_dict(), "index", "quote") for row in rows]


# --- tool outputs -------------------------------------------------------------------------------------


def answering(seat: Seat, inner: Any) -> Any:
    """A hook that submits the outputs of a run's calls, and hears the rest of the run with the handler `inner`."""

    def outputs(run: Any) -> dict[str, Any]:
        calls = run.required_action.submit_tool_outputs.tool_calls
        named = [{"tool_call_id": call.id, "output": call.function.name} for call in calls]
        return {"run_id": run.id, "thread_id": run.thread_id, "tool_outputs": named}

    def submitted(run: Any) -> Any:
        return seat.runs.submit_tool_outputs_stream(**outputs(run), event_handler=inner)

    def on_event(_: Any, event: Any) -> None:
        if event.event == "thread.run.requires_action":
            with submitted(event.data) as stream:
                stream.until_done()

    async def on_event_async(_: Any, event: Any) -> None:
        if event.event == "thread.run.requires_action":
            async with submitted(event.data) as stream:
                await stream.until_done()

    return on_event_async if seat.is_async else on_event


@pytest.mark.anyio
async def test_outputs_may_be_submitted_from_within_a_hook(seat: Seat) -> None:
    """As the guides do it: the first stream ends where the run waits, the second has the rest."""
    inner = noting(is_async=seat.is_async)
    outer, stream = await heard(seat, [CALL, {"reply": "Done."}], on_event=answering(seat, inner))
    assert events(outer)[-1] == "thread.run.requires_action"
    assert (await got(stream.get_final_run())).status == "requires_action"
    assert calls(inner) == f"run_step_done {STEP} {TEXT} end".split()
    assert [name.removeprefix("thread.run.") for name in events(inner)[:3]] == [
        "step.completed",
        "queued",
        "in_progress",
    ]
    answered = (await seat.steps(await got(stream.get_final_run())))[0]
    assert [call.function.output for call in answered.step_details.tool_calls] == ["add", "ask"]


# --- trouble ------------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_an_error_event_is_an_api_error(seat: Seat) -> None:
    """The handler is told, and the run has failed."""
    told: list[Any] = []
    with pytest.raises(openai.APIError, match="boom"):
        await heard(seat, [{"reply": "One"}, {"error": {"message": "boom"}}], on_exception=_into(told))
    run = (await got(seat.runs.list(thread_id=seat.thread))).data[0]
    assert (run.status, run.last_error.message) == ("failed", "boom")
    assert [type(one) for one in told] == [openai.APIError]


def _into(told: list[Any]) -> Any:
    """A hook that puts what it is given into a list."""
    return lambda _, *given: told.extend(given)


@pytest.mark.anyio
async def test_a_cut_stream_is_told_and_the_run_goes_on(seat: Seat) -> None:
    """Whoever polls it sees how it ends."""
    told: list[Any] = []
    with pytest.raises(BROKEN):
        await heard(seat, [{"reply": "One two three.", "cut": 2}], on_exception=_into(told))
    left = (await got(seat.runs.list(thread_id=seat.thread))).data[0]
    run = await got(seat.runs.poll(run_id=left.id, thread_id=seat.thread, poll_interval_ms=1))
    assert run.status == "completed"
    assert (await seat.messages())[-1].content[0].text.value == "One two three."
    assert len(told) == 1


@pytest.mark.anyio
async def test_a_stream_that_stalls_is_a_timeout(seat: Seat) -> None:
    """The hook for timeouts is called, and then the one for exceptions."""
    told: list[Any] = []
    lose_patience_with_bodies(seat, 0.3)
    with pytest.raises((openai.APITimeoutError, LIBRARY.TimeoutException)):
        await heard(seat, [{"reply": "One two", "pause": 3600}], on_timeout=_into(told), on_exception=_into(told))
    assert len(told) == 1


def lose_patience_with_bodies(seat: Seat, seconds: float) -> None:
    """Let the client wait so long for the next bytes of an answer that has begun; its beginning may take its time."""

    def impatient(response: Any) -> None:
        if response.headers["content-type"].startswith("text/event-stream"):
            response.request.extensions["timeout"]["read"] = seconds

    async def impatient_async(response: Any) -> None:
        impatient(response)

    seat.client._client.event_hooks["response"].append(impatient_async if seat.is_async else impatient)


@pytest.mark.anyio
async def test_another_client_cancels_a_run_that_streams(seat: Seat) -> None:
    """The message is incomplete, its step cancelled, and the stream ends with the run."""
    seat.fake.script.set({"default": [{"reply": "word " * 4000, "pause": 0.1}]})
    handler = noting(is_async=seat.is_async, on_text_created=_cancelling(seat))
    async with opened(seat.stream(handler)) as stream:
        run = await got(stream.get_final_run())
    assert run.status == "cancelled"
    assert calls(handler) == f"{STEP} {TEXT} end".split()
    assert last(handler, "message_done").incomplete_details.reason == "run_cancelled"
    assert [name for name in events(handler) if "cancel" in name] == [
        "thread.run.cancelling",
        "thread.run.step.cancelled",
        "thread.run.cancelled",
    ]


def _cancelling(seat: Seat) -> Any:
    """A hook that cancels the thread's run, by the seat's own way to the fake."""

    def cancelled(run: Any) -> Any:
        return seat.runs.cancel(run_id=run.id, thread_id=seat.thread)

    def on_text_created(self: Any, _: Any) -> None:
        cancelled(self.current_run)

    async def on_text_created_async(self: Any, _: Any) -> None:
        await cancelled(self.current_run)

    return on_text_created_async if seat.is_async else on_text_created
