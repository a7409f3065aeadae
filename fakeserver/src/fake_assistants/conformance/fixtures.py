"""Fixtures of cases: threads, assistants, and runs in a given status."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from fake_assistants.conformance.api import Api
from fake_assistants.conformance.expectations import Found, NotApplicable
from fake_assistants.conformance.response import Answer

TERMINAL = ("completed", "failed", "incomplete", "cancelled", "expired")

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the weather of a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}
CALL = {"name": "get_weather", "arguments": {"city": "Łódź"}}
CHOICE = {"type": "function", "function": {"name": "get_weather"}}


def thread(api: Api, *texts: str) -> str:
    """Create a thread, with a user's message for each text, and return its path."""
    messages = [{"role": "user", "content": text} for text in texts]
    made = api.post("/threads", {"messages": messages} if messages else {}).ok()
    return f"/threads/{made['id'].text()}"


def message(api: Api, path: str, **fields: Any) -> Found:
    """Create a message in the thread at `path`; by default a user's "Hello"."""
    return api.post(f"{path}/messages", {"role": "user", "content": "Hello"} | fields).ok()


def assistant(api: Api, **fields: Any) -> str:
    """Create an assistant, and return its id."""
    return api.post("/assistants", {"model": api.model} | fields).ok()["id"].text()


def run(api: Api, path: str, **fields: Any) -> Found:
    """Create a run in the thread at `path`; without an assistant_id, of a new assistant."""
    chosen = fields.pop("assistant_id", None) or assistant(api, instructions="Answer in one short sentence.")
    return api.post(f"{path}/runs", {"assistant_id": chosen} | fields).ok()


def run_path(made: Found) -> str:
    """Return the path of a run."""
    return f"/threads/{made['thread_id'].text()}/runs/{made['id'].text()}"


def finished(api: Api, path: str, **fields: Any) -> Found:
    """Create a run, and read it until it has ended."""
    return api.until(run_path(run(api, path, **fields)), TERMINAL)


@contextmanager
def scripted(api: Api, *steps: dict[str, Any]) -> Iterator[None]:
    """Script the model's steps for every run, if the server has the control API."""
    with api.staged("script", {"default": list(steps)}) if api.setting.control else nullcontext():
        yield


@contextmanager
def calling(api: Api, calls: int = 1) -> Iterator[Found]:
    """Yield a run that waits for the outputs of function calls, and then answers."""
    steps: tuple[dict[str, Any], ...] = ({"call": [CALL] * calls}, {"reply": "It is sunny."})
    with scripted(api, *steps):
        chosen = assistant(api, instructions="Use the function.", tools=[WEATHER])
        path = thread(api, "What is the weather in " + " and in ".join(("Łódź", "Graz", "Porto")[:calls]) + "?")
        made = run(api, path, assistant_id=chosen, **({"tool_choice": CHOICE} if calls == 1 else {}))
        waiting = api.until(run_path(made), ("requires_action", *TERMINAL))
        called(api, waiting["status"].value)
        yield waiting


def called(api: Api, status: object) -> None:
    """Raise NotApplicable if a model that is not scripted answered without a call."""
    if status == "completed" and not api.setting.control:
        raise NotApplicable("the model answered without calling the function")


def calls_of(made: Found, least: int = 1) -> list[Found]:
    """Return the function calls that a run waits for."""
    made["status"].same("requires_action")
    return made["required_action"]["submit_tool_outputs"]["tool_calls"].rows(least)


def submit(api: Api, made: Found, output: str = "sunny") -> Found:
    """Submit an output for every call that a run waits for."""
    outputs = [{"tool_call_id": call["id"].text(), "output": output} for call in calls_of(made)]
    return api.post(f"{run_path(made)}/submit_tool_outputs", {"tool_outputs": outputs}).ok()


def worded(answer: Answer, pattern: str, words: str) -> None:
    """Expect status 400 and a message that is known in part. Raises Deviation."""
    if answer.status != 400:
        raise answer.deviates(f"status 400 and a message like {words!r}")
    answer.json()["error"]["message"].like(pattern, words)


def served(answer: Answer) -> Answer:
    """Return the answer of a route outside the Assistants API. Raises NotApplicable if the server does not have it."""
    if answer.status in {404, 405, 501}:
        raise NotApplicable(f"{answer.asked} is answered {answer.status}: the server has no such route")
    return answer
