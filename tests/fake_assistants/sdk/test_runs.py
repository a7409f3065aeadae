"""The official SDK runs: it polls to every end, streams without a handler, and reads what was said, on every way."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from fake_assistants import FakeAssistants
from sdkways import BROKEN, DEPRECATIONS, NAMES, WAYS, Seat, each, following, got, opened, seated

pytestmark = [pytest.mark.filterwarnings(said) for said in DEPRECATIONS]

CONTENTS: Any = ["step_details.tool_calls[*].file_search.results[*].content"]
FOUND = {"file_id": "file-1", "file_name": "a.txt", "score": 0.5, "content": [{"type": "text", "text": "x"}]}


@pytest.fixture(params=WAYS, ids=NAMES)
async def seat(request: pytest.FixtureRequest, fake: FakeAssistants) -> AsyncIterator[Seat]:
    """A seat with an assistant and a thread, by every way to the fake."""
    way, is_async = request.param
    async with seated(fake, way, is_async=is_async) as seat:
        yield await seat.furnish()


# --- polls --------------------------------------------------------------------------------------------

ENDS: dict[str, Any] = {
    "completed": {"reply": "Seven."},
    "incomplete": {"incomplete": "max_prompt_tokens"},
    "failed": {"fail": {"code": "rate_limit_exceeded", "message": "You exceeded your current quota."}},
    "requires_action": {"call": [{"name": "add", "arguments": {"x": 1}}]},
}


@pytest.mark.anyio
async def test_polls_end_at_every_rest(seat: Seat) -> None:
    """The SDK asks until the run stands still, and says that it polls."""
    for status, step in ENDS.items():
        await seat.furnish()
        seat.fake.script.set({"default": [step]})
        run = await seat.run()
        assert run.status == status
        assert (run.last_error is not None) == (status == "failed")
        assert (run.usage is None) == (status == "requires_action")


@pytest.mark.anyio
@pytest.mark.parametrize("ending", ["cancelled", "expired"])
async def test_a_poll_sees_how_others_end_a_run(seat: Seat, ending: str) -> None:
    """By a call, or by the time that has passed."""
    run = await got(seat.runs.create(thread_id=seat.thread, assistant_id=seat.assistant))
    if ending == "cancelled":
        assert (await got(seat.runs.cancel(run_id=run.id, thread_id=seat.thread))).status == "cancelling"
    else:
        seat.fake.clock.advance(600)
    polled = await got(seat.runs.poll(run_id=run.id, thread_id=seat.thread, poll_interval_ms=1))
    assert polled.status == ending


@pytest.mark.anyio
async def test_outputs_are_submitted_and_polled(seat: Seat) -> None:
    """As often as the model calls."""
    calls = [{"call": [{"name": "add"}]}, {"call": [{"name": "ask"}, {"name": "tell"}]}, {"reply": "Done."}]
    seat.fake.script.set({"default": calls})
    run = await seat.run()
    for _ in range(2):
        assert run.status == "requires_action"
        wanted = run.required_action.submit_tool_outputs.tool_calls
        outputs = [{"tool_call_id": call.id, "output": call.function.name} for call in wanted]
        submitted = seat.runs.submit_tool_outputs_and_poll
        run = await got(submitted(run_id=run.id, thread_id=seat.thread, tool_outputs=outputs, poll_interval_ms=1))
    assert run.status == "completed"
    calls_made = [call for step in (await seat.steps(run))[:2] for call in step.step_details.tool_calls]
    assert [call.function.output for call in calls_made] == ["add", "ask", "tell"]


# --- streams without a handler ------------------------------------------------------------------------


def raw(seat: Seat) -> Any:
    return seat.runs.create(thread_id=seat.thread, assistant_id=seat.assistant, stream=True)


@pytest.mark.anyio
async def test_a_run_may_be_created_as_a_stream(seat: Seat) -> None:
    """Its events are the SDK's objects, and the last has the run as the world has it."""
    events = await each(raw(seat))
    assert [event.event.removeprefix("thread.") for event in events if not event.event.endswith("delta")] == [
        *("run.created", "run.queued", "run.in_progress", "run.step.created", "run.step.in_progress"),
        *("message.created", "message.in_progress", "message.completed", "run.step.completed", "run.completed"),
    ]
    run = await got(seat.runs.retrieve(run_id=events[-1].data.id, thread_id=seat.thread))
    assert (run.status, run.usage) == ("completed", events[-1].data.usage)
    assert events[-3].data.content == (await seat.messages())[-1].content


