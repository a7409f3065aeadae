"""Runs: what they are made of, how they move on, and every conflict with its real text."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fake_assistants import BadInput, FakeAssistants, Request
from scripts import answers
from staging import Stage
from strategies import json_values

RUN_KEYS = [
    *("id", "object", "created_at", "assistant_id", "thread_id"),
    *("status", "started_at", "expires_at", "cancelled_at", "failed_at"),
    *("completed_at", "required_action", "last_error", "model", "instructions"),
    *("tools", "tool_resources", "metadata", "temperature", "top_p"),
    *("reasoning_effort", "max_completion_tokens", "max_prompt_tokens", "truncation_strategy", "incomplete_details"),
    *("usage", "response_format", "tool_choice", "parallel_tool_calls"),
]
STEP_KEYS = [
    *("id", "object", "created_at", "run_id", "assistant_id"),
    *("thread_id", "type", "status", "cancelled_at", "completed_at"),
    *("expires_at", "failed_at", "last_error", "step_details", "usage"),
]
MESSAGE_KEYS = [
    *("id", "object", "created_at", "assistant_id", "thread_id"),
    *("run_id", "role", "content", "attachments", "metadata"),
]
CALL = {"call": [{"name": "weather", "arguments": {"city": "Brno"}}, {"name": "now", "id": "call_mine"}]}


@pytest.fixture
def stage() -> Stage:
    return Stage()


# --- a plain run --------------------------------------------------------------------------------------


def test_a_run_is_queued_then_works_then_is_completed(stage: Stage) -> None:
    """Each read shows the next status, as the recorded polls did."""
    stage.fake.clock.set(now=1_000)
    made = stage.run()
    assert list(made) == RUN_KEYS
    assert (made["status"], made["created_at"], made["expires_at"]) == ("queued", 1_000, 1_600)
    stage.fake.clock.advance(2)
    working = stage.read(made)
    assert working == {**made, "status": "in_progress", "started_at": 1_002}
    stage.fake.clock.advance(7)
    done = stage.read(made)
    ended = {"status": "completed", "completed_at": 1_009, "expires_at": None, "usage": done["usage"]}
    assert done == {**working, **ended}
    assert stage.read(made) == done


def test_a_run_in_full(stage: Stage) -> None:
    """The recorded run, down to its nulls: no instructions, no usage as long as it has not ended."""
    stage.fake.clock.set(now=1_000)
    made = stage.run()
    unset: dict[str, Any] = dict.fromkeys(RUN_KEYS)
    assert made == {
        **unset,
        "id": made["id"],
        "object": "thread.run",
        "created_at": 1_000,
        "assistant_id": stage.assistant,
        "thread_id": stage.thread,
        "status": "queued",
        "expires_at": 1_600,
        "model": "gpt-4o-mini",
        "tools": [],
        "tool_resources": {},
        "metadata": {},
        "temperature": 1.0,
        "top_p": 1.0,
        "truncation_strategy": {"type": "auto", "last_messages": None},
        "response_format": "auto",
        "tool_choice": "auto",
        "parallel_tool_calls": True,
    }
    assert stage.read(made)["usage"] is None


def test_usage_is_spelt_as_recorded(stage: Stage) -> None:
    """`prompt_token_details` in the singular, `completion_tokens_details` not."""
    usage = stage.poll(stage.run())["usage"]
    assert list(usage.items())[2:] == [
        ("total_tokens", usage["prompt_tokens"] + usage["completion_tokens"]),
        ("prompt_token_details", {"cached_tokens": 0}),
        ("completion_tokens_details", {"reasoning_tokens": 0}),
    ]


def test_the_answer_echoes_the_user(stage: Stage) -> None:
    """One message and one step, linked, in the recorded shapes; none before the run works."""
    run = stage.run()
    assert len(stage.messages()) == 1
    run = stage.poll(run)
    (step,) = stage.steps(run)
    question, answer = stage.messages()
    assert (list(step), list(answer)) == (STEP_KEYS, MESSAGE_KEYS)
    assert step["step_details"] == {"type": "message_creation", "message_creation": {"message_id": answer["id"]}}
    assert answer["content"] == question["content"]
    assert (answer["run_id"], answer["assistant_id"], answer["role"]) == (run["id"], stage.assistant, "assistant")
    assert (step["status"], step["expires_at"], step["usage"]) == ("completed", None, run["usage"])
    assert step["created_at"] == answer["created_at"]
    assert list(run["usage"]) == [
        *("prompt_tokens", "completion_tokens", "total_tokens"),
        *("prompt_token_details", "completion_tokens_details"),
    ]
    target = f"{stage.runs}/{run['id']}/steps/{step['id']}"
    assert stage.ask("GET", target) == step
    assert stage.ask("GET", stage.runs)["data"] == [run]
    assert stage.ask("GET", f"/threads/{stage.thread}/messages?run_id={run['id']}")["data"] == [answer]


def test_the_echo_is_of_the_last_words(stage: Stage) -> None:
    """Of the newest user's message that has any, images and the assistant's words passed over."""
    image = [{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]
    body: list[dict[str, Any]] = [
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        {"role": "user", "content": image},
        {"role": "assistant", "content": "c"},
    ]
    run = stage.poll(stage.run(additional_messages=body))
    assert [message["role"] for message in stage.messages()] == ["user", "user", "user", "assistant", "assistant"]
    assert stage.messages()[-1]["content"][0]["text"]["value"] == "a\nb"
    assert stage.messages()[-1]["run_id"] == run["id"]


def test_without_any_words_there_is_still_an_answer() -> None:
    """The assistant's instructions are enough for a run."""
    stage = Stage(instructions="Say something.")
    thread = stage.ask("POST", "/threads", {})["id"]
    run = stage.ask("POST", f"/threads/{thread}/runs", {"assistant_id": stage.assistant})
    for _ in range(2):
        run = stage.ask("GET", f"/threads/{thread}/runs/{run['id']}")
    (answer,) = stage.ask("GET", f"/threads/{thread}/messages")["data"]
    assert answer["content"][0]["text"]["value"]


