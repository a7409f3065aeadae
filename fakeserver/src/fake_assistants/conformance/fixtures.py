"""What cases stand on: a thread, an assistant, a run that has come so far."""

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
    """The path of a new thread, with a user's message for each text."""
    messages = [{"role": "user", "content": text} for text in texts]
    made = api.post("/threads", {"messages": messages} if messages else {}).ok()
    return f"/threads/{made['id'].text()}"


def message(api: Api, path: str, **fields: Any) -> Found:
    """A new message in the thread at `path`; without fields a user says "Hello"."""
    return api.post(f"{path}/messages", {"role": "user", "content": "Hello"} | fields).ok()


def assistant(api: Api, **fields: Any) -> str:
    """The id of a new assistant."""
    return api.post("/assistants", {"model": api.model} | fields).ok()["id"].text()


def run(api: Api, path: str, **fields: Any) -> Found:
    """A new run in the thread at `path`; without an assistant_id, of a new assistant."""
    chosen = fields.pop("assistant_id", None) or assistant(api, instructions="Answer in one short sentence.")
    return api.post(f"{path}/runs", {"assistant_id": chosen} | fields).ok()


def run_path(made: Found) -> str:
    """The path of a run."""
    return f"/threads/{made['thread_id'].text()}/runs/{made['id'].text()}"


def finished(api: Api, path: str, **fields: Any) -> Found:
    """A new run, read until it has ended."""
    return api.until(run_path(run(api, path, **fields)), TERMINAL)


@contextmanager
def scripted(api: Api, *steps: dict[str, Any]) -> Iterator[None]:
    """Where there is a script the model follows these steps in every run; elsewhere it is left to itself."""
    with api.staged("script", {"default": list(steps)}) if api.setting.control else nullcontext():
        yield


@contextmanager
def calling(api: Api, calls: int = 1) -> Iterator[Found]:
    """A run that waits for the outputs of function calls, and then answers."""
    steps: tuple[dict[str, Any], ...] = ({"call": [CALL] * calls}, {"reply": "It is sunny."})
    with scripted(api, *steps):
        chosen = assistant(api, instructions="Use the function.", tools=[WEATHER])
        path = thread(api, "What is the weather in " + " and in ".join(("Łódź", "Graz", "Porto")[:calls]) + "?")
        made = run(api, path, assistant_id=chosen, **({"tool_choice": CHOICE} if calls == 1 else {}))
        waiting = api.until(run_path(made), ("requires_action", *TERMINAL))
        called(api, waiting["status"].value)
        yield waiting


def called(api: Api, status: object) -> None:
    """Raises NotApplicable where a model that is left to itself has answered and called nothing."""
    if status == "completed" and not api.setting.control:
        raise NotApplicable("the model answered without calling the function")


def calls_of(made: Found, least: int = 1) -> list[Found]:
    """The function calls that a run waits for."""
    made["status"].same("requires_action")
    return made["required_action"]["submit_tool_outputs"]["tool_calls"].rows(least)


def submit(api: Api, made: Found, output: str = "sunny") -> Found:
    """Hand in the output of every call that a run waits for."""
    outputs = [{"tool_call_id": call["id"].text(), "output": output} for call in calls_of(made)]
    return api.post(f"{run_path(made)}/submit_tool_outputs", {"tool_outputs": outputs}).ok()


def worded(answer: Answer, pattern: str, words: str) -> None:
    """Want status 400 and a message of which only a part is known. Raises Deviation."""
    if answer.status != 400:
        raise answer.deviates(f"status 400 and a message like {words!r}")
    answer.json()["error"]["message"].like(pattern, words)


def served(answer: Answer) -> Answer:
    """The answer of a route beside the Assistants API. Raises NotApplicable where the server does not have it."""
    if answer.status in {404, 405, 501}:
        raise NotApplicable(f"{answer.asked} is answered {answer.status}: the server has no such route")
    return answer
