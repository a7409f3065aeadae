"""Errors of the rate limit and of the server itself."""

import math

from fake_assistants.http.error_envelope import ApiProblem, ErrorBody


def rate_limited(limit: int, wait: float) -> ApiProblem:
    """Report more than `limit` requests a minute; `wait` is in seconds.

    Recorded on a route with a model, whose name is part of the text there. Inferred for routes without a model.
    """
    text = (
        f"Rate limit reached in organization fake-assistants on requests per min (RPM): Limit {limit}, Used {limit}, "
        f"Requested 1. Please try again in {_go_duration(wait)}. "
        "Visit https://platform.openai.com/account/rate-limits to learn more."
    )
    return ApiProblem(ErrorBody(429, text, code="rate_limit_exceeded", type="requests"))


def server_error(request_id: str) -> ErrorBody:
    """Report a server error, as a 500 or as an event of a stream. Recorded in a stream, inferred for a 500."""
    text = (
        "The server had an error processing your request. Sorry about that! You can retry your request, or contact us "
        "through our help center at help.openai.com if you keep seeing this error. (Please include the request ID "
        f"{request_id} in your email.)"
    )
    return ErrorBody(500, text, type="server_error")


def overloaded() -> ErrorBody:
    """Report an overloaded server. Inferred."""
    text = (
        "The server is currently overloaded with other requests. Sorry about that! You can retry your request, or "
        "contact us through our help center at help.openai.com if the error persists."
    )
    return ErrorBody(503, text, type="server_error")


def asked_for(status: int, phrase: str) -> ErrorBody:
    """A fault plan asked for a status of which no real text is known. The fake's own."""
    kind = "server_error" if status >= 500 else "invalid_request_error"
    return ErrorBody(status, f"A fault plan asked the fake to answer {status} {phrase}.", type=kind)


def _go_duration(seconds: float) -> str:
    """Format a duration as Go does (recorded): `120ms`, `6s`, `1.182s`, `20m52.666s`. Rounded up to milliseconds."""
    milliseconds = math.ceil(round(seconds * 1000, 3))
    if milliseconds < 1000:
        return f"{milliseconds}ms" if milliseconds else "0s"
    minutes, rest = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    whole, thousandths = divmod(rest, 1000)
    fraction = f".{thousandths:03}".rstrip("0") if thousandths else ""
    return f"{f'{hours}h' if hours else ''}{f'{minutes}m' if hours or minutes else ''}{whole}{fraction}s"
