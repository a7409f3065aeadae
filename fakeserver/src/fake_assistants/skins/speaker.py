"""What every skin asks of a fake."""

from typing import Protocol

from fake_assistants.exchange import Reply, Request


class Speaker(Protocol):
    """Anything that answers requests."""

    def handle(self, request: Request) -> Reply: ...
