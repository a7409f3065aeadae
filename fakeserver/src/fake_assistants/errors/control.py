"""Errors of the control API for requests that may come from a web page in a browser."""

from fake_assistants.http.error_envelope import ErrorBody


def from_a_web_page() -> ErrorBody:
    """Refuse a request with an Origin header, which browsers send for web pages. The fake's own."""
    text = (
        "The control API is not for web pages: this request has an Origin header. Call it from a program that sends "
        "none, such as curl, or from a test through FakeAssistants.handle()."
    )
    return ErrorBody(403, text, code="origin_not_allowed")


def foreign_host() -> ErrorBody:
    """Refuse a Host header that names neither this machine nor the bound address. The fake's own."""
    text = (
        "The control API is refused under this Host. Ask for it at localhost or 127.0.0.1, or at the address that the "
        "server listens on: to use another name, start the server with it as its host (serve --host NAME)."
    )
    return ErrorBody(403, text, code="host_not_allowed")
