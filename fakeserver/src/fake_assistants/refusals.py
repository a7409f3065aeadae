"""Every text with which the fake refuses, one small function for each.

Evidence is named per function: "recorded" is a real response, "quoted" a real text seen in public,
"documented" what the published documentation says, "inferred" a text made in the shape of its recorded siblings,
and "the fake's own" what only a fake has to say. `docs/fidelity.md` names each function, and a test holds the
two together.
"""

from collections.abc import Callable, Mapping, Sequence

from fake_assistants.durations import go_duration
from fake_assistants.envelope import Problem, Refused, Unrouted
from fake_assistants.kinds import Kind

# --- the door -------------------------------------------------------------------------------------


def invalid_url(method: str, path: str) -> Refused:
    """No such route. Recorded."""
    return Unrouted(Problem(404, f"Invalid URL ({method} {path})"))


def wrong_method(method: str, path: str) -> Refused:
    """The path exists, the method does not. Quoted, from other routes."""
    hint = "(HINT: Perhaps you meant to use a different HTTP method?)"
    return Unrouted(Problem(405, f"Not allowed to {method} on {path}. {hint}"))


def session_key_needed(method: str, path: str) -> Refused:
    """Listing threads was for the dashboard only. Quoted for other dashboard routes, inferred here."""
    text = (
        f"Your request to {method} {path} must be made with a session key (that is, it can only be made "
        "from the browser). You made it with the following key type: secret."
    )
    return Refused(Problem(403, text, type="server_error"))


def no_key() -> Refused:
    """No Authorization header, or none with a bearer token. Quoted."""
    text = (
        "You didn't provide an API key. You need to provide your API key in an Authorization header using "
        "Bearer auth (i.e. Authorization: Bearer YOUR_KEY), or as the password field (with blank username) "
        "if you're accessing the API from your browser and are prompted for a username and password. You "
        "can obtain an API key from https://platform.openai.com/account/api-keys."
    )
    return Refused(Problem(401, text))


def wrong_key(key: str) -> Refused:
    """A key that is not known, or an empty one; masked as the real API masked it. Recorded."""
    text = (
        f"Incorrect API key provided: {masked(key)}. "
        "You can find your API key at https://platform.openai.com/account/api-keys."
    )
    return Refused(Problem(401, text, code="invalid_api_key"))


def masked(key: str) -> str:
    """The first 8 and last 4 characters, asterisks between. Short keys are shown, '' for an empty one. Recorded."""
    if len(key) <= 12:
        return key or "''"
    return key[:8] + "*" * (len(key) - 12) + key[-4:]


def gone() -> Refused:
    """After the sunset, in the style `gone`. Inferred: promised by migration guides, never seen."""
    text = (
        "The Assistants API was officially sunset on August 26, 2026, and is no longer available. See the "
        "migration guide for more information: https://developers.openai.com/api/docs/assistants/migration"
    )
    return Refused(Problem(410, text))


def no_beta() -> Refused:
    """No OpenAI-Beta header. The text is recorded; status 400 is inferred from the v1 sibling."""
    text = (
        "You must provide the 'OpenAI-Beta' header to access the Assistants API. Please try again by "
        "setting the header 'OpenAI-Beta: assistants=v2'."
    )
    return Refused(Problem(400, text, code="invalid_beta"))


def old_beta() -> Refused:
    """`OpenAI-Beta: assistants=v1`, refused since 2024-12-18. Recorded."""
    text = (
        "The v1 Assistants API has been deprecated. Please try again by setting the header "
        "'OpenAI-Beta: assistants=v2'. See the migration guide for more information: "
        "https://platform.openai.com/docs/assistants/migration."
    )
    return Refused(Problem(400, text, code="invalid_beta"))


def malformed_json() -> Refused:
    """The body is not JSON. Recorded."""
    text = (
        "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your "
        "HTTP library correctly. The OpenAI API expects a JSON payload, but what was sent was not valid "
        "JSON. If you have trouble figuring out how to fix this, please contact us through our help center "
        "at help.openai.com.)"
    )
    return Refused(Problem(400, text))


