"""Responses: what a request is answered with, what is kept of it, and what comes before it."""

from collections.abc import Callable
from typing import Any

import pytest

from fake_assistants import FakeAssistants, Reply
from fake_assistants.simulation.clock import EPOCH

Ask = Callable[..., Reply]

RESPONSES = "/v1/responses"
CALL = {"name": "weather", "arguments": {"city": "Rome"}, "id": "call_1"}


def respond(ask: Ask, **body: Any) -> dict[str, Any]:
    reply = ask("POST", RESPONSES, {"model": "gpt-4o-mini", "input": "Hello, model!", **body})
    assert reply.status == 200, reply.body
    response: dict[str, Any] = reply.json()
    return response


def refused(ask: Ask, **body: Any) -> tuple[int, str, str | None, str | None]:
    reply = ask("POST", RESPONSES, {"model": "gpt-4o-mini", "input": "Hello, model!", **body})
    error = reply.json()["error"]
    return reply.status, error["message"], error["param"], error["code"]


def said(response: dict[str, Any]) -> list[Any]:
    """What the output says, without ids."""
    return [{key: value for key, value in item.items() if key != "id"} for item in response["output"]]


def message(text: str, **fields: Any) -> dict[str, Any]:
    part = {"type": "output_text", "annotations": [], "logprobs": [], "text": text}
    return {"type": "message", "status": "completed", "content": [part], "role": "assistant", **fields}


def texts(page: dict[str, Any]) -> list[str]:
    return [item["content"][0]["text"] for item in page["data"]]


def test_a_response_in_full(ask: Ask) -> None:
    """Recorded key order, with the defaults of what was not asked for."""
    made = respond(ask)
    output = made["output"]
    assert list(made.items()) == [
        ("id", made["id"]),
        ("object", "response"),
        ("created_at", EPOCH),
        ("status", "completed"),
        ("background", False),
        ("billing", {"payer": "developer"}),
        ("completed_at", EPOCH),
        ("error", None),
        ("frequency_penalty", 0.0),
        ("incomplete_details", None),
        ("instructions", None),
        ("max_output_tokens", None),
        ("max_tool_calls", None),
        ("model", "gpt-4o-mini"),
        ("moderation", None),
        ("output", output),
        ("parallel_tool_calls", True),
        ("presence_penalty", 0.0),
        ("previous_response_id", None),
        ("prompt_cache_key", None),
        ("prompt_cache_retention", None),
        ("reasoning", {"context": None, "effort": None, "summary": None}),
        ("safety_identifier", None),
        ("service_tier", "default"),
        ("store", True),
        ("temperature", 1.0),
        ("text", {"format": {"type": "text"}, "verbosity": "medium"}),
        ("tool_choice", "auto"),
        ("tool_usage", made["tool_usage"]),
        ("tools", []),
        ("top_logprobs", 0),
        ("top_p", 1.0),
        ("truncation", "disabled"),
        ("usage", made["usage"]),
        ("user", None),
        ("metadata", {}),
    ]
    assert list(output[0].items()) == [("id", output[0]["id"]), *message("Hello, model!").items()]
    assert [len(one.partition("_")[2]) for one in (made["id"], output[0]["id"])] == [50, 50]
    assert list(made["usage"].items()) == [
        ("input_tokens", 4),
        ("input_tokens_details", {"cache_write_tokens": 0, "cached_tokens": 0}),
        ("output_tokens", 4),
        ("output_tokens_details", {"reasoning_tokens": 0}),
        ("total_tokens", 8),
    ]


def test_what_was_asked_for_is_shown_again(ask: Ask) -> None:
    """Tools with what they have by default; numbers as decimals; the conversation in its place."""
    function = {"type": "function", "name": "f", "parameters": {"type": "object"}}
    given: dict[str, Any] = {
        "tools": [function, {"type": "file_search", "vector_store_ids": ["vs_1"]}, {"type": "web_search"}],
        "temperature": 0,
        "text": {"verbosity": "low"},
        "reasoning": {"effort": "low"},
        "prompt": {"id": "pmpt_1"},
        "service_tier": "flex",
        "metadata": {"a": "b"},
        "user": "me",
        "conversation": ask("POST", "/v1/conversations").json()["id"],
    }
    made = respond(ask, **given)
    assert made["tools"] == [
        {**function, "description": None, "strict": True},
        {
            "type": "file_search",
            "filters": None,
            "max_num_results": 20,
            "ranking_options": {"ranker": "auto", "score_threshold": 0.0},
            "vector_store_ids": ["vs_1"],
        },
        {"type": "web_search"},
    ]
    assert repr(made["temperature"]) == "0.0"
    assert made["text"] == {"format": {"type": "text"}, "verbosity": "low"}
    assert made["reasoning"] == {"context": None, "effort": "low", "summary": None}
    assert [made[key] for key in ("prompt", "service_tier", "metadata", "user")] == [
        {"id": "pmpt_1"},
        "flex",
        {"a": "b"},
        "me",
    ]
    assert made["conversation"] == {"id": given["conversation"]}
    keys = list(made)[4:-3]
    assert keys == sorted(keys)


