"""The client over the real SDK and canned answers: what is retried, when, and what ends a run."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canned import HTTP, async_client
from canned_threads import ThreadServer, message
from threadkeep.api.client import ApiClient, PacingOptions
from threadkeep.api.transport import Transport
from threadkeep.errors import ApiGone, BadPage, QuotaSpent, RequestFailed, RunEnded, ThreadMissing

pytestmark = pytest.mark.anyio
THREAD = {"id": "thread_a", "object": "thread", "metadata": {}}


class Hours:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        """Advance the clock at once, and let other tasks run."""
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)

    def pace(self, **options: Any) -> PacingOptions:
        """Return a pace by this clock."""
        return PacingOptions(sleep=self.sleep, clock=lambda: self.now, jitter=lambda: 1.0, **options)


def answering(*answers: Any) -> Callable[[Any], Any]:
    """Return a server that gives these answers in turn, then always the thread."""
    remaining = iter(answers)

    def answer(request: Any) -> Any:
        given = next(remaining, None)
        return given(request) if callable(given) else given or HTTP.Response(200, json=THREAD)

    return answer


def limited(text: str = "Slow down.", code: str = "rate_limit_exceeded", **headers: str) -> Any:
    """Return a 429."""
    body = {"error": {"message": text, "type": "requests", "param": None, "code": code}}
    return HTTP.Response(429, json=body, headers={name.replace("_", "-"): value for name, value in headers.items()})


def broken(request: Any) -> Any:
    """Break the connection."""
    raise HTTP.ReadError("broken", request=request)


async def fetched(hours: Hours, server: Any, **options: Any) -> Any:
    """Return one object or its error, and the client."""
    async with Transport(async_client(server)) as api:
        client = ApiClient(api, hours.pace(**options))
        try:
            return await client.fetch("/threads/thread_a"), client
        except (RequestFailed, BadPage, ThreadMissing, RunEnded) as problem:
            return problem, client


AGAIN: dict[str, Any] = {
    "408": HTTP.Response(408),
    "409": HTTP.Response(409, json={}),
    "429": limited(),
    "500": HTTP.Response(500, json={"error": {"message": "Oh."}}),
    "502 in HTML": HTTP.Response(502, content=b"<html>"),
    "503": HTTP.Response(503),
    "a drop": broken,
    "truncated": HTTP.Response(200, content=json.dumps(THREAD).encode()[:-4]),
    "HTML in a 200": HTTP.Response(200, content=b"<!doctype html>", headers={"content-type": "text/html"}),
    "a list": HTTP.Response(200, json=[THREAD]),
    "no id": HTTP.Response(200, json={"object": "thread"}),
    "x-should-retry": HTTP.Response(404, json={"error": {"message": "No file."}}, headers={"x-should-retry": "true"}),
}
FAILING = st.sampled_from(sorted(set(AGAIN) - {"x-should-retry"}))


@given(names=st.lists(FAILING, max_size=4))
async def test_temporary_failures_are_retried(names: list[str]) -> None:
    """Any series of temporary faults costs requests and time, and nothing else."""
    hours = Hours()
    found, client = await fetched(hours, answering(*(AGAIN[name] for name in names)), max_retries=4)
    assert found == THREAD
    assert client.traffic.sent == len(names) + 1
    assert client.traffic.refused == names.count("429")
    assert client.traffic.pause == 0


@pytest.mark.parametrize("name", sorted(set(AGAIN) - {"429", "x-should-retry"}))
async def test_a_request_fails_after_its_last_retry(name: str) -> None:
    """There are as many retries as allowed, and the last error is raised."""
    answers = [AGAIN[name]] * 3
    problem, client = await fetched(Hours(), answering(*answers), max_retries=2)
    assert isinstance(problem, (RequestFailed, BadPage))
    assert client.traffic.sent == 3


@pytest.mark.parametrize(
    "answer",
    [
        HTTP.Response(400, json={"error": {"message": "Bad."}}),
        HTTP.Response(404, json={"error": {"message": "No thread found with id 'thread_a'."}}),
        HTTP.Response(404, json={"error": {"message": "No file found."}}),
        HTTP.Response(422),
        HTTP.Response(503, headers={"x-should-retry": "false"}),
    ],
)
async def test_permanent_failures_are_not_retried(answer: Any) -> None:
    """A permanent failure costs one request."""
    problem, client = await fetched(Hours(), answering(answer))
    assert isinstance(problem, (RequestFailed, ThreadMissing))
    assert client.traffic.sent == 1


@pytest.mark.parametrize(
    ("answer", "seconds"),
    [
        (limited(retry_after_ms="1250", retry_after="7"), 1.25),
        (limited("Rate limit reached. Please try again in 1m2s."), 62),
    ],
)
async def test_a_rate_limit_is_waited_for_exactly(answer: Any, seconds: float) -> None:
    """The client waits as long as the server asks, to the millisecond, even if no retry is allowed."""
    hours = Hours()
    found, _ = await fetched(hours, answering(answer), max_retries=0)
    assert found == THREAD
    assert hours.slept == [seconds]


async def test_the_retry_after_of_a_busy_server_is_obeyed() -> None:
    """Also that of a 503. Without one the waits are random and grow."""
    hours = Hours()
    await fetched(hours, answering(HTTP.Response(503, headers={"retry-after": "30"}), HTTP.Response(503)))
    assert hours.slept[0] == 30
    assert 0 <= hours.slept[1] <= 1


async def test_a_spent_quota_ends_the_run_at_once() -> None:
    """Waiting does not help against insufficient_quota."""
    problem, client = await fetched(Hours(), answering(limited("You exceeded it.", code="insufficient_quota")))
    assert isinstance(problem, QuotaSpent)
    assert client.traffic.sent == 1


async def test_a_server_that_refuses_every_request_ends_the_run() -> None:
    """After the retries, and not before two minutes have passed."""
    hours = Hours()
    problem, client = await fetched(hours, lambda _request: limited(), max_retries=3)
    assert isinstance(problem, QuotaSpent)
    assert client.ended_by is problem
    assert 120 <= hours.now < 150
    assert client.traffic.refused == client.traffic.sent < 25


async def test_every_request_waits_when_one_is_refused() -> None:
    """During the pause that the server asks for nothing is sent; then everything comes, at a pace.

    A dozen requests and a wait of nine seconds look like a window of the server's clock, so the rest takes two or three
    more of them.
    """
    hours, sent = Hours(), list[float]()

    class Refusing(ThreadServer):
        def spoil(self, request: Any, times: int) -> Any:
            del request, times
            sent.append(hours.now)
            return limited(retry_after="9") if len(self.asked) == 12 else None

    server = Refusing({f"thread_{n}": [message(f"thread_{n}", 1)] for n in range(40)})
    async with Transport(async_client(server)) as api:
        client = ApiClient(api, hours.pace())
        found = await asyncio.gather(*(_walked(client, name) for name in server.threads))
    assert [len(rows) for rows in found] == [1] * 40
    assert {at for at in sent if at < 9} == {0.0}
    assert 9 <= max(sent) < 40
    assert client.traffic.refused == 1


async def _walked(client: ApiClient, name: str, **options: Any) -> list[Any]:
    path = f"/threads/{name}/messages"
    return [row async for each in client.walk(path, thread_id=name, **options) for row in each.rows]


async def test_a_walk_may_carry_more_of_a_query() -> None:
    """In addition to the limit, the order and the cursor."""
    server = ThreadServer({"thread_a": [message("thread_a", number) for number in range(120)]})
    async with Transport(async_client(server)) as api:
        rows = await _walked(ApiClient(api, PacingOptions()), "thread_a", params={"run_id": "run_1"})
    assert len(rows) == 120
    assert all("run_id=run_1" in url and "limit=100&order=asc" in url for url in server.asked)
    assert "after=" in server.asked[1]


async def test_the_end_of_a_run_ends_its_pauses() -> None:
    """No request waits any longer for a pause or for a slot."""
    paused = asyncio.Event()

    async def for_ever(_seconds: float) -> None:
        paused.set()
        await asyncio.Event().wait()

    async with Transport(async_client(lambda _request: limited(retry_after="600"))) as api:
        client = ApiClient(api, PacingOptions(sleep=for_ever, clock=lambda: 0.0))
        waiting = [asyncio.ensure_future(_walked(client, f"thread_{n}")) for n in range(20)]
        await paused.wait()
        assert client.traffic.pause == 600
        client.end(ApiGone("over"))
        ends = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(end, ApiGone) for end in ends)
    assert client.traffic.sent <= 8


async def test_there_is_no_pause_before_a_retry_after_the_end_of_a_run() -> None:
    """The end comes while the last request is on its way, and that one fails."""

    def end(_request: Any) -> Any:
        client.end(ApiGone("over"))
        return HTTP.Response(503, headers={"retry-after": "600"})

    async with Transport(async_client(end)) as api:
        client = ApiClient(api, PacingOptions())
        with pytest.raises(ApiGone):
            await client.fetch("/threads/thread_a")
    assert client.traffic.sent == 1


async def test_the_end_of_a_run_ends_the_wait_for_a_given_limit() -> None:
    """One request a minute is a long wait too."""
    server = ThreadServer({"thread_a": [message("thread_a", 1)]})
    async with Transport(async_client(server)) as api:
        client = ApiClient(api, PacingOptions(rpm=1))
        waiting = [asyncio.ensure_future(_walked(client, "thread_a")) for _ in range(3)]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        client.end(ApiGone("over"))
        ends = await asyncio.gather(*waiting, return_exceptions=True)
        with pytest.raises(ApiGone):
            await client.fetch("/threads/thread_a")
    assert [isinstance(end, ApiGone) for end in ends].count(True) == 2
    assert client.traffic.sent == len(server.asked) == 1


@pytest.mark.parametrize("rpm", [6000, 10**400])
async def test_a_given_limit_is_obeyed(rpm: int) -> None:
    """The limit, however high, lets half a second's worth pass at once, and a refusal is obeyed as well."""
    hours = Hours()
    server = answering(limited(retry_after="5"))
    found, client = await fetched(hours, server, rpm=rpm)
    assert found == THREAD
    assert hours.slept == [5]
    assert client.traffic.sent == 2