def too_large(limit: int) -> Problem:
    """The body is larger than the skin takes. The fake's own."""
    return Problem(413, f"The request body is larger than {limit} bytes.", code="request_too_large")


def stopping() -> Problem:
    """The server ends before the request was all there. The fake's own."""
    return Problem(503, "The fake is stopping.", type="server_error")


# --- limits and failures ----------------------------------------------------------------------------


def rate_limited(limit: int, wait: float) -> Refused:
    """More than `limit` requests a minute; `wait` is in seconds. Recorded, with the name of a model in it."""
    text = (
        f"Rate limit reached in organization fake-assistants on requests per min (RPM): Limit {limit}, Used {limit}, "
        f"Requested 1. Please try again in {go_duration(wait)}. "
        "Visit https://platform.openai.com/account/rate-limits to learn more."
    )
    return Refused(Problem(429, text, code="rate_limit_exceeded", type="requests"))


def overloaded() -> Problem:
    """The server has too much to do. Inferred."""
    text = (
        "The server is currently overloaded with other requests. Sorry about that! You can retry your request, or "
        "contact us through our help center at help.openai.com if the error persists."
    )
    return Problem(503, text, type="server_error")


def told_to(status: int, phrase: str) -> Problem:
    """A fault plan asked for a status of which no real text is known. The fake's own."""
    kind = "server_error" if status >= 500 else "invalid_request_error"
    return Problem(status, f"The fake was told to answer {status} {phrase}.", type=kind)


def edge_page(status: int, phrase: str) -> bytes:
    """The page that the edge answers with when what stands behind it fails. Recorded for 502, inferred for 504."""
    lines = (
        "<html>",
        f"<head><title>{status} {phrase}</title></head>",
        "<body>",
        f"<center><h1>{status} {phrase}</h1></center>",
        "<hr><center>cloudflare</center>",
        "</body>",
        "</html>",
    )
    return "".join(f"{line}\r\n" for line in lines).encode()


# --- ids ------------------------------------------------------------------------------------------


def not_found(kind: Kind, object_id: str) -> Refused:
    """Recorded for threads and assistants, inferred for messages; files, conversations and responses have their own."""
    own = _NOT_FOUND.get(kind.name)
    return own(object_id) if own else Refused(Problem(404, f"No {kind.noun} found with id '{object_id}'."))


def no_such_file(file_id: str) -> Refused:
    """Recorded, with its `detail`."""
    return Refused(Problem(404, f"No such File object: {file_id}", "id", is_detailed=True))


def no_such_conversation(conversation_id: str) -> Refused:
    """Recorded."""
    return Refused(Problem(404, f"Conversation with id '{conversation_id}' not found."))


def no_such_response(response_id: str) -> Refused:
    """Recorded."""
    return Refused(Problem(404, f"Response with id '{response_id}' not found."))


def no_such_item(item_id: str) -> Refused:
    """Inferred."""
    return Refused(Problem(404, f"Item with id '{item_id}' not found."))


def no_such_file_in_store(file_id: str, store_id: str) -> Refused:
    """Quoted."""
    return Refused(Problem(404, f"No file found with id '{file_id}' in vector store '{store_id}'."))


_NOT_FOUND: Mapping[str, Callable[[str], Refused]] = {
    "files": no_such_file,
    "file_contents": no_such_file,
    "conversations": no_such_conversation,
    "conversation_items": no_such_item,
    "responses": no_such_response,
    "response_input_items": no_such_item,
}


def malformed_id(param: str, value: str, kind: Kind) -> Refused:
    """An id without its prefix. Recorded for path ids, inferred for cursors."""
    text = f"Invalid '{param}': '{value}'. Expected an ID that begins with '{kind.prefix}'."
    return Refused(Problem(400, text, param, "invalid_value"))


def thread_full(thread_id: str, limit: int) -> Refused:
    """The documented limit of messages in a thread. The text is inferred."""
    text = f"Can't add messages to {thread_id}: a thread can hold at most {limit} messages."
    return Refused(Problem(400, text))


# --- runs and their threads -------------------------------------------------------------------------


def thread_locked(thread_id: str, run_id: str) -> Refused:
    """A message for a thread whose run is active. Recorded."""
    return Refused(Problem(400, f"Can't add messages to {thread_id} while a run {run_id} is active."))


