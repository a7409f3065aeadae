"""Pushes of exports to the test server of Engramia, in this process and without waiting."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
from openai import AsyncOpenAI

from canned import HTTP
from converting import put_bare, text_message
from engramia_server import KEY, Clock, Engramia
from fake_assistants import Request
from fake_assistants.adapters.httpx_transport import AsyncTransport
from threadkeep.api.client import PacingOptions
from threadkeep.api.endpoints import Api
from threadkeep.api.transport import Transport
from threadkeep.migration.events import PushEvent
from threadkeep.migration.job import PushJob, PushResult
from threadkeep.migration.run import carry_out
from threadkeep.serialization.lossless_json import dumps

__all__ = ["ADDRESS", "Hours", "Pushes", "learn", "put_pairs", "server"]

ADDRESS = "https://api.test/v1"

Pairs = Sequence[tuple[str, str]]


@attrs.define
class Hours(Clock):
    """The clock of a server and of those who ask it, which only requests and waiting move.

    It begins at 0: to seconds since the epoch a very short wait adds nothing.
    """

    now: float = 0.0

    async def sleep(self, seconds: float) -> None:
        """Advance it at once, and let other tasks run."""
        self.now += seconds
        await asyncio.sleep(0)


def server(**settings: Any) -> Engramia:
    """A server that takes any number of requests."""
    return Engramia(**{"clock": Hours(), "per_minute": None, "per_key": None, **settings})


def put_pairs(out: Path, threads: Mapping[str, Pairs]) -> Path:
    """Write an export of threads, each of these questions and answers. Messages are numbered throughout, from 0."""
    texts = [
        (thread_id, role, text)
        for thread_id, pairs in threads.items()
        for pair in pairs
        for role, text in zip(("user", "assistant"), pair, strict=True)
    ]
    rows = enumerate(texts)
    return put_bare(out, [text_message(n, role, text, thread_id=thread_id) for n, (thread_id, role, text) in rows])


def learn(engramia: Engramia, pairs: Iterable[tuple[str, str]]) -> None:
    """Store patterns, as another import of other threads does."""
    headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
    for task, code in pairs:
        body = {"task": task, "code": code, "eval_score": 5.0, "source": "import", "run_id": "openai-thread:other"}
        assert engramia.handle(Request("POST", "/v1/learn", headers=headers, body=dumps(body))).status == 200
    engramia.requests.clear()


@attrs.define
class Pushes:
    """Pushes of one export to one server.

    Attributes:
        out: the export.
        engramia: the server.
        key: that is used.
        events: of the last push.
    """

    out: Path
    engramia: Engramia
    key: str = KEY
    events: list[PushEvent] = attrs.field(factory=list, init=False)

    def run(self, *, rpm: int | None = None, max_retries: int = 6, **given: Any) -> PushResult:
        """Push, or resume that."""
        clock = self.engramia.clock
        assert isinstance(clock, Hours)
        pace = PacingOptions(
            rpm=rpm, max_retries=max_retries, sleep=clock.sleep, clock=lambda: clock.now, jitter=lambda: 1.0
        )
        usual: dict[str, Any] = {
            "to": "engramia",
            "address": ADDRESS,
            "concurrency": 1,
            "pace": pace,
        }
        self.events.clear()
        return asyncio.run(self._carry_out(PushJob(out=self.out, **usual | given)))

    async def _carry_out(self, job: PushJob) -> PushResult:
        http_client = HTTP.AsyncClient(transport=AsyncTransport(self.engramia))
        async with AsyncOpenAI(api_key=self.key, base_url=ADDRESS, http_client=http_client) as client:
            return await carry_out(job, [Transport(client, api=Api.ENGRAMIA)], on_event=self.events.append)