async def test_many_requests_at_a_time_are_spread_over_several_pools(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pool has more than sixteen requests, each answer is right, and all pools are closed."""
    busy, most, all_there = dict[Any, int](), list[int](), asyncio.Event()

    def client(**_options: Any) -> Any:
        async def answer(request: Any) -> Any:
            busy[made] = busy.get(made, 0) + 1
            most.append(busy[made])
            if len(most) == 40:
                all_there.set()
            await asyncio.wait_for(all_there.wait(), 300)
            busy[made] -= 1
            return HTTP.Response(200, content=str(request.url).encode())

        made = HTTP.AsyncClient(transport=HTTP.MockTransport(answer))
        clients.append(made)
        return made

    clients: list[Any] = []
    monkeypatch.setattr("threadkeep.api.connections.http_client", client)
    first = async_client([]).copy(http_client=client())
    async with Transport(first, is_own=True) as api:
        bodies = await asyncio.gather(*(api.get(f"/threads/thread_{n}", {}) for n in range(40)))
    assert [body.decode().rpartition("_")[2] for body in bodies] == [str(n) for n in range(40)]
    assert max(most) <= 16
    assert len(clients) == 3
    assert all(each.is_closed for each in clients)


async def test_an_empty_page_counts_when_it_comes_again() -> None:
    """Nothing in it says whose it is: it may be the answer to another request."""
    rows = [{"id": f"msg_{number}", "thread_id": "thread_a"} for number in range(3)]
    page, empty = ({"data": data, "has_more": False, "last_id": None} for data in (rows, []))
    for answers, found in (([empty, page], rows), ([page], rows), ([empty, empty], [])):
        served = [HTTP.Response(200, json=answer) for answer in answers]
        async with Transport(async_client(served)) as transport:
            client = ApiClient(transport, PacingOptions(max_retries=0))
            pages = [one async for one in client.walk("/threads/thread_a/messages", thread_id="thread_a")]
            assert [row for one in pages for row in one.rows] == found
            assert client.traffic.sent == len(answers)
