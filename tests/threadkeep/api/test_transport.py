"""The SDK's exceptions as ours: total over the installed SDK, and the sunset distinct from a missing thread."""

import importlib
import json
import pkgutil
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import openai
import pytest

from canned import HTTP, async_client
from sdkage import gained
from threadkeep.api.endpoints import ApiSource, Auth, endpoint_of
from threadkeep.api.error_mapping import RequestContext, translate
from threadkeep.api.keys import Key
from threadkeep.api.secrets import Secrets
from threadkeep.api.transport import Transport, connect_all
from threadkeep.clock import now
from threadkeep.errors import (
    AccessRefused,
    ApiError,
    ApiGone,
    IdRefused,
    QuotaSpent,
    RateLimited,
    RequestFailed,
    ThreadMissing,
    WrongAddress,
)

pytestmark = pytest.mark.anyio
# Every exception of the SDK, as far as it is known here. Those that no row of the table names are failed requests.
KNOWN = """
OpenAIError APIError APIResponseValidationError APIConnectionError APITimeoutError APIStatusError BadRequestError
AuthenticationError PermissionDeniedError NotFoundError ConflictError UnprocessableEntityError RateLimitError
InternalServerError OAuthError SubjectTokenProviderError MutuallyExclusiveAuthError APIRemovedInV1
AgentFilePreparationError AgentFileStagingError AgentOutputParseError AgentTurnResultError
ContentFilterFinishReasonError InvalidWebhookSignatureError LengthFinishReasonError MissingDependencyError
StreamAlreadyConsumed WebSocketConnectionClosedError WebSocketQueueFullError _AmbiguousModuleClientUsageError
"""
CONTEXT = RequestContext(address="http://here/v1", path="/threads/thread_x", answered=True, now=now())
NO_THREAD = {"error": {"message": "No thread found with id 'thread_x'.", "type": "invalid_request_error"}}
NO_ROUTE = {"error": {"message": "Invalid URL (GET /v1/threads/x)", "type": "invalid_request_error"}}


def descendants(kind: type[Exception]) -> Iterator[type[Exception]]:
    """A class and every class below it."""
    yield kind
    children: list[type[Exception]] = kind.__subclasses__()
    for child in children:
        yield from descendants(child)


def sdk_exceptions() -> list[type[Exception]]:
    """Every exception of the installed SDK, after importing all its modules that can be imported."""
    for module in pkgutil.walk_packages(openai.__path__, "openai.", onerror=lambda _name: None):
        if not module.name.startswith(("openai.cli", "openai.__main__", "openai.helpers")):
            with suppress(Exception):  # modules of extras that are not installed define no exceptions of requests
                importlib.import_module(module.name)
    return [
        kind
        for kind in descendants(openai.OpenAIError)
        if kind.__module__.split(".")[0] == "openai" and not kind.__module__.startswith("openai.cli")
    ]


def test_every_exception_of_the_sdk_is_known() -> None:
    """The meaning of each of them is decided."""
    named = {kind.__name__ for kind in sdk_exceptions()}
    assert {"APIStatusError", "APITimeoutError", "RateLimitError"} <= named
    assert gained(named, set(KNOWN.split())) == set()


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("TomorrowError", RequestFailed, "TomorrowError at http://here/v1: expired [key]"),
        ("SubjectTokenProviderError", AccessRefused, "no access to http://here/v1: expired [key]"),
    ],
)
def test_an_exception_without_an_answer(name: str, kind: type[ApiError], words: str) -> None:
    """A class that is not known is still an error of ours; a key that cannot be obtained is a refusal.

    Of the secrets only a host that is named alike is shown.
    """
    error = type(name, (openai.OpenAIError,), {})("expired here")
    problem, secrets = translate(error, CONTEXT), Secrets()
    secrets.add("here")
    secrets.finish(problem, CONTEXT.address)
    assert (type(problem), str(problem)) == (kind, words)


async def problem_of(status: int, body: bytes, *, answered: bool = False) -> ApiError:
    """What one answer to a page of messages comes to."""
    api = Transport(async_client([HTTP.Response(status, content=body)]))
    api.answered = answered
    with pytest.raises(ApiError) as caught:
        await api.get("/threads/thread_x/messages", {"limit": 100})
    return api.finish(caught.value)


JSON_THREAD, JSON_ROUTE = json.dumps(NO_THREAD).encode(), json.dumps(NO_ROUTE).encode()
HTML = b"<!doctype html><title>Not Found</title>"