def test_a_response_is_kept_until_it_is_deleted(fake: FakeAssistants, ask: Ask) -> None:
    """With what the model has read; not found is told in its own words."""
    made = respond(ask)
    path = f"{RESPONSES}/{made['id']}"
    assert ask("GET", path).json() == made
    page = ask("GET", f"{path}/input_items").json()
    assert list(page) == ["object", "data", "first_id", "has_more", "last_id"]
    assert [list(item) for item in page["data"]] == [["id", "type", "status", "content", "role"]]
    gone = ask("DELETE", path).json()
    assert list(gone.items()) == [("id", made["id"]), ("object", "response.deleted"), ("deleted", True)]
    assert not any(fake.state.values())
    for target in (path, f"{path}/input_items"):
        error = ask("GET", target).json()["error"]
        assert (error["message"], error["param"], error["code"]) == (
            f"Response with id '{made['id']}' not found.",
            None,
            None,
        )


def test_a_response_that_is_not_stored_is_not_found(fake: FakeAssistants, ask: Ask) -> None:
    """Its answer is all there is of it."""
    made = respond(ask, store=False)
    assert made["store"] is False
    assert ask("GET", f"{RESPONSES}/{made['id']}").status == 404
    assert not any(fake.state.values())


@pytest.mark.parametrize("form", [str, lambda name: {"id": name}], ids=["text", "object"])
def test_a_conversation_goes_on(ask: Ask, form: Callable[[str], Any]) -> None:
    """Its items come first; input and output stand at its end afterwards."""
    name = ask("POST", "/v1/conversations", {"items": [{"role": "user", "content": "tell me a joke"}]}).json()["id"]
    made = respond(ask, input="tell me another", conversation=form(name))
    items = ask("GET", f"/v1/conversations/{name}/items").json()
    assert texts(items) == ["tell me another", "tell me another", "tell me a joke"]
    assert items["data"][0] == made["output"][0]
    read = ask("GET", f"{RESPONSES}/{made['id']}/input_items?order=asc").json()
    assert texts(read) == ["tell me a joke", "tell me another"]
    again = respond(ask, input=None, conversation=form(name))
    assert said(again) == [message("tell me another")]


def test_a_previous_response_is_read_with_all_before_it(ask: Ask) -> None:
    """Any number of turns back, each once."""
    first = respond(ask, input="one")
    second = respond(ask, input="two", previous_response_id=first["id"])
    third = respond(ask, input=[], previous_response_id=second["id"])
    read = ask("GET", f"{RESPONSES}/{third['id']}/input_items?order=asc").json()
    assert texts(read) == ["one", "one", "two", "two"]
    assert (third["previous_response_id"], said(third)) == (second["id"], [message("two")])


def test_what_was_said_elsewhere_keeps_its_ids(fake: FakeAssistants, ask: Ask) -> None:
    """Those within a response that was loaded are not given out again, also where the ids begin anew."""
    fake.script.set({"default": [{"call": [{"name": "weather"}]}, {"reply": "Wait."}]})
    before = respond(ask)
    fake.load(fake.snapshot())
    fake.reset()
    fake.script.set({"default": [{"call": [{"name": "weather"}]}, {"reply": "Wait."}]})
    after = respond(ask)
    ids = [item[key] for made in (before, after) for item in made["output"] for key in ("id", "call_id") if key in item]
    assert len(ids) == len(set(ids)) == 6
    fake.script.clear()
    fake.reset()
    said = before["output"][0]
    answer = {"type": "function_call_output", "call_id": said["call_id"], "output": "sunny"}
    assert respond(ask, input=[answer], previous_response_id=before["id"])["status"] == "completed"


