"""The Agents SDK's own runner keeps its conversations in every kind of history, as in its own sessions."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from agents import Agent, FunctionTool, OpenAIResponsesModel, RunConfig, Runner, SQLiteSession
from agents.memory import Session
from openai import AsyncOpenAI
from openai.types.chat import ChatCompletionMessageParam

from servers import PostgresqlServed, RedisServed
from threadkeep.history import Trimmed, open_history, repair, trim
from watched import Watched

CALL = {"name": "weather", "arguments": {"city": "Rome"}, "id": "call_1"}
SCRIPT: Any = {
    "responses": [
        [{"call": [CALL, {**CALL, "id": "call_2"}]}],
        [{"reply": "It is sunny in Rome. 🌮"}],
        [{"reply": "You asked about Rome."}],
    ]
}
QUESTIONS = ("What is the weather in Rome?\u2028", "What did I ask?")


async def _weather(_context: Any, arguments: str) -> str:
    return f"sunny, for {arguments}"


WEATHER = FunctionTool(
    name="weather",
    description="Return the weather of a city.",
    params_json_schema={"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    on_invoke_tool=_weather,
    strict_json_schema=False,
)


async def _ask(base_url: str, session: Session, question: str, *, streamed: bool) -> str:
    async with AsyncOpenAI(base_url=base_url, api_key="sk-test") as client:
        agent = Agent(name="a", model=OpenAIResponsesModel("gpt-4o-mini", client), tools=[WEATHER])
        config = RunConfig(tracing_disabled=True)
        if streamed:
            result: Any = Runner.run_streamed(agent, question, session=session, run_config=config)
            async for _ in result.stream_events():
                pass
        else:
            result = await Runner.run(agent, question, session=session, run_config=config)
        return str(result.final_output)


def _converse(session: Session, *, streamed: bool) -> tuple[list[str], list[Any], list[Any]]:
    """Two runs in two event loops: what came of them, what the server was sent, and what is stored."""
    fake = Watched()
    fake.script = SCRIPT
    with fake.serve() as server:
        answers = [asyncio.run(_ask(server.base_url, session, question, streamed=streamed)) for question in QUESTIONS]
    sent = [json.loads(request.body)["input"] for request in fake.asked]
    return answers, sent, asyncio.run(session.get_items())


def test_a_history_has_the_types_that_both_libraries_take() -> None:
    """A type checker accepts it as a session, its items as messages, and messages as its items."""
    history = open_history("memory://types")
    sessions: tuple[Session, ...] = (history, Trimmed(history, 100))
    messages: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Hello"}]
    asyncio.run(sessions[1].add_items([{"role": "user", "content": "Hi"}]))
    history.sync.add_items(messages)
    messages = [*history.sync.get_items(1), *trim(messages, 100), *repair(messages).items]
    assert messages == [{"role": "user", "content": "Hello"}] * 3


_LOCAL = ["memory://agents", "{}/chat.json", "{}/chat.jsonl", "sqlite:///{}/chat.db"]


@pytest.fixture(params=[*_LOCAL, "redis", "postgresql"])
def fresh(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], str]:
    """Returns the URL of an empty store of each kind."""
    if request.param in _LOCAL:
        return lambda: request.param.format(tmp_path)
    served: RedisServed | PostgresqlServed = request.getfixturevalue(f"{request.param}_server")
    return served.emptied


@pytest.mark.parametrize("streamed", [False, True])
def test_a_history_holds_what_the_sdks_own_session_does(
    fresh: Callable[[], str], tmp_path: Path, streamed: bool
) -> None:
    """After runs with a tool call in between; the second run is sent what the first one left."""
    own = SQLiteSession("agent", tmp_path / "own.db")
    history = open_history(fresh(), f"agent-{streamed}")
    assert isinstance(history, Session)
    expected = _converse(own, streamed=streamed)
    assert _converse(history, streamed=streamed) == expected
    assert [item.get("type", "message") for item in expected[2]] == [
        *("message", "function_call", "function_call", "function_call_output", "function_call_output", "message"),
        *("message", "message"),
    ]
    own.close()
    history.sync.close()
