"""Cases: runs as streams of events."""

import re
from collections.abc import Sequence
from typing import Any

import fake_assistants.conformance.cases.runs as runs
import fake_assistants.conformance.cases.steps as steps
import fake_assistants.conformance.cases.threads as threads
import fake_assistants.conformance.fixtures as staging
from fake_assistants.conformance.api import Api
from fake_assistants.conformance.case import Case
from fake_assistants.conformance.expectations import Deviation, Found, shown
from fake_assistants.conformance.response import Event, wire
from fake_assistants.http.lossless_json import dumps_compact

MESSAGE_KEYS = (
    *("id", "object", "created_at", "assistant_id", "thread_id", "run_id", "status", "incomplete_details"),
    *("incomplete_at", "completed_at", "role", "content", "attachments", "metadata"),
)
_START = ("run.created", "run.queued", "run.in_progress")
_RESUMED = ("run.queued", "run.in_progress")
_STEP = ("run.step.created", "run.step.in_progress")
_MESSAGE = (
    *_STEP,
    *("message.created", "message.in_progress", "message.delta*", "message.completed"),
    "run.step.completed",
)
_TOOL = (*_STEP, "run.step.delta*", "run.step.completed")
_END = ("run.completed", "done")


def _run(api: Api, text: str = "Say hello.", **fields: Any) -> list[Event]:
    chosen = fields.pop("assistant_id", None) or staging.assistant(api)
    return api.stream(f"{staging.thread(api, text)}/runs", {"assistant_id": chosen, **fields})


def _in_order(read: Sequence[Event], *expected: str) -> None:
    """Expect events of these names; a star matches one or more."""
    actual = [event.name.removeprefix("thread.") for event in read]
    parts = (f"(?:{re.escape(name[:-1])} )+" if name.endswith("*") else f"{re.escape(name)} " for name in expected)
    if not re.fullmatch("".join(parts), "".join(f"{name} " for name in actual)):
        shown = [name for at, name in enumerate(actual) if actual[at - 1 : at] != [name]]
        raise Deviation(_asked(read), f"the events {', '.join(expected)}", ", ".join(shown) or "none")


def _asked(read: Sequence[Event]) -> str:
    return read[0].asked if read else "a stream"


def _all(read: Sequence[Event], name: str) -> list[Event]:
    found = [event for event in read if event.name == f"thread.{name}"]
    if not found:
        raise Deviation(_asked(read), f"an event thread.{name}", ", ".join(event.name for event in read) or "none")
    return found


def _data(read: Sequence[Event], name: str) -> Found:
    return _all(read, name)[0].data


def on_the_wire(api: Api) -> None:
    """Events are `event:` and `data:` with compact JSON in raw UTF-8, without ids or comments; [DONE] ends them."""
    path = staging.thread(api, "Say hello in Polish: Cześć!")
    body = {"assistant_id": staging.assistant(api), "stream": True}
    answer = api.post(f"{path}/runs", body)
    answer.has_header("content-type", "text/event-stream; charset=utf-8")
    actual = wire(answer)
    if not re.fullmatch(rb"(event: thread\.[a-z._]+\ndata: \{[^\n]*\}\n\n)+event: done\ndata: \[DONE\]\n\n", actual):
        raise Deviation(answer.asked, "blocks of event: and data:, and [DONE] at the end", shown(actual))
    for line in re.findall(rb"^data: (\{.*)$", actual, re.MULTILINE):
        event = Event("event", line.decode("utf-8", "replace"), answer.asked)
        if dumps_compact(event.data.value) != line:
            raise Deviation(answer.asked, "compact JSON in raw UTF-8", shown(line))


def plain(api: Api) -> None:
    """A text run: created, queued, in progress, a step, its message in deltas, completed, done."""
    _in_order(_run(api), *_START, *_MESSAGE, *_END)


def deltas(api: Api) -> None:
    """Deltas add up to the message; only the first has annotations."""
    read = _run(api)
    parts = [event.data["delta"]["content"].only() for event in _all(read, "message.delta")]
    message = _data(read, "message.completed")
    for at, part in enumerate(parts):
        part.has(index=0, type="text")
        part["text"].keys(("value",) if at else ("value", "annotations"))
    text = "".join(part["text"]["value"].text() for part in parts)
    message["content"].only()["text"]["value"].same(text)
    found = api.get(f"/threads/{message['thread_id'].text()}/messages?limit=1").ok()["data"].only()
    found["content"].same(message["content"].value)
    for event in _all(read, "message.delta"):
        event.data.keys(("id", "object", "delta"))
        event.data.has(id=message["id"].value, object="thread.message.delta")


