"""Microsoft's own client of Foundry Agents (classic) cannot tell the fake from the service.

It asks every list for another page until `last_id` is null, whatever `has_more` says.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from azure.ai.agents import AgentsClient
from azure.ai.agents.models import AgentEventHandler, ListSortOrder, MessageDeltaChunk, ThreadMessage, ThreadRun
from azure.core.credentials import AzureKeyCredential
from azure.core.exceptions import ClientAuthenticationError, ResourceNotFoundError
from azure.core.pipeline.policies import AzureKeyCredentialPolicy

from fake_assistants import FakeAssistants, demo_world

WORLD = demo_world(3, 130)
THREADS = [thread["id"] for thread in WORLD["threads"]]
WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}


@pytest.fixture
def fake() -> FakeAssistants:
    """A fake of Foundry with three threads."""
    fake = FakeAssistants(profile="foundry", api_keys=["token"])
    fake.load(WORLD)
    return fake


def client_of(base_url: str, token: str = "token") -> AgentsClient:
    """A client with this token. Its usual policy refuses to send one over HTTP."""
    credential: Any = AzureKeyCredential(token)
    policy = AzureKeyCredentialPolicy(credential, "Authorization", prefix="Bearer")
    return AgentsClient(base_url, credential, authentication_policy=policy, retry_total=0)


@pytest.fixture
def client(fake: FakeAssistants) -> Iterator[AgentsClient]:
    with fake.serve() as server, client_of(server.base_url) as client:
        yield client


def test_every_list_is_walked_to_its_end(fake: FakeAssistants, client: AgentsClient) -> None:
    """Each once, in order, and the last page asked for is an empty one."""
    assert [thread.id for thread in client.threads.list(limit=1)] == THREADS[::-1]
    for thread_id in THREADS:
        ids = [message["id"] for message in WORLD["messages"] if message["thread_id"] == thread_id]
        for order, wanted in ((ListSortOrder.ASCENDING, ids), (ListSortOrder.DESCENDING, ids[::-1])):
            assert [one.id for one in client.messages.list(thread_id, order=order, limit=50)] == wanted
        runs = [run["id"] for run in WORLD["runs"] if run["thread_id"] == thread_id]
        assert [run.id for run in client.runs.list(thread_id, limit=50)] == runs[::-1]
    made = [client.create_agent(model="gpt-4o", name=f"agent {number}").id for number in range(5)]
    assert [agent.id for agent in client.list_agents(limit=2)][:5] == made[::-1]
    assert {dict(entry.query)["api-version"] for entry in fake.requests} == {"v1"}


def test_an_agent_lives_and_ends(client: AgentsClient) -> None:
    """With a thread, messages and a file."""
    agent = client.create_agent(model="gpt-4o", instructions="Be brief.", metadata={"a": "1"})
    assert client.update_agent(agent.id, name="B").name == "B"
    assert "reasoning_effort" not in client.get_agent(agent.id).as_dict()
    thread = client.threads.create(metadata={"k": "v"})
    message = client.messages.create(thread.id, role="user", content="Hello")
    assert client.messages.get(thread.id, message.id).text_messages[0].text.value == "Hello"
    assert client.threads.update(thread.id, metadata={"k": "w"}).metadata == {"k": "w"}
    client.threads.delete(thread.id)
    client.delete_agent(agent.id)
    with pytest.raises(ResourceNotFoundError, match="No thread found"):
        client.threads.get(thread.id)


def test_a_run_is_processed_to_its_end(fake: FakeAssistants, client: AgentsClient) -> None:
    """By polling, with a function that the client calls by itself."""
    fake.script = {"default": [{"call": [{"name": "weather", "arguments": {}}]}, {"reply": "It is sunny."}]}
    agent = client.create_agent(model="gpt-4o", tools=[WEATHER])
    thread = client.threads.create()
    client.messages.create(thread.id, role="user", content="What is the weather?")
    client.enable_auto_function_calls({weather})
    run = client.runs.create_and_process(thread.id, agent_id=agent.id, polling_interval=0)
    assert run.status == "completed"
    last = client.messages.get_last_message_text_by_role(thread.id, role="assistant")  # type: ignore[arg-type]
    assert last is not None
    assert last.text.value == "It is sunny."
    assert [step.type for step in client.run_steps.list(thread.id, run.id)] == ["message_creation", "tool_calls"]
    assert [one.id for one in client.runs.list(thread.id)] == [run.id]


def weather() -> str:
    """What the function says."""
    return "sunny"


class Handler(AgentEventHandler[str]):
    """Notes what it is handed."""

    def __init__(self) -> None:
        super().__init__()
        self.text, self.statuses = "", list[str]()
        self.messages = list[ThreadMessage]()

    def on_message_delta(self, delta: MessageDeltaChunk) -> None:
        self.text += delta.text

    def on_thread_run(self, run: ThreadRun) -> None:
        self.statuses.append(str(run.status))

    def on_thread_message(self, message: ThreadMessage) -> None:
        self.messages.append(message)

    def on_error(self, data: str) -> None:
        raise AssertionError(data)


def test_a_run_is_streamed(fake: FakeAssistants, client: AgentsClient) -> None:
    """Its words come one by one, its statuses in order."""
    fake.script = {"default": [{"reply": "It is sunny in Łódź."}]}
    agent = client.create_agent(model="gpt-4o")
    thread = client.threads.create()
    client.messages.create(thread.id, role="user", content="What is the weather?")
    handler = Handler()
    with client.runs.stream(thread.id, agent_id=agent.id, event_handler=handler) as stream:
        stream.until_done()
    assert handler.text == "It is sunny in Łódź."
    assert [status.rpartition(".")[2].lower() for status in handler.statuses] == [
        *("queued", "queued", "in_progress", "completed"),
    ]
    assert handler.messages[-1].text_messages[0].text.value == handler.text


def test_a_refused_token_and_a_missing_role_are_authentication_errors(fake: FakeAssistants) -> None:
    """With Microsoft's codes."""
    with fake.serve() as server:
        with (
            client_of(server.base_url, "wrong") as client,
            pytest.raises(ClientAuthenticationError, match="Access denied"),
        ):
            list(client.threads.list())
        fake.faults = [{"match": {}, "do": {"status": 401}}]
        with client_of(server.base_url) as client, pytest.raises(ClientAuthenticationError) as raised:
            list(client.threads.list())
    assert raised.value.error is not None
    assert raised.value.error.code == "PermissionDenied"
