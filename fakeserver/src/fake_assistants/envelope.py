"""The API's error envelope."""

import attrs

from fake_assistants.jsontext import dumps


@attrs.frozen
class Problem:
    """What an error answer says. The body has the real key order: message, type, param, code."""

    status: int
    message: str
    param: str | None = None
    code: str | None = None
    type: str = "invalid_request_error"

    def body(self) -> bytes:
        """The envelope as it goes over the wire (recorded shape)."""
        return dumps({"error": self.error()})

    def error(self) -> dict[str, str | None]:
        """What stands in the envelope."""
        return {"message": self.message, "type": self.type, "param": self.param, "code": self.code}


class Refused(Exception):
    """A request is answered with a problem. Raised anywhere below the gate, caught by the gate alone."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem
