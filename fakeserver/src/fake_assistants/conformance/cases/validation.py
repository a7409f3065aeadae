"""Cases: bodies and queries that are refused, with the validator's texts."""

from collections.abc import Callable
from typing import Any

import fake_assistants.conformance.fixtures as staging
from fake_assistants.conformance.api import Api
from fake_assistants.conformance.case import Case, Evidence

_ROLES = "Supported values are: 'user' and 'assistant'."
_PROPERTIES = (
    "Invalid 'metadata': too many properties. Expected an object with at most 16 properties, "
    "but got an object with 17 properties instead."
)
_ARTICLES = {"string": "a string", "array": "an array"}


def _long(what: str, noun: str, limit: int, found: int) -> str:
    return (
        f"Invalid '{what}': {noun} too long. Expected {_ARTICLES[noun]} with maximum length {limit}, "
        f"but got {_ARTICLES[noun]} with length {found} instead."
    )


def _missing(what: str) -> str:
    return f"Missing required parameter: '{what}'."


def _type(what: str, expected: str, got: str) -> str:
    return f"Invalid type for '{what}': expected {expected}, but got {got} instead."


def _body(
    route: str, name: str, evidence: Evidence, body: dict[str, Any], text: str | None, param: str, code: str
) -> Case:
    """Return a check that posts a body below a new thread, or to another route.

    Without a text only the code is expected.
    """

    def check(api: Api) -> None:
        path = staging.thread(api)
        answer = api.post(route.format(thread=path), body)
        answer.refused(400, text, param=param, code=code)

    check.__doc__ = f"400, {code} at {param}."
    return Case("validation", name, evidence, check)


def _thread(name: str, evidence: Evidence, body: dict[str, Any], text: str | None, param: str, code: str) -> Case:
    return _body("{thread}", name, evidence, body, text, param, code)


def _message(name: str, evidence: Evidence, change: dict[str, Any], text: str | None, param: str, code: str) -> Case:
    body = {"role": "user", "content": "x"} | change
    kept = {key: value for key, value in body.items() if value is not None}
    return _body("{thread}/messages", name, evidence, kept, text, param, code)


def _assistant(name: str, evidence: Evidence, body: dict[str, Any], text: str | None, param: str, code: str) -> Case:
    return _body("/assistants", name, evidence, body, text, param, code)


def _query(name: str, query: str, text: str, param: str, code: str) -> Case:
    """Return a check that lists the messages of a new thread. The texts of these routes are not known."""

    def check(api: Api) -> None:
        path = staging.thread(api, "one")
        api.get(f"{path}/messages?{query}").refused(400, text, param=param, code=code)

    check.__doc__ = f"400, {code} at {param}, for {query}."
    return Case("validation", name, "inferred", check)


def _name(route: str, param: str, body: Callable[[dict[str, Any]], dict[str, Any]]) -> Case:
    """Return a check that gives a function a name with a blank."""
    text = (
        f"Invalid '{param}': string does not match pattern. "
        "Expected a string that matches the pattern '^[a-zA-Z0-9_-]+$'."
    )

    def check(api: Api) -> None:
        answer = api.post(f"/{route}", {"model": api.model, **body({"name": "Google Search"})})
        (answer if route == "assistants" else staging.served(answer)).refused(
            400, text, param=param, code="invalid_value"
        )

    check.__doc__ = f"400, invalid_value at {param}."
    return Case("validation", f"function-name-{route.partition('/')[0]}", "quoted", check)


_FUNCTION = {"type": "function"}
_USER = {"role": "user", "content": "x"}


def function_name_in_run(api: Api) -> None:
    """400, invalid_value at tools[0].function.name, also for a run's own tools."""
    path, chosen = staging.thread(api, "one"), staging.assistant(api)
    tools = [{**_FUNCTION, "function": {"name": "Google Search"}}]
    answer = api.post(f"{path}/runs", {"assistant_id": chosen, "tools": tools})
    answer.refused(400, param="tools[0].function.name", code="invalid_value")


def many_messages_in_run(api: Api) -> None:
    """400, array_above_max_length at thread.messages: a thread begins with at most 32."""
    chosen = staging.assistant(api)
    answer = api.post("/threads/runs", {"assistant_id": chosen, "thread": {"messages": [_USER] * 33}})
    text = _long("thread.messages", "array", 32, 33)
    answer.refused(400, text, param="thread.messages", code="array_above_max_length")


def image_url(api: Api) -> None:
    """400 for an image URL without the file extension of an image."""
    content = [{"type": "image_url", "image_url": {"url": "https://example.com/image"}}]
    answer = api.post(f"{staging.thread(api)}/messages", {"role": "user", "content": content})
    staging.worded(answer, r".*image_url\.url'\. Expected url to end in a supported format.*", "... a supported format")


