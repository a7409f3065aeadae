"""Every method of `client.beta.assistants` and `client.beta.threads` does what it is for, on every way to the fake."""

from collections.abc import Callable
from typing import Any

import pytest

from fake_assistants import FakeAssistants
from sdkways import DEPRECATIONS, NAMES, WAYS, Seat, each, got, methods, opened, seated
from staging import Stage

pytestmark = [pytest.mark.filterwarnings(said) for said in DEPRECATIONS]

ROOTS = ("beta.assistants", "beta.threads")


def staged() -> dict[str, Any]:
    """A thread with a run that is completed, and another with a run that waits for the outputs of a call."""
    stage = Stage(FakeAssistants(seed=1))
    stage.fake.script.set({"runs": [[{"reply": "Seven."}], [{"call": [{"name": "add"}]}]]})
    stage.poll(stage.run())
    stage.ask("POST", "/threads/runs", {"assistant_id": stage.assistant, **SAYING})
    asking = stage.fake.state["runs"][-1]
    stage.thread, stage.runs = asking["thread_id"], f"/threads/{asking['thread_id']}/runs"
    stage.poll(asking)
    return stage.fake.snapshot()


SAYING = {"thread": {"messages": [{"role": "user", "content": "Well?"}]}}
STATE = staged()


class Scene:
    """What is on the stage, and how it is asked for."""

    def __init__(self, seat: Seat) -> None:
        self.seat = seat
        self.threads, self.runs, self.assistants = seat.threads, seat.runs, seat.client.beta.assistants
        self.assistant, self.thread = STATE["assistants"][0]["id"], STATE["threads"][0]["id"]
        self.message, self.step = STATE["messages"][1]["id"], STATE["run_steps"][0]["id"]
        self.done, self.asking = (run["id"] for run in STATE["runs"])

    @property
    def saying(self) -> dict[str, Any]:
        return {"assistant_id": self.assistant, **SAYING}

    @property
    def within(self) -> dict[str, Any]:
        return {"thread_id": self.thread}

    @property
    def running(self) -> dict[str, Any]:
        return {"thread_id": self.thread, "assistant_id": self.assistant}

    @property
    def submitting(self) -> dict[str, Any]:
        call = STATE["runs"][1]["required_action"]["submit_tool_outputs"]["tool_calls"][0]
        return {**self.waiting, "tool_outputs": [{"tool_call_id": call["id"], "output": "10"}]}

    @property
    def waiting(self) -> dict[str, Any]:
        return {"run_id": self.asking, "thread_id": STATE["threads"][1]["id"]}


Call = Callable[[Scene], Any]

