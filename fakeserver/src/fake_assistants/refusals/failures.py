"""The limit of requests, and what a server says that cannot go on."""

from fake_assistants.durations import go_duration
from fake_assistants.envelope import Problem, Refused


def rate_limited(limit: int, wait: float) -> Refused:
    """More than `limit` requests a minute; `wait` is in seconds.

    Recorded where a model was asked, whose name stood in it. What routes without a model said is inferred.
    """
    text = (
        f"Rate limit reached in organization fake-assistants on requests per min (RPM): Limit {limit}, Used {limit}, "
        f"Requested 1. Please try again in {go_duration(wait)}. "
        "Visit https://platform.openai.com/account/rate-limits to learn more."
    )
    return Refused(Problem(429, text, code="rate_limit_exceeded", type="requests"))


def server_error(request_id: str) -> Problem:
    """What a 500 says, and the error event of a stream. Recorded in a stream; that a 500 says the same is inferred."""
    text = (
        "The server had an error processing your request. Sorry about that! You can retry your request, or contact us "
        "through our help center at help.openai.com if you keep seeing this error. (Please include the request ID "
        f"{request_id} in your email.)"
    )
    return Problem(500, text, type="server_error")


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
