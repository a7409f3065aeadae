"""The API's error envelope."""

import attrs

from fake_assistants.http.lossless_json import dumps


@attrs.frozen
class ErrorBody:
    """The status and the fields of an error reply. The body has the real key order: message, type, param, code."""

    status: int
    message: str
    param: str | None = None
    code: str | None = None
    type: str = "invalid_request_error"
    is_detailed: bool = False  # the files' routes repeat the error under `detail` (recorded)

    def error(self) -> dict[str, str | None]:
        """The object under `error`."""
        return {"message": self.message, "type": self.type, "param": self.param, "code": self.code}

    def body(self) -> bytes:
        """Return the envelope as sent over the wire (recorded shape)."""
        detail = {"detail": {"message": self.message, "code": self.code}} if self.is_detailed else {}
        return dumps({"error": self.error(), **detail})


@attrs.frozen
class AzureErrorBody(ErrorBody):
    """The error envelope of Microsoft's services: code, then message."""

    def error(self) -> dict[str, str | None]:
        """The object under `error`."""
        return {"code": self.code, "message": self.message}


@attrs.frozen
class FoundryErrorBody(ErrorBody):
    """The error envelope of a project of the new Foundry (documented; the order of its keys is inferred)."""

    def error(self) -> dict[str, str | None]:
        """The object under `error`."""
        return {"code": self.code, "message": self.message, "param": self.param, "type": self.type}


class ApiProblem(Exception):
    """A request is refused. Raised by handlers and the control API; the pipeline turns it into a reply."""

    def __init__(self, problem: ErrorBody) -> None:
        super().__init__(problem.message)
        self.problem = problem


class Unrouted(ApiProblem):
    """No route matches the request: the path is unknown, or does not have this method."""