@pytest.mark.parametrize(
    ("status", "body", "answered", "kind"),
    [
        (404, JSON_THREAD, False, ThreadMissing),
        (404, JSON_THREAD, True, ThreadMissing),
        (404, b"", True, ApiGone),
        (404, b"  \n", True, ApiGone),
        (404, b"404 page not found", True, ApiGone),
        (404, b"", False, ApiGone),
        (404, b"404 page not found", False, WrongAddress),
        (404, HTML, False, WrongAddress),
        (404, HTML, True, ApiGone),
        (404, JSON_ROUTE, False, WrongAddress),
        (404, JSON_ROUTE, True, WrongAddress),
        (404, b'{"detail":"Not Found"}', False, WrongAddress),
        (404, b'{"error":"Unexpected endpoint"}', False, WrongAddress),
        (404, b'{"error":{"code":"404","message":"Resource not found"}}', False, WrongAddress),
        (404, b'{"error":{"code":404,"message":"Not Found"}}', True, ThreadMissing),
        (404, b'{"detail":"Not Found"}', True, ThreadMissing),
        (404, b"Thread not found", False, ThreadMissing),
        (404, b'{"error":"Not Found","message":"Thread thread_x not found","statusCode":404}', False, ThreadMissing),
        (404, b'{"error":{"message":"Unknown request URL: GET /v1/threads/x"}}', False, WrongAddress),
        (404, b'{"error":{"message":"Thread thread_x not found"}}', False, ThreadMissing),
        (404, b'{"error":{"message":"No message found with id \'msg_9\'."}}', True, RequestFailed),
        (404, b'{"error":{"message":"No message found with id \'msg_9\'."}}', False, RequestFailed),
        (404, b'{"error":{"message":7}}', False, WrongAddress),
        (410, b"", False, ApiGone),
        (410, json.dumps({"error": {"message": "It is over."}}).encode(), False, ApiGone),
        (401, b"{}", True, AccessRefused),
        (403, b"", True, AccessRefused),
        (400, b'{"error":{"message":"Invalid \'thread_id\': \'x\'. Expected an ID"}}', True, IdRefused),
        (400, b"{}", True, RequestFailed),
        (400, b'{"error":{"code":"BadRequest","message":"API version not supported"}}', True, WrongAddress),
        (400, b'{"error":{"message":"The query parameter api-version is missing"}}', False, WrongAddress),
        (401, b'{"error":{"code":"401","message":"Access denied due to invalid key"}}', False, AccessRefused),
        (401, b'{"statusCode":401,"message":"Unauthorized. Access token is missing"}', False, AccessRefused),
        (409, b"{}", True, RequestFailed),
        (422, b"{}", True, RequestFailed),
        (429, b"{}", True, RateLimited),
        (429, b'{"error":{"message":"You exceeded it.","code":"insufficient_quota"}}', True, QuotaSpent),
        (429, b'{"error_code":"QUOTA_EXCEEDED","detail":"Pattern quota reached."}', True, QuotaSpent),
        (500, b"{}", True, RequestFailed),
        (502, HTML, True, RequestFailed),
        (418, b"{}", True, RequestFailed),
    ],
)
async def test_each_answer_means_one_thing(status: int, body: bytes, answered: bool, kind: type[ApiError]) -> None:
    """The sunset, a missing thread and a wrong address are distinguished by the answer and what came before it."""
    assert type(await problem_of(status, body, answered=answered)) is kind


@pytest.mark.parametrize(("status", "answered"), [(404, True), (404, False), (400, True)])
async def test_an_error_that_is_cut_short_may_be_retried(status: int, answered: bool) -> None:
    """Its meaning is not known: a missing thread must not be taken for a wrong address, nor for the end."""
    problem = await problem_of(status, JSON_THREAD[:-9], answered=answered)
    assert (type(problem), problem.may_retry) == (RequestFailed, True)


async def test_a_wrong_address_is_named() -> None:
    """The message says which address does not serve the API."""
    problem = await problem_of(404, HTML)
    assert "this address does not serve the Assistants API: https://api.test/v1" in str(problem)


async def test_a_missing_thread_counts_as_an_answer() -> None:
    """After a missing thread the address has answered, so that an empty 404 is the sunset."""
    api = Transport(async_client([HTTP.Response(404, content=JSON_THREAD), HTTP.Response(404)]))
    with pytest.raises(ThreadMissing):
        await api.get("/threads/thread_x/messages", {})
    with pytest.raises(ApiGone):
        await api.get("/threads/thread_y/messages", {})


