"""Cases: run steps."""

import fake_assistants.conformance.fixtures as staging
from fake_assistants.conformance.api import Api
from fake_assistants.conformance.case import Case
from fake_assistants.conformance.expectations import Found

KEYS = (
    *("id", "object", "created_at", "run_id", "assistant_id", "thread_id", "type", "status", "cancelled_at"),
    *("completed_at", "expires_at", "failed_at", "last_error", "step_details", "usage"),
)
_CONTENT = "step_details.tool_calls[*].file_search.results[*].content"
_RESULT = {
    "file_id": "file-abc",
    "file_name": "foods.txt",
    "score": 0.75,
    "attributes": {},
    "content": [{"type": "text", "text": "cake"}],
}


def _of(api: Api, made: Found, query: str = "order=asc", least: int = 1) -> list[Found]:
    return api.get(f"{staging.run_path(made)}/steps?{query}").ok()["data"].rows(least)


def message_creation(api: Api) -> None:
    """A run that answers has a step with the id of its message; recorded keys, in order."""
    path = staging.thread(api, "Say hello.")
    made = staging.finished(api, path)
    step = _of(api, made)[-1]
    step.keys(KEYS)
    step["id"].like("step_[A-Za-z0-9]{24}", "step_ and 24 letters and digits")
    step.has(object="thread.run.step", type="message_creation", status="completed", expires_at=None, last_error=None)
    step.has(run_id=made["id"].value, thread_id=made["thread_id"].value, assistant_id=made["assistant_id"].value)
    message = api.get(f"{path}/messages?limit=1").ok()["data"].only()
    step["step_details"].same(
        {"type": "message_creation", "message_creation": {"message_id": message["id"].value}},
    )
    message["created_at"].same(step["created_at"].value)


def retrieve(api: Api) -> None:
    """A step is retrieved as it is listed."""
    made = staging.finished(api, staging.thread(api, "Hello"))
    step = _of(api, made)[0]
    found = api.get(f"{staging.run_path(made)}/steps/{step['id'].text()}").ok()
    found.same(step.value)
    found.keys(KEYS)


def unknown(api: Api) -> None:
    """404, No run step found with id '...', also for a short id."""
    made = staging.finished(api, staging.thread(api, "Hello"))
    answer = api.get(f"{staging.run_path(made)}/steps/step_123")
    answer.refused(404, "No run step found with id 'step_123'.")


def empty(api: Api) -> None:
    """A run that is queued has no steps: an empty page with null ids."""
    with api.staged("runs", {"progress": "read", "reads": 1}):
        made = staging.run(api, staging.thread(api, "Hello"))
        page = api.get(f"{staging.run_path(made)}/steps").ok()
    page.same({"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False})


def waiting_call(api: Api) -> None:
    """While the run waits for outputs, the step is in progress and its output null."""
    with staging.calling(api) as made:
        call = staging.calls_of(made)[0]
        step = _of(api, made)[-1]
        step.has(type="tool_calls", status="in_progress", completed_at=None)
        call_in_step = step["step_details"]["tool_calls"].rows(1)[0]
        call_in_step.has(id=call["id"].value, type="function")
        call_in_step["function"].has(name="get_weather", arguments=call["function"]["arguments"].value, output=None)


def answered_call(api: Api) -> None:
    """After the outputs the step is completed and contains them; the message's step follows it."""
    with staging.calling(api) as made:
        staging.submit(api, made, "warm and sunny")
        api.until(staging.run_path(made), staging.TERMINAL)["status"].same("completed")
        first, *_, last = _of(api, made)
    first.has(type="tool_calls", status="completed")
    first["step_details"]["tool_calls"].only()["function"]["output"].same("warm and sunny")
    last["type"].same("message_creation")


def listing(api: Api) -> None:
    """Steps have pages like any list: two, then the remaining one."""
    steps = ({"code": {"input": "1", "outputs": ["1"]}}, {"code": {"input": "2"}}, {"reply": "Done."})
    with staging.scripted(api, *steps):
        made = staging.finished(api, staging.thread(api, "Count."))
    path = f"{staging.run_path(made)}/steps"
    ids = [step["id"].text() for step in _of(api, made, least=3)]
    page = api.get(f"{path}?limit=2").ok()
    page.ids(ids[:0:-1])
    page.has(has_more=True)
    rest = api.get(f"{path}?limit=2&after={ids[1]}").ok()
    rest.ids(ids[:1])
    rest.has(has_more=False)


def code(api: Api) -> None:
    """A code interpreter's step has its input and outputs, with their line ends."""
    outputs = [{"type": "logs", "logs": "65"}]
    with staging.scripted(api, {"code": {"input": "a = 60\r\na + 5", "outputs": outputs}}, {"reply": "65"}):
        made = staging.finished(api, staging.thread(api, "Add."))
    call = _of(api, made)[0]["step_details"]["tool_calls"].only()
    call.keys(("id", "type", "code_interpreter"))
    call["id"].like("call_[A-Za-z0-9]{24}", "call_ and 24 letters and digits")
    call.has(type="code_interpreter", code_interpreter={"input": "a = 60\r\na + 5", "outputs": outputs})


def search(api: Api) -> None:
    """A file search's step has its results; their content only with `include[]`."""
    with staging.scripted(api, {"search": {"results": [_RESULT]}}, {"reply": "Cake."}):
        made = staging.finished(api, staging.thread(api, "What does Filip like?"))
    bare = {key: value for key, value in _RESULT.items() if key != "content"}
    for query, expected in (("order=asc", bare), (f"order=asc&include[]={_CONTENT}", _RESULT)):
        call = _of(api, made, query)[0]["step_details"]["tool_calls"].only()
        call["file_search"]["results"].same([expected])


CASES = (
    Case("steps", "message-creation", "recorded", message_creation),
    Case("steps", "retrieve", "recorded", retrieve),
    Case("steps", "unknown", "recorded", unknown),
    Case("steps", "empty", "recorded", empty, needs=("control",)),
    Case("steps", "waiting-call", "recorded", waiting_call),
    Case("steps", "answered-call", "recorded", answered_call),
    Case("steps", "listing", "recorded", listing, needs=("control",)),
    Case("steps", "code", "recorded", code, needs=("control",)),
    Case("steps", "search", "recorded", search, needs=("control",)),
)
