"""Requests that write, over the real SDK and canned answers: each is sent once, and its error says what may be true."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canned import HTTP, async_client
from exporting import no_wait
from threadkeep.api.client import ApiClient, PacingOptions
from threadkeep.api.endpoints import Api
from threadkeep.api.pagination import read_object
from threadkeep.api.transport import Transport
from threadkeep.errors import ApiError, RunEnded

pytestmark = pytest.mark.anyio

CREATED = {"id": "conv_1", "object": "conversation", "metadata": {}}


def failing(error: Any) -> Any:
    """Fail as the HTTP library does."""

    def answer(request: Any) -> Any:
        raise error("oh", request=request)

    return answer


def status(number: int, **headers: str) -> Any:
    """Answer with an error."""
    body = {"error": {"message": "Oh.", "type": "oh", "param": None, "code": None}}
    return HTTP.Response(number, json=body, headers={name.replace("_", "-"): value for name, value in headers.items()})


NOT_DONE: dict[str, Any] = {
    "no connection": failing(HTTP.ConnectError),
    "no connection in time": failing(HTTP.ConnectTimeout),
    "no free connection": failing(HTTP.PoolTimeout),
    **{str(number): status(number) for number in (400, 401, 403, 404, 410, 413, 415, 422)},
    "a refusal that says to try again": status(400, x_should_retry="true"),
}
"""After these nothing was done, for certain."""

PERHAPS: dict[str, Any] = {
    "no answer in time": failing(HTTP.ReadTimeout),
    "a request that could not be written": failing(HTTP.WriteError),
    "a connection that is lost": failing(HTTP.ReadError),
    "no HTTP": failing(HTTP.RemoteProtocolError),
    **{str(number): status(number) for number in (408, 409, 500, 502, 503, 504, 529)},
    "a 500 that says not to try again": status(500, x_should_retry="false"),
    "JSON that is cut short": HTTP.Response(200, content=json.dumps(CREATED).encode()[:-3]),
    "another object": HTTP.Response(200, json=[CREATED]),
}
"""After these it may have been."""


async def posted(*answers: Any) -> tuple[Any, int]:
    """What came of one request that writes, and how often it was sent."""
    remaining, asked = iter(answers), list[Any]()

    def answer(request: Any) -> Any:
        asked.append(request)
        given = next(remaining)
        return given(request) if callable(given) else given

    now = 0.0

    async def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds
        await no_wait(seconds)

    async with Transport(async_client(answer), api=Api.CONVERSATIONS) as transport:
        client = ApiClient(transport, PacingOptions(sleep=sleep, clock=lambda: now))
        try:
            return await client.post("/conversations", {}, read_object), len(asked)
        except ApiError as problem:
            return problem, len(asked)


@pytest.mark.parametrize("name", [*NOT_DONE, *PERHAPS])
async def test_it_is_sent_once_and_the_error_says_whether_it_may_have_been_done(name: str) -> None:
    """Whoever has sent it knows whether the same request might do it twice."""
    problem, asked = await posted((NOT_DONE | PERHAPS)[name])
    assert isinstance(problem, ApiError)
    assert (problem.unconfirmed, asked) == (name in PERHAPS, 1)


@given(refusals=st.integers(1, 4), name=st.sampled_from([*NOT_DONE, *PERHAPS]))
async def test_what_the_rate_limit_has_refused_was_not_done(refusals: int, name: str) -> None:
    """So it is sent again, and what comes then counts."""
    limited = [status(429, retry_after_ms="1")] * refusals
    found, asked = await posted(*limited, HTTP.Response(200, json=CREATED))
    assert (found, asked) == (CREATED, refusals + 1)
    problem, asked = await posted(*limited, (NOT_DONE | PERHAPS)[name])
    assert (problem.unconfirmed, asked) == (name in PERHAPS, refusals + 1)


async def test_what_was_not_sent_any_more_was_not_done() -> None:
    """The run has ended while it waited for its turn."""
    async with Transport(async_client([]), api=Api.CONVERSATIONS) as transport:
        client = ApiClient(transport, PacingOptions())
        client.end(RunEnded("over"))
        with pytest.raises(RunEnded) as ended:
            await client.post("/conversations", {}, read_object)
    assert not ended.value.unconfirmed