def test_a_function_is_called_and_its_output_read(fake: FakeAssistants, ask: Ask) -> None:
    """The call in the recorded shape; its output in a later request, by either way of going on."""
    fake.script = {"responses": [[{"call": [CALL, {"name": "time"}]}], [{"reply": "Rain."}]]}
    made = respond(ask)
    one, two = made["output"]
    assert list(one.items()) == [
        ("id", one["id"]),
        ("type", "function_call"),
        ("status", "completed"),
        ("arguments", '{"city":"Rome"}'),
        ("call_id", "call_1"),
        ("name", "weather"),
    ]
    assert (two["arguments"], len(two["call_id"].removeprefix("call_"))) == ("{}", 24)
    results = [
        {"type": "function_call_output", "call_id": call["call_id"], "output": "rain"} for call in made["output"]
    ]
    by_hand = [{"role": "user", "content": "Hello"}, *made["output"], *results]
    by_reference = [{"type": "item_reference", "id": call["id"]} for call in made["output"]]
    assert said(respond(ask, input=results, previous_response_id=made["id"])) == [message("Rain.")]
    assert said(respond(ask, input=by_hand)) == [message("Hello")]
    assert said(respond(ask, input=[*by_reference, *results])) == [message("I have nothing to echo.")]


def test_calls_and_outputs_must_fit(fake: FakeAssistants, ask: Ask) -> None:
    """Neither an output without a call nor a call without an output; nothing is used up of the script."""
    fake.script = {"responses": [[{"call": [CALL]}], [{"reply": "done"}]]}
    made = respond(ask)
    stray = {"type": "function_call_output", "call_id": "call_2", "output": "x"}
    result = {**stray, "call_id": "call_1"}
    assert refused(ask, input=[result, stray], previous_response_id=made["id"]) == (
        400,
        "No tool call found for function call output with call_id call_2.",
        "input",
        None,
    )
    assert refused(ask, previous_response_id=made["id"]) == (
        400,
        "No tool output found for function call call_1.",
        "input",
        None,
    )
    assert refused(ask, input=[{"type": "item_reference", "id": "fc_no"}])[:2] == (
        404,
        "Item with id 'fc_no' not found.",
    )
    assert said(respond(ask, input=[result], previous_response_id=made["id"])) == [message("done")]


def test_tools_that_the_api_runs_have_items_of_their_own(fake: FakeAssistants, ask: Ask) -> None:
    """Recorded: outputs and results are null unless they are asked for."""
    image = {"type": "image", "image": {"file_id": "file-1"}}
    result = {"file_id": "file-2", "file_name": "a.txt", "score": 0.5, "content": [{"type": "text", "text": "x"}, 5]}
    fake.script = {
        "default": [
            {"code": {"input": "1+1", "outputs": ["2", image]}},
            {"image": "file-3"},
            {"search": {"results": [result, {"file_id": "file-4"}]}},
            {"reply": "Done."},
        ]
    }
    plain = said(respond(ask))
    assert [list(item) for item in plain[:3]] == [
        ["type", "status", "code", "container_id", "outputs"],
        ["type", "status", "code", "container_id", "outputs"],
        ["type", "status", "queries", "results"],
    ]
    assert [item.get("outputs", item.get("results")) for item in plain] == [None, None, None, None]
    include = ["code_interpreter_call.outputs", "file_search_call.results"]
    code, picture, search, reply = said(respond(ask, include=include))
    address = "https://api.openai.com/v1/files/{}/content"
    assert code["outputs"] == [
        {"type": "logs", "logs": "2"},
        {"type": "image", "url": address.format("file-1")},
    ]
    assert picture["outputs"] == [{"type": "image", "url": address.format("file-3")}]
    assert search["queries"] == ["Hello, model!"]
    assert search["results"] == [
        {"attributes": {}, "file_id": "file-2", "filename": "a.txt", "score": 0.5, "text": "x"},
        {"attributes": {}, "file_id": "file-4", "filename": None, "score": None, "text": ""},
    ]
    assert reply == message("Done.")


