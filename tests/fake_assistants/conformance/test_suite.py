"""The conformance suite over every adapter and through the installed SDK: whatever way in, the same behaviours."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import httpx2
import openai
import pytest
from anyio.from_thread import start_blocking_portal
from openai import OpenAI
from openai._types import Omit

from fake_assistants import FakeAssistants, Reply, Request
from fake_assistants.conformance import CASES, Case, Port, Setting, run
from fake_assistants.conformance.http_client import HttpPort
from fake_assistants.conformance.suite import check

KEY = "sk-conformance"
SETTING = Setting(key=KEY, control=True, polls=10)

# The SDK takes an http_client of its own library only.
LIBRARY: Any = httpx2 if int(openai.__version__.partition(".")[0]) >= 3 else httpx


def target_of(request: Request) -> str:
    return f"{request.path}?{httpx.QueryParams(request.query)}" if request.query else request.path


def reply_of(response: Any) -> Reply:
    """The exchange's reply from either library's."""
    return Reply(response.status_code, response.headers.multi_items(), response.content)


def by_client(client: Any, base: str) -> Port:
    def send(request: Request) -> Reply:
        url = base + target_of(request)
        return reply_of(client.request(request.method, url, headers=request.headers, content=request.body))

    return send


@contextmanager
def in_process(fake: FakeAssistants) -> Iterator[Port]:
    yield fake.handle


@contextmanager
def over_http(fake: FakeAssistants) -> Iterator[Port]:
    with fake.serve() as server:
        yield HttpPort(server.base_url, timeout=60).send


@contextmanager
def transport_of_httpx(fake: FakeAssistants) -> Iterator[Port]:
    with httpx.Client(transport=fake.transport()) as client:
        yield by_client(client, "http://anywhere")


@contextmanager
def transport_of_httpx2(fake: FakeAssistants) -> Iterator[Port]:
    with httpx2.Client(transport=fake.transport()) as client:
        yield by_client(client, "http://anywhere")


@contextmanager
def mount_under_httpx(fake: FakeAssistants) -> Iterator[Port]:
    with fake.mount(), httpx.Client() as client:
        yield by_client(client, "https://api.openai.com")


@contextmanager
def mount_under_httpx2(fake: FakeAssistants) -> Iterator[Port]:
    with fake.mount(), httpx2.Client() as client:
        yield by_client(client, "https://api.openai.com")


@contextmanager
def async_transport(fake: FakeAssistants) -> Iterator[Port]:
    with start_blocking_portal() as portal:
        client: Any = LIBRARY.AsyncClient(transport=fake.async_transport())

        async def ask(request: Request) -> Any:
            url = "http://anywhere" + target_of(request)
            return await client.request(request.method, url, headers=request.headers, content=request.body)

        yield lambda request: reply_of(portal.call(ask, request))
        portal.call(client.aclose)


@contextmanager
def sdk_over_http(fake: FakeAssistants) -> Iterator[Port]:
    with fake.serve() as server, OpenAI(base_url=server.url, api_key=KEY, max_retries=0) as client:
        yield by_sdk(client)


@contextmanager
def sdk_mounted(fake: FakeAssistants) -> Iterator[Port]:
    with fake.mount(), OpenAI(base_url="https://api.openai.com", api_key=KEY, max_retries=0) as client:
        yield by_sdk(client)


def by_sdk(client: OpenAI) -> Port:
    """Through the SDK's own client; it sends every body as JSON, and adds headers of its own."""

    def send(request: Request) -> Reply:
        verbs: dict[str, Callable[..., Any]] = {
            "GET": client.get,
            "POST": client.post,
            "PUT": client.put,
            "DELETE": client.delete,
        }
        names = {"authorization": "Authorization", "openai-beta": "OpenAI-Beta"}
        headers = {name: request.headers.get(key, Omit()) for key, name in names.items()}
        body = {"body": json.loads(request.body)} if request.body else {}
        try:
            response = verbs[request.method](
                target_of(request), cast_to=LIBRARY.Response, options={"headers": headers}, **body
            )
        except openai.APIStatusError as error:
            response = error.response
        return reply_of(response)

    return send


WAYS = [
    in_process,
    over_http,
    transport_of_httpx,
    transport_of_httpx2,
    mount_under_httpx,
    mount_under_httpx2,
    async_transport,
    sdk_over_http,
    sdk_mounted,
]


@pytest.fixture(scope="module", params=WAYS, ids=lambda way: way.__name__)
def port(request: pytest.FixtureRequest) -> Iterator[Port]:
    """A way to one fake that knows one key."""
    with request.param(FakeAssistants(api_keys=[KEY])) as send:
        yield send


# What the SDK cannot send is asked over the other ways.
OPENAIS = [case for case in CASES if "openai" in case.services]
RAW = [case for case in OPENAIS if "raw" in case.needs]
USUAL = [case for case in OPENAIS if "raw" not in case.needs]


@pytest.mark.parametrize("case", USUAL, ids=str)
def test_the_fake_conforms(port: Port, case: Case) -> None:
    """Every case holds, and none has to be left out."""
    assert port(Request("POST", "/_fake/reset")).status == 200
    result = check(case, port, SETTING)
    assert (result.outcome, result.detail) == ("ok", None)


@pytest.mark.parametrize("case", RAW, ids=str)
@pytest.mark.parametrize("way", [in_process, over_http, transport_of_httpx2], ids=lambda way: way.__name__)
def test_what_no_sdk_sends(way: Callable[[FakeAssistants], Any], case: Case) -> None:
    """Is asked without one."""
    with way(FakeAssistants(api_keys=[KEY])) as send:
        assert check(case, send, SETTING).outcome == "ok"


_OF_MODELS = {"conversations", "responses", "chat", "embeddings", "models"}

# What does not apply below a base of Azure's and Foundry's, though the service may have it.
ELSEWHERE = {
    ("azure", "/openai/v1"): {"foundry/permission-denied", "foundry/list-threads"},
    ("foundry", "/openai/v1"): {"foundry/permission-denied", "foundry/list-threads"},
    ("foundry", "/api/projects/mine"): {
        "errors/list-threads",
        "validation/function-name-chat",
        "validation/function-name-responses",
        *(str(case) for case in CASES if case.area in _OF_MODELS),
    },
}


@pytest.mark.parametrize(("profile", "base"), ELSEWHERE)
@pytest.mark.parametrize("way", [in_process, over_http], ids=lambda way: way.__name__)
def test_azure_and_foundry_conform(way: Callable[[FakeAssistants], Any], profile: str, base: str) -> None:
    """Every case holds, or is of another service, or of another base; the suite finds out by itself whose API it is."""
    with way(FakeAssistants(profile=profile, api_keys=[KEY])) as send:
        results = run(send, setting=Setting(base=base, key=KEY, polls=10))
    assert [(str(result.case), result.detail) for result in results if result.outcome == "deviates"] == []
    others = {str(result.case) for result in results if "the API is" in (result.detail or "")}
    left_out = {str(result.case) for result in results if result.outcome == "not applicable"} - others
    assert left_out <= ELSEWHERE[profile, base]
    service = "foundry" if (profile, base) == ("foundry", "/openai/v1") else "azure"
    assert others == {str(case) for case in CASES if service not in case.services}