def run_active(thread_id: str, run_id: str) -> Refused:
    """A second run beside an active one. Recorded."""
    return Refused(Problem(400, f"Thread {thread_id} already has an active run {run_id}."))


def nothing_to_say() -> Refused:
    """A run without instructions on a thread without a user's message. Recorded."""
    text = "Run creation requires a Thread with a user message or an assistant with instructions."
    return Refused(Problem(400, text, code="invalid_thread"))


def cannot_cancel(status: object) -> Refused:
    """Recorded for runs that were cancelled or completed."""
    return Refused(Problem(400, f"Cannot cancel run with status '{status}'."))


def cannot_update(status: object) -> Refused:
    """Recorded for an active run."""
    return Refused(Problem(400, f"Cannot update run with status '{status}'."))


def no_outputs_wanted(status: object) -> Refused:
    """Recorded, with the double quotes."""
    return Refused(Problem(400, f'Runs in status "{status}" do not accept tool outputs.'))


def wrong_outputs(wanted: Sequence[str], given: Sequence[str]) -> Refused:
    """Recorded: lists as Python prints them, and no full stop."""
    return Refused(Problem(400, f"Expected tool outputs for call_ids {list(wanted)}, got {list(given)}"))


def server_error(request_id: str) -> Problem:
    """What a 500 says, and the error event of a stream. Recorded."""
    text = (
        "The server had an error processing your request. Sorry about that! You can retry your request, or contact us "
        "through our help center at help.openai.com if you keep seeing this error. (Please include the request ID "
        f"{request_id} in your email.)"
    )
    return Problem(500, text, type="server_error")


# --- values: the validator's vocabulary, recorded or quoted on these or neighbouring routes ----------

_NAMES: tuple[tuple[type, str], ...] = (
    (bool, "a boolean"),
    (int, "an integer"),
    (float, "a decimal"),
    (str, "a string"),
    (list, "an array"),
    (dict, "an object"),
)


def _named(value: object) -> str:
    return next((name for kind, name in _NAMES if isinstance(value, kind)), "null")


def _bad(param: str, text: str, code: str) -> Refused:
    return Refused(Problem(400, text, param, code))


def unknown_parameter(param: str) -> Refused:
    """A key that the route does not know. Recorded, on another route."""
    return _bad(param, f"Unknown parameter: '{param}'.", "unknown_parameter")


def missing_parameter(param: str) -> Refused:
    """A key that the route needs. Inferred: so others hold it on another route."""
    return _bad(param, f"Missing required parameter: '{param}'.", "missing_required_parameter")


def invalid_type(param: str, expected: str, value: object) -> Refused:
    """`expected` is worded with its article: "a string". Recorded for metadata, inferred elsewhere."""
    where = f" for '{param}'" if param else ""
    text = f"Invalid type{where}: expected {expected}, but got {_named(value)} instead."
    return Refused(Problem(400, text, param or None, "invalid_type"))


def invalid_value(param: str, value: str, supported: Sequence[str]) -> Refused:
    """Not one of the supported values. Recorded for roles, inferred elsewhere."""
    text = f"Invalid value: '{value}'. Supported values are: {_listed(supported)}."
    return _bad(param, text, "invalid_value")


def _listed(values: Sequence[str]) -> str:
    *first, last = [f"'{value}'" for value in values]
    if not first:
        return last
    return f"{', '.join(first)}{',' if len(first) > 1 else ''} and {last}"


def too_long(param: str, limit: int, length: int) -> Refused:
    """Characters beyond a documented limit. Quoted for the content of messages, inferred elsewhere."""
    text = (
        f"Invalid '{param}': string too long. Expected a string with maximum length {limit}, "
        f"but got a string with length {length} instead."
    )
    return _bad(param, text, "string_above_max_length")


def empty_string(param: str) -> Refused:
    """Inferred."""
    text = f"Invalid '{param}': empty string. Expected a string with minimum length 1, but got an empty string instead."
    return _bad(param, text, "empty_string")