def test_a_run_takes_over_from_its_assistant_what_it_does_not_say() -> None:
    """And what it says goes before; additional instructions stand at the end."""
    tools = [{"type": "code_interpreter"}]
    text = {"type": "text"}
    stage = Stage(instructions="Be kind.", tools=tools, temperature=0.5, metadata={"a": "b"}, response_format=text)
    run = stage.run()
    own = (run["model"], run["instructions"], run["tools"], run["temperature"], run["metadata"], run["response_format"])
    assert own == ("gpt-4o-mini", "Be kind.", tools, 0.5, {}, text)
    stage.poll(run)
    function = {"type": "function", "function": {"name": "f", "parameters": {}}}
    run = stage.run(
        model="gpt-4o",
        additional_instructions="And brief.",
        tools=[function],
        temperature=1,
        metadata={"c": "d"},
        max_completion_tokens=16,
        truncation_strategy={"type": "last_messages", "last_messages": 3},
        tool_choice={"type": "function", "function": {"name": "f"}},
        parallel_tool_calls=False,
    )
    assert run["model"] == "gpt-4o"
    assert run["instructions"] == "Be kind.\nAnd brief."
    assert run["tools"] == [{"type": "function", "function": {"name": "f", "parameters": {}, "strict": False}}]
    assert (run["temperature"], run["metadata"], run["max_completion_tokens"]) == (1.0, {"c": "d"}, 16)
    assert run["truncation_strategy"] == {"type": "last_messages", "last_messages": 3}
    assert (run["tool_choice"]["type"], run["parallel_tool_calls"]) == ("function", False)
    stage.poll(run)
    assert stage.run(instructions="Mine.")["instructions"] == "Mine."


def test_a_run_takes_twenty_tools(stage: Stage) -> None:
    """One more is refused."""
    tools = [{"type": "code_interpreter"}] * 21
    text = "Expected an array with maximum length 20, but got an array with length 21 instead."
    body = {"assistant_id": stage.assistant, "tools": tools}
    assert stage.refused("POST", stage.runs, body) == (400, f"Invalid 'tools': array too long. {text}")
    assert stage.run(tools=tools[1:])["tools"] == tools[1:]


def test_additional_instructions_alone_are_instructions(stage: Stage) -> None:
    """Where the assistant has none."""
    assert stage.run(additional_instructions="Be brief.")["instructions"] == "Be brief."


def test_a_thread_and_its_run_are_made_together(stage: Stage) -> None:
    """Also without any message when there are instructions."""
    thread = {"messages": [{"role": "user", "content": "Hi"}], "metadata": {"a": "b"}}
    run = stage.ask("POST", "/threads/runs", {"assistant_id": stage.assistant, "thread": thread})
    assert list(run) == RUN_KEYS
    assert stage.ask("GET", f"/threads/{run['thread_id']}")["metadata"] == {"a": "b"}
    bare = stage.ask("POST", "/threads/runs", {"assistant_id": stage.assistant, "instructions": "Speak."})
    assert bare["thread_id"] not in (run["thread_id"], stage.thread)


def test_a_refused_run_leaves_no_thread(stage: Stage) -> None:
    """Neither for want of words nor of an assistant, nor of a good body."""
    before = stage.fake.snapshot()
    status, message = stage.refused("POST", "/threads/runs", {"assistant_id": stage.assistant})
    assert (status, message) == (
        400,
        "Run creation requires a Thread with a user message or an assistant with instructions.",
    )
    assert stage.refused("POST", "/threads/runs", {"assistant_id": "asst_x", "instructions": "x"}) == (
        404,
        "No assistant found with id 'asst_x'.",
    )
    assert stage.refused("POST", "/threads/runs", {"assistant_id": stage.assistant, "thread": 3})[0] == 400
    body = {"assistant_id": stage.assistant, "additional_messages": [{"role": "user", "content": "x"}]}
    assert stage.refused("POST", "/threads/runs", body) == (400, "Unknown parameter: 'additional_messages'.")
    assert stage.fake.snapshot() == before


def test_a_refused_run_leaves_no_vector_store(stage: Stage) -> None:
    """Nothing at all."""
    before = stage.fake.state
    resources = {"file_search": {"vector_stores": [{"file_ids": ["file-1"]}]}}
    body: dict[str, Any] = {"assistant_id": stage.assistant, "tool_resources": resources}
    assert stage.refused("POST", "/threads/runs", body)[0] == 400
    assert stage.fake.state == before
    run = stage.ask("POST", "/threads/runs", {**body, "instructions": "Speak."})
    assert list(run) == RUN_KEYS
    (store,) = stage.fake.state["vector_stores"]
    assert run["tool_resources"] == {"file_search": {"vector_store_ids": [store["id"]]}}


@pytest.mark.parametrize("target", ["/threads/runs", "{runs}"])
def test_an_assistant_id_without_its_prefix_is_refused(stage: Stage, target: str) -> None:
    """Recorded; an id that a state brought in is taken as it is."""
    thread: dict[str, Any] = {} if "{" in target else {"thread": {"messages": [{"role": "user", "content": "Hi"}]}}
    target, body = target.format(runs=stage.runs), {"assistant_id": "wf_1", **thread}
    error = stage.send("POST", target, body).json()["error"]
    assert error["message"] == "Invalid 'assistant_id': 'wf_1'. Expected an ID that begins with 'asst'."
    assert (error["param"], error["code"]) == ("assistant_id", "invalid_value")
    stage.fake.load({"assistants": [{"id": "wf_1", "model": "gpt-4o"}]})
    assert stage.ask("POST", target, body)["assistant_id"] == "wf_1"


def test_a_run_without_anything_to_answer_is_refused(stage: Stage) -> None:
    """An assistant's words alone are nothing to answer; with code invalid_thread."""
    thread = stage.ask("POST", "/threads", {"messages": [{"role": "assistant", "content": "Hi"}]})["id"]
    reply = stage.send("POST", f"/threads/{thread}/runs", {"assistant_id": stage.assistant})
    assert (reply.status, reply.json()["error"]["code"]) == (400, "invalid_thread")
    assert stage.refused("POST", f"/threads/{thread}/runs", {"assistant_id": "asst_x"})[0] == 404


# --- the lock -----------------------------------------------------------------------------------------


def test_a_thread_is_locked_while_a_run_is_active(stage: Stage) -> None:
    """For messages and for runs, in every active status, with the recorded texts."""
    stage.fake.script = {"default": [CALL]}
    run = stage.run()
    message = {"role": "user", "content": "more"}
    locked = f"Can't add messages to {stage.thread} while a run {run['id']} is active."
    second = f"Thread {stage.thread} already has an active run {run['id']}."
    seen = []
    target = f"{stage.runs}/{run['id']}"
    for method, path in (("GET", "/steps"), ("GET", ""), ("GET", ""), ("POST", "/cancel")):
        stage.ask(method, target + path)
        seen.append(stage.fake.state["runs"][0]["status"])
        assert stage.refused("POST", f"/threads/{stage.thread}/messages", message) == (400, locked)
        assert stage.refused("POST", stage.runs, {"assistant_id": stage.assistant}) == (400, second)
    assert seen == ["queued", "in_progress", "requires_action", "cancelling"]
    assert stage.read(run)["status"] == "cancelled"
    stage.ask("POST", f"/threads/{stage.thread}/messages", message)
    assert stage.run()["status"] == "queued"