async def test_a_success_gives_its_bytes_and_asks_as_the_sdk_does() -> None:
    """The body comes as it was sent, and the request carries the beta header, the key and the query."""
    seen: list[Any] = []

    def answer(request: object) -> object:
        seen.append(request)
        return HTTP.Response(200, content=b'{"cut": ')

    api = Transport(async_client(answer))
    assert await api.get("/threads/thread_x/messages", {"limit": 100, "order": "asc"}) == b'{"cut": '
    assert not api.answered  # the caller sets it after a valid page
    (request,) = seen
    assert request.headers["openai-beta"] == "assistants=v2"
    assert request.headers["authorization"] == "Bearer sk-test"
    assert str(request.url) == "https://api.test/v1/threads/thread_x/messages?limit=100&order=asc"


@pytest.mark.parametrize(
    ("cause", "unreachable"), [("ConnectError", True), ("ReadTimeout", True), ("ReadError", False)]
)
async def test_only_a_server_without_any_answer_is_unreachable(cause: str, unreachable: bool) -> None:
    """A body that breaks off is a failed request to a server that is there. The message names the cause."""

    def fail(request: object) -> None:
        raise getattr(HTTP, cause)("trouble", request=request)

    api = Transport(async_client(fail))
    with pytest.raises(RequestFailed) as caught:
        await api.get("/threads/thread_x/messages", {})
    assert "trouble" in str(api.finish(caught.value))
    assert caught.value.unreachable is unreachable


REMEDIES = [
    (
        socket.gaierror(-2, "Name or service not known"),
        "the host of https://api.test/v1 is not known. Check the address, and",
    ),
    (
        ssl.SSLCertVerificationError("self-signed"),
        "is not trusted. If its authority is your own, name its certificates",
    ),
]


@pytest.mark.parametrize(("cause", "words"), REMEDIES)
@pytest.mark.parametrize("answered", [False, True])
async def test_what_asking_again_does_not_help_against(cause: Exception, words: str, answered: bool) -> None:
    """Is told at once with its remedy, before any answer; later it is a fault of the network like any other."""

    def fail(request: object) -> None:
        raise HTTP.ConnectError("no connection", request=request) from cause

    api = Transport(async_client(fail))
    api.answered = answered
    with pytest.raises(ApiError) as caught:
        await api.get("/threads/thread_x/messages", {})
    problem = api.finish(caught.value)
    assert (type(problem), problem.may_retry) == ((RequestFailed, True) if answered else (WrongAddress, False))
    assert (words in str(problem)) is not answered


async def test_a_proxy_that_refuses_is_named() -> None:
    """Asking it again is of no use."""

    def fail(request: object) -> None:
        raise HTTP.ProxyError("407 Proxy Authentication Required", request=request)

    api = Transport(async_client(fail))
    with pytest.raises(RequestFailed) as caught:
        await api.get("/threads/thread_x/messages", {})
    words = (
        "the proxy refuses the connection to https://api.test/v1, see HTTP_PROXY, HTTPS_PROXY and NO_PROXY: 407 Proxy"
    )
    assert words in str(api.finish(caught.value))
    assert (caught.value.may_retry, caught.value.unreachable) == (False, True)


async def test_an_answer_of_another_kind_of_server_means_the_same() -> None:
    """What other servers, frameworks and gateways have for a missing thread, and for a route that they do not know."""
    thread, route = "\"No thread found with id 'thread_x'.\"", '"Not Found"'
    for words, kind in ((thread, ThreadMissing), ('"Thread not found"', ThreadMissing), (route, WrongAddress)):
        for shape in (
            '{"error":{"message":%s}}',
            '{"error":%s}',
            '{"message":%s}',
            '{"detail":%s}',
            '{"errors":[%s]}',
            '{"detail":[{"msg":%s}]}',
            '{"errors":{"detail":%s}}',
        ):
            assert type(await problem_of(404, (shape % words).encode())) is kind, (words, shape)
    assert type(await problem_of(404, b'{"detail":"no such conversation here"}')) is ThreadMissing
    assert type(await problem_of(404, b'{"message":"Cannot GET /v1/threads/x","statusCode":404}')) is WrongAddress


async def test_a_body_that_cannot_be_unpacked_is_a_failed_request() -> None:
    """Whether the SDK maps it or not."""

    async def packed() -> AsyncIterator[bytes]:
        yield b"no gzip"

    def answer(_request: object) -> Any:
        return HTTP.Response(200, content=packed(), headers={"content-encoding": "gzip"})

    with pytest.raises(RequestFailed):
        await Transport(async_client(answer)).get("/threads/thread_x/messages", {})


async def test_an_id_that_no_url_can_carry_is_a_failed_request() -> None:
    """A lone surrogate as cursor concerns its own thread."""
    with pytest.raises(RequestFailed, match="UnicodeEncodeError at https://api"):
        await Transport(async_client([])).get("/threads/thread_x/messages", {"after": "msg_\ud800"})


