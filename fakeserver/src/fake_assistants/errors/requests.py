"""Errors of requests: unknown routes, keys, the beta header, bodies that cannot be read, and the end of the API."""

from fake_assistants.http.error_envelope import ApiProblem, ErrorBody, Unrouted
from fake_assistants.http.redaction import masked


def invalid_url(method: str, path: str) -> ApiProblem:
    """Report an unknown path. Recorded before the launch, and for other routes in 2026."""
    return Unrouted(ErrorBody(404, f"Invalid URL ({method} {path})"))


def wrong_method(method: str, path: str) -> ApiProblem:
    """Report a method that the path does not have. Quoted, from other routes."""
    hint = "(HINT: Perhaps you meant to use a different HTTP method?)"
    return Unrouted(ErrorBody(405, f"Not allowed to {method} on {path}. {hint}"))


def session_key_needed(method: str, path: str) -> ApiProblem:
    """Refuse to list threads, which only the dashboard could do. Quoted for other dashboard routes, inferred here."""
    text = (
        f"Your request to {method} {path} must be made with a session key (that is, it can only be made "
        "from the browser). You made it with the following key type: secret."
    )
    return ApiProblem(ErrorBody(403, text, type="server_error"))


def no_key() -> ApiProblem:
    """Report a missing Authorization header, or one without a bearer token. Quoted."""
    text = (
        "You didn't provide an API key. You need to provide your API key in an Authorization header using "
        "Bearer auth (i.e. Authorization: Bearer YOUR_KEY), or as the password field (with blank username) "
        "if you're accessing the API from your browser and are prompted for a username and password. You "
        "can obtain an API key from https://platform.openai.com/account/api-keys."
    )
    return ApiProblem(ErrorBody(401, text))


def wrong_key(key: str) -> ApiProblem:
    """Report an unknown or empty key, masked as by the real API. Recorded, on other routes."""
    text = (
        f"Incorrect API key provided: {masked(key)}. "
        "You can find your API key at https://platform.openai.com/account/api-keys."
    )
    return ApiProblem(ErrorBody(401, text, code="invalid_api_key"))


def gone() -> ApiProblem:
    """Report the sunset, in the style `gone`. Inferred: announced by migration guides, never seen."""
    text = (
        "The Assistants API was officially sunset on August 26, 2026, and is no longer available. See the "
        "migration guide for more information: https://developers.openai.com/api/docs/assistants/migration"
    )
    return ApiProblem(ErrorBody(410, text))


def no_beta() -> ApiProblem:
    """Report a missing OpenAI-Beta header. The text is recorded; status 400 is inferred from the v1 sibling."""
    text = (
        "You must provide the 'OpenAI-Beta' header to access the Assistants API. Please try again by "
        "setting the header 'OpenAI-Beta: assistants=v2'."
    )
    return ApiProblem(ErrorBody(400, text, code="invalid_beta"))


def old_beta() -> ApiProblem:
    """Refuse `OpenAI-Beta: assistants=v1`, as since 2024-12-18. Recorded."""
    text = (
        "The v1 Assistants API has been deprecated. Please try again by setting the header "
        "'OpenAI-Beta: assistants=v2'. See the migration guide for more information: "
        "https://platform.openai.com/docs/assistants/migration."
    )
    return ApiProblem(ErrorBody(400, text, code="invalid_beta"))


def malformed_json() -> ApiProblem:
    """Report a body that is not JSON. Recorded."""
    text = (
        "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your "
        "HTTP library correctly. The OpenAI API expects a JSON payload, but what was sent was not valid "
        "JSON. If you have trouble figuring out how to fix this, please contact us through our help center "
        "at help.openai.com.)"
    )
    return ApiProblem(ErrorBody(400, text))


def too_large(limit: int) -> ErrorBody:
    """Report a body that is larger than the adapter accepts. The fake's own."""
    return ErrorBody(413, f"The request body is larger than {limit} bytes.", code="request_too_large")


def stopping() -> ErrorBody:
    """Report that the server stops before the request is complete. The fake's own."""
    return ErrorBody(503, "The fake is stopping.", type="server_error")