def test_an_active_run_cannot_be_changed(stage: Stage) -> None:
    """Afterwards its metadata can."""
    run = stage.run()
    target = f"{stage.runs}/{run['id']}"
    assert stage.refused("POST", target, {"metadata": {}}) == (400, "Cannot update run with status 'queued'.")
    stage.poll(run)
    changed = stage.ask("POST", target, {"metadata": {"a": "b"}})
    assert changed == {**run, **changed, "metadata": {"a": "b"}}
    assert stage.read(run) == changed
    assert stage.ask("POST", target, {"metadata": None})["metadata"] == {}


# --- functions ----------------------------------------------------------------------------------------


def test_a_run_waits_for_the_outputs_of_its_functions(stage: Stage) -> None:
    """All in one request; then it goes on, with a new started_at."""
    stage.fake.script = {"default": [CALL, {"reply": "Sunny."}]}
    stage.fake.clock.set(now=1_000)
    run = stage.poll(stage.run())
    action = run["required_action"]
    calls = action["submit_tool_outputs"]["tool_calls"]
    assert (run["status"], list(action), action["type"]) == (
        "requires_action",
        ["type", "submit_tool_outputs"],
        "submit_tool_outputs",
    )
    assert [call["function"] for call in calls] == [
        {"name": "weather", "arguments": '{"city":"Brno"}'},
        {"name": "now", "arguments": "{}"},
    ]
    assert (calls[0]["id"][:5], calls[1]["id"]) == ("call_", "call_mine")
    (step,) = stage.steps(run)
    assert (step["status"], [call["function"]["output"] for call in step["step_details"]["tool_calls"]]) == (
        "in_progress",
        [None, None],
    )
    stage.fake.clock.advance(15)
    again = stage.submit(run)
    assert (again["status"], again["required_action"]) == ("queued", None)
    done = stage.poll(run)
    assert (done["status"], done["started_at"], done["created_at"]) == ("completed", 1_015, 1_000)
    tool, reply = stage.steps(run)
    outs = [call["function"]["output"] for call in tool["step_details"]["tool_calls"]]
    assert outs == [f"out of {call['id']}" for call in calls]
    assert (tool["status"], reply["type"]) == ("completed", "message_creation")


@pytest.mark.parametrize(
    "given", [[], ["call_a"], ["call_a", "call_b", "call_c"], ["call_a", "call_a"], ["call_b", "call_x"]]
)
def test_outputs_of_other_calls_are_refused(stage: Stage, given: list[str]) -> None:
    """In the words of a list that Python prints, without a full stop (recorded)."""
    stage.fake.script = {"default": [{"call": [{"name": "f", "id": "call_a"}, {"name": "g", "id": "call_b"}]}]}
    run = stage.poll(stage.run())
    body: Any = {"tool_outputs": [{"tool_call_id": call, "output": "x"} for call in given]}
    expected = f"Expected tool outputs for call_ids ['call_a', 'call_b'], got {given}"
    target = f"{stage.runs}/{run['id']}/submit_tool_outputs"
    assert stage.refused("POST", target, body) == (400, expected)
    assert stage.read(run) == run
    body = {"tool_outputs": [{"tool_call_id": call} for call in ("call_b", "call_a")]}
    assert stage.ask("POST", target, body)["status"] == "queued"


def test_outputs_are_wanted_only_where_the_run_waits_for_them(stage: Stage) -> None:
    """With double quotes round the status (recorded)."""
    run = stage.run()
    target = f"{stage.runs}/{run['id']}/submit_tool_outputs"
    body: Any = {"tool_outputs": []}
    assert stage.refused("POST", target, body) == (400, 'Runs in status "queued" do not accept tool outputs.')
    stage.poll(run)
    assert stage.refused("POST", target, body) == (400, 'Runs in status "completed" do not accept tool outputs.')


# --- cancelling and expiring --------------------------------------------------------------------------