# What exercises each method of the SDK.
CALLS: dict[str, Call] = {
    "beta.assistants.create": lambda at: at.assistants.create(model="gpt-4o", temperature=0.5, name="A"),
    "beta.assistants.retrieve": lambda at: at.assistants.retrieve(at.assistant),
    "beta.assistants.update": lambda at: at.assistants.update(at.assistant, instructions="Be brief."),
    "beta.assistants.list": lambda at: at.assistants.list(order="asc"),
    "beta.assistants.delete": lambda at: at.assistants.delete(at.assistant),
    "beta.threads.create": lambda at: at.threads.create(**SAYING["thread"], metadata={"a": "1"}),
    "beta.threads.retrieve": lambda at: at.threads.retrieve(at.thread),
    "beta.threads.update": lambda at: at.threads.update(at.thread, metadata={"a": "1"}),
    "beta.threads.delete": lambda at: at.threads.delete(at.thread),
    "beta.threads.create_and_run": lambda at: at.threads.create_and_run(**at.saying),
    "beta.threads.create_and_run_poll": lambda at: at.threads.create_and_run_poll(**at.saying, poll_interval_ms=1),
    "beta.threads.create_and_run_stream": lambda at: at.threads.create_and_run_stream(**at.saying),
    "beta.threads.messages.create": lambda at: at.threads.messages.create(**at.within, role="user", content="So?"),
    "beta.threads.messages.retrieve": lambda at: at.threads.messages.retrieve(message_id=at.message, **at.within),
    "beta.threads.messages.update": lambda at: at.threads.messages.update(
        message_id=at.message, **at.within, metadata={"a": "1"}
    ),
    "beta.threads.messages.list": lambda at: at.threads.messages.list(**at.within, order="asc", run_id=at.done),
    "beta.threads.messages.delete": lambda at: at.threads.messages.delete(message_id=at.message, **at.within),
    "beta.threads.runs.create": lambda at: at.runs.create(**at.running, max_completion_tokens=300, metadata={"a": "1"}),
    "beta.threads.runs.retrieve": lambda at: at.runs.retrieve(run_id=at.done, **at.within),
    "beta.threads.runs.update": lambda at: at.runs.update(run_id=at.done, **at.within, metadata={"a": "1"}),
    "beta.threads.runs.list": lambda at: at.runs.list(**at.within, order="asc"),
    "beta.threads.runs.cancel": lambda at: at.runs.cancel(**at.waiting),
    "beta.threads.runs.create_and_poll": lambda at: at.runs.create_and_poll(**at.running, poll_interval_ms=1),
    "beta.threads.runs.poll": lambda at: at.runs.poll(run_id=at.done, **at.within, poll_interval_ms=1),
    "beta.threads.runs.stream": lambda at: at.runs.stream(**at.running),
    "beta.threads.runs.create_and_stream": lambda at: at.runs.create_and_stream(**at.running),
    "beta.threads.runs.submit_tool_outputs": lambda at: at.runs.submit_tool_outputs(**at.submitting),
    "beta.threads.runs.submit_tool_outputs_and_poll": lambda at: at.runs.submit_tool_outputs_and_poll(
        **at.submitting, poll_interval_ms=1
    ),
    "beta.threads.runs.submit_tool_outputs_stream": lambda at: at.runs.submit_tool_outputs_stream(**at.submitting),
    "beta.threads.runs.steps.list": lambda at: at.runs.steps.list(run_id=at.done, **at.within, order="asc"),
    "beta.threads.runs.steps.retrieve": lambda at: at.runs.steps.retrieve(step_id=at.step, run_id=at.done, **at.within),
}

# Where the world keeps what an answer says it is.
KINDS = {
    "assistant": "assistants",
    "thread": "threads",
    "thread.message": "messages",
    "thread.run": "runs",
    "thread.run.step": "run_steps",
}


async def taken(result: Any) -> Any:
    """An object, a list of all objects of a pager, or the last run that a stream tells."""
    if hasattr(result, "__enter__") or hasattr(result, "__aenter__"):
        async with opened(result) as stream:
            return await got(stream.get_final_run())
    if hasattr(result, "has_next_page") or hasattr(result, "__aiter__"):
        return await each(result)
    return await got(result)


# Streams show resources in full, and a message that is changed has `file_ids` in place of `attachments` (recorded).
SHOWN_OTHERWISE = {"tool_resources", "attachments", "file_ids"}


def agrees(fake: FakeAssistants, given: Any) -> None:
    """What is given is what the world holds."""
    rows = {row["id"]: row for row in fake.state[KINDS[given.object.removesuffix(".deleted")]]}
    if given.object.endswith(".deleted"):
        assert given.deleted is True
        assert given.id not in rows
    else:
        assert _shown(given.to_dict()) == _shown(rows[given.id])


def _shown(row: Any) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key not in SHOWN_OTHERWISE}


@pytest.mark.anyio
@pytest.mark.parametrize(("way", "is_async"), WAYS, ids=NAMES)
async def test_every_method_gives_what_the_world_holds(fake: FakeAssistants, way: str, is_async: bool) -> None:
    """A method of the installed SDK that is not in the table fails, and so does an entry that is no method."""
    fake.load(STATE)
    async with seated(fake, way, is_async=is_async) as seat:
        assert methods(seat.client, *ROOTS) == set(CALLS)
        for call in CALLS.values():
            _holds(fake, await taken(call(Scene(seat))))
            fake.reset()


def _holds(fake: FakeAssistants, given: Any) -> None:
    assert given
    for one in given if isinstance(given, list) else [given]:
        agrees(fake, one)
    assert not [entry for entry in fake.requests if entry.status != 200]
