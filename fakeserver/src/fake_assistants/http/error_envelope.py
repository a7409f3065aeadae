"""The API's error envelope."""

import attrs

from fake_assistants.http.lossless_json import dumps


@attrs.frozen
class ErrorBody:
    """What an error answer says. The body has the real key order: message, type, param, code."""

    status: int
    message: str
    param: str | None = None
    code: str | None = None
    type: str = "invalid_request_error"
    is_detailed: bool = False  # the files' routes say it twice (recorded)

    def error(self) -> dict[str, str | None]:
        """The object under `error`."""
        return {"message": self.message, "type": self.type, "param": self.param, "code": self.code}

    def body(self) -> bytes:
        """The envelope as it goes over the wire (recorded shape)."""
        detail = {"detail": {"message": self.message, "code": self.code}} if self.is_detailed else {}
        return dumps({"error": self.error(), **detail})


@attrs.frozen
class AzureErrorBody(ErrorBody):
    """The error envelope of Microsoft's services: code, then message."""

    def error(self) -> dict[str, str | None]:
        """The object under `error`."""
        return {"code": self.code, "message": self.message}


class ApiProblem(Exception):
    """A request is refused. Raised by the request pipeline, the handlers and the control API, which answer it."""

    def __init__(self, problem: ErrorBody) -> None:
        super().__init__(problem.message)
        self.problem = problem


class Unrouted(ApiProblem):
    """No route takes the request: the path is unknown, or has other methods."""
