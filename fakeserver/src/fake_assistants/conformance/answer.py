"""One answer of the server under test."""

import attrs

from fake_assistants.conformance.found import Deviation, Found, shown
from fake_assistants.exchange import Reply
from fake_assistants.jsontext import MalformedJson, loads

ENVELOPE = ("message", "type", "param", "code")


@attrs.frozen
class Answer:
    """A reply and the request that brought it, as in "POST /v1/threads"."""

    asked: str
    reply: Reply

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.reply.status

    @property
    def body(self) -> bytes:
        """The body as it came; of a stream nothing, see `events`."""
        return self.reply.body

    def header(self, name: str) -> str | None:
        """The value of a header, by its name in any case."""
        return next((value for key, value in self.reply.headers if key.lower() == name.lower()), None)

    def has_header(self, name: str, wanted: str) -> None:
        """Want a header with exactly this value. Raises Deviation."""
        came = self.header(name)
        if came != wanted:
            raise Deviation(self.asked, f"{name}: {wanted}", f"{name}: {came}" if came else f"no {name}")

    def deviates(self, wanted: str) -> Deviation:
        """The deviation that shows this whole answer."""
        return Deviation(self.asked, wanted, f"{self.status} {shown(self.body)}".rstrip())

    def json(self) -> Found:
        """The body as JSON. Raises Deviation."""
        try:
            return Found(loads(self.body), self.asked)
        except MalformedJson:
            raise self.deviates("a JSON body") from None

    def ok(self) -> Found:
        """The JSON body of a 200. Raises Deviation."""
        if self.status != 200:
            raise self.deviates("status 200")
        return self.json()

    def refused(
        self,
        status: int | tuple[int, ...],
        message: str | None = None,
        *,
        param: str | None = None,
        code: str | None = None,
        type: str = "invalid_request_error",  # noqa: A002, the envelope's own word
    ) -> None:
        """Want an error in the envelope, with these fields. Without a message any text will do. Raises Deviation."""
        statuses = (status,) if isinstance(status, int) else status
        if self.status not in statuses:
            raise self.deviates(f"status {' or '.join(map(str, statuses))}{f' and {message!r}' if message else ''}")
        error = self.json()["error"]
        error["message"].text()
        error.has(**({} if message is None else {"message": message}), type=type, param=param, code=code)