def test_parts_and_annotations_of_a_script_find_their_place(fake: FakeAssistants, ask: Ask) -> None:
    """As responses have them; what they do not know stays as the script has it."""
    span = {"text": "【4:0†a】", "start_index": 3, "end_index": 10}
    text = {
        "value": "Hi 【4:0†a】.",
        "annotations": [
            {"type": "file_citation", **span, "file_citation": {"file_id": "file-1"}},
            {"type": "file_citation", **span, "file_citation": {"file_id": 5}},
            {"type": "file_path", **span, "file_path": {"file_id": "file-1"}},
            {"type": "file_path", **span},
        ],
    }
    odd = [{"type": "hologram"}, {"type": "refusal", "refusal": "No"}, {"type": "output_text"}]
    fake.load({"files": [{"id": "file-1", "filename": "a.txt"}]})
    fake.script = {"default": [{"reply": [{"type": "text", "text": text}, *odd]}, {"refuse": "No."}]}
    first, second = said(respond(ask))
    assert first["content"][0]["annotations"] == [
        {"type": "file_citation", "file_id": "file-1", "filename": "a.txt", "index": 3},
        {"type": "file_citation", "file_id": 5, "filename": "", "index": 3},
        {"type": "file_path", "file_id": "file-1", "index": 3},
        {"type": "file_path", **span},
    ]
    assert first["content"][1:] == [
        {"type": "hologram"},
        {"type": "refusal", "refusal": "No"},
        {"type": "output_text", "annotations": [], "logprobs": [], "text": ""},
    ]
    assert second["content"] == [{"type": "refusal", "refusal": "No."}]


@pytest.mark.parametrize(
    ("step", "error"),
    [
        ({"fail": {"code": "rate_limit_exceeded", "message": "Slow."}}, ("rate_limit_exceeded", "Slow.")),
        ({"error": {"message": "Boom.", "code": "oops"}}, ("oops", "Boom.")),
        ({"error": {}}, ("server_error", "The server had an error")),
    ],
)
def test_a_response_may_fail(fake: FakeAssistants, ask: Ask, step: Any, error: tuple[str, str]) -> None:
    """With what was said until then, without usage; the conversation does not hear of it."""
    fake.script = {"default": [{"reply": "So far"}, step, {"reply": "never"}]}
    name = ask("POST", "/v1/conversations").json()["id"]
    made = respond(ask, conversation=name)
    assert (made["status"], made["completed_at"], made["usage"]) == ("failed", None, None)
    assert made["error"]["code"] == error[0]
    assert made["error"]["message"].startswith(error[1])
    assert said(made) == [message("So far")]
    assert ask("GET", f"/v1/conversations/{name}/items").json()["data"] == []
    assert ask("GET", f"{RESPONSES}/{made['id']}").json() == made


@pytest.mark.parametrize(
    ("steps", "reason", "output"),
    [
        ([{"reply": "12345678"}, {"incomplete": "max_completion_tokens"}], "max_output_tokens", "12345678"),
        ([{"reply": "1"}, {"incomplete": "content_filter"}], "content_filter", "1"),
        ([{"incomplete": "content_filter"}], "content_filter", None),
    ],
)
def test_a_response_may_end_incomplete(
    fake: FakeAssistants, ask: Ask, steps: Any, reason: str, output: str | None
) -> None:
    """What came just before is there, and incomplete."""
    fake.script = {"default": steps}
    made = respond(ask)
    assert (made["status"], made["incomplete_details"], made["completed_at"]) == (
        "incomplete",
        {"reason": reason},
        None,
    )
    assert said(made) == ([] if output is None else [message(output, status="incomplete")])


def test_only_messages_are_cut_off(fake: FakeAssistants, ask: Ask) -> None:
    """A call that came just before stays whole."""
    fake.script = {"default": [{"call": [CALL]}, {"incomplete": "max_tokens"}]}
    assert respond(ask)["output"][0]["arguments"] == '{"city":"Rome"}'