@pytest.mark.anyio
async def test_a_thread_and_a_run_may_be_created_as_a_stream(seat: Seat) -> None:
    """The thread is told first."""
    created = seat.threads.create_and_run
    said = {"messages": [{"role": "user", "content": "Well?"}]}
    events = await each(created(assistant_id=seat.assistant, thread=said, stream=True))
    assert events[0].event == "thread.created"
    assert events[0].data.id == events[-1].data.thread_id
    assert events[-1].event == "thread.run.completed"


@pytest.mark.anyio
async def test_a_cut_in_a_raw_stream_breaks_it_off(seat: Seat) -> None:
    """Behind what was whole before it."""
    seat.fake.script.set({"default": [{"reply": "One two three.", "cut": 1}]})
    stream = await got(raw(seat))
    with pytest.raises(BROKEN):
        await each(stream)


@pytest.mark.anyio
async def test_whoever_leaves_a_stream_may_poll_its_run(seat: Seat) -> None:
    """It goes on without them."""
    async with opened(await got(raw(seat))) as stream:
        first = await following(stream)
    run = await got(seat.runs.poll(run_id=first.data.id, thread_id=seat.thread, poll_interval_ms=1))
    assert run.status == "completed"


# --- what is read -------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_messages_of_every_kind_are_read(seat: Seat) -> None:
    """Those that users send, and those that the model says, an unknown part among them."""
    sent: Any = [
        {"type": "text", "text": "Look"},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "low"}},
        {"type": "image_file", "image_file": {"file_id": "file-1"}},
    ]
    said = [{"type": "refusal", "refusal": "No."}, {"type": "hologram", "depth": 3}, {"type": "text", "text": "But"}]
    made = await got(seat.threads.messages.create(thread_id=seat.thread, role="user", content=sent))
    seat.fake.script.set({"default": [{"reply": said}, {"image": "file-2"}]})
    await seat.run()
    messages = await seat.messages()
    assert messages[1] == made
    kinds = [[part.type for part in message.content] for message in messages[1:]]
    assert kinds == [["text", "image_url", "image_file"], ["refusal", "hologram", "text"], ["image_file"]]
    assert (made.content[0].text.value, made.content[1].image_url.detail) == ("Look", "low")
    assert (messages[2].content[0].refusal, messages[2].content[2].text.value) == ("No.", "But")


@pytest.mark.anyio
async def test_steps_show_what_a_search_found_to_who_asks(seat: Seat) -> None:
    """In lists, alone, and in the stream of a run that was created so."""
    seat.fake.script.set({"default": [{"search": {"results": [FOUND]}}, {"reply": "Found."}]})
    run = await seat.run()
    plain, full = (await seat.steps(run))[0], (await seat.steps(run, include=CONTENTS))[0]
    assert (found(plain).content, found(full).content[0].text) == (None, "x")
    where = {"step_id": full.id, "run_id": run.id, "thread_id": seat.thread}
    assert await got(seat.runs.steps.retrieve(**where)) == plain
    assert await got(seat.runs.steps.retrieve(**where, include=CONTENTS)) == full
    # As a query of the call's own: the async client of 1.55 has `include` in the body too, where it is unknown.
    created = seat.runs.create
    asking = {"extra_query": {"include": CONTENTS}, "stream": True}
    events = await each(created(thread_id=seat.thread, assistant_id=seat.assistant, **asking))
    step = next(event.data for event in events if event.event == "thread.run.step.completed")
    assert found(step) == found(full)


def found(step: Any) -> Any:
    """The first thing that a step's search found."""
    return step.step_details.tool_calls[0].file_search.results[0]


@pytest.mark.anyio
async def test_runs_and_steps_are_walked_in_pages(seat: Seat) -> None:
    """By the SDK's own pager, in both orders."""
    seat.fake.script.set({"default": [{"reply": "One"}, {"reply": "Two"}, {"reply": "Three"}]})
    runs = [await seat.run() for _ in range(3)]
    for order in ("asc", "desc"):
        ids = [run.id for run in (runs if order == "asc" else runs[::-1])]
        assert [run.id for run in await each(seat.runs.list(thread_id=seat.thread, limit=2, order=order))] == ids
    assert [step.run_id for step in await seat.steps(runs[0], limit=2)] == [runs[0].id] * 3