def empty_array(param: str) -> Refused:
    """Inferred."""
    text = f"Invalid '{param}': empty array. Expected an array with minimum length 1, but got an empty array instead."
    return _bad(param, text, "empty_array")


def too_many_items(param: str, limit: int, length: int) -> Refused:
    """Items beyond a documented limit. Inferred."""
    text = (
        f"Invalid '{param}': array too long. Expected an array with maximum length {limit}, "
        f"but got an array with length {length} instead."
    )
    return _bad(param, text, "array_above_max_length")


def too_many_properties(param: str, limit: int, length: int) -> Refused:
    """Metadata pairs beyond the limit. Quoted."""
    text = (
        f"Invalid '{param}': too many properties. Expected an object with at most {limit} properties, "
        f"but got an object with {length} properties instead."
    )
    return _bad(param, text, "object_above_max_properties")


def long_property_name(param: str, limit: int, length: int) -> Refused:
    """A metadata key beyond the limit. The code is quoted, the text inferred."""
    text = (
        f"Invalid '{param}': property name too long. Expected a property name with maximum length {limit}, "
        f"but got a property name with length {length} instead."
    )
    return _bad(param, text, "property_name_above_max_length")


# The validator calls whole numbers integers and others decimals, in its texts and in its codes.
_BOUNDS = {
    "below": ("below minimum value", ">=", "below_min_value"),
    "above": ("above maximum value", "<=", "above_max_value"),
}


def out_of_bounds(param: str, side: str, number: str, limit: int, got: object) -> Refused:
    """`side` is "below" or "above"; `number` is "integer" or "decimal". Recorded for another list, inferred here."""
    words, sign, code = _BOUNDS[side]
    text = f"Invalid '{param}': {number} {words}. Expected a value {sign} {limit}, but got {got} instead."
    return _bad(param, text, f"{number}_{code}")


# --- files, in the words of another validator ---------------------------------------------------------


def not_one_of(param: str, value: str, supported: Sequence[str]) -> Refused:
    """A purpose that nobody knows. Recorded, with its `detail`."""
    return Refused(Problem(400, f"'{value}' is not one of {list(supported)} - '{param}'", param, is_detailed=True))


def required_property(name: str) -> Refused:
    """A part of the form is missing. Quoted; the `detail` is inferred."""
    return Refused(Problem(400, f"'{name}' is a required property", is_detailed=True))


def malformed_form() -> Refused:
    """The body is no multipart form. Inferred."""
    return Refused(Problem(400, "Could not parse multipart form.", is_detailed=True))


def not_downloadable(purpose: str) -> Refused:
    """What users uploaded cannot be had back. Quoted."""
    return Refused(Problem(400, f"Not allowed to download files of purpose: {purpose}"))


# --- responses ----------------------------------------------------------------------------------------


def no_such_previous_response(response_id: str) -> Refused:
    """Quoted."""
    text = f"Previous response with id '{response_id}' not found."
    return _bad("previous_response_id", text, "previous_response_not_found")


def two_pasts() -> Refused:
    """Both a conversation and a previous response. That they exclude each other is documented, the text is inferred."""
    text = (
        "Mutually exclusive parameters: 'previous_response_id' and 'conversation'. "
        "Ensure you are only providing one of these parameters."
    )
    return _bad("previous_response_id", text, "mutually_exclusive_parameters")


def nothing_to_answer() -> Refused:
    """No input, nor anything that could stand for it. The text is quoted, the param inferred."""
    text = "One of \"input\" or \"previous_response_id\" or 'prompt' or 'conversation_id' must be provided."
    return _bad("input", text, "missing_required_parameter")


def duplicate_item(item_id: str) -> Refused:
    """Quoted."""
    text = f"Duplicate item found with id {item_id}. Remove duplicate items from your input and try again."
    return Refused(Problem(400, text, "input"))


def output_without_call(call_id: str) -> Refused:
    """The output of a function that nobody called. Quoted."""
    text = f"No tool call found for function call output with call_id {call_id}."
    return Refused(Problem(400, text, "input"))


def call_without_output(call_id: str) -> Refused:
    """A call whose output is still missing. Quoted."""
    return Refused(Problem(400, f"No tool output found for function call {call_id}.", "input"))