def test_a_limit_of_tokens_cuts_off_what_is_beyond(fake: FakeAssistants, ask: Ask) -> None:
    """In whichever part it is reached; what fits exactly is complete."""
    parts = [{"type": "text", "text": "x" * 40}, {"type": "hologram"}, {"type": "refusal", "refusal": "y" * 40}]
    fake.script = {"default": [{"call": [CALL]}, {"reply": parts}, {"reply": "never"}]}
    made = respond(ask, max_output_tokens=16)
    assert (made["status"], made["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})
    [_, cut] = made["output"]
    assert cut["status"] == "incomplete"
    assert [part.get("text", part.get("refusal")) for part in cut["content"]] == ["x" * 40, None, "y" * 8]
    assert made["usage"]["output_tokens"] == 16
    fake.script = {"default": [{"reply": "z" * 64}]}
    assert respond(ask, max_output_tokens=16)["status"] == "completed"


def test_the_script_sees_what_was_said(fake: FakeAssistants, ask: Ask) -> None:
    """The user's last words, and every item before the answer."""
    seen: list[Any] = []

    def note(turn: Any) -> bool:
        seen.append((turn.kind, turn.text, len(turn.messages), turn.request["model"]))
        return False

    fake.script.when(note, [])
    parts = [{"type": "input_text", "text": "a"}, {"type": "input_text", "text": "b"}]
    respond(ask, input=[{"role": "user", "content": parts}, {"role": "assistant", "content": "c"}])
    assert seen == [("response", "a\nb", 2, "gpt-4o-mini")]


BAD: list[tuple[dict[str, Any], str, str | None, str | None]] = [
    ({"colour": "red"}, "Unknown parameter: 'colour'.", "colour", "unknown_parameter"),
    (
        {"input": None},
        "One of \"input\" or \"previous_response_id\" or 'prompt' or 'conversation_id' must be provided.",
        "input",
        "missing_required_parameter",
    ),
    (
        {"max_output_tokens": 15},
        "Invalid 'max_output_tokens': integer below minimum value. Expected a value >= 16, but got 15 instead.",
        "max_output_tokens",
        "integer_below_min_value",
    ),
    (
        {"input": [{"role": "assistant", "content": [{"type": "input_text", "text": "x"}]}]},
        "Invalid value: 'input_text'. Supported values are: 'output_text' and 'refusal'.",
        "input[0].content[0]",
        "invalid_value",
    ),
    (
        {"conversation": "conv_1", "previous_response_id": "resp_1"},
        "Mutually exclusive parameters: 'previous_response_id' and 'conversation'. "
        "Ensure you are only providing one of these parameters.",
        "previous_response_id",
        "mutually_exclusive_parameters",
    ),
    (
        {"previous_response_id": "undefined"},
        "Invalid 'previous_response_id': 'undefined'. Expected an ID that begins with 'resp'.",
        "previous_response_id",
        "invalid_value",
    ),
    (
        {"previous_response_id": "resp_1"},
        "Previous response with id 'resp_1' not found.",
        "previous_response_id",
        "previous_response_not_found",
    ),
    (
        {"conversation": {"id": "thread_1"}},
        "Invalid 'conversation': 'thread_1'. Expected an ID that begins with 'conv'.",
        "conversation",
        "invalid_value",
    ),
    ({"tools": [5]}, "Invalid type for 'tools[0]': expected an object, but got an integer instead.", "tools[0]", None),
    ({"tools": [{}]}, "Missing required parameter: 'tools[0].type'.", "tools[0].type", "missing_required_parameter"),
    (
        {"tools": [{"type": "function"}]},
        "Missing required parameter: 'tools[0].name'.",
        "tools[0].name",
        "missing_required_parameter",
    ),
]


@pytest.mark.parametrize(("body", "text", "param", "code"), BAD)
def test_a_bad_body(
    fake: FakeAssistants, ask: Ask, body: dict[str, Any], text: str, param: str | None, code: str | None
) -> None:
    """400 with the place, and nothing is kept."""
    assert refused(ask, **body) == (400, text, param, code or "invalid_type")
    assert not any(fake.state.values())


def test_a_body_without_a_model(ask: Ask) -> None:
    """Is refused, as everywhere."""
    error = ask("POST", RESPONSES, {"input": "x"}).json()["error"]
    assert (error["message"], error["code"]) == (
        "Missing required parameter: 'model'.",
        "missing_required_parameter",
    )


def test_an_unknown_conversation(ask: Ask) -> None:
    """404 in its own words."""
    assert refused(ask, conversation="conv_1") == (404, "Conversation with id 'conv_1' not found.", None, None)


@pytest.mark.parametrize("output", [None, 5, [5, {"id": 5}, {"no": "id"}]], ids=repr)
def test_an_odd_response_can_be_gone_on_from(fake: FakeAssistants, ask: Ask, output: Any) -> None:
    """What is no item in it is passed over."""
    fake.load(
        {"responses": [{"id": "resp_1", "output": output}, {"id": "r2", "output": [{"id": "x", "content": [5]}]}]}
    )
    assert said(respond(ask, previous_response_id="resp_1")) == [message("Hello, model!")]
    assert said(respond(ask, previous_response_id="r2")) == [message("Hello, model!")]
    assert respond(ask, input=[{"type": "item_reference", "id": "x"}])["status"] == "completed"
