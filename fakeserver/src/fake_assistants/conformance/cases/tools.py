"""Cases: function calls over REST."""

import json

import fake_assistants.conformance.cases.runs as runs
import fake_assistants.conformance.fixtures as staging
from fake_assistants.conformance.api import Api
from fake_assistants.conformance.case import Case
from fake_assistants.conformance.expectations import Found


def requires_action(api: Api) -> None:
    """A run that calls a function requires an action, in the recorded shape; arguments are JSON text."""
    with staging.calling(api) as made:
        made.keys(runs.KEYS)
        action = made["required_action"]
        action.keys(("type", "submit_tool_outputs"))
        action["type"].same("submit_tool_outputs")
        call = staging.calls_of(made)[0]
    call.keys(("id", "type", "function"))
    call["id"].like("call_[A-Za-z0-9]{24}", "call_ and 24 letters and digits")
    call["function"].keys(("name", "arguments"))
    call["function"]["name"].same("get_weather")
    _arguments(call)


def _arguments(call: Found) -> None:
    text = call["function"]["arguments"]
    try:
        is_object = isinstance(json.loads(text.text()), dict)
    except ValueError:
        is_object = False
    if not is_object:
        raise text.deviates("the JSON text of an object")


def submit(api: Api) -> None:
    """Submitting the outputs returns the run, queued, with no required action; it completes."""
    with staging.calling(api) as made:
        queued = staging.submit(api, made)
        queued.keys(runs.KEYS)
        queued.has(id=made["id"].value, status="queued", required_action=None, expires_at=made["expires_at"].value)
        ended = api.until(staging.run_path(made), staging.TERMINAL)
    ended["status"].same("completed")
    api.get(f"/threads/{made['thread_id'].text()}/messages").ok()["data"].rows(2)[0]["role"].same("assistant")


def wrong_outputs(api: Api) -> None:
    """400 if not every output is submitted at once, naming both sets; the run still waits."""
    with staging.calling(api, calls=2) as made:
        ids = [call["id"].text() for call in staging.calls_of(made)]
        path = staging.run_path(made)
        answer = api.post(f"{path}/submit_tool_outputs", {"tool_outputs": [{"tool_call_id": ids[0], "output": "x"}]})
        answer.refused(400, f"Expected tool outputs for call_ids {ids}, got {ids[:1]}")
        api.get(path).ok()["status"].same("requires_action")


def two_calls(api: Api) -> None:
    """Two calls at once are answered in one request."""
    with staging.calling(api, calls=2) as made:
        first, second = (call["id"].text() for call in staging.calls_of(made, 2)[:2])
        outputs = [{"tool_call_id": second, "output": "2"}, {"tool_call_id": first, "output": "1"}]
        api.post(f"{staging.run_path(made)}/submit_tool_outputs", {"tool_outputs": outputs}).ok()
        api.until(staging.run_path(made), staging.TERMINAL)["status"].same("completed")
        steps = api.get(f"{staging.run_path(made)}/steps?order=asc").ok()["data"].rows(2)
    for call, output in zip(steps[0]["step_details"]["tool_calls"].rows(2), "12", strict=False):
        call["function"]["output"].same(output)


def waits(api: Api) -> None:
    """A run waits for its outputs however often it is read."""
    with staging.calling(api) as made:
        staging.calls_of(made)
        for _ in range(3):
            api.get(staging.run_path(made)).ok().same(made.value)


CASES = (
    Case("tools", "requires-action", "recorded", requires_action),
    Case("tools", "submit", "recorded", submit),
    Case("tools", "wrong-outputs", "recorded", wrong_outputs, needs=("control",)),
    Case("tools", "two-calls", "recorded", two_calls, needs=("control",)),
    Case("tools", "waits", "spec", waits),
)
