"""The official SDK against Azure OpenAI and Foundry: by host under one mount, and over HTTP by profile."""

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import httpx
import httpx2
import openai
import pytest
from openai import AsyncAzureOpenAI, AzureOpenAI, OpenAI

from fake_assistants import FakeAssistants

pytestmark = [
    pytest.mark.filterwarnings("ignore:The Assistants API is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:deprecated$:DeprecationWarning"),
]

VERSION = "2024-05-01-preview"
AZURE = "https://unit.openai.azure.com"
COGNITIVE = "https://unit.cognitiveservices.azure.com"
PROJECT = "https://unit.services.ai.azure.com/api/projects/mine"
HELLO: Any = [{"role": "user", "content": "hi"}]

LIBRARY: Any = httpx2 if int(openai.__version__.partition(".")[0]) >= 3 else httpx


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "AZURE_OPENAI_API_KEY", "AZURE_OPENAI_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)


Way = Callable[[FakeAssistants], AbstractContextManager[str]]


@contextmanager
def mounted(fake: FakeAssistants) -> Iterator[str]:
    with fake.mount():
        yield AZURE


@contextmanager
def over_http(_: FakeAssistants) -> Iterator[str]:
    with FakeAssistants(profile="azure").serve() as server:
        yield server.url


@pytest.fixture(params=[mounted, over_http], ids=lambda way: way.__name__)
def endpoint(request: pytest.FixtureRequest, fake: FakeAssistants) -> Iterator[str]:
    """An Azure endpoint: by its host, where no profile was chosen, and a server of that profile."""
    with request.param(fake) as endpoint:
        yield endpoint


def run_and_chat(client: OpenAI) -> None:
    """Every kind of call: create, poll, list, stream, chat."""
    assistant = client.beta.assistants.create(model="gpt-4o")
    thread = client.beta.threads.create(messages=HELLO)
    run = client.beta.threads.runs.create_and_poll(thread_id=thread.id, assistant_id=assistant.id, poll_interval_ms=0)
    assert run.status == "completed"
    with client.beta.threads.runs.stream(thread_id=thread.id, assistant_id=assistant.id) as stream:
        assert stream.get_final_run().status == "completed"
    assert len([*client.beta.threads.messages.list(thread.id, limit=1)]) == 3
    assert client.files.create(file=("a.txt", b"a"), purpose="assistants").bytes == 1
    assert client.chat.completions.create(model="gpt-4o", messages=HELLO).choices[0].message.content == "hi"


def test_azure_openai_by_its_endpoint(endpoint: str) -> None:
    """With a key and with a token."""
    for key, token in (("k", None), (None, "t")):
        with AzureOpenAI(azure_endpoint=endpoint, api_version=VERSION, api_key=key, azure_ad_token=token) as client:
            run_and_chat(client)


def test_azure_openai_by_a_deployment(endpoint: str) -> None:
    """Chat below it."""
    with AzureOpenAI(api_key="k", azure_endpoint=endpoint, azure_deployment="gpt", api_version=VERSION) as client:
        assert client.chat.completions.create(model="any", messages=HELLO).choices[0].message.content == "hi"


def test_azure_openai_by_the_path_without_versions(endpoint: str) -> None:
    """With the client of OpenAI itself."""
    with OpenAI(api_key="k", base_url=f"{endpoint}/openai/v1") as client:
        run_and_chat(client)


@pytest.mark.anyio
async def test_the_async_client_is_served_too(fake: FakeAssistants) -> None:
    """At the older host."""
    with fake.mount():
        async with AsyncAzureOpenAI(api_key="k", azure_endpoint=COGNITIVE, api_version=VERSION) as client:
            thread = await client.beta.threads.create()
            answer = await client.chat.completions.create(model="gpt", messages=HELLO)
    assert thread.id.startswith("thread_")
    assert answer.model == "gpt"
    chat = next(entry for entry in fake.requests if "chat" in entry.path)
    assert (chat.host, chat.path) == ("unit.cognitiveservices.azure.com", "/openai/deployments/gpt/chat/completions")


@pytest.mark.parametrize(
    ("key", "version", "path", "kind", "code", "words"),
    [
        ("wrong", VERSION, "/openai", openai.AuthenticationError, "401", "invalid subscription key"),
        ("right", "2023-01-01", "/openai", openai.BadRequestError, "BadRequest", "API version not supported"),
        ("right", VERSION, "/nowhere", openai.NotFoundError, "404", "Resource not found"),
    ],
)
def test_refusals_become_the_sdks_exceptions(
    key: str, version: str, path: str, kind: type[openai.APIStatusError], code: str, words: str
) -> None:
    """With Azure's codes and words, and a request id of its kind."""
    fake = FakeAssistants(api_keys=["right"])
    client = AzureOpenAI(api_key=key, api_version=version, base_url=AZURE + path, max_retries=0)
    with fake.mount(), client, pytest.raises(kind, match=words) as refused:
        client.beta.threads.create()
    assert refused.value.code == code
    assert re.fullmatch("[0-9a-f]{32}", refused.value.request_id or "")


def conversations(client: OpenAI, path: str) -> list[Any]:
    """What a list has, over all its pages; SDKs before the Conversations API have no method for it."""
    rows, after = list[Any](), ""
    while True:
        page = client.get(f"{path}?limit=2{after}", cast_to=LIBRARY.Response).json()
        rows += page["data"]
        if not page["has_more"]:
            return rows
        after = f"&after={page['last_id']}"


def test_a_move_within_foundry_is_rehearsed_on_one_fake(fake: FakeAssistants) -> None:
    """Threads are listed on the classic side, and end there; conversations are made and listed on the new one."""
    with fake.mount():
        version = {"api-version": "v1"}
        classic = OpenAI(base_url=PROJECT, api_key="token", default_query=version, max_retries=0)
        new = OpenAI(base_url=f"{PROJECT}/openai/v1", api_key="token", max_retries=0)
        with classic, new:
            for number in range(3):
                classic.beta.threads.create(messages=HELLO, metadata={"number": str(number)})
            fake.clock.advance(10)
            for thread in reversed(conversations(classic, "/threads")):
                messages = classic.beta.threads.messages.list(thread["id"])
                words = [part.text.value for m in messages for part in m.content if part.type == "text"]
                items = [{"type": "message", "role": "user", "content": text} for text in words]
                body = {"metadata": {"thread": thread["id"]}, "items": items}
                new.post("/conversations", cast_to=LIBRARY.Response, body=body)
            fake.sunset.now()
            with pytest.raises(openai.APIStatusError):
                classic.beta.threads.create()
            moved = conversations(new, "/conversations")
            items_of_first = conversations(new, f"/conversations/{moved[0]['id']}/items")
    threads = [thread["id"] for thread in fake.state["threads"]]
    assert [conversation["metadata"]["thread"] for conversation in moved] == threads
    assert [item["content"] for item in items_of_first] == [[{"type": "input_text", "text": "hi"}]]
    assert len(fake.state["conversations"]) == 3