def message_form(api: Api) -> None:
    """A message in a stream has its long form: with status and times, empty until its first delta."""
    read = _run(api)
    for name, status in (("created", "in_progress"), ("in_progress", "in_progress"), ("completed", "completed")):
        message = _data(read, f"message.{name}")
        message.keys(MESSAGE_KEYS)
        message.has(status=status, role="assistant", incomplete_details=None, incomplete_at=None)
    _data(read, "message.created").has(content=[], completed_at=None)
    _data(read, "message.completed")["completed_at"].number()


def run_form(api: Api) -> None:
    """A run in a stream has its recorded keys, and empty tool resources in their long form."""
    read = _run(api)
    for name, status in (("created", "queued"), ("queued", "queued"), ("in_progress", "in_progress")):
        found = _data(read, f"run.{name}")
        found.keys(runs.KEYS)
        found.has(status=status, tool_resources=threads.LONG_FORM, usage=None)
    ended = _data(read, "run.completed")
    ended.has(status="completed", expires_at=None)
    ended["usage"]["total_tokens"].number()
    ended["completed_at"].number()


def step_form(api: Api) -> None:
    """A step in a stream has its expires_at, also when it is completed."""
    read = _run(api)
    for name, status in (("created", "in_progress"), ("in_progress", "in_progress"), ("completed", "completed")):
        step = _data(read, f"run.step.{name}")
        step.keys(steps.KEYS)
        step.has(status=status, type="message_creation")
        step["expires_at"].number()


def afterwards(api: Api) -> None:
    """After the stream the run is completed and its message is in the thread."""
    read = _run(api)
    ended = _data(read, "run.completed")
    found = api.get(staging.run_path(ended)).ok()
    found.has(status="completed", completed_at=ended["completed_at"].value, tool_resources={})
    message = _data(read, "message.completed")
    rows = api.get(f"/threads/{ended['thread_id'].text()}/messages").ok()
    rows["first_id"].same(message["id"].value)


def create_and_run(api: Api) -> None:
    """A thread created in the same call comes first, with its tool resources in the long form."""
    thread = {"messages": [{"role": "user", "content": "Hello"}]}
    read = api.stream("/threads/runs", {"assistant_id": staging.assistant(api), "thread": thread})
    _in_order(read, "created", *_START, *_MESSAGE, *_END)
    made = _data(read, "created")
    made.keys(threads.KEYS)
    made["tool_resources"].same(threads.LONG_FORM)


def refused(api: Api) -> None:
    """An error before the stream begins is an ordinary error in JSON."""
    body = {"assistant_id": staging.assistant(api), "stream": True}
    answer = api.post(f"{staging.thread(api)}/runs", body)
    answer.refused(400, code="invalid_thread")
    answer.has_header("content-type", "application/json")


def _called(api: Api) -> list[Event]:
    chosen = staging.assistant(api, instructions="Use the function.", tools=[staging.WEATHER])
    read = _run(api, "What is the weather in Łódź?", assistant_id=chosen, tool_choice=staging.CHOICE)
    staging.called(api, "completed" if any(event.name == "thread.run.completed" for event in read) else None)
    return read


_SUNNY: tuple[dict[str, Any], ...] = ({"call": [staging.CALL]}, {"reply": "It is sunny."})


def function_call(api: Api) -> None:
    """A function call: the step's deltas, requires_action, done; the step stays open."""
    with staging.scripted(api, *_SUNNY):
        read = _called(api)
    _in_order(read, *_START, *_STEP, "run.step.delta*", "run.requires_action", "done")
    waiting = _data(read, "run.requires_action")
    waiting["status"].same("requires_action")
    first, *more = [event.data["delta"]["step_details"]["tool_calls"].only() for event in _all(read, "run.step.delta")]
    first.has(index=0, type="function", function={"name": "get_weather", "arguments": "", "output": None})
    arguments = "".join(part["function"]["arguments"].text() for part in more)
    call = staging.calls_of(waiting)[0]
    call["id"].same(first["id"].value)
    call["function"]["arguments"].same(arguments)