@pytest.mark.parametrize("status", [400, 401, 404, 410, 429])
async def test_no_message_shows_the_key(status: int) -> None:
    """Not even when the server echoes it, as the API does with short keys."""
    body = json.dumps({"error": {"message": "Incorrect API key provided: sk-test. No thread."}}).encode()
    problem = await problem_of(status, body, answered=True)
    assert "[key]" in str(problem)
    assert "sk-test" not in str(problem)


async def test_no_message_shows_a_secret_of_the_address() -> None:
    """A server may echo the address that was asked, query and all, as a URL spells it."""
    base_url = "https://user:passw0rd@api.test/v1?code=qu3ry%2Fcode&api-version=v1"
    body = json.dumps({"error": {"message": "Invalid URL (GET /v1/x?code=qu3ry%2Fcode, qu3ry/code, passw0rd)"}})
    endpoint = endpoint_of(ApiSource(base_url=base_url), {})
    api = Transport(async_client([HTTP.Response(404, content=body.encode())]), endpoint=endpoint, auth=Auth.BEARER)
    with pytest.raises(WrongAddress) as caught:
        await api.get("/threads/thread_x/messages", {})
    assert "GET /v1/x?code=[key], [key], [key])" in str(api.finish(caught.value))


def clients(
    source: ApiSource, monkeypatch: pytest.MonkeyPatch, seen: list[Any], *, status: int = 200
) -> tuple[Transport, ...]:
    """The clients of a source, on canned answers; each request is recorded."""

    def answer(request: Any) -> Any:
        seen.append(request)
        return HTTP.Response(status, content=b"{}")

    def made(**options: Any) -> openai.AsyncOpenAI:
        return real(**{**options, "http_client": HTTP.AsyncClient(transport=HTTP.MockTransport(answer))})

    real = openai.AsyncOpenAI
    monkeypatch.setattr(openai, "AsyncOpenAI", made)
    return connect_all(source)


async def test_each_key_of_a_file_is_a_client_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the file's order, each for the project and the organization that it names, or the environment does."""
    monkeypatch.setenv("OPENAI_ORG_ID", "org-env")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "proj_env")
    keys = (Key("sk-a", project="proj_a", organization="org-a"), Key("sk-b", project="proj_b"), Key("sk-c"))
    seen: list[Any] = []
    for api in clients(ApiSource(base_url="http://h/v1", keys=keys), monkeypatch, seen):
        await api.get("/assistants", {})
    names = ("authorization", "openai-project", "openai-organization")
    assert [tuple(request.headers[name] for name in names) for request in seen] == [
        ("Bearer sk-a", "proj_a", "org-a"),
        ("Bearer sk-b", "proj_b", "org-env"),
        ("Bearer sk-c", "proj_env", "org-env"),
    ]


async def test_a_rejected_key_is_not_retried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a command can give another."""
    seen: list[Any] = []
    (api,) = clients(ApiSource(base_url="http://h/v1", keys=(Key("sk-a"),)), monkeypatch, seen, status=401)
    with pytest.raises(AccessRefused) as caught:
        await api.get("/assistants", {})
    assert caught.value.status == 401
    assert len(seen) == 1


async def test_a_forbidden_request_renews_no_token(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """403 is about permissions, which a new token would not change."""
    seen: list[Any] = []
    command = f"sh -c 'echo x >> {tmp_path}/runs; echo token'"
    (api,) = clients(ApiSource(base_url="http://h/v1", token_command=command), monkeypatch, seen, status=403)
    with pytest.raises(AccessRefused):
        await api.get("/assistants", {})
    assert [request.headers["authorization"] for request in seen] == ["Bearer token"]
    assert (tmp_path / "runs").read_text() == "x\n"


@pytest.mark.parametrize("key", ["sk-tést", "sk test", "sk-test\n", "sk\x00", ""])
def test_a_key_that_no_header_can_carry_is_refused_before_anything_is_sent(key: str) -> None:
    """A stray blank or line end in the key is named as such, not as a failed connection. An empty key is no key."""
    with pytest.raises(AccessRefused, match="the key holds" if key else "no key|the key is empty"):
        connect_all(ApiSource(base_url="http://127.0.0.1:1/v1", keys=(Key(key),)))
    with pytest.raises(AccessRefused, match=r"key 2 (holds|is empty)"):
        connect_all(ApiSource(base_url="http://127.0.0.1:1/v1", keys=(Key("sk-one"), Key(key))))


def test_no_key_at_all_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a key the SDK's own words are passed on."""
    for name in ("OPENAI_API_KEY", "OPENAI_ADMIN_KEY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(AccessRefused, match="OPENAI_API_KEY"):
        connect_all(ApiSource(base_url="http://127.0.0.1:1/v1"))