NO_USAGE = {
    **dict.fromkeys(("prompt_tokens", "completion_tokens", "total_tokens"), 0),
    "prompt_token_details": {"cached_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 0},
}


def test_an_output_without_an_id_is_for_the_call_that_is_left(stage: Stage) -> None:
    """The SDKs' types leave the id open, and their own tests send none. Too many outputs are refused as ever."""
    stage.fake.script = {"default": [{"call": [{"name": "f", "id": "call_1"}, {"name": "g", "id": "call_2"}]}]}
    run = stage.poll(stage.run())
    target = f"{stage.runs}/{run['id']}/submit_tool_outputs"
    expected = "Expected tool outputs for call_ids ['call_1', 'call_2'], got ['call_1', 'call_2', '']"
    assert stage.refused("POST", target, {"tool_outputs": [{}, {}, {}]}) == (400, expected)
    outputs = [{"output": "2"}, {"tool_call_id": "call_1", "output": "1"}]
    stage.ask("POST", target, {"tool_outputs": outputs})
    (step,) = stage.steps(run)
    assert [call["function"]["output"] for call in step["step_details"]["tool_calls"]] == ["1", "2"]


def test_a_cancelled_run_is_cancelling_first(stage: Stage) -> None:
    """And cancelled at the next read; then it cannot be cancelled again. An empty body is good."""
    run = stage.run()
    target = f"{stage.runs}/{run['id']}/cancel"
    going = stage.ask("POST", target)
    assert going == {**run, "status": "cancelling"}
    assert stage.refused("POST", target) == (400, "Cannot cancel run with status 'cancelling'.")
    gone = stage.read(run)
    now = run["created_at"]
    assert gone == {
        **run,
        "status": "cancelled",
        "started_at": now,
        "expires_at": None,
        "cancelled_at": now,
        "usage": NO_USAGE,
    }
    assert stage.refused("POST", target) == (400, "Cannot cancel run with status 'cancelled'.")
    assert len(stage.messages()) == 1


def test_a_run_that_waits_for_outputs_can_be_cancelled(stage: Stage) -> None:
    """Its step is cancelled with it."""
    stage.fake.script = {"default": [CALL]}
    run = stage.poll(stage.run())
    stage.ask("POST", f"{stage.runs}/{run['id']}/cancel", {})
    gone = stage.poll(run)
    (step,) = stage.steps(run)
    assert (gone["status"], gone["required_action"], step["status"]) == ("cancelled", None, "cancelled")
    assert (gone["started_at"], gone["expires_at"], gone["completed_at"]) == (run["started_at"], None, None)
    assert gone["usage"] == NO_USAGE
    assert step["cancelled_at"] == gone["cancelled_at"]


@pytest.mark.parametrize("reads", [0, 1, 2])
def test_a_run_expires_ten_minutes_after_its_creation(stage: Stage, reads: int) -> None:
    """Whatever it was doing, and not a second earlier; the thread is free again."""
    stage.fake.script = {"default": [CALL]}
    run = stage.run()
    for _ in range(reads):
        stage.read(run)
    stage.fake.clock.advance(599)
    assert stage.ask("GET", f"/threads/{stage.thread}")["id"] == stage.thread
    assert stage.fake.state["runs"][0]["status"] != "expired"
    stage.fake.clock.advance(1)
    assert stage.read(run)["status"] == "expired"
    assert [step["status"] for step in stage.steps(run)] == ["expired"] * (reads == 2)
    target = f"{stage.runs}/{run['id']}/submit_tool_outputs"
    expected = 'Runs in status "expired" do not accept tool outputs.'
    assert stage.refused("POST", target, {"tool_outputs": []}) == (400, expected)
    stage.ask("POST", f"/threads/{stage.thread}/messages", {"role": "user", "content": "x"})


def end_by_itself(_: Stage, __: Any) -> None:
    """Nothing has to be done."""


def cancel(stage: Stage, run: Any) -> None:
    stage.ask("POST", f"{stage.runs}/{run['id']}/cancel")


def come_late(stage: Stage, _: Any) -> None:
    stage.fake.clock.advance(600)


@pytest.mark.parametrize(
    ("status", "steps", "then"),
    [
        ("completed", [{"reply": "x"}], end_by_itself),
        ("incomplete", [{"incomplete": "max_prompt_tokens"}], end_by_itself),
        ("failed", [{"fail": {"code": "server_error", "message": "x"}}], end_by_itself),
        ("cancelled", [], cancel),
        ("expired", [], come_late),
    ],
)
def test_an_expiry_is_gone_where_the_run_came_to_its_own_end(
    stage: Stage, status: str, steps: list[Any], then: Any
) -> None:
    """Completed, incomplete or cancelled; all others keep it."""
    stage.fake.script = {"default": steps}
    run = stage.run()
    then(stage, run)
    ended = stage.poll(run)
    kept = None if status in ("completed", "incomplete", "cancelled") else run["created_at"] + 600
    assert (ended["status"], ended["expires_at"]) == (status, kept)


# --- progress -----------------------------------------------------------------------------------------


def test_by_the_clock_each_thing_has_its_own_second(stage: Stage) -> None:
    """However late somebody looks; reading alone moves nothing."""
    stage.fake.runs = {"progress": "clock", "seconds": 5}
    stage.fake.clock.set(now=1_000)
    run = stage.run()
    assert [stage.read(run)["status"] for _ in range(3)] == ["queued"] * 3
    stage.fake.clock.advance(5)
    assert stage.read(run)["status"] == "in_progress"
    stage.fake.clock.advance(500)
    done = stage.read(run)
    assert (done["started_at"], done["completed_at"], done["status"]) == (1_005, 1_010, "completed")
    assert stage.messages()[-1]["created_at"] == 1_010


def test_by_the_clock_a_run_that_waits_expires(stage: Stage) -> None:
    """After it had its time."""
    stage.fake.runs = {"progress": "clock"}
    stage.fake.script = {"default": [CALL]}
    run = stage.run()
    stage.fake.clock.advance(599)
    assert stage.read(run)["status"] == "requires_action"
    stage.fake.clock.advance(5_000)
    assert stage.read(run)["status"] == "expired"


def test_a_run_that_moves_on_at_once_is_answered_as_queued() -> None:
    """And is over before anything else is asked; so are a submission and a cancellation."""
    stage = Stage(FakeAssistants(runs="immediate"))
    run = stage.run()
    assert (run["status"], stage.read(run)["status"], len(stage.messages())) == ("queued", "completed", 2)
    stage.fake.script = {"default": [CALL, {"reply": "x"}]}
    run = stage.run()
    run = stage.read(run)
    assert stage.submit(run)["status"] == "queued"
    assert stage.read(run)["status"] == "completed"
    run = stage.run()
    assert stage.ask("POST", f"{stage.runs}/{run['id']}/cancel")["status"] == "cancelling"
    assert stage.read(run)["status"] == "cancelled"
    stage.fake.reset()
    assert stage.fake.runs.progress == "immediate"


def test_runs_on_their_way_follow_how_runs_move_on(stage: Stage) -> None:
    """Whatever was set when they were created."""
    run = stage.run()
    stage.fake.runs = {"progress": "immediate"}
    assert stage.read(run)["status"] == "completed"
    stage.fake.script = {"default": [{"call": [{"name": "f"}]}]}
    stage.fake.runs = {"progress": "read"}
    run = stage.run()
    stage.fake.runs = {"progress": "immediate"}
    assert stage.refused("POST", stage.runs, {"assistant_id": stage.assistant})[1].endswith(f"{run['id']}.")
    assert stage.read(run)["status"] == "requires_action"


def test_a_snapshot_has_followed_the_clock(stage: Stage) -> None:
    """Over HTTP too, and before it is set otherwise how runs move on."""
    stage.fake.runs = {"progress": "clock"}
    stage.run()
    stage.fake.clock.advance(1)
    assert stage.fake.snapshot()["runs"][0]["status"] == "in_progress"
    stage.fake.clock.advance(1)
    got = stage.fake.handle(Request.of("GET", "/_fake/state", {}, b""))
    assert got.json()["runs"][0]["status"] == "completed"
    run = stage.run()
    stage.fake.clock.advance(2)
    stage.fake.handle(Request.of("PUT", "/_fake/runs", {}, b'{"progress": "read"}'))
    assert stage.read(run)["status"] == "completed"


@pytest.mark.parametrize("progress", ["clock", "read"])
def test_a_run_whose_thread_is_deleted_ends_with_it(stage: Stage, progress: str) -> None:
    """Neither its second nor its expiry brings anything of it back; other runs keep their seconds."""
    stage.fake.runs = {"progress": progress}
    stage.run()
    other = Stage(stage.fake)
    run = other.run()
    stage.ask("DELETE", f"/threads/{stage.thread}")
    before = stage.fake.snapshot()
    stage.fake.clock.advance(1)
    assert other.read(run)["status"] == "in_progress"
    stage.fake.clock.advance(5_000)
    assert other.read(run)["status"] == {"clock": "completed", "read": "expired"}[progress]
    after = stage.fake.snapshot()
    assert (after["threads"], len(after["runs"])) == (before["threads"], 1)
    assert {one["thread_id"] for one in [*after["messages"], *after["run_steps"]]} <= {other.thread}


def test_listing_runs_is_reading_them(stage: Stage) -> None:
    """The active one goes on."""
    stage.run()
    seen = [stage.ask("GET", stage.runs)["data"][0]["status"] for _ in range(3)]
    assert seen == ["in_progress", "completed", "completed"]


@pytest.mark.parametrize(
    ("given", "where"),
    [
        ({"progress": "slowly"}, "$.progress"),
        ({"reads": 0}, "$.reads"),
        ({"reads": True}, "$.reads"),
        ({"seconds": 1.5}, "$.seconds"),
        ({"speed": 1}, "$.speed"),
        ([], "$"),
    ],
)
def test_a_progress_that_is_none_is_refused(stage: Stage, given: Any, where: str) -> None:
    """And nothing changes."""
    with pytest.raises(BadInput) as bad:
        stage.fake.runs = given
    assert bad.value.where == where
    assert stage.fake.runs.json() == {"progress": "read", "reads": 1, "seconds": 1}


# --- ends ---------------------------------------------------------------------------------------------


def test_a_run_can_fail(stage: Stage) -> None:
    """With the code and the message of the script; what was said stays."""
    failure = {"code": "rate_limit_exceeded", "message": "You exceeded your current quota."}
    stage.fake.script = {"default": [{"reply": "Half"}, {"fail": failure}, {"reply": "never"}]}
    run = stage.poll(stage.run())
    assert (run["status"], run["last_error"], run["failed_at"]) == ("failed", failure, run["created_at"])
    assert (len(stage.steps(run)), len(stage.messages())) == (1, 2)


def test_a_run_can_end_incomplete(stage: Stage) -> None:
    """For the reason of the script; no expiry is shown any more."""
    stage.fake.script = {"default": [{"reply": "Half"}, {"incomplete": "max_prompt_tokens"}]}
    run = stage.poll(stage.run())
    assert (run["status"], run["incomplete_details"]) == ("incomplete", {"reason": "max_prompt_tokens"})
    assert (run["expires_at"], run["completed_at"]) == (None, None)


def test_a_limit_of_tokens_cuts_the_answer_off(stage: Stage) -> None:
    """Also the echo, without any script; four characters count as a token."""
    run = stage.poll(stage.run(max_completion_tokens=2))
    assert (run["status"], run["incomplete_details"]) == ("incomplete", {"reason": "max_completion_tokens"})
    assert stage.messages()[-1]["content"][0]["text"]["value"] == "What is "
    assert run["usage"]["completion_tokens"] == 2
    run = stage.poll(stage.run(max_completion_tokens=4))
    assert run["status"] == "completed"


# --- tools --------------------------------------------------------------------------------------------


def test_a_run_has_the_steps_of_its_script(stage: Stage) -> None:
    """Code with its outputs, a search with its results, an image, a refusal: the documented shapes."""
    found = {
        "file_id": "file-1",
        "file_name": "a.txt",
        "score": 0.5,
        "attributes": {},
        "content": [{"type": "text", "text": "t"}],
    }
    stage.fake.script = {
        "default": [
            {"code": {"input": "1+1", "outputs": ["2", {"type": "image", "image": {"file_id": "file-2"}}]}},
            {"search": {"results": [found]}},
            {"image": "file-3"},
            {"refuse": "I will not."},
        ]
    }
    run = stage.poll(stage.run())
    code, search, image, refusal = stage.steps(run)
    (call,) = code["step_details"]["tool_calls"]
    assert list(call) == ["id", "type", "code_interpreter"]
    assert call["code_interpreter"] == {
        "input": "1+1",
        "outputs": [{"type": "logs", "logs": "2"}, {"type": "image", "image": {"file_id": "file-2"}}],
    }
    bare = {key: value for key, value in found.items() if key != "content"}
    (call,) = search["step_details"]["tool_calls"]
    ranking = {"ranker": "default_2024_08_21", "score_threshold": 0.0}
    assert call["file_search"] == {"ranking_options": ranking, "results": [bare]}
    assert [message["content"][0] for message in stage.messages()[1:]] == [
        {"type": "image_file", "image_file": {"file_id": "file-3"}},
        {"type": "refusal", "refusal": "I will not."},
    ]
    assert (image["type"], refusal["type"]) == ("message_creation", "message_creation")
    total = [one["usage"]["total_tokens"] for one in (code, search, image, refusal)]
    assert run["usage"]["total_tokens"] == sum(total)


CONTENTS = "step_details.tool_calls%5B*%5D.file_search.results%5B*%5D.content"


def test_what_a_search_found_is_shown_to_who_includes_it(stage: Stage) -> None:
    """In the list and in the one step, with the brackets encoded as SDKs send them."""
    found = {"file_id": "file-1", "content": [{"type": "text", "text": "t"}]}
    stage.fake.script = {"default": [{"search": {"results": [found]}}]}
    run = stage.poll(stage.run())
    (step,) = stage.steps(run, f"&include%5B%5D={CONTENTS}")
    assert step["step_details"]["tool_calls"][0]["file_search"]["results"] == [found]
    target = f"{stage.runs}/{run['id']}/steps/{step['id']}"
    assert stage.ask("GET", f"{target}?include[]={CONTENTS}") == step
    assert stage.ask("GET", target)["step_details"]["tool_calls"][0]["file_search"]["results"] == [
        {"file_id": "file-1"}
    ]
    assert stage.refused("GET", f"{target}?include[]=all")[0] == 400


def test_anything_else_to_include_is_refused(stage: Stage) -> None:
    """With its place among what is asked for, and the one value that there is."""
    contents = "step_details.tool_calls[*].file_search.results[*].content"
    query = f"include[]={contents}&include[]=x"
    error = stage.send("POST", f"{stage.runs}?{query}", {"assistant_id": stage.assistant}).json()["error"]
    assert error["message"] == f"Invalid value: 'x'. Supported values are: '{contents}'."
    assert (error["param"], error["code"]) == ("include[1]", "invalid_value")


def test_a_schema_to_answer_by_must_be_there(stage: Stage) -> None:
    """A response format of that type is nothing without it."""
    body = {"assistant_id": stage.assistant, "response_format": {"type": "json_schema"}}
    text = "Missing required parameter: 'response_format.json_schema'."
    assert stage.refused("POST", stage.runs, body) == (400, text)


def test_steps_are_listed_like_everything(stage: Stage) -> None:
    """Newest first, by limit and cursor; another run's step is not found."""
    stage.fake.script = {"default": [{"reply": str(number)} for number in range(3)]}
    run = stage.poll(stage.run())
    ids = [step["id"] for step in stage.steps(run)]
    page = stage.ask("GET", f"{stage.runs}/{run['id']}/steps?limit=2")
    assert [step["id"] for step in page["data"]] == ids[:0:-1]
    assert page["has_more"] is True
    rest = stage.ask("GET", f"{stage.runs}/{run['id']}/steps?limit=2&after={page['last_id']}")
    assert ([step["id"] for step in rest["data"]], rest["has_more"]) == (ids[:1], False)
    other = stage.poll(stage.run())
    target = f"{stage.runs}/{other['id']}/steps/{ids[0]}"
    assert stage.refused("GET", target) == (404, f"No run step found with id '{ids[0]}'.")


# --- ids ----------------------------------------------------------------------------------------------


def test_unknown_and_malformed_ids(stage: Stage) -> None:
    """Only the prefix is checked, never the length."""
    base = f"/threads/{stage.thread}/runs"
    assert stage.refused("GET", f"{base}/run_x") == (404, "No run found with id 'run_x'.")
    malformed = "Invalid 'run_id': 'undefined'. Expected an ID that begins with 'run'."
    assert stage.refused("GET", f"{base}/undefined") == (400, malformed)
    run = stage.run()
    assert stage.refused("GET", f"{base}/{run['id']}/steps/step_123") == (404, "No run step found with id 'step_123'.")
    malformed = "Invalid 'step_id': 'x'. Expected an ID that begins with 'step'."
    assert stage.refused("GET", f"{base}/{run['id']}/steps/x") == (400, malformed)
    other = stage.ask("POST", "/threads", {})["id"]
    assert stage.refused("GET", f"/threads/{other}/runs/{run['id']}")[0] == 404


# --- states -------------------------------------------------------------------------------------------


def put_in(stage: Stage, **fields: Any) -> dict[str, Any]:
    run = {"id": "run_put", "thread_id": stage.thread, "assistant_id": stage.assistant, **fields}
    stage.fake.load({"runs": [run]})
    return run


@pytest.mark.parametrize("status", ["queued", "in_progress", "requires_action", "cancelling", "completed", "zombie"])
def test_a_run_from_a_state_keeps_its_status(stage: Stage, status: str) -> None:
    """Until a call changes it, however often it is read and whatever the clock shows."""
    run = put_in(stage, status=status, expires_at=5)
    stage.fake.clock.advance(10_000)
    assert [stage.read(run), stage.read(run)] == [run, run]
    locks = status not in ("completed", "zombie")
    assert (
        stage.send("POST", f"/threads/{stage.thread}/messages", {"role": "user", "content": "x"}).status == 400
    ) is locks
    if status in ("queued", "in_progress", "requires_action"):
        assert stage.ask("POST", f"{stage.runs}/run_put/cancel")["status"] == "cancelling"
        assert stage.read(run)["status"] == "cancelled"
    else:
        assert stage.send("POST", f"{stage.runs}/run_put/cancel").status == 400


def test_a_run_from_a_state_takes_the_outputs_it_waits_for(stage: Stage) -> None:
    """And goes on as scripted; a step that came with it is completed."""
    calls: list[Any] = [{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
    action = {"type": "submit_tool_outputs", "submit_tool_outputs": {"tool_calls": calls}}
    run = put_in(stage, status="requires_action", required_action=action, expires_at=5)
    step = {"id": "step_1", "run_id": "run_put", "status": "in_progress", "step_details": {"tool_calls": [*calls, 7]}}
    stage.fake.load({"run_steps": [step, {"id": "step_2", "run_id": "run_put", "status": "in_progress"}]})
    body: dict[str, Any] = {"tool_outputs": [{"tool_call_id": "call_1", "output": "sunny"}]}
    assert stage.ask("POST", f"{stage.runs}/run_put/submit_tool_outputs", body)["status"] == "queued"
    assert stage.poll(run)["status"] == "completed"
    first, *_ = stage.steps(run)
    assert first["step_details"]["tool_calls"] == [
        {**calls[0], "function": {**calls[0]["function"], "output": "sunny"}},
        7,
    ]
    assert stage.messages()[-1]["run_id"] == "run_put"


def test_a_saved_run_stops_where_it_was_saved_and_one_put_back_goes_on(stage: Stage) -> None:
    """What was put back unchanged changes nothing; what was changed is taken in hand."""
    run = stage.run()
    saved = stage.fake.state
    stage.fake.state = saved
    assert stage.read(run)["status"] == "in_progress"
    stage.fake.state = saved
    assert [stage.read(run)["status"] for _ in range(3)] == ["queued"] * 3
    fresh = FakeAssistants()
    fresh.state = saved
    assert fresh.snapshot() == saved


def test_a_run_that_was_taken_in_hand_is_not_moved_by_the_clock(stage: Stage) -> None:
    """What the state says stands."""
    stage.fake.runs = {"progress": "clock"}
    run = stage.run()
    stage.fake.load({"runs": [{**run, "metadata": {"mine": "yes"}}]})
    stage.fake.clock.advance(10)
    assert stage.read(run)["status"] == "queued"


def test_a_run_without_its_thread_does_nothing_more(stage: Stage) -> None:
    """A state may leave the thread out; what is left can be put back."""
    stage.fake.runs = {"progress": "clock"}
    stage.run()
    stage.fake.state = {"runs": stage.fake.state["runs"]}
    stage.fake.clock.advance(100)
    stage.send("GET", "/assistants")
    assert stage.fake.state["messages"] == []
    stage.fake.state = stage.fake.state


def test_a_run_that_comes_back_later_keeps_its_status(stage: Stage) -> None:
    """Between the two states it was gone."""
    run, saved = stage.run(), stage.fake.state
    stage.fake.state = {}
    stage.fake.state = saved
    assert [stage.read(run)["status"] for _ in range(3)] == ["queued"] * 3


def test_outputs_fill_only_what_looks_like_a_call(stage: Stage) -> None:
    """A step from a state may have calls with any JSON for an id."""
    calls: list[Any] = [{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
    run = put_in(stage, status="requires_action", required_action={"submit_tool_outputs": {"tool_calls": calls}})
    ids: list[Any] = [[], {}, None, "call_2"]
    details = {"tool_calls": [{"id": odd, "function": {"name": "f"}} for odd in ids]}
    stage.fake.load({"run_steps": [{"id": "s", "run_id": "run_put", "status": "in_progress", "step_details": details}]})
    body = {"tool_outputs": [{"tool_call_id": "call_1", "output": "sunny"}]}
    stage.ask("POST", f"{stage.runs}/run_put/submit_tool_outputs", body)
    assert stage.steps(run)[0]["step_details"] == details


@given(st.dictionaries(st.sampled_from(RUN_KEYS), json_values | st.just(10**400)))
def test_a_run_of_an_odd_assistant_is_a_run(fields: dict[str, Any]) -> None:
    """A state may have brought in any JSON as what an assistant says of itself."""
    stage = Stage()
    stage.fake.load({"assistants": [{**fields, "id": "odd"}]})
    assert stage.poll(stage.run(assistant_id="odd", additional_instructions="Be brief."))["status"] == "completed"


def test_a_deleted_thread_takes_its_runs_along(stage: Stage) -> None:
    """With their steps; a stream that was open breaks off."""
    run = stage.poll(stage.run())
    chunks = stage.chunks(stage.runs, {"assistant_id": stage.assistant})
    next(chunks)
    stage.ask("DELETE", f"/threads/{stage.thread}")
    assert not isinstance(list(chunks)[-1], bytes)
    state = stage.fake.state
    assert (state["runs"], state["run_steps"], state["messages"]) == ([], [], [])
    assert stage.refused("GET", f"{stage.runs}/{run['id']}")[0] == 404


@given(
    st.dictionaries(st.sampled_from(RUN_KEYS), json_values),
    st.lists(st.dictionaries(st.sampled_from(STEP_KEYS), json_values), max_size=2),
)
def test_odd_runs_are_answered_and_never_break_the_fake(fields: dict[str, Any], steps: list[dict[str, Any]]) -> None:
    """Every call on a run of any JSON is a 200 or a refusal in the envelope."""
    stage = Stage()
    run = put_in(stage, **{key: value for key, value in fields.items() if key not in ("id", "thread_id")})
    odd = [{**step, "id": f"step_{index}", "run_id": "run_put"} for index, step in enumerate(steps)]
    stage.fake.load({"run_steps": odd})
    target = f"{stage.runs}/{run['id']}"
    body: Any
    for method, path, body in (
        ("GET", target, None),
        ("GET", f"{target}/steps", None),
        ("GET", stage.runs, None),
        ("POST", f"{target}/submit_tool_outputs", {"tool_outputs": []}),
        ("GET", target, None),
        ("POST", f"{target}/cancel", None),
        ("GET", target, None),
        ("POST", stage.runs, {"assistant_id": stage.assistant}),
        ("POST", target, {"metadata": {}}),
    ):
        assert stage.send(method, path, body).status in (200, 400)


# --- scripts ------------------------------------------------------------------------------------------


def test_the_control_api_sets_scripts_and_progress(stage: Stage) -> None:
    """Each is read, put and, for the script, deleted; what is wrong is told with its path."""

    def control(method: str, name: str, body: Any = None) -> Any:
        content = b"" if body is None else json.dumps(body).encode()
        return stage.fake.handle(Request(method, f"/_fake/{name}", body=content)).json()

    given = {"default": [{"reply": "scripted"}]}
    assert control("PUT", "script", given) == control("GET", "script") == given
    assert said(stage) == "scripted"
    assert control("DELETE", "script") == {}
    assert said(stage) == "What is 3x + 11?"
    assert control("PUT", "script", {"default": 3})["error"]["param"] == "$.default"
    assert control("GET", "runs") == {"progress": "read", "reads": 1, "seconds": 1}
    assert control("PUT", "runs", {"progress": "immediate"})["progress"] == stage.fake.runs.progress == "immediate"
    assert control("PUT", "runs", {"reads": 0})["error"]["param"] == "$.reads"


@given(answers)
def test_a_script_comes_back_as_it_was_given(script: list[Any]) -> None:
    """Until it is used up."""
    fake = FakeAssistants()
    given = {"runs": [script], "default": script, "assistants": {"asst_1": script}}
    fake.script = given
    assert fake.script.json() == given
    stage = Stage(fake)
    stage.run()
    assert fake.script.json() == {**given, "runs": []}
    fake.reset()
    assert fake.script.json() == {}


def said(stage: Stage) -> str:
    stage.poll(stage.run())
    return str(stage.messages()[-1]["content"][0]["text"]["value"])


def test_a_script_is_a_copy_and_plain_json(stage: Stage) -> None:
    """However it is given: what the caller changes later does not reach it, and what is no JSON is refused."""
    found: dict[str, Any] = {"file_id": "file-1"}
    stage.fake.script.set({"default": [{"search": {"results": [found]}}]})
    stage.fake.script.when(lambda turn: turn.text == "again", [{"search": {"results": [found]}}])
    found["score"] = 1.0
    for said in ({}, {"additional_messages": [{"role": "user", "content": "again"}]}):
        (step,) = stage.steps(stage.poll(stage.run(**said)))
        assert step["step_details"]["tool_calls"][0]["file_search"]["results"] == [{"file_id": "file-1"}]
    with pytest.raises(BadInput, match="not plain JSON"):
        stage.fake.script.when(lambda _: True, [{"search": {"results": [{"score": {1}}]}}])


def nested(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(levels - 1):
        value = {"deeper": value}
    return value


def test_what_a_script_brings_fits_into_a_state(stage: Stage) -> None:
    """However deep it is, or it is refused."""
    with pytest.raises(BadInput, match="nested more than 400 levels"):
        stage.fake.script = {"default": [{"search": {"results": [nested(396)]}}]}
    stage.fake.script = {"default": [{"search": {"results": [nested(395)]}}]}
    run = stage.poll(stage.run())
    assert len(stage.steps(run)) == 1
    saved = stage.fake.handle(Request.of("GET", "/_fake/state", {}, b"")).body
    assert stage.fake.handle(Request.of("PUT", "/_fake/state", {}, saved)).status == 200


def test_a_predicate_that_raises_leaves_no_run_behind(stage: Stage) -> None:
    """One that nobody could move on would lock the thread."""
    stage.fake.script.when(lambda turn: turn.messages[99] is None, [{"reply": "never"}])
    with pytest.raises(IndexError):
        stage.run()
    stage.fake.script.clear()
    assert stage.poll(stage.run())["status"] == "completed"


def test_the_nearest_script_serves(stage: Stage) -> None:
    """A predicate, then the queue, then the assistant's own, then the default, then the echo."""
    stage.fake.script = {
        "runs": [[{"reply": "first"}], [{"reply": "second"}]],
        "assistants": {stage.assistant: [{"reply": "own"}], "asst_other": [{"reply": "never"}]},
        "default": [{"reply": "default"}],
    }
    stage.fake.script.when(lambda turn: turn.kind == "chat", [{"reply": "never"}])
    assert [said(stage) for _ in range(3)] == ["first", "second", "own"]
    stage.fake.script.when(lambda turn: "3x" in turn.text and len(turn.messages) > 2, [{"reply": "by rule"}])
    assert said(stage) == "by rule"
    stage.fake.script.clear()
    stage.fake.script = {"default": [{"reply": "default"}]}
    assert said(stage) == "default"
    stage.fake.script = {}
    assert said(stage) == "What is 3x + 11?"


def test_functions_that_no_tool_has_are_called_and_named(stage: Stage) -> None:
    """Once each, for runs, responses and chat completions; tools of the run replace those of its assistant."""
    weather: dict[str, Any] = {"name": "weather", "parameters": {}}
    now: dict[str, Any] = {"name": "now", "parameters": {}}
    stage.ask("POST", f"/assistants/{stage.assistant}", {"tools": [{"type": "function", "function": weather}]})
    stage.fake.script = {"default": [{"call": [{"name": "weather"}, {"name": "weathr"}]}]}
    script = stage.fake.script
    assert list(script.unknown_functions) == []
    for _ in range(2):
        run = stage.poll(stage.run())
        calls = run["required_action"]["submit_tool_outputs"]["tool_calls"]
        assert [call["function"]["name"] for call in calls] == ["weather", "weathr"]
        assert list(script.unknown_functions) == ["weathr"]
        stage.ask("POST", f"/threads/{stage.thread}/runs/{run['id']}/cancel")
        stage.poll(run)
    stage.run(tools=[{"type": "function", "function": now}])
    assert list(script.unknown_functions) == ["weathr", "weather"]
    stage.fake.script = {"default": [{"call": [{"name": "now"}]}]}
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "x"}]}
    stage.ask("POST", "/responses", {"model": "gpt-4o", "input": "x", "tools": [{"type": "function", **now}]})
    stage.ask("POST", "/chat/completions", {**body, "tools": [{"type": "function", "function": now}]})
    assert list(script.unknown_functions) == []
    stage.ask("POST", "/chat/completions", body)
    assert list(script.unknown_functions) == ["now"]
    stage.fake.reset()
    assert list(script.unknown_functions) == []


@pytest.mark.parametrize(
    ("given", "where"),
    [
        ([], "$"),
        ({"defaults": []}, "$.defaults"),
        ({"default": {}}, "$.default"),
        ({"default": [3]}, "$.default[0]"),
        ({"default": [{}]}, "$.default[0]"),
        ({"default": [{"reply": "x", "call": []}]}, "$.default[0]"),
        ({"default": [{"reply": 3}]}, "$.default[0].reply"),
        ({"default": [{"reply": [{"text": "x"}]}]}, "$.default[0].reply[0].type"),
        ({"default": [{"reply": [{"type": "text", "text": {"value": 3}}]}]}, "$.default[0].reply[0].text.value"),
        ({"default": [{"reply": [{"type": "refusal"}]}]}, "$.default[0].reply[0].refusal"),
        ({"runs": [[{"call": []}]]}, "$.runs[0][0].call"),
        ({"runs": [[{"call": [{"name": "f", "arguments": 3}]}]]}, "$.runs[0][0].call[0].arguments"),
        ({"runs": [[{"call": [{"name": "f", "id": 3}]}]]}, "$.runs[0][0].call[0].id"),
        ({"runs": [[{"call": [{}]}]]}, "$.runs[0][0].call[0].name"),
        ({"runs": [[{"code": {"outputs": []}}]]}, "$.runs[0][0].code.input"),
        ({"runs": [[{"code": {"input": "", "outputs": [{}]}}]]}, "$.runs[0][0].code.outputs[0].type"),
        ({"runs": [[{"search": {"results": [3]}}]]}, "$.runs[0][0].search.results[0]"),
        ({"runs": [[{"image": 3}]]}, "$.runs[0][0].image"),
        ({"runs": [[{"refuse": None}]]}, "$.runs[0][0].refuse"),
        ({"runs": [[{"fail": {"code": "x"}}]]}, "$.runs[0][0].fail.message"),
        ({"runs": [[{"incomplete": 3}]]}, "$.runs[0][0].incomplete"),
        ({"runs": [[{"error": {"message": 3}}]]}, "$.runs[0][0].error.message"),
        ({"assistants": {"asst_1": 3}}, "$.assistants.asst_1"),
        ({"default": [{"reply": "x", "chunk": 0}]}, "$.default[0].chunk"),
        ({"default": [{"reply": "x", "cut": -1}]}, "$.default[0].cut"),
        ({"default": [{"reply": "x", "pause": -1}]}, "$.default[0].pause"),
        ({"default": [{"reply": "x", "pause": True}]}, "$.default[0].pause"),
    ],
)
def test_a_script_that_is_none_is_refused_with_its_place(stage: Stage, given: Any, where: str) -> None:
    """And nothing changes."""
    stage.fake.script = {"default": [{"reply": "kept"}]}
    with pytest.raises(BadInput) as bad:
        stage.fake.script = given
    assert bad.value.where == where
    assert said(stage) == "kept"


NOTE = {"type": "file_citation", "text": "x", "start_index": 0, "end_index": 1, "file_citation": {"file_id": "file-1"}}


@pytest.mark.parametrize(
    "wrong", [{"start_index": None}, {"end_index": 3}, {"start_index": 2}, {"text": 3}, {"start_index": True}]
)
def test_an_annotation_must_stand_within_its_text(stage: Stage, wrong: dict[str, Any]) -> None:
    """Offsets count characters."""
    part = {"type": "text", "text": {"value": "xy", "annotations": [{**NOTE, **wrong}]}}
    with pytest.raises(BadInput, match=r"annotations\[0\]"):
        stage.fake.script = {"default": [{"reply": [part]}]}
