"""Cases: errors, word for word where the text is known."""

from collections.abc import Callable

import fake_assistants.conformance.fixtures as staging
from fake_assistants.conformance.api import Api
from fake_assistants.conformance.case import Case
from fake_assistants.conformance.expectations import NotApplicable
from fake_assistants.conformance.response import ENVELOPE

_NOBODY = "0" * 24

_JSON_HINT = (
    "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your HTTP library "
    "correctly. The OpenAI API expects a JSON payload, but what was sent was not valid JSON. If you have trouble "
    "figuring out how to fix this, please contact us through our help center at help.openai.com.)"
)
_NO_BETA = (
    "You must provide the 'OpenAI-Beta' header to access the Assistants API. Please try again by setting the header "
    "'OpenAI-Beta: assistants=v2'."
)
_OLD_BETA = (
    "The v1 Assistants API has been deprecated. Please try again by setting the header 'OpenAI-Beta: assistants=v2'. "
    "See the migration guide for more information: https://platform.openai.com/docs/assistants/migration."
)
_WRONG_KEY = (
    "Incorrect API key provided: fake_key. You can find your API key at https://platform.openai.com/account/api-keys."
)


def envelope(api: Api) -> None:
    """An error is one object with message, type, param and code, in this order, null where there is none."""
    answer = api.get(f"/threads/thread_{_NOBODY}")
    answer.refused(404)
    body = answer.json()
    body.keys(("error",))
    body["error"].keys(ENVELOPE)


# --- what does not exist ---------------------------------------------------------------------------------


def unknown_thread(api: Api) -> None:
    """404, No thread found with id '...'."""
    text = f"No thread found with id 'thread_{_NOBODY}'."
    for target in ("", "/messages", "/runs"):
        api.get(f"/threads/thread_{_NOBODY}{target}").refused(404, text)
    api.post(f"/threads/thread_{_NOBODY}/messages", {"role": "user", "content": "x"}).refused(404, text)


def unknown_assistant(api: Api) -> None:
    """404, No assistant found with id '...'."""
    api.get(f"/assistants/asst_{_NOBODY}").refused(404, f"No assistant found with id 'asst_{_NOBODY}'.")


def unknown_message(api: Api) -> None:
    """404, No message found with id '...'."""
    path = staging.thread(api)
    api.get(f"{path}/messages/msg_{_NOBODY}").refused(404, f"No message found with id 'msg_{_NOBODY}'.")


def short_id(api: Api) -> None:
    """Only the prefix of an id is checked, never its length."""
    api.get("/threads/thread_abc123").refused(404, "No thread found with id 'thread_abc123'.")


def _malformed(target: str, param: str, prefix: str) -> Callable[[Api], None]:
    def check(api: Api) -> None:
        path = staging.thread(api) if target.startswith("THREAD") else ""
        asked = target.replace("THREAD", path)
        text = f"Invalid '{param}': 'undefined'. Expected an ID that begins with '{prefix}'."
        api.get(f"{asked}/undefined").refused(400, text, param=param, code="invalid_value")

    check.__doc__ = f"400, Invalid '{param}': an id that does not begin with {prefix}."
    return check


# --- the door --------------------------------------------------------------------------------------------


def no_beta(api: Api) -> None:
    """Without the beta header 400 (or 401, which is no longer known), with the text that names it."""
    answer = api.ask("POST", "/threads", headers={"openai-beta": None})
    answer.refused((400, 401), _NO_BETA, code="invalid_beta")


def old_beta(api: Api) -> None:
    """400 for `OpenAI-Beta: assistants=v1`."""
    answer = api.ask("POST", "/threads", headers={"openai-beta": "assistants=v1"})
    answer.refused(400, _OLD_BETA, code="invalid_beta")


def no_key(api: Api) -> None:
    """401 without a key, with a charset, as sent by another layer of the API."""
    answer = api.ask("POST", "/threads", headers={"authorization": None})
    answer.refused(401)
    answer.json()["error"]["message"].like(r"You didn't provide an API key\..*", "You didn't provide an API key. ...")
    answer.has_header("content-type", "application/json; charset=utf-8")


def wrong_key(api: Api) -> None:
    """401 for a wrong key, which the text quotes."""
    answer = api.ask("GET", f"/threads/thread_{_NOBODY}", headers={"authorization": "Bearer fake_key"})
    if answer.status == 404:
        raise NotApplicable("the server takes every key")
    answer.refused(401, _WRONG_KEY, code="invalid_api_key")


def bad_json(api: Api) -> None:
    """400 for a body that is not JSON."""
    api.ask("POST", "/threads", b'{"metadata": ').refused(400, _JSON_HINT)


def unknown_url(api: Api) -> None:
    """404, Invalid URL, for a route that does not exist."""
    path = api.wire_path("/threads/thread_1/nothing/here")
    api.post("/threads/thread_1/nothing/here").refused(404, f"Invalid URL (POST {path})")


def wrong_method(api: Api) -> None:
    """405 with a hint for a method that the route does not have."""
    hint = "(HINT: Perhaps you meant to use a different HTTP method?)"
    text = f"Not allowed to DELETE on {api.wire_path('/assistants')}. {hint}"
    api.delete("/assistants").refused(405, text)


def list_threads(api: Api) -> None:
    """Threads cannot be listed with an API key."""
    answer = api.get("/threads")
    if answer.status == 200:
        raise NotApplicable("the server lists threads, as Microsoft Foundry does")
    answer.refused((401, 403), type="server_error")


CASES = (
    Case("errors", "envelope", "recorded", envelope),
    Case("errors", "unknown-thread", "quoted", unknown_thread),
    Case("errors", "unknown-assistant", "recorded", unknown_assistant),
    Case("errors", "unknown-message", "inferred", unknown_message),
    Case("errors", "short-id", "recorded", short_id),
    Case("errors", "malformed-thread", "quoted", _malformed("/threads", "thread_id", "thread")),
    Case("errors", "malformed-assistant", "recorded", _malformed("/assistants", "assistant_id", "asst")),
    Case("errors", "malformed-message", "inferred", _malformed("THREAD/messages", "message_id", "msg")),
    Case("errors", "malformed-run", "inferred", _malformed("THREAD/runs", "run_id", "run")),
    Case("errors", "no-beta", "recorded", no_beta, services=("openai",)),
    Case("errors", "old-beta", "recorded", old_beta, services=("openai",)),
    Case("errors", "no-key", "quoted", no_key, services=("openai",)),
    Case("errors", "wrong-key", "recorded", wrong_key, services=("openai",)),
    Case("errors", "bad-json", "recorded", bad_json, needs=("raw",)),
    Case("errors", "unknown-url", "recorded", unknown_url, services=("openai",)),
    Case("errors", "wrong-method", "quoted", wrong_method, services=("openai",)),
    Case("errors", "list-threads", "inferred", list_threads),
)