def submitted(api: Api) -> None:
    """The stream after outputs: open step completed, queued, in progress, the message, completed; no run.created."""
    with staging.scripted(api, *_SUNNY):
        waiting = _data(_called(api), "run.requires_action")
        outputs = [{"tool_call_id": call["id"].text(), "output": "sunny"} for call in staging.calls_of(waiting)]
        read = api.stream(f"{staging.run_path(waiting)}/submit_tool_outputs", {"tool_outputs": outputs})
    _in_order(read, "run.step.completed", *_RESUMED, *_MESSAGE, *_END)
    step = _data(read, "run.step.completed")
    step["step_details"]["tool_calls"].only()["function"]["output"].same("sunny")


def code(api: Api) -> None:
    """A built-in tool comes before the message, in deltas that begin empty."""
    with staging.scripted(api, {"code": {"input": "a = 60\na + 5", "outputs": ["65"]}}, {"reply": "It is 65."}):
        read = _run(api)
    _in_order(read, *_START, *_TOOL, *_MESSAGE, *_END)
    calls = [event.data["delta"]["step_details"]["tool_calls"].only() for event in _all(read, "run.step.delta")]
    calls[0].has(index=0, type="code_interpreter", code_interpreter={"input": "", "outputs": []})
    calls[0]["id"].text()
    typed = "".join(call["code_interpreter"].either("input", "").text() for call in calls)
    calls[-1]["code_interpreter"]["outputs"].only().has(index=0, type="logs", logs="65")
    if typed != "a = 60\na + 5":
        raise calls[-1].deviates("deltas that add up to the input")


def error(api: Api) -> None:
    """An error in the middle comes as an event `error`, wrapped as in JSON answers; then done."""
    with staging.scripted(api, {"error": {"message": "Broken.", "type": "server_error"}}):
        read = _run(api)
    _in_order(read[-2:], "error", "done")
    found = read[-2].data["error"]
    found.keys(("message", "type", "param", "code"))
    found.has(message="Broken.", type="server_error", param=None, code=None)


def incomplete(api: Api) -> None:
    """A message that is cut off ends as incomplete, with the reason; its step is completed."""
    with staging.scripted(api, {"reply": "Hello there"}, {"incomplete": "max_completion_tokens"}):
        read = _run(api)
    message = _data(read, "message.incomplete")
    message.has(status="incomplete", incomplete_details={"reason": "max_tokens"}, completed_at=None)
    message["incomplete_at"].number()
    _data(read, "run.step.completed")["status"].same("completed")
    last = read[-2] if len(read) > 1 else read[-1]  # run.completed in 2024, run.incomplete later
    last.data["status"].same("incomplete")


def annotations(api: Api) -> None:
    """A citation's delta has an index and an empty quote; the message has neither."""
    value, marker = "Cake【4:0†foods.txt】.", "【4:0†foods.txt】"
    cited = {
        "type": "file_citation",
        "text": marker,
        "start_index": 4,
        "end_index": 4 + len(marker),
        "file_citation": {"file_id": "file-abc"},
    }
    part = {"type": "text", "text": {"value": value, "annotations": [cited]}}
    with staging.scripted(api, {"reply": [part]}):
        read = _run(api)
    texts = [event.data["delta"]["content"].only()["text"] for event in _all(read, "message.delta")]
    notes = [note.value for text in texts for note in text.either("annotations", []).rows()]
    expected = [{"index": 0, **cited, "file_citation": {"file_id": "file-abc", "quote": ""}}]
    Found(notes, _asked(read), "(thread.message.delta) annotations").same(expected)
    _data(read, "message.completed")["content"].same([part])


CASES = (
    Case("streaming", "on-the-wire", "recorded", on_the_wire),
    Case("streaming", "plain", "recorded", plain),
    Case("streaming", "deltas", "recorded", deltas),
    Case("streaming", "message-form", "recorded", message_form),
    Case("streaming", "run-form", "recorded", run_form),
    Case("streaming", "step-form", "recorded", step_form),
    Case("streaming", "afterwards", "recorded", afterwards),
    Case("streaming", "create-and-run", "recorded", create_and_run),
    Case("streaming", "refused", "recorded", refused),
    Case("streaming", "function-call", "recorded", function_call),
    Case("streaming", "submitted", "recorded", submitted),
    Case("streaming", "code", "recorded", code, needs=("control",)),
    Case("streaming", "error", "recorded", error, needs=("control",)),
    Case("streaming", "incomplete", "recorded", incomplete, needs=("control",)),
    Case("streaming", "annotations", "recorded", annotations, needs=("control",)),
)