def unknown_cursor(api: Api) -> None:
    """404 for a cursor that is well formed and unknown."""
    path, unknown = staging.thread(api, "one"), f"msg_{'0' * 24}"
    api.get(f"{path}/messages?after={unknown}").refused(404, f"No message found with id '{unknown}'.")


def role_in_thread(api: Api) -> None:
    """400, invalid_value at messages[1].role."""
    messages = [{"role": role, "content": "x"} for role in ("user", "system")]
    answer = api.post("/threads", {"messages": messages})
    answer.refused(400, f"Invalid value: 'system'. {_ROLES}", param="messages[1].role", code="invalid_value")


CASES = (
    _body(
        *("/threads", "many-messages", "quoted", {"messages": [_USER] * 33}),
        *(_long("messages", "array", 32, 33), "messages", "array_above_max_length"),
    ),
    Case("validation", "many-messages-in-run", "quoted", many_messages_in_run),
    _name("assistants", "tools[0].function.name", lambda name: {"tools": [{**_FUNCTION, "function": name}]}),
    Case("validation", "function-name-runs", "quoted", function_name_in_run),
    _name(
        "chat/completions",
        "tools[0].function.name",
        lambda name: {"messages": [_USER], "tools": [{**_FUNCTION, "function": name}]},
    ),
    _name("responses", "tools[0].name", lambda name: {"input": "x", "tools": [{**_FUNCTION, **name}]}),
    Case("validation", "image-url", "quoted", image_url),
    _thread(
        *("metadata-type", "recorded", {"metadata": {"modified": True}}),
        *(_type("metadata.modified", "a string", "a boolean"), "metadata.modified", "invalid_type"),
    ),
    _thread(
        *("metadata-object", "quoted", {"metadata": "x"}),
        *(_type("metadata", "a metadata object", "a string"), "metadata", "invalid_type"),
    ),
    _thread(
        *("metadata-pairs", "quoted", {"metadata": {str(n): "" for n in range(17)}}),
        *(_PROPERTIES, "metadata", "object_above_max_properties"),
    ),
    _thread(
        *("metadata-value", "quoted", {"metadata": {"k": "v" * 513}}),
        *(_long("metadata.k", "string", 512, 513), "metadata.k", "string_above_max_length"),
    ),
    _thread(
        *("metadata-key", "quoted", {"metadata": {"k" * 65: "v"}}),
        *(None, "metadata", "property_name_above_max_length"),
    ),
    _message("role", "recorded", {"role": "human"}, f"Invalid value: 'human'. {_ROLES}", "role", "invalid_value"),
    Case("validation", "role-in-thread", "inferred", role_in_thread),
    _message(
        *("missing-content", "quoted", {"content": None}),
        *(_missing("content"), "content", "missing_required_parameter"),
    ),
    _message(
        *("unknown-parameter", "recorded", {"quality": "high"}),
        *("Unknown parameter: 'quality'.", "quality", "unknown_parameter"),
    ),
    _message(
        *("long-content", "quoted", {"content": "x" * 256_001}),
        *(_long("content", "string", 256_000, 256_001), "content", "string_above_max_length"),
    ),
    _message("empty-content", "inferred", {"content": []}, None, "content", "empty_array"),
    _assistant("missing-model", "quoted", {}, _missing("model"), "model", "missing_required_parameter"),
    _assistant(
        *("long-name", "inferred", {"model": "m", "name": "x" * 257}),
        *(_long("name", "string", 256, 257), "name", "string_above_max_length"),
    ),
    _assistant(
        *("long-description", "inferred", {"model": "m", "description": "x" * 513}),
        *(_long("description", "string", 512, 513), "description", "string_above_max_length"),
    ),
    _assistant(
        *("many-tools", "inferred", {"model": "m", "tools": [{"type": "code_interpreter"}] * 129}),
        *(_long("tools", "array", 128, 129), "tools", "array_above_max_length"),
    ),
    _query(
        *("limit-above", "limit=101"),
        "Invalid 'limit': integer above maximum value. Expected a value <= 100, but got 101 instead.",
        *("limit", "integer_above_max_value"),
    ),
    _query(
        *("limit-below", "limit=-1"),
        "Invalid 'limit': integer below minimum value. Expected a value >= 0, but got -1 instead.",
        *("limit", "integer_below_min_value"),
    ),
    _query("limit-word", "limit=abc", _type("limit", "an integer", "a string"), "limit", "invalid_type"),
    _query(
        *("order-word", "order=foo"),
        *("Invalid value: 'foo'. Supported values are: 'asc' and 'desc'.", "order", "invalid_value"),
    ),
    _query(
        *("malformed-cursor", "after=x"),
        *("Invalid 'after': 'x'. Expected an ID that begins with 'msg'.", "after", "invalid_value"),
    ),
    Case("validation", "unknown-cursor", "inferred", unknown_cursor),
)
